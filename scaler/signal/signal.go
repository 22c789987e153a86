// Package signal knows what the gateways saw of each upstream: it reads every
// registered gateway's seconds, adds them up and says how much of the whole
// that is and how old.
//
// A Source never guesses: gateways that did not answer lower Coverage, and
// what to do about that is the policy's affair.
package signal

import (
	"context"
	"time"
)

// Buckets of the latency histogram: upper bounds 50 us << k, the last without
// end. They are the gateway's own.
const Buckets = 20

// Second is one second of one upstream, summed over the gateways that told it.
type Second struct {
	At          time.Time // its end
	Arrivals    float64   // requests begun
	Completions float64
	Errors      float64 // answered 5xx or not at all
	Refused     float64 // by the gateway itself: no server, limits
	InFlight    float64 // time-averaged
	Latency     [Buckets]float64
	// Reporting and Expected gateways: Coverage is their quotient.
	Reporting, Expected int
}

// Server is what the gateways know of one server of an upstream.
type Server struct {
	Address  string
	InFlight float64
	Requests float64 // of the last second
	// Draining: every expected gateway told, after the time asked about, that
	// it sends the server no new requests.
	Serving, Told int // gateways that send it requests; gateways that told
}

// Snapshot is an upstream as of now.
type Snapshot struct {
	Upstream string
	Seconds  []Second // oldest first, without gaps, up to the window asked for
	Servers  map[string]Server
	// Age of the oldest report among the reporting gateways.
	Age                 time.Duration
	Reporting, Expected int
	At                  time.Time
}

// Source of signals. Snapshot answers from memory and does not block on the
// network; an upstream nobody has told of has no seconds and Reporting 0.
type Source interface {
	Snapshot(upstream string, window time.Duration) Snapshot
}

// Announcer tells gateways of ordered capacity.
type Announcer interface {
	// Announce says that ordered units are to come for the upstream at eta;
	// ordered 0 takes it back.
	Announce(ctx context.Context, upstream string, ordered float64, eta time.Time) error
}
