package load

import (
	"spillway/bench/hist"
)

// Kind is a way in which a request fails.
type Kind uint8

// The kinds of errors, in the order of a request's life.
const (
	ConnectRefused Kind = iota // nobody listens
	ConnectTimeout             // no answer to the handshake in time
	ConnectFailed              // any other failure to connect
	TLSFailed                  // the TLS handshake failed
	Reset                      // the connection was reset under the request
	Closed                     // the server closed before the answer was complete
	Timeout                    // no complete answer in time
	Malformed                  // what came is no HTTP response
	BadStatus                  // not a status that was expected
	BadBody                    // not the body that was expected
	kinds
)

// String is the name of the kind in reports.
func (k Kind) String() string {
	return [kinds]string{
		"connect_refused", "connect_timeout", "connect_failed", "tls", "reset",
		"closed", "timeout", "malformed", "status", "body",
	}[k]
}

// flight is one request on its way. Times are nanoseconds of the run's clock.
type flight struct {
	planned int64
	sent    int64
	lag     int64 // of sent behind planned, our own fault
	id      uint64
	message uint16
}

// recorder collects what one lane measures. It belongs to the lane.
type recorder struct {
	measured int64 // requests planned before this time are warm-up
	ended    int64 // sending stopped

	corrected, raw, lag, connect hist.Histogram

	sent, answered, unsent uint64
	failed                 uint64 // connections that could not be made, without a request on them
	opened, received       uint64
	kinds                  [kinds]uint64
	status                 [1000]uint64 // by code

	second second
}

// second is what happened in one second of one lane.
type second struct {
	index                  int // from the end of the warm-up
	latency                *hist.Histogram
	sent, answered, failed uint64
	connections            uint64
}

// answer records a complete response.
func (r *recorder) answer(f *flight, status int, now int64) {
	if f.planned < r.measured {
		return
	}
	r.answered++
	r.status[status]++
	r.second.answered++
	r.latency(f, now)
}

// latency records how long a request has taken, whatever came of it.
func (r *recorder) latency(f *flight, now int64) {
	r.corrected.Record(now - f.planned)
	r.raw.Record(now - f.sent)
	r.lag.Record(f.lag)
	if r.second.latency != nil {
		r.second.latency.Record(now - f.planned)
	}
}

// failure records a request that failed. One that timed out has taken at least
// as long as it waited: leaving it out would hide the worst.
func (r *recorder) failure(f *flight, k Kind, now int64) {
	if f.planned < r.measured {
		return
	}
	r.kinds[k]++
	r.second.failed++
	if k == Timeout {
		r.latency(f, now)
	}
}

// launched counts a request that was sent.
func (r *recorder) launched(planned int64) {
	if planned >= r.measured {
		r.sent++
		r.second.sent++
	}
}

// left records a request that was planned and never sent, as the run ended
// first. Only the corrected latency knows it: it waited at least that long.
func (r *recorder) left(planned, now int64) {
	if planned < r.measured {
		return
	}
	r.unsent++
	r.corrected.Record(now - planned)
}

// connected counts a connection and how long its handshake took.
func (r *recorder) connected(took int64) {
	r.opened++
	r.second.connections++
	r.connect.Record(took)
}
