package balance

import (
	"cmp"
	"math"

	"spillway/gateway/upstream"
)

// leastRequest is the weighted least request of Envoy
// (config.cluster.v3.Cluster.LeastRequestLbConfig): a weighted round robin in
// which a server weighs
//
//	weight / (requests in flight + 1) ^ bias
//
// at the moment of the choice. Where least_conn sends everything to the
// emptiest server, this sends it more than the others: loops, and gateways,
// that see the same figures do not all run at one server. A larger bias comes
// nearer to least_conn, one near 0 to round_robin. Envoy does so where weights
// differ; where they are equal it draws two, which is random_two here.
type leastRequest struct {
	bias  float64
	parts [256]int64 // one/(n+1)^bias by n
}

// one is a whole weight in the fixed point of parts.
const one = 1 << 16

func newLeastRequest(bias float64) *leastRequest {
	p := &leastRequest{bias: cmp.Or(bias, upstream.DefaultBias)}
	for n := range p.parts {
		p.parts[n] = p.compute(int64(n))
	}
	return p
}

func (p *leastRequest) compute(flying int64) int64 {
	return max(1, int64(one/math.Pow(float64(flying+1), p.bias)))
}

// part is what is left of each unit of weight with so many in flight.
func (p *leastRequest) part(flying int64) int64 {
	if flying < int64(len(p.parts)) {
		return p.parts[max(0, flying)]
	}
	return p.compute(flying)
}

func (*leastRequest) update(*servers, *upstream.Snapshot) {}

func (p *leastRequest) choose(g *group, r *Request) *peer {
	var best *peer
	var total int64
	for i := range g.peers {
		c := &g.peers[i]
		if !c.usable(r) {
			continue
		}
		total += c.advanceBy(p.part(c.inflight()))
		if best == nil || c.current > best.current {
			best = c
		}
	}
	if best != nil {
		best.current -= total
	}
	return best
}
