// Package load generates HTTP/1.1 load and measures the answers.
//
// A closed loop keeps a number of requests in flight and sends the next when an
// answer ends. An open loop sends by a schedule (Curve, Pacer) whatever the
// target does: each latency counts from the planned time, so a target that
// stalls cannot hide it by keeping the generator waiting. Three distributions
// are kept beside each other: corrected (from the planned time), raw (from the
// time of sending) and generator lag (how much of the difference was our own
// fault: a connection was free and we were late).
//
// Run starts one event loop (internal/netloop) on a locked thread for each lane;
// lanes share nothing while they run. Requests are rendered to bytes before the
// start; a response head equal to the one before is recognised by comparing
// bytes, everything else is parsed (scan.go). A lane hands its figures to a
// collector goroutine once a second. Connections with TLS are the exception:
// each has a goroutine of its own (secure.go).
//
// The package prints nothing, reads no files, resolves no names and stops at
// the duration it was given plus one timeout.
package load
