// Package upstream is the vocabulary of the data plane: which servers an
// upstream has (Spec, Snapshot) and what is known of each while it lives
// (Server).
//
// It owns two kinds of state and keeps them apart. What a registry or a file
// says is immutable: a Snapshot is built aside and swapped in by Pool.Apply;
// readers load it without a lock. What is live (requests in flight, failures)
// sits on a Server, which survives snapshots, so a change in a registry never
// resets it. The package starts no goroutine and knows no protocol.
package upstream

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Defaults of a server that says nothing else. Static servers fail after one
// error as nginx has it, servers from a registry after two as nginx-upsync
// has it.
const (
	DefaultWeight         = 1
	DefaultMaxFailsStatic = 1
	DefaultMaxFailsUpsync = 2
	DefaultFailTimeout    = 10 * time.Second
)

// Spec is what configuration or a registry says of one server. It is a plain
// comparable value; two specs that are equal mean the same.
type Spec struct {
	// Addr is the address to dial and the identity within the pool:
	// "127.0.0.1:80", "[::1]:80" or "unix:/run/app.sock". It is always
	// canonical (see ParseAddr); a hostname has been resolved before.
	Addr string
	// Host is the hostname Addr was resolved from, empty for a literal.
	Host string
	// Weight is the share of requests relative to the other servers, at
	// least 1.
	Weight int
	// MaxFails failures within FailTimeout make the server unavailable for
	// FailTimeout; 0 disables the count.
	MaxFails    int
	FailTimeout time.Duration
	// MaxConns bounds the requests in flight over all loops, 0 is no bound.
	MaxConns int
	// Down servers get no new request.
	Down bool
	// Backup servers get requests only when no primary is available.
	Backup bool
	// WeightFrom says which source set the weight ("default", "kv", "tag",
	// "service.weights", "config"), DownWhy why the server is down. Both are
	// only shown, never compared: see Equal.
	WeightFrom string
	DownWhy    string
}

// Same reports whether two specs make the data plane do the same.
func (s Spec) Same(o Spec) bool {
	s.WeightFrom, s.DownWhy, o.WeightFrom, o.DownWhy = "", "", "", ""
	return s == o
}

// ParseAddr returns the canonical form of a literal server address:
// "IPv4:port", "[IPv6]:port" or "unix:/path". A v4-mapped IPv6 address is
// unmapped. Ports are 1 to 65535.
func ParseAddr(s string) (string, error) {
	if path, ok := strings.CutPrefix(s, "unix:"); ok {
		if path == "" || len(path) > 107 {
			return "", fmt.Errorf("invalid unix socket path %q: want unix:/path of at most 107 bytes", s)
		}
		return s, nil
	}
	ap, err := netip.ParseAddrPort(s)
	if err != nil {
		return "", fmt.Errorf("invalid address %q: want IP:port or unix:/path", s)
	}
	if ap.Port() == 0 {
		return "", fmt.Errorf("invalid port in address %q: want 1 to 65535", s)
	}
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()).String(), nil
}

// Server is the live state of one server of one pool. It is created by
// Pool.Apply when an address first appears and survives every snapshot that
// still has the address. All fields that change are atomic: every loop reads
// and writes them.
type Server struct {
	// Addr is Spec.Addr. AddrPort is its parsed form, invalid for a unix socket.
	Addr     string
	AddrPort netip.AddrPort

	_ [64]byte // what loops write sits on cache lines of its own

	// Inflight is the number of exchanges now at this server.
	Inflight atomic.Int64
	// fails counts failures in the running window; accessed and checked are
	// nginx's: the time of the last failure, and of the last failure or the
	// last probe of a failed server. Nanoseconds of the engine's clock.
	fails    atomic.Int32
	accessed atomic.Int64
	checked  atomic.Int64
	// standing is a Standing: beside the others, so that a picker has its
	// cache line at hand.
	standing atomic.Uint32
	// Latency is written for policies that ask for it (balance.Observer).
	Latency Latency

	_ [64]byte

	tally  atomic.Pointer[Tally]  // nil while nobody judges
	health atomic.Pointer[Health] // nil while nobody watches
}

