package balance

import (
	"hash/crc32"

	"spillway/gateway/upstream"
)

// hashConsistent is nginx's "hash KEY consistent": the key's checksum is a
// place on a ring, the next point on it names the server; while that one is
// unusable, the point after it does
// (ngx_http_upstream_get_chash_peer). Adding one server of n moves 1/n of the
// keys.
type hashConsistent struct {
	primary *group
	ring    *ring
	named   [][]*peer // of each name of the ring
}

func (p *hashConsistent) update(s *servers, snap *upstream.Snapshot) {
	p.primary = &s.primary
	ring, ok := snap.Prepared.(*ring)
	if !ok {
		ring = newRing(snap)
	}
	p.ring, p.named = ring, ring.peers(p.primary)
}

func (p *hashConsistent) choose(g *group, r *Request) *peer {
	if g == p.primary && len(r.Key) > 0 {
		if c := p.byKey(r); c != nil {
			return c
		}
	}
	return roundRobin{}.choose(g, r)
}

func (p *hashConsistent) byKey(r *Request) *peer {
	points := p.ring.points
	at := p.ring.find(crc32.ChecksumIEEE(r.Key))
	for misses := 0; misses <= maxMisses; misses++ {
		point := points[(at+misses)%len(points)]
		if c := chooseNamed(p.named[point.name()], r); c != nil {
			return c
		}
	}
	return nil
}

// chooseNamed chooses among the peers of one name by smooth weighted round
// robin.
func chooseNamed(peers []*peer, r *Request) *peer {
	var best *peer
	var total int64
	for _, c := range peers {
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
