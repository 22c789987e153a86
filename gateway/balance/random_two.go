package balance

import (
	"math/rand/v2"

	"spillway/gateway/upstream"
)

// maxMisses is how many unusable servers the random and the hash policies hit
// before they go round robin, which finds a usable one if there is any
// (nginx: tries > 20).
const maxMisses = 20

// randomTwo draws two peers at random by weight and chooses the one with
// fewer requests in flight for its weight
// (ngx_http_upstream_get_random2_peer). It spreads nearly as well as
// least_conn, but many loops do not run at one server at the same time.
type randomTwo struct{ rand *rand.Rand }

func newRandomTwo() *randomTwo {
	return &randomTwo{rand: rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))}
}

func (*randomTwo) update(*servers, *upstream.Snapshot) {}

func (p *randomTwo) choose(g *group, r *Request) *peer {
	first, second := drawTwo(p.rand, g, r)
	switch {
	case second == nil:
		return roundRobin{}.choose(g, r)
	case second.inflight()*first.weight > first.inflight()*second.weight:
		return first
	}
	return second
}

// drawTwo draws two different usable peers by weight. second is nil if it hit
// too many that are not.
func drawTwo(rnd *rand.Rand, g *group, r *Request) (first, second *peer) {
	for misses := 0; misses <= maxMisses; misses++ {
		c := g.at(rnd.Int64N(g.total()))
		switch {
		case c == first || !c.usable(r):
			continue
		case first == nil:
			first = c
		default:
			return first, c
		}
	}
	return first, nil
}