// Failed records that an attempt at the server failed at now (nanoseconds of
// the engine's clock), as ngx_http_upstream_free_round_robin_peer counts it.
// It reports whether this failure made the server unavailable.
func (s *Server) Failed(spec *Spec, now int64) bool {
	n := s.fails.Add(1)
	s.accessed.Store(now)
	s.checked.Store(now)
	return spec.MaxFails > 0 && int(n) == spec.MaxFails
}

// Succeeded records that an attempt at the server succeeded. The failure
// count is cleared when the server was let in again after FailTimeout (nginx:
// accessed < checked).
func (s *Server) Succeeded() {
	if s.fails.Load() != 0 && s.accessed.Load() < s.checked.Load() {
		s.fails.Store(0)
	}
}

// Fails is the number of failures counted and not yet forgiven.
func (s *Server) Fails() int { return int(s.fails.Load()) }

// Unavailable says why the server may not be picked at now, "" if it may:
// "down", what is held against it ("unproven", "unhealthy", "ejected" or
// several), or what Exhausted says.
func (s *Server) Unavailable(spec *Spec, now int64) string {
	switch w := s.Standing(); {
	case spec.Down:
		return "down"
	case w != 0 && w.Barred():
		return w.String()
	}
	return s.Exhausted(spec, now)
}

// Exhausted is Unavailable for who has looked at the server's standing:
// "down", "failed" (max_fails within fail_timeout), "max_conns" or "".
func (s *Server) Exhausted(spec *Spec, now int64) string {
	switch {
	case spec.Down:
		return "down"
	case spec.MaxFails > 0 && int(s.fails.Load()) >= spec.MaxFails && now-s.checked.Load() <= int64(spec.FailTimeout):
		return "failed"
	case spec.MaxConns > 0 && s.Inflight.Load() >= int64(spec.MaxConns):
		return "max_conns"
	}
	return ""
}

// Picked is called when the server was chosen at now. After FailTimeout one
// request is let through as a probe and the others wait for its outcome
// (nginx: checked = now). It reports false if the server has failed and the
// probe is another's, who chose it at the same time: then choose again.
func (s *Server) Picked(spec *Spec, now int64) bool {
	if s.fails.Load() == 0 {
		return true
	}
	checked := s.checked.Load()
	if now-checked > int64(spec.FailTimeout) && s.checked.CompareAndSwap(checked, now) {
		return true
	}
	return spec.MaxFails == 0 || int(s.fails.Load()) < spec.MaxFails
}

// Entry is one server of a snapshot: its live state and what the snapshot
// says of it.
type Entry struct {
	*Server
	Spec Spec
}

// Meta says where a snapshot comes from.
type Meta struct {
	// Source is the kind of source: "static", "file", "consul-kv",
	// "consul-catalog", "consul-health" or "dump" (a last-known-good file).
	Source string
	// Index is the registry's index the set was read at, 0 if it has none.
	Index uint64
	// At is when the set was decoded.
	At time.Time
}

// Snapshot is an immutable set of servers. Entries are in serving order.
type Snapshot struct {
	// Version counts the snapshots of a pool, from 1.
	Version uint64
	Entries []Entry
	Meta    Meta
	// Prepared is what Settings.Prepare built from this snapshot off the
	// loops (a hash ring), nil without one.
	Prepared any
}

// Settings are what the configuration says of an upstream as a whole. They
// are immutable once given to a pool.
type Settings struct {
	// Balance names the picker (balance.Policies), Tuning is what it is told;
	// HashKey is the variable hashed, such as "$remote_addr" or
	// "$request_uri".
	Balance string
	Tuning  Tuning
	HashKey string
	// Sticky keeps clients with their servers, whatever the policy.
	Sticky Sticky
	// Prepare, if set, runs once for each snapshot on the goroutine that
	// applies it, before the loops see the snapshot.
	Prepare func(*Snapshot) any `json:"-"`

	// ConnectTimeout bounds establishing a connection, SendTimeout the time
	// between two writes, ReadTimeout the time between two reads. 0 is none.
	ConnectTimeout time.Duration
	SendTimeout    time.Duration
	ReadTimeout    time.Duration

	// Keepalive is the most idle connections each loop keeps to each server,
	// KeepaliveTimeout how long, KeepaliveRequests how often one is used (0:
	// without end).
	Keepalive         int
	KeepaliveTimeout  time.Duration
	KeepaliveRequests int

	// Pipeline is how many requests of different clients may be under way on
	// one connection to a server that is known to answer pipelined requests in
	// order; 0 and 1 share none. Only requests that may be replayed share.
	Pipeline int
	// PipelineSlow is how long an answer may take before requests keep off the
	// shared connection to its server for a while; 0 is 20 ms.
	PipelineSlow time.Duration

	// DrainTimeout is how long tunnels to a server that is down or left may
	// go on; 0 is no bound.
	DrainTimeout time.Duration

	// Retry says what is tried again on another server.
	Retry Retry

	// Check, Outlier and SlowStart guard requests from servers that are not
	// fit for them (package health); their zero values do nothing. If fewer
	// than PanicThreshold (a share) of the servers are admitted, all are.
	Check          Check
	Outlier        Outlier
	SlowStart      SlowStart
	PanicThreshold float64
}

