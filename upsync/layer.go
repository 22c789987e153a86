package upsync

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"spillway/gateway/upstream"
	"spillway/upsync/consul"
	"spillway/upsync/dump"
)

// layer is what lies between the set that is believed and the pool:
//
//	serving + leaving (remove_delay) -> resolved -> damped (flap) -> overridden -> Pool.Apply
//
// It belongs to the name of an upstream and outlives its member when the
// configuration changes. All but keeping is guarded by the mu of the member
// that has it.
type layer struct {
	said    Overrides
	before  []upstream.Spec // the set before the last change, nil if there is none to go back to
	base    []upstream.Spec // what member.serving was last: the pool has overrides in it
	leaving Leaving
	flaps   map[string]Penalty // by address as listed

	keeping sync.Mutex // held while the overrides are written
}

// update is a set of the source.
type update struct {
	specs []upstream.Spec
	obs   consul.Observation
}

// layerOf returns the layer of an upstream; Syncer.mu is held.
func (s *Syncer) layerOf(name string) *layer {
	l := s.layers[name]
	if l == nil {
		l = &layer{flaps: map[string]Penalty{}}
		s.layers[name] = l
	}
	return l
}

// shaped is what the pool is to have before it is resolved; mu is held.
func (m *member) shaped() []upstream.Spec {
	return m.ops.leaving.add(m.serving)
}

// finished puts damping and overrides on resolved servers; mu is held.
func (m *member) finished(specs []upstream.Spec) []upstream.Spec {
	if m.up.Flap.On() {
		specs = m.up.Flap.Damp(specs, m.ops.flaps, m.s.opts.Now())
	}
	return m.ops.said.Apply(specs)
}

// watched follows how servers come and go from one set to the next; mu is
// held. Those that were released do not linger: they did already.
func (m *member) watched(was []upstream.Spec, o Outcome) {
	now := m.s.opts.Now()
	if m.up.Flap.On() {
		m.up.Flap.Count(m.ops.flaps, was, m.serving, now)
	}
	if o == Released {
		was = m.serving
	}
	m.ops.leaving = m.ops.leaving.Next(was, m.serving, m.failing(), m.up.RemoveDelay, now)
}

// republish applies the same set again, after what lies on top of it changed;
// mu is held.
func (m *member) republish(o Outcome, reason string) {
	ch := m.publish()
	d := decided(ch, Decision{At: m.s.opts.Now(), Outcome: o, Reason: reason, Index: m.meta.Index})
	m.history.add(d)
	m.report(d, ch)
}

// layered adds what the layer knows to a status; mu is held.
func (m *member) layered(st *Status) {
	for addr, v := range m.ops.leaving {
		st.Leaving[addr] = v.Until
	}
	if !m.up.Flap.On() {
		return
	}
	st.flap = m.up.Flap
	now := m.s.opts.Now()
	for addr, p := range m.ops.flaps {
		st.Flaps[addr] = m.up.Flap.Decayed(p, now)
	}
}

// Served says that all loops serve an upstream from the snapshot of that
// version: it completes the decisions that led to it.
func (s *Syncer) Served(name string, version uint64, at time.Time) {
	if m := s.member(name); m != nil {
		m.history.reached(version, at)
	}
}

func (h *history) reached(version uint64, at time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if version <= h.served {
		return
	}
	h.served, h.servedAt = version, at
	for i := range h.ring {
		if d := &h.ring[i]; d.version != 0 && d.version <= version && d.Served.IsZero() {
			d.Served = at
		}
	}
}

// arm has the layer looked at when something in it is due; mu is held.
func (m *member) arm() {
	now := m.s.opts.Now()
	next := sooner(m.ops.said.Next(), m.ops.leaving.next(m.frozen()))
	if m.up.Flap.On() {
		next = sooner(next, m.up.Flap.Next(m.ops.flaps, now))
	}
	if m.timer != nil {
		m.timer.Stop()
		m.timer = nil
	}
	if !next.IsZero() && !m.gone {
		m.timer = time.AfterFunc(next.Sub(now)+time.Millisecond, m.due)
	}
}

// due ends what is over.
func (m *member) due() {
	if m.expire() {
		m.keepOverrides()
	}
}

// expire reports whether an override ended.
func (m *member) expire() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.gone {
		return false
	}
	now := m.s.opts.Now()
	left, over := m.ops.said.At(now)
	thaw := left.Frozen == nil && m.ops.said.Frozen != nil
	left.Frozen = m.ops.said.Frozen
	m.ops.said = left
	why := "ended: " + strings.Join(over, ", ")
	if len(over) == 0 {
		why = "what was held back is let go"
	}
	var gone []string
	if !m.frozen() {
		m.ops.leaving, gone = m.ops.leaving.At(now)
	}
	if len(gone) > 0 && len(over) == 0 {
		why = fmt.Sprintf("gone for %v: %s", m.up.RemoveDelay, strings.Join(gone, ", "))
	}
	if len(over)+len(gone) > 0 || m.up.Flap.On() {
		m.republish(Expired, why)
	} else {
		m.arm() // the timer was early
	}
	if thaw {
		m.thaw("the freeze ended")
	}
	return len(over) > 0
}

// overridesPath is the file beside the dump.
func overridesPath(dump string) string { return dump + ".overrides" }

// keepOverrides writes the overrides beside the dump and reports whether they
// are there. What was written last is newest.
func (m *member) keepOverrides() bool {
	m.ops.keeping.Lock()
	defer m.ops.keeping.Unlock()
	m.mu.Lock()
	path, said := m.up.Dump, m.ops.said
	said.Servers = slices.Clone(said.Servers)
	m.mu.Unlock()
	if path == "" {
		return false
	}
	path = overridesPath(path)
	if err := writeOverrides(path, said); err != nil {
		m.s.opts.Log.Error("cannot keep overrides for a restart", "upstream", m.name, "path", path, "error", err)
		return false
	}
	return true
}

func writeOverrides(path string, said Overrides) error {
	if said.Empty() {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	b, err := json.MarshalIndent(said, "", "  ")
	if err != nil {
		return err
	}
	return dump.WriteFile(path, append(b, '\n'))
}

// recall reads the overrides of the process before, for a member that nobody
// else has yet. A file that cannot be read is told of and not used.
func (m *member) recall() {
	if m.up.Dump == "" || !m.ops.said.Empty() {
		return
	}
	path := overridesPath(m.up.Dump)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	var said Overrides
	if err == nil {
		err = json.Unmarshal(b, &said)
	}
	if err != nil {
		m.s.opts.Log.Error("overrides of the last run cannot be used", "upstream", m.name, "path", path, "error", err)
		return
	}
	m.ops.said, _ = said.At(m.s.opts.Now())
	if !m.ops.said.Empty() {
		m.s.opts.Log.Info("overrides of the last run hold", "upstream", m.name, "servers", len(m.ops.said.Servers), "frozen", m.ops.said.Frozen != nil)
	}
}
