package devregistry

import "maps"

// Snapshot is the state of a registry at one moment.
type Snapshot struct{ state state }

// Snapshot takes the state as it is now, as `consul snapshot save` does.
func (r *Registry) Snapshot() *Snapshot {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return &Snapshot{r.state.clone()}
}

func (s *state) clone() state {
	c := *s
	c.kv, c.catalog, c.sessions = s.kv.clone(), s.catalog.clone(), s.sessions.clone()
	c.lockDelays = maps.Clone(s.lockDelays)
	return c
}

// Restore puts a snapshot back, as `consul snapshot restore` does on a running
// cluster: what a read returns goes back to its old index, the next write
// gets one above all before. Blocked queries return at once.
func (r *Registry) Restore(s *Snapshot) {
	r.mu.Lock()
	defer r.mu.Unlock()
	next := s.state.clone()
	next.index = max(next.index, r.state.index) + 1
	r.replace(next)
}

// Rewind puts a snapshot back together with its counter, as a cluster rebuilt
// from a backup has it: the next write repeats an index seen before.
func (r *Registry) Rewind(s *Snapshot) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.replace(s.state.clone())
}

// Reset makes the registry a new, empty cluster: indexes begin again.
func (r *Registry) Reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.replace(r.emptyState(firstIndex))
}

// WipeKV deletes every key, as DELETE /v1/kv/?recurse does.
func (r *Registry) WipeKV() { r.DeleteTree("") }

// replace swaps the state: timers begin again, probes of checks that are gone
// end, blocked queries return.
func (r *Registry) replace(next state) {
	for name := range r.timers {
		r.setTimer(name, 0, nil)
	}
	r.state = next
	for id := range r.probes {
		if r.state.catalog.check(r.opts.Node, id) == nil {
			r.stopProbeLocked(id)
		}
	}
	t := &touched{tombs: len(next.kv.tombs.rows) > 0}
	for _, s := range next.sessions.rows {
		t.sessions = append(t.sessions, s.ID)
	}
	for _, c := range next.catalog.checks.rows {
		if c.Node == r.opts.Node && c.ttl > 0 && c.Status != statusCritical {
			t.checks = append(t.checks, c.CheckID)
		}
	}
	r.armTimers(t)
	r.watch.abandon()
}
