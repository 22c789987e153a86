package upsync

import (
	"context"
	"path/filepath"
	"strings"

	"spillway/gateway/upstream"
	"spillway/upsync/consul"
	"spillway/upsync/dump"
)

// pattern is an Upstream whose key ends in "/*": each child prefix with a
// server in it becomes an upstream of the child's name. A name that is
// declared is left to its declaration.
//
// A discovered upstream whose last key goes is judged like any other: it
// stays unless AllowEmpty (or TrustStrict) lets it go, and then its pool
// leaves the set.
type pattern struct {
	s      *Syncer
	up     Upstream
	first  chan struct{}
	isOpen bool // guarded by feed.mu
	fails  int
}

func newPattern(s *Syncer, up Upstream) *pattern {
	return &pattern{s: s, up: up, first: make(chan struct{})}
}

// opened and failedRead are called with feed.mu held.
func (p *pattern) opened() {
	if !p.isOpen {
		p.isOpen = true
		close(p.first)
	}
}

func (p *pattern) failedRead(err error) {
	if p.isOpen {
		return
	}
	p.fails++
	switch {
	case !p.up.StrongDependency:
		p.opened()
	case p.fails == strongTries:
		p.s.strongFailure(err)
	}
}

// instance is the configuration of the upstream found at prefix.
func (p *pattern) instance(prefix string) Upstream {
	up := p.up
	up.Name = childName(prefix)
	up.Key = prefix
	up.Dump = strings.ReplaceAll(up.Dump, "{name}", up.Name)
	up.StrongDependency = false
	up.Pool = p.s.opts.NewPool(p.up, up.Name)
	return up
}

// childName is the last part of a prefix that ends in '/'.
func childName(prefix string) string {
	prefix = strings.TrimSuffix(prefix, "/")
	return prefix[strings.LastIndexByte(prefix, '/')+1:]
}

// discover makes upstreams of prefixes that hold a usable server, and puts
// them into the set once they have servers.
func (f *feed) discover(a *consul.Answer, found map[string]*pattern) {
	var pools []*upstream.Pool
	for prefix, p := range found {
		items := f.part(a.KV, prefix)
		if !anyUsable(items) {
			continue
		}
		if m := f.s.adopt(f, p, p.instance(prefix)); m != nil {
			m.deliver(items, a.Observation)
			pools = append(pools, m.up.Pool)
		}
	}
	if len(pools) > 0 {
		f.s.opts.Set.Update(pools, nil)
	}
}

func anyUsable(items []*consul.Found) bool {
	for _, it := range items {
		if it.Usable() {
			return true
		}
	}
	return false
}

// adopt makes a discovered upstream a member, unless its name is taken.
func (s *Syncer) adopt(f *feed, p *pattern, up Upstream) *member {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.adoptLocked(f, p, up)
}

func (s *Syncer) adoptLocked(f *feed, p *pattern, up Upstream) *member {
	if s.members[up.Name] != nil {
		s.opts.Log.Warn("discovered upstream has the name of another", "upstream", up.Name, "key", up.Key)
		return nil
	}
	m := newMember(s, up)
	m.found, m.feed = p.up.Key, f
	s.members[up.Name] = m
	f.mu.Lock()
	defer f.mu.Unlock()
	f.members[up.prefix()] = m
	f.measure()
	return m
}

// dismiss drops a discovered upstream that was let go: nothing serves and
// nothing is held; member.mu is held.
func (m *member) dismiss() {
	if m.found == "" || len(m.serving) > 0 {
		return
	}
	m.gone = true
	if m.timer != nil {
		m.timer.Stop()
	}
	f := m.feed
	f.goRun(func(context.Context) { // member.mu comes after Syncer.mu and feed.mu
		m.s.mu.Lock()
		delete(m.s.members, m.name)
		m.s.mu.Unlock()
		f.detach(m)
		m.s.opts.Set.Update(nil, []string{m.name})
		m.s.opts.Log.Info("discovered upstream is gone", "upstream", m.name)
	})
}

// attachPattern adds a pattern; Syncer.mu is held. See rediscover for what it
// finds in an answer the feed has already.
func (f *feed) attachPattern(p *pattern, prefix string) {
	f.mu.Lock()
	f.patterns[prefix] = p
	f.measure()
	f.mu.Unlock()
	p.restore(f)
}

// rediscover finds what the last answer has for the patterns and nobody
// follows: because a pattern is new, or an upstream is no longer declared.
func (f *feed) rediscover() {
	f.mu.Lock()
	last, children := f.last, map[string]*pattern{}
	if last == nil || len(f.patterns) == 0 {
		f.mu.Unlock()
		return
	}
	for prefix, p := range f.patterns {
		for _, it := range last.KV.Under(prefix) {
			if child, _, p := f.owner(it.Key); p != nil {
				children[child] = p
			}
		}
		p.opened()
	}
	f.mu.Unlock()
	if len(children) > 0 {
		f.goRun(func(context.Context) { f.discover(last, children) })
	}
}

// restore makes the upstreams of a pattern that have a dump, for a start
// without the registry; Syncer.mu is held.
func (p *pattern) restore(f *feed) {
	if p.up.Dump == "" || !strings.Contains(p.up.Dump, "{name}") {
		return
	}
	files, err := filepath.Glob(dump.JSONPath(strings.ReplaceAll(p.up.Dump, "{name}", "*")))
	if err != nil {
		return
	}
	for _, path := range files {
		s, err := dump.Load(strings.TrimSuffix(path, ".json"))
		if err != nil || s.Discovered != p.up.Key {
			continue
		}
		up := p.instance(s.Key)
		if m := p.s.adoptLocked(f, p, up); m != nil {
			p.s.opts.Set.Update([]*upstream.Pool{up.Pool}, nil)
		}
	}
}
