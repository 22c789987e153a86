package signals

import (
	"time"

	"spillway/gateway/upstream"
)

// keepLeft is how long a server that left its upstream is still told of.
const keepLeft = time.Minute

// left is a server that no snapshot has any more.
type left struct {
	upstream string
	server   *upstream.Server
	at       time.Time
}

// membership remembers the servers that left: what they have in flight is
// nowhere else to be found.
type membership struct {
	now   func() time.Time
	known map[*upstream.Pool]*upstream.Snapshot
	left  []left
}

// note takes the pool's current snapshot over. It may be called at any time;
// only what differs from the last one counts.
func (m *membership) note(p *upstream.Pool) {
	before, snap := m.known[p], p.Load()
	if before == snap {
		return
	}
	m.known[p] = snap
	if before != nil {
		m.gone(p.Name, before, snap)
	}
}

// refresh takes over what is known of a pool that is still used. A change is
// published a moment before it is noted; a report must not fall in between.
func (m *membership) refresh(p *upstream.Pool) {
	if m.known[p] != nil {
		m.note(p)
	}
}

// drop forgets a pool, all of whose servers left with it.
func (m *membership) drop(p *upstream.Pool) {
	if before := m.known[p]; before != nil {
		m.gone(p.Name, before, &upstream.Snapshot{})
	}
	delete(m.known, p)
}

// gone remembers the servers of before that after does not have.
func (m *membership) gone(name string, before, after *upstream.Snapshot) {
	if allStay(before.Entries, after.Entries) {
		return // Fast path: servers came, or changed.
	}
	stays := make(map[*upstream.Server]bool, len(after.Entries))
	for i := range after.Entries {
		stays[after.Entries[i].Server] = true
	}
	for i := range before.Entries {
		if s := before.Entries[i].Server; !stays[s] {
			m.left = append(m.left, left{name, s, m.now()})
		}
	}
}

// allStay reports whether after has all servers of before, in the same order.
func allStay(before, after []upstream.Entry) bool {
	n := 0
	for i := range after {
		if n < len(before) && after[i].Server == before[n].Server {
			n++
		}
	}
	return n == len(before)
}

// forget drops who left long ago and has nothing in flight.
func (m *membership) forget() {
	keep := m.left[:0]
	for _, l := range m.left {
		if l.server.Inflight.Load() > 0 || m.now().Sub(l.at) < keepLeft {
			keep = append(keep, l)
		}
	}
	clear(m.left[len(keep):])
	m.left = keep
}
