package upsync

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"spillway/gateway/upstream"
	"spillway/upsync/consul"
)

// member is one upstream being kept in step. Its functions may be called from
// several goroutines; mu is held while a set is judged and applied, so sets
// take effect one after the other.
type member struct {
	s     *Syncer
	name  string
	key   string        // what its feed finds it by: the KV prefix, else the name
	found string        // the pattern's key if it was discovered
	first chan struct{} // closed when something can be served, or a read failed

	// doubtful says the registry's word was not followed: see feed.inDoubt.
	doubtful atomic.Bool

	fileWatch *fileWatch         // of a File source; guarded by Syncer.mu
	stopFile  context.CancelFunc // once it runs

	mu       sync.Mutex
	up       Upstream
	feed     *feed
	gone     bool            // no longer configured
	seq      uint64          // counts sets judged
	serving  []upstream.Spec // unresolved, held ones included
	held     map[string]time.Time
	good     map[string]upstream.Spec // the last good entry of each key
	doubting bool                     // a goroutine is settling a doubt
	source   Source
	meta     upstream.Meta
	address  string
	rejects  []consul.Reject
	history  history
	dumpErr  string
	ops      *layer
	latest   *update     // the newest set of the source; nil before the first
	timer    *time.Timer // of what is due in ops, nil if nothing is
	fails    int         // failed reads before the first set
}

func newMember(s *Syncer, up Upstream) *member {
	m := &member{
		s: s, name: up.Name, up: up, first: make(chan struct{}), source: SourceNone,
		good: map[string]upstream.Spec{}, ops: s.layerOf(up.Name),
	}
	m.recall()
	m.key = m.name
	if up.Source == ConsulKV {
		m.key = up.prefix()
	}
	if !m.takeOver() {
		m.loadDump()
	}
	if m.frozen() && m.source == SourceNone {
		m.degrade("it is frozen")
	}
	return m
}

// takeOver begins with what the pool serves already, under an earlier
// configuration, and reports whether it serves anything.
func (m *member) takeOver() bool {
	snap := m.up.Pool.Load()
	seen := map[string]bool{}
	for i := range snap.Entries {
		s := snap.Entries[i].Spec
		if s.Addr = listed(&s); !seen[s.Addr] {
			seen[s.Addr] = true
			m.serving = append(m.serving, s)
		}
	}
	if len(m.serving) > 0 && m.ops.base != nil {
		m.serving = m.ops.base // without the overrides
	}
	m.meta = snap.Meta
	if len(m.serving) > 0 {
		m.source = SourceLive
		if m.meta.Source == "dump" {
			m.source = SourceDump
		}
	}
	return len(m.serving) > 0
}

// deliver judges a set of the registry and applies what is believed.
func (m *member) deliver(found []*consul.Found, obs consul.Observation) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.gone {
		return
	}
	specs := m.assemble(found)
	m.judge(specs, obs)
}

// judge applies what Judge believes of specs; mu is held.
func (m *member) judge(specs []upstream.Spec, obs consul.Observation) {
	m.seq++
	m.latest = &update{specs, obs}
	if m.frozen() {
		m.postpone(obs)
		return
	}
	now := m.s.opts.Now()
	v := Judge(m.up.Policy, m.situation(now), specs, obs)
	m.meta = upstream.Meta{Source: string(m.up.Source), Index: obs.Index, At: now}
	m.address = obs.Address
	if v.Outcome == Refused && m.source == SourceDump {
		m.meta.Source = "dump"
	} else if len(v.Serve) > 0 || v.Outcome != Refused {
		m.source = SourceLive
	}
	m.settle(v, obs)
	m.opened()
	if v.Outcome == Held {
		m.startDoubt()
	}
	m.dismiss()
}

// situation is what an update meets; mu is held.
func (m *member) situation(now time.Time) Situation {
	return Situation{Serving: m.serving, Held: m.held, Failing: m.failing(), Now: now}
}

// failing are the servers whose every address has failed max_fails times.
func (m *member) failing() map[string]bool {
	bad := map[string]bool{}
	entries := m.up.Pool.Load().Entries
	for i := range entries {
		e := &entries[i]
		key := listed(&e.Spec)
		failed := e.Spec.MaxFails > 0 && e.Fails() >= e.Spec.MaxFails
		if was, seen := bad[key]; seen {
			failed = failed && was
		}
		bad[key] = failed
	}
	return bad
}

