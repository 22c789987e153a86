// Package upsync keeps upstreams in step with where their servers are listed:
// Consul's KV in nginx-upsync's layout, its catalog or health, a file, or the
// configuration. It is importable by any Go service that wants client-side
// discovery; see the example.
//
//	source -> compare -> judge -> Pool.Apply
//
// A set that differs from the one before is judged (see Judge) before it is
// believed; what is believed is applied to the upstream's pool at once, and
// saved in the background. An error, an answer that is cut short or one that
// cannot be decoded changes nothing. The package never dials a server, but
// for probing those an unconfirmed update dropped.
//
// Goroutines of Syncer.Run: one for each watch of Consul, on which sets are
// decoded, judged and applied; one for each file; one for each address of
// Consul; one resolver of hostnames; one writer of dumps; and, while a removal
// is in doubt, one for its upstream. They all end when Run's context does.
package upsync

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"spillway/gateway/upstream"
	"spillway/upsync/consul"
	"spillway/upsync/dump"
)

// Kind is where the servers of an upstream are listed.
type Kind string

// The kinds of source.
const (
	Static        Kind = "static"
	File          Kind = "file"
	ConsulKV      Kind = "consul-kv"
	ConsulCatalog Kind = "consul-catalog"
	ConsulHealth  Kind = "consul-health"
)

// Upstream is one upstream to keep in step.
type Upstream struct {
	// Name is the upstream's. A discovered one has the name of its child
	// prefix; its pattern's Name only identifies the pattern.
	Name   string
	Source Kind
	// Key is the KV prefix. One that ends in "/*" is a pattern: each child
	// prefix that holds a server becomes an upstream.
	Key string
	// Service, Tag and Datacenter are for the catalog and health. Datacenter
	// also serves KV; empty is that of the client.
	Service, Tag, Datacenter string
	// Path is the file of a File source, Servers the list of a static one, in
	// the words of ParseServer.
	Path    string
	Servers []string
	// MaxFails and FailTimeout are for servers that do not say. Nil and 0 are
	// the defaults of package upstream.
	MaxFails    *int
	FailTimeout time.Duration
	Policy      Policy
	// Flap leaves servers out that come and go; RemoveDelay is how long a
	// server serves on that is not listed any more, unless it was down or
	// fails. Zero values are off.
	Flap        Flap
	RemoveDelay time.Duration
	// Dump is the path of the last-known-good files, empty for none. In a
	// pattern "{name}" stands for the name found.
	Dump string
	// StrongDependency makes Run and WaitFirst fail if the first three reads
	// do.
	StrongDependency bool
	// Pool takes the servers. It is nil in a pattern: see Options.NewPool.
	Pool *upstream.Pool
}

// pattern returns the prefix of a pattern with its '/', and whether u is one.
func (u *Upstream) pattern() (prefix string, ok bool) {
	if u.Source != ConsulKV || !strings.HasSuffix(u.Key, "/*") {
		return "", false
	}
	return strings.TrimSuffix(u.Key, "*"), true
}

// Options are what a Syncer works with.
type Options struct {
	// Consul says how Consul is reached; it is used if an upstream needs it.
	Consul consul.Config
	// Upstreams are the first configuration; Configure replaces it.
	Upstreams []Upstream
	// Set takes discovered upstreams. NewPool makes the pool of one, given its
	// pattern; nil makes one without settings.
	Set     *upstream.Set
	NewPool func(pattern Upstream, name string) *upstream.Pool
	// Applied, if set, is called after each change of a pool with the time
	// since the head of Consul's answer arrived. It must not block.
	Applied func(name string, took time.Duration)
	// Log takes decisions and errors; nil is slog.Default.
	Log *slog.Logger
	// Resolve finds the addresses of a host, Probe reports nil if a server
	// answers. Nil is DNS and a TCP connection.
	Resolve func(ctx context.Context, host string) ([]netip.Addr, error)
	Probe   func(ctx context.Context, addr string) error
	// Now is the clock of decisions; nil is time.Now.
	Now func() time.Time
}

