// Package machine is the first program of a machine that is ours: it reaches
// the stages from a bare system to an engine the scaler can use, tells the
// scaler of each, and afterwards keeps the engine, the labels and the lease.
//
//	running -> address -> phone-home -> docker -> images -> settled
//	                        |                                 |
//	                        +-- certificate, labels           +-- lease
//
// Every stage has a deadline and a measured time. A machine that cannot phone
// home goes on trying: it costs an hour at most, for its lease ends then. The
// lease ends a machine only if it has carried no request for a time and has
// not reached the scaler in all of it, so that no outage of the scaler takes a
// machine from service.
//
// It is the process with number 1 where it runs: it collects every orphan.
// Goroutines: one reads signals and collects children, one runs the stages and
// then the lease. Clouds' machines do the same by the shell script that
// package hostinit renders.
package machine
