// Package signals keeps what a scaler needs to know of the traffic: for each
// upstream and second how many requests arrived, ended, failed and were
// refused, how many were in flight on average and how long they took; and of
// each server whether it may still get a request.
//
// It owns the arithmetic of the counts that event loops keep (Flow), the last
// two minutes of every upstream with traffic (Recorder), the servers that left
// and are not done yet, capacity that was announced, and the trace file. It
// counts nothing itself, decides nothing, and knows the engine only through
// the functions in Options. An upstream without traffic costs a map entry, if
// that.
//
// Goroutines: Recorder.Run is its caller's and samples once a second; a Trace
// has one that writes its file.
package signals

import (
	"math/bits"

	"spillway/gateway/upstream"
)

// Buckets is the number of latency counts of a second. Bucket k counts up to
// FirstBound<<k nanoseconds, the last one everything above. They are those of
// metrics.Histogram.
const (
	Buckets    = 20
	FirstBound = 50_000
)

// Flow is what one loop counts of one upstream. It is a plain value: only its
// loop touches it, and gives away copies between two requests, so that the
// counts of a copy belong together. (Read from outside one by one they would
// not, and each request caught half counted would weigh as much as the age of
// the process, see Area.)
//
//	Begin --> in flight --Complete--> over, at a server
//	              |
//	              +-------Refuse----> over, no server was asked
type Flow struct {
	Arrivals    uint64
	Completions uint64
	Errors      uint64 // of the completions
	Refused     uint64
	// Begun and Ended are the sums of the times at which requests arrived and
	// were over, in nanoseconds. They wrap around, which does no harm: only
	// differences of Area are used.
	Begun, Ended uint64
	// Latency counts completions by how long they took.
	Latency [Buckets]uint64
}

// Begin counts a request that arrived at now.
func (f *Flow) Begin(now int64) {
	f.Arrivals++
	f.Begun += uint64(now)
}

// Complete counts a request that a server, or several, answered or failed to
// answer; failed says that it was answered 5xx or its answer broke off.
func (f *Flow) Complete(now int64, failed bool) {
	f.Completions++
	f.Ended += uint64(now)
	if failed {
		f.Errors++
	}
}

// Took counts the latency of a completion in nanoseconds. It is apart from
// Complete because a tunnel's life is no latency.
func (f *Flow) Took(ns int64) {
	k := 0
	if ns > 0 {
		k = bits.Len64(uint64(ns-1) / FirstBound)
	}
	f.Latency[min(k, Buckets-1)]++
}

// Refuse counts a request for which there was no server.
func (f *Flow) Refuse(now int64) {
	f.Refused++
	f.Ended += uint64(now)
}

// InFlight is the number of requests that began and are not over.
func (f *Flow) InFlight() uint64 { return f.Arrivals - f.Completions - f.Refused }

// Area is the integral of the requests in flight up to now, in
// request-nanoseconds modulo 2^64. Each request that is over has added the
// time it took, each one in flight the time since it began:
//
//	sum(ended) - sum(begun of those) + sum(now - begun of the others)
//	= Ended - Begun + InFlight * now
//
// The difference of two areas by the time between them is the average number
// in flight: exactly, because no request is missed between two looks.
func (f *Flow) Area(now int64) uint64 {
	return f.Ended - f.Begun + f.InFlight()*uint64(now)
}

// Since is what was counted since before, sums of times excepted.
func (f *Flow) Since(before *Flow) Flow {
	d := Flow{
		Arrivals: f.Arrivals - before.Arrivals, Completions: f.Completions - before.Completions,
		Errors: f.Errors - before.Errors, Refused: f.Refused - before.Refused,
	}
	for k := range d.Latency {
		d.Latency[k] = f.Latency[k] - before.Latency[k]
	}
	return d
}

// Tally is what one loop counted since it was last asked.
type Tally struct {
	Parts   []Part
	Servers []Served
}

// Part is one upstream's share of a Tally. A name may appear twice, when a
// pool was replaced by another.
type Part struct {
	Upstream string
	Counts   Flow   // since last asked
	Area     uint64 // request-nanoseconds since last asked
}

// Served is how many answers one server gave.
type Served struct {
	Upstream, Addr string
	Answers        uint64
}

// Adoption says that a loop picks servers of a pool from a snapshot.
type Adoption struct {
	Pool     *upstream.Pool
	Snapshot *upstream.Snapshot
}
