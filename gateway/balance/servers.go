package balance

import (
	"slices"

	"spillway/gateway/upstream"
)

// peer is one server as a picker sees it: the entry of the snapshot and the
// running weights of smooth weighted round robin. Weights are int64 so that
// no sum of them overflows.
type peer struct {
	entry     *upstream.Entry
	weight    int64 // configured
	effective int64 // lowered by failures, raised by one each time it is considered
	current   int64 // grows by effective; the chosen one pays the total
	start     slowStart
}

// usable reports whether the peer may be chosen for r.
func (c *peer) usable(r *Request) bool {
	if w := c.entry.Standing(); w != 0 && (w.Barred() || !c.start.turn(w.Share(), r)) {
		return false
	}
	return !tried(r.Tried, c.entry.Server) && c.entry.Exhausted(&c.entry.Spec, r.Now) == ""
}

func (c *peer) inflight() int64 { return c.entry.Inflight.Load() }

// advance takes part in one round of the smooth weighted round robin and
// returns what the chosen one has to pay for this peer.
func (c *peer) advance() int64 { return c.advanceBy(1) }

// advanceBy is advance with a weight that many times as high.
func (c *peer) advanceBy(factor int64) int64 {
	paid := c.effective * factor
	c.current += paid
	if c.effective < c.weight {
		c.effective++
	}
	return paid
}

// lower takes from the share of a peer that failed: after max_fails failures
// nothing is left of it (nginx: effective_weight).
func (c *peer) lower() {
	if n := int64(c.entry.Spec.MaxFails); n > 0 {
		c.effective = max(0, c.effective-c.weight/n)
	}
}

func tried(list []*upstream.Server, s *upstream.Server) bool {
	for _, t := range list {
		if t == s {
			return true
		}
	}
	return false
}

// group is the primaries or the backups of a pool, in the order in which ties
// are decided.
type group struct {
	peers []peer
	// order holds the peers in the order of the snapshot, for policies whose
	// choice must be the same in all loops. It points into peers. sums are
	// their weights summed up, down ones included: sums[i] is that of
	// order[0] to order[i].
	order []*peer
	sums  []int64
}

// total is the sum of all weights.
func (g *group) total() int64 { return g.sums[len(g.sums)-1] }

// at returns the peer that owns share w of the total, 0 <= w < total.
func (g *group) at(w int64) *peer {
	i, _ := slices.BinarySearch(g.sums, w+1)
	return g.order[i]
}

// servers is the set a picker chooses from.
type servers struct {
	loop, loops int
	subset      subsetting
	// Groups are chosen from in this order. others are primaries that are not
	// in the subset.
	primary, others, backup group
	// only is the server of a pool of one, nil in all others.
	only *upstream.Entry

	index   map[*upstream.Server]*peer
	started bool
}

func newServers(loop, loops int) servers {
	return servers{loop: loop, loops: loops, index: map[*upstream.Server]*peer{}}
}

// find returns the peer of a server, nil if it has left.
func (s *servers) find(server *upstream.Server) *peer { return s.index[server] }

// rebuild replaces the groups by those of snap and keeps the running weights
// of servers that stay. A server whose weight changed starts afresh, as
// nginx-upsync has it.
func (s *servers) rebuild(snap *upstream.Snapshot) {
	var primary, backup []peer
	for i := range snap.Entries {
		c := s.carry(&snap.Entries[i])
		if c.entry.Spec.Backup {
			backup = append(backup, c)
		} else {
			primary = append(primary, c)
		}
	}
	subset, others := s.subset.split(primary)
	s.primary, s.others, s.backup = s.arrange(subset), s.arrange(others), s.arrange(backup)
	s.only = nil
	if len(snap.Entries) == 1 {
		s.only = &snap.Entries[0]
	}
	s.reindex()
	s.started = s.started || len(snap.Entries) > 0
}

// carry returns the peer for e with what is remembered of its server.
func (s *servers) carry(e *upstream.Entry) peer {
	w := int64(max(1, e.Spec.Weight))
	if old := s.index[e.Server]; old != nil && old.weight == w {
		return peer{entry: e, weight: w, effective: old.effective, current: old.current, start: old.start}
	}
	return peer{entry: e, weight: w, effective: w, start: newSlowStart(s.loop, s.loops)}
}

// arrange makes a group of peers given in snapshot order. Loops see them
// turned by different amounts: ties go to the first, so each loop starts at
// another server. For the same reason the first one of a new picker gets the
// head start it needs to beat heavier ones; it pays for it at once.
func (s *servers) arrange(peers []peer) group {
	first := s.first(peers)
	g := group{peers: append(slices.Clone(peers[first:]), peers[:first]...)}
	heaviest, sum := int64(0), int64(0)
	for i := range peers {
		c := &g.peers[(len(peers)-first+i)%len(peers)]
		sum += c.weight
		g.order, g.sums = append(g.order, c), append(g.sums, sum)
		if !c.entry.Spec.Down {
			heaviest = max(heaviest, c.weight)
		}
	}
	if s.loops > 1 && !s.started && len(g.peers) > 0 {
		g.peers[0].current = max(0, heaviest-g.peers[0].weight)
	}
	return g
}

// first returns the place of the server this loop starts at. Loops spread
// evenly over the servers that are not down. The first loop turns past leading
// down ones at most, which changes no choice: the only loop has nginx's order.
func (s *servers) first(peers []peer) int {
	up := 0
	for i := range peers {
		if !peers[i].entry.Spec.Down {
			up++
		}
	}
	skip := s.loop * up / s.loops
	for i := range peers {
		if peers[i].entry.Spec.Down {
			continue
		}
		if skip == 0 {
			return i
		}
		skip--
	}
	return 0
}

func (s *servers) reindex() {
	clear(s.index)
	for _, g := range []*group{&s.primary, &s.others, &s.backup} {
		for i := range g.peers {
			s.index[g.peers[i].entry.Server] = &g.peers[i]
		}
	}
}
