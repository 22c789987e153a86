package upstream

import (
	"cmp"
	"time"
)

// Tuning is what policies of balancing may be told; what is zero has the
// policy's default. It is a comparable value.
type Tuning struct {
	// Decay is the time in which peak_ewma forgets an answer (1/e of it is
	// left), DefaultDecay if 0.
	Decay time.Duration
	// Bias is the power of weighted_least_request, DefaultBias if 0. Near 0
	// requests in flight do not count.
	Bias float64
	// Bound is what a server may have in flight with hash_bounded, as a
	// multiple of its part of all; at least 1, DefaultBound if 0.
	Bound float64
	// Subset is how many primaries this gateway uses while they can be used; 0
	// is all. Gateways that differ in Gateway take others.
	Subset  int
	Gateway uint64
}

// Defaults of Tuning; those of Finagle, of Envoy and of the paper.
const (
	DefaultDecay = 10 * time.Second
	DefaultBias  = 1
	DefaultBound = 1.25
)

// Sticky is a cookie that the gateway gives to clients to name their server.
// The zero value gives none.
type Sticky struct {
	Cookie string
	// TTL is how long the client keeps it, 0 is as long as its session.
	TTL time.Duration
	// Key is hashed with the server's address; gateways that share clients
	// share it.
	Key string `json:"-"`
}

// Latency is how long s takes to answer by what peak_ewma knows of it, 0 if
// that is nothing.
func (t Tuning) Latency(s *Server, now int64) time.Duration {
	return time.Duration(s.Latency.At(now, cmp.Or(t.Decay, DefaultDecay)))
}
