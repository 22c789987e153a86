package upsync

import (
	"context"
	"fmt"
	"sort"
	"strings"
	"sync"

	"spillway/upsync/consul"
)

// feed is one watch and the upstreams it serves: those of one service, or all
// below one KV prefix.
type feed struct {
	s       *Syncer
	query   consul.Query
	history history

	mu       sync.Mutex
	ctx      context.Context // of its goroutines; nil before it started
	cancel   context.CancelFunc
	last     *consul.Answer      // nil before the first
	members  map[string]*member  // by prefix for KV, by name else
	patterns map[string]*pattern // by prefix
	lengths  []int               // of the prefixes, longest first
}

func newFeed(s *Syncer, q consul.Query) *feed {
	return &feed{s: s, query: q, members: map[string]*member{}, patterns: map[string]*pattern{}}
}

// start begins to watch; Syncer.mu is held and Run is running.
func (f *feed) start() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ctx != nil {
		return
	}
	f.ctx, f.cancel = context.WithCancel(f.s.ctx)
	ctx := f.ctx
	f.s.running.Go(func() {
		f.s.client.Watch(ctx, f.query, consul.Handler{
			Apply: f.apply, Unchanged: f.verified, InDoubt: f.inDoubt, Failed: f.failed,
		})
	})
}

// goRun runs g with the feed's context, if it still runs.
func (f *feed) goRun(g func(context.Context)) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ctx == nil || f.ctx.Err() != nil {
		return false
	}
	ctx := f.ctx
	f.s.running.Go(func() { g(ctx) })
	return true
}

// stop ends the watch at once.
func (f *feed) stop() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.cancel != nil {
		f.cancel()
	}
}

// idle reports whether the feed serves nobody.
func (f *feed) idle() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.members)+len(f.patterns) == 0
}

// apply hands an answer to the upstreams it concerns.
func (f *feed) apply(a *consul.Answer) error {
	f.mu.Lock()
	first := f.last == nil
	f.last = a
	f.mu.Unlock()
	f.history.verify(&a.Observation)
	if f.query.Kind != consul.KV {
		for _, m := range f.targets() {
			m.deliver(a.Servers, a.Observation)
		}
		return nil
	}
	f.split(a, first)
	return nil
}

func (f *feed) verified(obs consul.Observation) { f.history.verify(&obs) }

func (f *feed) failed(reason string, err error) {
	f.history.fail(reason, err, f.s.opts.Now())
	for _, m := range f.targets() {
		m.failedRead(err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, p := range f.patterns {
		p.failedRead(err)
	}
}

// inDoubt reports whether an upstream serves what the registry does not list.
func (f *feed) inDoubt() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, m := range f.members {
		if m.doubtful.Load() {
			return true
		}
	}
	return false
}

func (f *feed) targets() []*member {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := make([]*member, 0, len(f.members))
	for _, m := range f.members {
		all = append(all, m)
	}
	return all
}

// split gives each upstream its part of a KV set: those with a key that
// moved, or all of them the first time.
func (f *feed) split(a *consul.Answer, first bool) {
	f.mu.Lock()
	affected := map[string]*member{}
	if first {
		for prefix, m := range f.members {
			affected[prefix] = m
		}
	}
	found := map[string]*pattern{} // prefixes of upstreams seen for the first time
	for _, key := range a.KV.Moved {
		prefix, m, p := f.owner(key)
		switch {
		case m != nil:
			affected[prefix] = m
		case p != nil:
			found[prefix] = p
		}
	}
	f.mu.Unlock()
	for prefix, m := range affected {
		m.deliver(f.part(a.KV, prefix), a.Observation)
	}
	f.discover(a, found)
	if first {
		f.opened()
	}
}

// opened lets WaitFirst pass the patterns.
func (f *feed) opened() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, p := range f.patterns {
		p.opened()
	}
}

// owner returns whose key it is: of the prefixes it begins with the longest
// wins. Of a pattern it returns the prefix of the child. mu is held.
func (f *feed) owner(key string) (prefix string, m *member, p *pattern) {
	for _, n := range f.lengths {
		if n > len(key) {
			continue
		}
		prefix = key[:n]
		if m = f.members[prefix]; m != nil {
			return prefix, m, nil
		}
		if p = f.patterns[prefix]; p != nil {
			child, _, ok := strings.Cut(key[n:], "/")
			if !ok || child == "" {
				return "", nil, nil
			}
			return key[:n+len(child)+1], nil, p
		}
	}
	return "", nil, nil
}