// Syncer keeps upstreams in step. Its methods are safe for use by several
// goroutines.
type Syncer struct {
	opts     Options
	client   *consul.Client // nil if no upstream ever needed it
	resolver *resolver
	dumps    *dump.Writer
	// probeEvery is the time between two probes of held servers.
	probeEvery time.Duration

	mu       sync.Mutex
	ctx      context.Context     // of Run; nil before
	members  map[string]*member  // by name of the upstream
	layers   map[string]*layer   // by name, also of upstreams that are not there now
	patterns map[string]*pattern // by name
	feeds    []*feed
	running  sync.WaitGroup
	failed   chan error // a strong dependency's, capacity 1
}

// New checks the configuration and prepares a syncer. Static upstreams and
// files are applied; nothing else is read before Run.
func New(opts Options) (*Syncer, error) {
	opts.setDefaults()
	s := &Syncer{opts: opts, members: map[string]*member{}, layers: map[string]*layer{}, patterns: map[string]*pattern{}, failed: make(chan error, 1), probeEvery: probeEvery}
	s.resolver = newResolver(s)
	s.dumps = dump.NewWriter(s.dumped)
	client, err := consul.New(opts.Consul, consul.Env{Now: opts.Now, Log: opts.Log})
	if err != nil {
		return nil, err
	}
	s.client = client
	if err := s.Configure(opts.Upstreams); err != nil {
		return nil, err
	}
	return s, nil
}

func (o *Options) setDefaults() {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Set == nil {
		o.Set = &upstream.Set{}
	}
	if o.NewPool == nil {
		o.NewPool = func(_ Upstream, name string) *upstream.Pool { return upstream.NewPool(name, &upstream.Settings{}) }
	}
	if o.Resolve == nil {
		o.Resolve = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	if o.Probe == nil {
		o.Probe = dialProbe
	}
}

// Run follows the sources until ctx ends, and returns nil; or until a strong
// dependency fails, and returns why. All polls end at once with it. It may be
// called once.
func (s *Syncer) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer s.running.Wait()
	defer cancel()
	s.mu.Lock()
	if s.ctx != nil {
		s.mu.Unlock()
		return errors.New("upsync: Run was called twice")
	}
	s.ctx = ctx
	for _, f := range s.feeds {
		f.start()
	}
	for _, m := range s.members {
		m.startFile()
	}
	s.mu.Unlock()
	s.running.Go(func() { s.client.Run(ctx) })
	s.running.Go(func() { s.resolver.run(ctx) })
	s.running.Go(func() { s.dumps.Run(ctx) })
	s.running.Go(func() { s.degradeLate(ctx) })
	select {
	case <-ctx.Done():
		return nil
	case err := <-s.failed:
		s.failed <- err // for WaitFirst
		return err
	}
}

// degradeAfter is how long the first answer may take before the upstream is
// served from its dump.
const degradeAfter = time.Second

// degradeLate serves upstreams from their dumps whose first read hangs.
func (s *Syncer) degradeLate(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(degradeAfter):
		for _, m := range s.all() {
			m.degrade("no answer yet")
		}
	}
}

// WaitFirst waits until every upstream has a first set, from its source or
// its dump, or its first read failed. The error is that of a strong
// dependency, or of ctx.
func (s *Syncer) WaitFirst(ctx context.Context) error {
	for name, first := range s.firsts() {
		select {
		case <-first:
		case err := <-s.failed:
			s.failed <- err
			return err
		case <-ctx.Done():
			return fmt.Errorf("no first set for upstream %q: %w", name, ctx.Err())
		}
	}
	return nil
}

// firsts are the channels WaitFirst waits for.
func (s *Syncer) firsts() map[string]<-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	firsts := map[string]<-chan struct{}{}
	for name, p := range s.patterns {
		firsts[name] = p.first
	}
	for name, m := range s.members {
		firsts[name] = m.first
	}
	return firsts
}

// strongFailure ends Run and WaitFirst.
func (s *Syncer) strongFailure(err error) {
	select {
	case s.failed <- err:
	default:
	}
}

func (s *Syncer) all() []*member {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*member, 0, len(s.members))
	for _, m := range s.members {
		all = append(all, m)
	}
	return all
}

func dialProbe(ctx context.Context, addr string) error {
	network := "tcp"
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		network, addr = "unix", path
	}
	d := net.Dialer{Timeout: time.Second}
	c, err := d.DialContext(ctx, network, addr)
	if err != nil {
		return err
	}
	return c.Close()
}
