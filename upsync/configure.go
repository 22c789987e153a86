package upsync

import (
	"fmt"
	"slices"
	"strings"

	"spillway/upsync/consul"
)

// Configure makes ups the upstreams to keep in step. What is the same as
// before is left alone, its watch included; an upstream of which only the
// policy differs keeps its watch too. Nothing changes if the error is not nil.
func (s *Syncer) Configure(ups []Upstream) error {
	static, err := checkAll(ups)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropOthers(ups)
	var kv []Upstream
	for _, up := range ups {
		switch {
		case s.keep(up):
		case up.Source == ConsulKV:
			kv = append(kv, up)
		case up.Source == Static:
			s.addStatic(up, static[up.Name])
		case up.Source == File:
			s.addFile(up)
		default:
			s.addService(up)
		}
	}
	s.addKV(kv)
	for _, f := range s.feeds {
		f.rediscover()
	}
	s.stopIdle()
	return nil
}

// checkAll reports the first upstream that cannot be meant, and parses the
// static ones.
func checkAll(ups []Upstream) (map[string][]*consul.Found, error) {
	static := map[string][]*consul.Found{}
	seen := map[string]bool{}
	for i := range ups {
		up := &ups[i]
		if err := up.check(); err != nil {
			return nil, err
		}
		if seen[up.Name] {
			return nil, fmt.Errorf("upstream %q is given twice", up.Name)
		}
		seen[up.Name] = true
		if up.Source != Static {
			continue
		}
		specs, err := ParseServers(strings.Join(up.Servers, "\n"))
		if err != nil {
			return nil, fmt.Errorf("upstream %q: %w", up.Name, err)
		}
		static[up.Name] = foundSpecs(specs)
	}
	return static, nil
}

// identity is what must be the same for a watch to serve an upstream still.
func (u *Upstream) identity() string {
	parts := []string{string(u.Source), u.Key, u.Service, u.Tag, u.Datacenter, u.Path, string(u.Policy.Trust), u.Dump}
	return strings.Join(append(parts, u.Servers...), "\x00")
}

// keep updates an upstream whose source is as it was, and reports whether
// there is one; mu is held.
func (s *Syncer) keep(up Upstream) bool {
	if p := s.patterns[up.Name]; p != nil {
		pool := p.up.Pool
		p.up = up
		p.up.Pool = pool
		for _, m := range s.members {
			if m.found == up.Key {
				m.setPolicy(up)
			}
		}
		return true
	}
	m := s.members[up.Name]
	if m == nil {
		return false
	}
	m.setPolicy(up)
	return true
}

func (m *member) setPolicy(up Upstream) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.up.Policy, m.up.MaxFails, m.up.FailTimeout = up.Policy, up.MaxFails, up.FailTimeout
	if m.up.Flap == up.Flap && m.up.RemoveDelay == up.RemoveDelay {
		return
	}
	m.up.Flap, m.up.RemoveDelay = up.Flap, up.RemoveDelay
	if up.RemoveDelay <= 0 {
		m.ops.leaving = nil
	}
	if m.source != SourceNone {
		m.republish(Applied, "flap or remove_delay is another")
	}
}

// dropOthers ends upstreams and patterns that are not in ups as they were; mu
// is held.
func (s *Syncer) dropOthers(ups []Upstream) {
	want := map[string]string{}
	for i := range ups {
		want[ups[i].Name] = ups[i].identity()
	}
	keys := map[string]bool{} // of the patterns that stay
	for name, p := range s.patterns {
		if want[name] == p.up.identity() {
			keys[p.up.Key] = true
			continue
		}
		delete(s.patterns, name)
		for _, f := range s.feeds {
			f.dropPattern(p)
		}
	}
	var gone []string
	for name, m := range s.members {
		_, taken := want[name]
		switch {
		case m.found != "" && keys[m.found] && !taken:
			continue
		case m.found == "" && want[name] == m.up.identity() && m.sameAs(ups):
			continue
		case m.found != "" && !taken:
			gone = append(gone, name)
		}
		s.remove(m)
	}
	if len(gone) > 0 {
		s.opts.Set.Update(nil, gone)
	}
}

