package balance

import (
	"cmp"
	"hash/crc32"

	"spillway/gateway/upstream"
)

// hashBounded is consistent hashing with bounded loads (Mirrokni, Thorup,
// Zadimoghaddam, "Consistent Hashing with Bounded Loads", 2016): a key goes
// where hash_consistent sends it as long as that server has fewer than bound
// times its part of the requests in flight, else to the next on the ring that
// has. Popular keys spread over as many servers as they need, and no server
// gets more than bound times its part; the closer to 1, the more keys move.
type hashBounded struct {
	hashConsistent
	bound float64
}

func newHashBounded(bound float64) *hashBounded {
	return &hashBounded{bound: cmp.Or(bound, upstream.DefaultBound)}
}

// maxProbes bounds the walk along the ring. Then the least loaded gets the
// request, which always has room: it has no more than its part of those in
// flight, and the one that comes counts too.
const maxProbes = 64

func (p *hashBounded) choose(g *group, r *Request) *peer {
	if g == p.primary && len(r.Key) > 0 {
		if c := p.byKey(r); c != nil {
			return c
		}
	}
	return leastConn{}.choose(g, r)
}

func (p *hashBounded) byKey(r *Request) *peer {
	points := p.ring.points
	at := p.ring.find(crc32.ChecksumIEEE(r.Key))
	room := -1.0 // not known yet
	for n := range min(maxProbes, len(points)) {
		point := points[(at+n)%len(points)]
		c := leastOf(p.named[point.name()], r)
		if c == nil {
			continue
		}
		flying := c.inflight()
		if flying <= 0 {
			return c
		}
		if room < 0 {
			room = p.room(r)
		}
		if float64(flying) < room*float64(c.weight) {
			return c
		}
	}
	return nil
}

// room is what a usable peer may have in flight for each unit of its weight,
// with the request that comes.
func (p *hashBounded) room(r *Request) float64 {
	flying, weights := int64(1), int64(0)
	for i := range p.primary.peers {
		if c := &p.primary.peers[i]; c.usable(r) {
			flying += max(0, c.inflight())
			weights += c.weight
		}
	}
	return p.bound * float64(flying) / float64(weights)
}

// leastOf is the least loaded usable peer, nil if none is usable.
func leastOf(peers []*peer, r *Request) *peer {
	var best *peer
	for _, c := range peers {
		if c.usable(r) && (best == nil || c.inflight()*best.weight < best.inflight()*c.weight) {
			best = c
		}
	}
	return best
}
