// Package peers compares Spillway with other HTTP proxies on one machine: nginx,
// HAProxy, Caddy where it is installed, a plain fasthttp proxy, net/http's
// ReverseProxy, and two bounds: a forwarder of bytes, and no proxy at all.
//
// Each proxy runs alone on one core, the generator and the backend on another.
// Rounds are interleaved (A B C A B C ...), so that a drift of the machine meets
// all of them, and every figure is a median over rounds with its spread; what is
// compared with nginx is the ratio within a round. The figure that matters is
// CPU time per request (user and system, children included): it does not depend
// on which side was the limit. A rate does, so a row whose proxy core was less
// than 95 % busy gives no rate ratio and says why.
//
// Run is the plain comparison, by wrk. Each scenario (scenario.go) asks a question
// of its own: latency at equal rates, changes of servers, connections, scaling,
// pipelining. Load comes from bench/load there, results are tables of
// bench/peers/figures.
//
// The configurations are the templates in conf/, one worker or thread each,
// with the same duties: connections kept on both sides, X-Forwarded-For set, no
// access log.
//
// The proxies are black boxes: the package imports no code of the gateway. It
// only talks to loopback addresses, ends what it started by process id, and
// keeps its files in one temporary directory. Run uses the calling goroutine;
// one more waits for each process, one more looks at memory while servers change.
package peers
