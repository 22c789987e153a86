package balance

import (
	"cmp"
	"math/rand/v2"
	"time"

	"spillway/gateway/upstream"
)

// peakEWMA draws two peers at random by weight and chooses the one that
// promises the earlier answer: the product of its latency, a moving average
// that follows peaks at once (upstream.Latency), and of the requests it would
// have in flight, divided by its weight. Both are of all loops.
//
// The cost is that of Finagle's PeakEwma balancer. Comparing two instead of
// all is Mitzenmacher's "The Power of Two Choices in Randomized Load
// Balancing" (IEEE TPDS 12(10), 2001): the longest queue grows with log log n,
// a pick costs the same for any number of servers, and loops that see the same
// figures do not all run at the one best server.
type peakEWMA struct {
	rand  *rand.Rand
	decay time.Duration
}

func newPeakEWMA(decay time.Duration) *peakEWMA {
	return &peakEWMA{
		rand:  rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())),
		decay: cmp.Or(decay, upstream.DefaultDecay),
	}
}

func (*peakEWMA) update(*servers, *upstream.Snapshot) {}

func (p *peakEWMA) choose(g *group, r *Request) *peer {
	first, second := drawTwo(p.rand, g, r)
	switch {
	case second == nil:
		return roundRobin{}.choose(g, r)
	case p.cost(second, r.Now)*float64(first.weight) > p.cost(first, r.Now)*float64(second.weight):
		return first
	}
	return second
}

// unknownCost is the latency assumed of a server that has requests but no
// answer yet, in nanoseconds: more than any that has answered, so that a new
// server gets one request and no more until it has shown what it can do.
const unknownCost = float64(365 * 24 * time.Hour)

func (p *peakEWMA) cost(c *peer, now int64) float64 {
	flying := float64(max(0, c.inflight()))
	latency := c.entry.Latency.At(now, p.decay)
	if latency == 0 && flying > 0 {
		latency = unknownCost
	}
	return latency * (flying + 1)
}

// Observe implements Observer.
func (p *peakEWMA) Observe(e *upstream.Entry, latency, now int64) {
	e.Latency.Observe(latency, now, p.decay)
}
