// Package bench is the command `spillway bench`: it measures HTTP/1.1 servers as
// black boxes and judges what it has measured.
//
//	bench run         load on one target, at a rate or as fast as it answers
//	bench search      the highest rate at which conditions hold
//	bench compare     two saved reports: is one slower, or is it noise?
//	bench peers       CPU per request beside other proxies
//	bench generator   our load generator beside wrk
//
// The work is done below: load makes the requests, hist counts latencies,
// scenario reads descriptions of mixed load, account reads what the server
// takes, report writes what came of it. Here are flags, exit codes, progress and
// the order of things.
//
// It refuses targets on other machines unless told otherwise, and every run is
// bounded in time. It ends only processes that it started itself.
package bench