// sameAs reports whether the pool is the one in use: a new one needs servers.
func (m *member) sameAs(ups []Upstream) bool {
	i := slices.IndexFunc(ups, func(u Upstream) bool { return u.Name == m.name })
	return ups[i].Pool == m.up.Pool
}

// remove ends one upstream; mu is held.
func (s *Syncer) remove(m *member) {
	delete(s.members, m.name)
	m.stop()
	if m.feed != nil {
		m.feed.detach(m)
	}
	if m.stopFile != nil {
		m.stopFile()
	}
}

// stopIdle ends watches that serve nobody, and starts the new ones if Run is
// running; mu is held.
func (s *Syncer) stopIdle() {
	s.feeds = slices.DeleteFunc(s.feeds, func(f *feed) bool {
		if !f.idle() {
			return false
		}
		f.stop()
		return true
	})
	if s.ctx == nil || s.ctx.Err() != nil {
		return
	}
	for _, f := range s.feeds {
		f.start()
	}
}

// addService watches a service for up, together with others of the same
// query; mu is held.
func (s *Syncer) addService(up Upstream) {
	q := consul.Query{
		Kind: consul.Health, Name: up.Service, Tag: up.Tag, Datacenter: up.Datacenter,
		Upsync: up.Policy.Trust == TrustUpsync,
	}
	if up.Source == ConsulCatalog {
		q.Kind = consul.Catalog
	}
	m := s.newMember(up)
	s.feedFor(q).attach(m)
}

func (s *Syncer) newMember(up Upstream) *member {
	m := newMember(s, up)
	s.members[up.Name] = m
	return m
}

// feedFor returns the watch of exactly this query, made if there is none.
func (s *Syncer) feedFor(q consul.Query) *feed {
	for _, f := range s.feeds {
		if f.query == q {
			return f
		}
	}
	f := newFeed(s, q)
	s.feeds = append(s.feeds, f)
	return f
}

// addKV watches prefixes: with a watch that covers them already, else with one
// on what they have in common; mu is held.
func (s *Syncer) addKV(ups []Upstream) {
	type group struct{ datacenter, top string }
	common := map[group]string{}
	for i := range ups {
		prefix, _ := ups[i].kvPrefix()
		if s.covering(ups[i].Datacenter, prefix) != nil {
			continue
		}
		top, _, _ := strings.Cut(prefix, "/")
		g := group{ups[i].Datacenter, top}
		if have, ok := common[g]; ok {
			prefix = commonDirectory(have, prefix)
		}
		common[g] = prefix
	}
	for g, prefix := range common {
		s.feedFor(consul.Query{Kind: consul.KV, Name: prefix, Datacenter: g.datacenter})
	}
	for _, up := range ups {
		prefix, isPattern := up.kvPrefix()
		f := s.covering(up.Datacenter, prefix)
		if !isPattern {
			s.warnPrefix(&up)
			f.attach(s.newMember(up))
			continue
		}
		p := newPattern(s, up)
		s.patterns[up.Name] = p
		f.attachPattern(p, prefix)
	}
}

// warnPrefix tells of the trap users of nginx-upsync fell into.
func (s *Syncer) warnPrefix(up *Upstream) {
	if prefix := up.prefix(); !strings.HasSuffix(prefix, "/") {
		s.opts.Log.Warn("key has no trailing slash: it also takes the keys of longer names",
			"upstream", up.Name, "key", up.Key)
	}
}

// kvPrefix is what up reads, and whether it is a pattern.
func (u *Upstream) kvPrefix() (prefix string, isPattern bool) {
	if p, ok := u.pattern(); ok {
		return strings.TrimPrefix(p, "/"), true
	}
	return u.prefix(), false
}

func (s *Syncer) covering(datacenter, prefix string) *feed {
	for _, f := range s.feeds {
		if f.query.Kind == consul.KV && f.query.Datacenter == datacenter && strings.HasPrefix(prefix, f.query.Name) {
			return f
		}
	}
	return nil
}

// commonDirectory is the longest prefix of both that ends in '/', or one of
// them if it is a prefix of the other.
func commonDirectory(a, b string) string {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	if n == len(a) || n == len(b) {
		return a[:n]
	}
	return a[:strings.LastIndexByte(a[:n], '/')+1]
}