// settle makes a verdict the state and applies it; mu is held.
func (m *member) settle(v Verdict, obs consul.Observation) {
	was := m.serving
	m.serving, m.held = v.Serve, v.Held
	if len(was) > 0 && !slices.EqualFunc(was, m.serving, upstream.Spec.Same) {
		m.ops.before = was
	}
	m.watched(was, v.Outcome)
	m.doubtful.Store(v.Outcome == Refused || len(v.Held) > 0)
	ch := m.publish()
	d := decided(ch, Decision{
		At: m.s.opts.Now(), Outcome: v.Outcome, Reason: v.Reason, Index: obs.Index, Held: heldAddrs(v.Held), Answered: obs.At,
	})
	m.history.add(d)
	m.report(d, ch)
	if !ch.Empty() {
		m.save()
		if m.s.opts.Applied != nil && !obs.At.IsZero() {
			m.s.opts.Applied(m.name, max(0, d.At.Sub(obs.At)))
		}
	}
}

// report logs what an operator would ask about.
func (m *member) report(d Decision, ch upstream.Change) {
	log := m.s.opts.Log.With("upstream", m.name, "outcome", d.Outcome, "reason", d.Reason, "index", d.Index)
	switch {
	case d.Outcome == Refused || d.Outcome == Held:
		log.Warn("update not believed", "held", d.Held, "added", d.Added)
	case !ch.Empty():
		log.Info("upstream changed", "added", d.Added, "removed", d.Removed, "changed", d.Changed)
	}
}

func heldAddrs(held map[string]time.Time) []string {
	var addrs []string
	for a := range held {
		addrs = append(addrs, a)
	}
	slices.Sort(addrs)
	return addrs
}

// publish resolves what serves and applies it to the pool; mu is held. While
// none of the hostnames has an address yet the pool stays as it is.
func (m *member) publish() upstream.Change {
	m.ops.base = m.serving
	m.arm()
	specs := m.shaped()
	if slices.ContainsFunc(specs, func(s upstream.Spec) bool { return s.Host != "" }) {
		specs = m.s.resolver.expand(specs)
	}
	if len(specs) == 0 && len(m.serving) > 0 {
		return upstream.Change{}
	}
	return m.up.Pool.Apply(m.finished(specs), m.meta)
}

// rehost applies again what serves, after addresses of its hosts changed.
func (m *member) rehost(hosts map[string]bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	uses := func(s upstream.Spec) bool { return s.Host != "" && hosts[s.Host] }
	if m.gone || m.source == SourceNone || !slices.ContainsFunc(m.serving, uses) {
		return
	}
	if ch := m.publish(); !ch.Empty() {
		d := decided(ch, Decision{
			At: m.s.opts.Now(), Outcome: Applied, Reason: "the addresses of a hostname changed", Index: m.meta.Index,
		})
		m.history.add(d)
		m.report(d, ch)
	}
}

// opened lets WaitFirst go on; mu is held.
func (m *member) opened() {
	select {
	case <-m.first:
	default:
		close(m.first)
	}
}

// failedRead counts a read that failed before the first set.
func (m *member) failedRead(err error) {
	m.degrade(err.Error())
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.gone || m.source == SourceLive {
		return
	}
	m.fails++
	if !m.up.StrongDependency {
		m.opened()
	} else if m.fails == strongTries {
		m.s.strongFailure(fmt.Errorf("upstream %q depends on its first read: %w", m.name, err))
	}
}

// strongTries is how many first reads of a strong dependency may fail, as in
// nginx-upsync.
const strongTries = 3

// degrade serves from the dump if nothing else was had yet.
func (m *member) degrade(why string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.gone || m.source != SourceNone || len(m.serving) == 0 {
		return
	}
	m.source = SourceDump
	ch := m.publish()
	d := decided(ch, Decision{
		At: m.s.opts.Now(), Outcome: Applied, Reason: "degraded, served from the dump: " + why, Index: m.meta.Index,
	})
	m.history.add(d)
	m.report(d, ch)
	if !m.up.StrongDependency {
		m.opened()
	}
}

// stop ends the member's part in everything.
func (m *member) stop() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.gone = true
	if m.timer != nil {
		m.timer.Stop()
	}
	m.opened()
}

// place is what the source reads: the key, the service, the file.
func (u *Upstream) place() string {
	switch u.Source {
	case ConsulKV:
		return u.Key
	case File:
		return u.Path
	case Static:
		return ""
	}
	return u.Service
}
