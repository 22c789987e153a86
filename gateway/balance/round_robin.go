package balance

import "spillway/gateway/upstream"

// roundRobin is the smooth weighted round robin of nginx
// (ngx_http_upstream_get_peer): each round all usable peers gain their
// effective weight, the one with the most is chosen and pays what all gained.
// Weights 5, 1, 1 give a a b a c a a.
type roundRobin struct{}

func (roundRobin) update(*servers, *upstream.Snapshot) {}

func (roundRobin) choose(g *group, r *Request) *peer {
	var best *peer
	var total int64
	for i := range g.peers {
		c := &g.peers[i]
		if !c.usable(r) {
			continue
		}
		total += c.advance()
		if best == nil || c.current > best.current {
			best = c
		}
	}
	if best != nil {
		best.current -= total
	}
	return best
}
