package devregistry

import (
	"strconv"
	"time"
)

// timer is one entry of Registry.timers.
type timer struct{ stop func() bool }

// armTimers makes the timers follow what a write touched: sessions with a
// TTL, TTL checks, tombstones. The caller holds the lock.
func (r *Registry) armTimers(t *touched) {
	for _, id := range t.sessions {
		r.armSession(id)
	}
	for _, id := range t.checks {
		r.armCheck(id)
	}
	if t.tombs {
		r.armTombstones()
	}
}

// setTimer replaces the timer of that name; d <= 0 only stops it. fire runs
// with the lock held, and not at all once the timer was replaced.
func (r *Registry) setTimer(name string, d time.Duration, fire func()) {
	if old, ok := r.timers[name]; ok {
		old.stop()
		delete(r.timers, name)
	}
	if d <= 0 || r.closed {
		return
	}
	t := &timer{}
	r.timers[name] = t
	t.stop = r.opts.Clock.AfterFunc(d, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.timers[name] == t {
			delete(r.timers, name)
			fire()
		}
	})
}

func (r *Registry) armSession(id string) {
	var life time.Duration
	if s, ok := r.state.sessions.get(id); ok && s.TTL != "" {
		ttl, _ := time.ParseDuration(s.TTL) // validated on create
		life = sessionGrace * ttl
	}
	r.setTimer("session/"+id, life, func() { r.destroySessionLocked(id) })
}

func (r *Registry) armCheck(id string) {
	var life time.Duration
	if c := r.state.catalog.check(r.opts.Node, id); c != nil {
		life = c.ttl
	}
	r.setTimer("check/"+id, life, func() { r.expireCheckLocked(id) })
}

// tombstoneBatch is the grain of reaping, Consul's.
const tombstoneBatch = 30 * time.Second

// armTombstones collects the deletes of one batch under one timer.
func (r *Registry) armTombstones() {
	const name = "tombstones"
	if _, pending := r.timers[name]; !pending {
		r.setTimer(name, tombstoneBatch, r.sealTombstones)
	}
}

// sealTombstones ends a batch: everything deleted so far goes after
// tombstoneTTL.
func (r *Registry) sealTombstones() {
	upTo := r.state.index
	r.setTimer("tombstones/"+strconv.FormatUint(upTo, 10), tombstoneTTL, func() {
		r.state.index++
		r.state.reapTombstones(upTo)
	})
}