// part returns the entries of the upstream at prefix: those below it, without
// those of upstreams with longer prefixes.
func (f *feed) part(set *consul.KVSet, prefix string) []*consul.Found {
	f.mu.Lock()
	defer f.mu.Unlock()
	items := set.Under(prefix)
	if !f.nested(prefix) {
		return items
	}
	var own []*consul.Found
	for _, it := range items {
		if p, _, _ := f.owner(it.Key); p == prefix {
			own = append(own, it)
		}
	}
	return own
}

func (f *feed) nested(prefix string) bool {
	if len(f.lengths) == 0 || f.lengths[0] <= len(prefix) {
		return false
	}
	for p := range f.members {
		if len(p) > len(prefix) && strings.HasPrefix(p, prefix) {
			return true
		}
	}
	for p := range f.patterns {
		if len(p) > len(prefix) && strings.HasPrefix(p, prefix) {
			return true
		}
	}
	return false
}

// attach adds an upstream. If the feed has an answer already, the upstream
// gets its part of it at once.
func (f *feed) attach(m *member) {
	f.mu.Lock()
	key := m.key
	f.members[key] = m
	f.measure()
	last := f.last
	f.mu.Unlock()
	m.mu.Lock()
	m.feed = f
	m.mu.Unlock()
	switch {
	case last == nil:
	case f.query.Kind == consul.KV:
		m.deliver(f.part(last.KV, key), last.Observation)
	default:
		m.deliver(last.Servers, last.Observation)
	}
}

// detach removes an upstream.
func (f *feed) detach(m *member) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for key, other := range f.members {
		if other == m {
			delete(f.members, key)
		}
	}
	f.measure()
}

func (f *feed) dropPattern(p *pattern) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for prefix, other := range f.patterns {
		if other == p {
			delete(f.patterns, prefix)
			p.opened()
		}
	}
	f.measure()
}

// measure keeps lengths in step with the prefixes; mu is held.
func (f *feed) measure() {
	seen := map[int]bool{}
	f.lengths = f.lengths[:0]
	add := func(prefix string) {
		if n := len(prefix); !seen[n] {
			seen[n] = true
			f.lengths = append(f.lengths, n)
		}
	}
	if f.query.Kind == consul.KV {
		for p := range f.members {
			add(p)
		}
		for p := range f.patterns {
			add(p)
		}
	}
	sort.Sort(sort.Reverse(sort.IntSlice(f.lengths)))
}

// confirm reads the part of one upstream with ?consistent.
func (f *feed) confirm(ctx context.Context, m *member) ([]*consul.Found, consul.Observation, error) {
	ctx, cancel := context.WithTimeout(ctx, confirmLimit)
	defer cancel()
	q := f.query
	prefix := m.key
	if q.Kind == consul.KV {
		q.Name = prefix
	}
	a, err := f.s.client.Confirm(ctx, q)
	if err != nil {
		return nil, consul.Observation{}, err
	}
	if q.Kind == consul.KV {
		return f.part(a.KV, prefix), a.Observation, nil
	}
	return a.Servers, a.Observation, nil
}

// prefix is the KV prefix as it is read. nginx-upsync takes it as it stands,
// so that "…/web" also covers "…/web2"; here that needs trust: upsync.
func (u *Upstream) prefix() string {
	p := strings.TrimPrefix(u.Key, "/")
	if u.Policy.Trust != TrustUpsync && !strings.HasSuffix(p, "/") {
		p += "/"
	}
	return p
}

func (u *Upstream) check() error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("upstream %q: "+format, append([]any{u.Name}, args...)...)
	}
	_, isPattern := u.pattern()
	switch {
	case u.Name == "":
		return fmt.Errorf("an upstream has no name")
	case u.Pool == nil && !isPattern:
		return bad("has no pool")
	case u.Source == ConsulKV && strings.Trim(u.Key, "/*") == "":
		return bad("consul-kv needs a key that is not the root")
	case (u.Source == ConsulCatalog || u.Source == ConsulHealth) && u.Service == "":
		return bad("%s needs a service", u.Source)
	case u.Source == File && u.Path == "":
		return bad("file needs a path")
	}
	switch u.Source {
	case Static, File, ConsulKV, ConsulCatalog, ConsulHealth:
		return nil
	}
	return bad("unknown source %q", u.Source)
}