// Retry is a next-upstream policy.
type Retry struct {
	// Tries is the most attempts at one request, the first included; 1
	// disables retries. Timeout bounds the time in which a further attempt
	// may start, 0 is no bound.
	Tries   int
	Timeout time.Duration
	// OnError, OnTimeout, OnInvalid: connection errors, timeouts, answers
	// that are no HTTP. Status lists answers that are tried elsewhere, in
	// rising order.
	OnError, OnTimeout, OnInvalid bool
	Status                        []int
	// NonIdempotent allows retries of requests with side effects after bytes
	// of them were sent (nginx: non_idempotent).
	NonIdempotent bool
}

// Change is what Apply did.
type Change struct {
	Added, Removed, Changed []string // addresses
	Snapshot                *Snapshot
}

// Empty reports whether nothing changed.
func (c Change) Empty() bool { return len(c.Added)+len(c.Removed)+len(c.Changed) == 0 }

// Pool is one named upstream: its settings and its current snapshot.
type Pool struct {
	Name string
	// NewestFirst puts added servers in front, as nginx-upsync does; without
	// it servers stand in the order given, as nginx has it.
	NewestFirst bool

	snap     atomic.Pointer[Snapshot]
	settings atomic.Pointer[Settings]

	mu      sync.Mutex // serialises Apply and SetSettings
	changed func(*Pool)
}

// NewPool returns a pool without servers.
func NewPool(name string, s *Settings) *Pool {
	p := &Pool{Name: name}
	p.settings.Store(s)
	p.snap.Store(&Snapshot{})
	return p
}

// Load returns the current snapshot, never nil.
func (p *Pool) Load() *Snapshot { return p.snap.Load() }

// Settings returns the current settings, never nil.
func (p *Pool) Settings() *Settings { return p.settings.Load() }

// Notify sets the function that is called, on the applying goroutine and in
// order, after each change of snapshot or settings. It must not block.
func (p *Pool) Notify(f func(*Pool)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.changed = f
}

// SetSettings replaces the settings; live state stays.
func (p *Pool) SetSettings(s *Settings) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.settings.Store(s)
	next := *p.snap.Load()
	next.Version++
	next.Prepared = nil
	if s.Prepare != nil {
		next.Prepared = s.Prepare(&next)
	}
	p.publish(&next)
}

// Apply makes specs the pool's servers. Addresses must be canonical; of
// specs with one address the first counts. Servers that stay keep their live
// state and, with NewestFirst, their place. It is safe for use by several
// goroutines.
func (p *Pool) Apply(specs []Spec, meta Meta) Change {
	p.mu.Lock()
	defer p.mu.Unlock()
	old := p.snap.Load()
	entries, ch := merge(old.Entries, specs, p.NewestFirst)
	greet(p.Settings(), old.Entries, entries, ch.Added)
	next := &Snapshot{Version: old.Version + 1, Entries: entries, Meta: meta}
	ch.Snapshot = next
	if ch.Empty() && old.Version > 0 && sameOrder(old.Entries, entries) {
		// Nothing the data plane would notice: keep what was prepared and
		// wake nobody.
		next.Version, next.Prepared = old.Version, old.Prepared
		p.snap.Store(next)
		return ch
	}
	if f := p.settings.Load().Prepare; f != nil {
		next.Prepared = f(next)
	}
	p.publish(next)
	return ch
}

func (p *Pool) publish(next *Snapshot) {
	p.snap.Store(next)
	if p.changed != nil {
		p.changed(p)
	}
}

