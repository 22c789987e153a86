// Package signal knows what the gateways saw of each upstream: it reads every
// registered gateway's seconds, adds them up and says how much of the whole
// that is and how old.
//
// A Source never guesses: gateways that did not answer lower Coverage, and
// what to do about that is the policy's affair. Gateways is the source that
// reads the gateways' admin API; Prometheus asks a Prometheus server instead.
// Both keep ten minutes in memory and nothing on disk.
//
// Goroutines: Gateways.Run and Prometheus.Run are their caller's; a round of
// reading has a bounded number of its own and ends before the next one begins.
package signal

import (
	"context"
	"time"
)

// Buckets of the latency histogram: upper bounds 50 us << k, the last without
// end. They are the gateway's own.
const Buckets = 20

// FirstBound is the upper bound of the first bucket.
const FirstBound = 50 * time.Microsecond

// Second is one second of one upstream, summed over the gateways that told it.
type Second struct {
	At          time.Time // its end
	Arrivals    float64   // requests begun
	Completions float64
	Errors      float64 // answered 5xx or not at all
	Refused     float64 // by the gateway itself: no server, limits
	InFlight    float64 // time-averaged
	Latency     [Buckets]float64
	P95         time.Duration // of the completions, 0 without any
	// Reporting and Expected gateways: Coverage is their quotient.
	Reporting, Expected int
}

// Coverage is the share of the gateways that told of this second, 0 to 1.
func (s *Second) Coverage() float64 { return coverage(s.Reporting, s.Expected) }

func coverage(reporting, expected int) float64 {
	if expected <= 0 || reporting <= 0 {
		return 0
	}
	return min(1, float64(reporting)/float64(expected))
}

// Quantile of the latencies, by linear interpolation within the bucket; 0
// without any. A bucket is twice as wide as the one before, so that it may be
// off by a factor of two.
func (s *Second) Quantile(q float64) time.Duration {
	total := 0.0
	for _, n := range s.Latency {
		total += n
	}
	rank := q * total
	low, high := time.Duration(0), FirstBound
	for k, n := range s.Latency {
		if rank <= n && n > 0 {
			if k == Buckets-1 {
				return low
			}
			return low + time.Duration(float64(high-low)*rank/n)
		}
		rank -= n
		low, high = high, 2*high
	}
	return 0
}

// Server is what the gateways know of one server of an upstream.
type Server struct {
	Address  string
	InFlight float64
	Requests float64 // of the last second
	// Serving is how many gateways send it new requests, Told how many told of
	// it at all.
	Serving, Told int
}

// Snapshot is an upstream as of now.
type Snapshot struct {
	Upstream string
	Seconds  []Second // oldest first, without gaps, up to the window asked for
	Servers  map[string]Server
	// Age of the oldest report among the reporting gateways, or of the newest
	// one ever if none reports now.
	Age                 time.Duration
	Reporting, Expected int
	At                  time.Time
}

// Coverage is the share of the gateways that report now, 0 to 1.
func (s *Snapshot) Coverage() float64 { return coverage(s.Reporting, s.Expected) }

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

var (
	_ Source    = (*Gateways)(nil)
	_ Announcer = (*Gateways)(nil)
	_ Source    = (*Prometheus)(nil)
)
