package balance

import (
	"hash/crc32"
	"slices"
	"strconv"

	"spillway/gateway/upstream"
)

// hash is nginx's "hash KEY": the key's checksum modulo the sum of weights
// names a server; while that one is unusable, a checksum of the key with a
// counter in front is added and the remainder taken again
// (ngx_http_upstream_get_hash_peer, the expression of Cache::Memcached).
// Adding a server moves most keys: see hashConsistent.
type hash struct {
	primary *group
	digits  []byte // buffer of the counter
}

func (p *hash) update(s *servers, _ *upstream.Snapshot) { p.primary = &s.primary }

func (p *hash) choose(g *group, r *Request) *peer {
	if g == p.primary && len(r.Key) > 0 {
		if c := p.byKey(g, r); c != nil {
			return c
		}
	}
	return roundRobin{}.choose(g, r)
}

// byKey starts over for each try of a request, where nginx goes on: it meets
// the same servers. One that was tried was no miss when it was met first.
func (p *hash) byKey(g *group, r *Request) *peer {
	sum, met := uint32(0), uint64(0) // met: bits by place in Tried
	for rehash, misses := 0, 0; misses <= maxMisses; rehash++ {
		sum += p.rehashed(rehash, r.Key)
		c := g.at(int64(sum) % g.total())
		if c.usable(r) {
			return c
		}
		var bit uint64 // 0 also from the 64th try on
		if at := slices.Index(r.Tried, c.entry.Server); at >= 0 {
			bit = 1 << at
		}
		if bit&^met == 0 {
			misses++
		}
		met |= bit
	}
	return nil
}

// rehashed is the checksum of the key with the counter in front, without it
// in the first round.
func (p *hash) rehashed(rehash int, key []byte) uint32 {
	p.digits = p.digits[:0]
	if rehash > 0 {
		p.digits = strconv.AppendInt(p.digits, int64(rehash), 10)
	}
	sum := crc32.ChecksumIEEE(p.digits)
	return crc32.Update(sum, crc32.IEEETable, key) >> 16 & 0x7fff
}
