package balance

import (
	"slices"
	"strings"

	"spillway/gateway/upstream"
)

// maglev is consistent hashing by a lookup table, after Eisenbud et al.,
// "Maglev: A Fast and Reliable Software Network Load Balancer" (NSDI 2016),
// section 3.4. A pick is one look into the table; servers get their parts of
// the keys within about a percent, which a ring with its 160 points a server
// does not do. The price is that a change of the set moves a few keys of
// servers that stay: the last ones to be placed.
//
// While the server of a key is unusable the slots behind it decide, so that
// its keys spread over all others and return when it does. The table depends
// on the names and weights alone, in whatever order they stand: gateways
// agree.
type maglev struct {
	primary *group
	table   *table
	named   [][]*peer
}

func (p *maglev) update(s *servers, snap *upstream.Snapshot) {
	p.primary = &s.primary
	t, ok := snap.Prepared.(*table)
	if !ok {
		t = newTable(snap)
	}
	p.table, p.named = t, t.peers(p.primary)
}

func (p *maglev) choose(g *group, r *Request) *peer {
	if g == p.primary && len(r.Key) > 0 {
		if c := p.byKey(r); c != nil {
			return c
		}
	}
	return roundRobin{}.choose(g, r)
}

func (p *maglev) byKey(r *Request) *peer {
	slots := p.table.slots
	at := int(hash64(r.Key) % uint64(len(slots)))
	for misses := 0; misses <= maxMisses; misses++ {
		if c := chooseNamed(p.named[slots[at]], r); c != nil {
			return c
		}
		if at++; at == len(slots) {
			at = 0
		}
	}
	return nil
}

// table is the lookup table of a snapshot's primaries. It is built once and
// shared by all loops.
type table struct {
	nameSet
	slots []uint32 // indices into names
}

// The sizes of tables, primes of the paper: with a hundred times as many slots
// as servers the parts differ by at most a percent.
const (
	smallTable = 65537
	largeTable = 655373
)

func newTable(snap *upstream.Snapshot) *table {
	t := &table{nameSet: newNames(snap)}
	size := uint64(smallTable)
	if len(t.names) > smallTable/100 {
		size = largeTable
	}
	if len(t.names) > 0 {
		t.fill(size)
	}
	return t
}

// permutation is the order in which a name prefers slots.
type permutation struct {
	name         uint32
	next, skip   uint64
	weight, paid int64 // paid is the sum of the heaviest weight over its turns
}

// fill lets the names take turns at the slot they prefer most of those that
// are left. In each round a name has a turn if its weight, times the rounds,
// has reached what its turns cost, so that parts are as weights.
func (t *table) fill(size uint64) {
	const free = ^uint32(0)
	t.slots = slices.Repeat([]uint32{free}, int(size))
	order := t.permutations(size)
	heaviest := slices.Max(t.weights)
	for round, left := int64(1), size; left > 0; round++ {
		for i := range order {
			p := &order[i]
			if round*p.weight < p.paid {
				continue
			}
			p.paid += heaviest
			for t.slots[p.next] != free {
				p.step(size)
			}
			t.slots[p.next] = p.name
			if left--; left == 0 {
				return
			}
		}
	}
}

// permutations are of all names, in the order of their turns.
func (t *table) permutations(size uint64) []permutation {
	order := make([]permutation, len(t.names))
	for n, name := range t.names {
		hash := hash64([]byte(name))
		order[n] = permutation{
			name: uint32(n), next: hash % size, skip: mix(hash)%(size-1) + 1, weight: t.weights[n],
		}
	}
	slices.SortFunc(order, func(a, b permutation) int {
		return strings.Compare(t.names[a.name], t.names[b.name])
	})
	return order
}

func (p *permutation) step(size uint64) {
	if p.next += p.skip; p.next >= size {
		p.next -= size
	}
}

// hash64 is FNV-1a, mixed so that all bits of it are good.
func hash64(b []byte) uint64 {
	h := uint64(14695981039346656037)
	for _, c := range b {
		h = (h ^ uint64(c)) * 1099511628211
	}
	return mix(h)
}

// mix is the last step of SplitMix64 (Steele, Lea, Flood 2014).
func mix(h uint64) uint64 {
	h += 0x9e3779b97f4a7c15
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}