func sameOrder(a, b []Entry) bool {
	return slices.EqualFunc(a, b, func(x, y Entry) bool { return x.Server == y.Server })
}

// merge builds the next entries from the old ones and the wanted specs.
func merge(old []Entry, specs []Spec, newestFirst bool) ([]Entry, Change) {
	var ch Change
	was := make(map[string]*Entry, len(old))
	for i := range old {
		was[old[i].Addr] = &old[i]
	}
	want := make(map[string]Spec, len(specs))
	var kept, added []Entry
	for _, spec := range specs {
		if _, dup := want[spec.Addr]; dup {
			continue
		}
		want[spec.Addr] = spec
		prev := was[spec.Addr]
		switch {
		case prev == nil:
			ch.Added = append(ch.Added, spec.Addr)
			e := Entry{Server: newServer(spec.Addr), Spec: spec}
			added = append(added, e)
			if !newestFirst {
				kept = append(kept, e)
			}
		default:
			if !prev.Spec.Same(spec) {
				ch.Changed = append(ch.Changed, spec.Addr)
			}
			if !newestFirst {
				kept = append(kept, Entry{Server: prev.Server, Spec: spec})
			}
		}
	}
	for i := range old {
		spec, stays := want[old[i].Addr]
		if !stays {
			ch.Removed = append(ch.Removed, old[i].Addr)
		} else if newestFirst {
			kept = append(kept, Entry{Server: old[i].Server, Spec: spec})
		}
	}
	if newestFirst {
		slices.Reverse(added)
		kept = append(added, kept...)
	}
	return kept, ch
}

func newServer(addr string) *Server {
	s := &Server{Addr: addr}
	if ap, err := netip.ParseAddrPort(addr); err == nil {
		s.AddrPort = ap
	}
	return s
}

// Set is the upstreams by name. Lookups are lock-free; the map is replaced
// as a whole on every change.
type Set struct {
	m            atomic.Pointer[map[string]*Pool]
	mu           sync.Mutex // serialises Update
	joined, left func(*Pool)
}

// Notify sets the functions, which may be nil, that are called for each pool that enters the set,
// before Lookup can find it, and for each that leaves it, when Lookup cannot
// find it any more. They run on the goroutine of Update and must not call it.
// Pools that are in the set already are told of at once.
func (s *Set) Notify(joined, left func(*Pool)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.joined, s.left = joined, left
	if joined == nil {
		return
	}
	for _, p := range s.All() {
		joined(p)
	}
}

// Lookup returns the pool of that name or nil. It allocates nothing, also
// when called as Lookup(string(bytes)).
func (s *Set) Lookup(name string) *Pool {
	if m := s.m.Load(); m != nil {
		return (*m)[name]
	}
	return nil
}

// All returns the pools in order of their names.
func (s *Set) All() []*Pool {
	m := s.m.Load()
	if m == nil {
		return nil
	}
	all := make([]*Pool, 0, len(*m))
	for _, p := range *m {
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b *Pool) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// Update drops the names in remove, then adds or replaces pools by name. Both
// may be nil.
func (s *Set) Update(put []*Pool, remove []string) {
	s.change(func(next map[string]*Pool) {
		for _, name := range remove {
			delete(next, name)
		}
		for _, p := range put {
			next[p.Name] = p
		}
	})
}

// Drop removes pools; one whose name another pool has by now is left out.
func (s *Set) Drop(pools ...*Pool) {
	s.change(func(next map[string]*Pool) {
		for _, p := range pools {
			if next[p.Name] == p {
				delete(next, p.Name)
			}
		}
	})
}

// change replaces the map by an edited copy and tells who joined and left.
func (s *Set) change(edit func(next map[string]*Pool)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.m.Load()
	next := map[string]*Pool{}
	if was != nil {
		maps.Copy(next, *was)
	}
	edit(next)
	s.tell(s.joined, next, was)
	s.m.Store(&next)
	if was != nil {
		s.tell(s.left, *was, &next)
	}
}

// tell calls f for the pools that are in one map and not in the other.
func (s *Set) tell(f func(*Pool), in map[string]*Pool, notIn *map[string]*Pool) {
	if f == nil {
		return
	}
	for name, p := range in {
		if notIn == nil || (*notIn)[name] != p {
			f(p)
		}
	}
}
