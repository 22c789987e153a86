package balance

import (
	"hash/crc32"
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

func (p *hash) byKey(g *group, r *Request) *peer {
	// nginx goes on where the last try of the request stopped. Starting over
	// meets the same servers; those tried then were hits, not misses.
	misses := maxMisses + len(r.Tried)
	sum := uint32(0)
	for rehash := 0; rehash <= misses; rehash++ {
		sum += p.rehashed(rehash, r.Key)
		if c := g.at(int64(sum) % g.total()); c.usable(r) {
			return c
		}
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
