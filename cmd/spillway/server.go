package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"runtime"
	"sync"
	"time"

	"spillway/configs"
	"spillway/gateway"
	"spillway/gateway/admin"
	"spillway/gateway/metrics"
	"spillway/gateway/upstream"
	"spillway/internal/buildinfo"
	"spillway/upsync"
)

// server is a gateway with what feeds it: a configuration, the syncer and the
// pools between them.
type server struct {
	load func() (*configs.Config, error)
	log  *logger
	live liveFunc
	// started, if set before run, is called when the listeners are open.
	started func([]net.Addr)
	env     func(string) (string, bool)
	set     *upstream.Set
	syncer  *upsync.Syncer
	gw      *gateway.Gateway

	reloading sync.Mutex // held by reload

	mu     sync.Mutex
	cfg    *configs.Config // in effect
	status metrics.ConfigStatus
	times  map[string]*syncTimes // by upstream

	foundMu  sync.Mutex
	patterns map[string]configs.Upstream // by name
	found    map[*upstream.Pool]string   // discovered pools and the name of their pattern
}

// liveFunc is told of each snapshot that all loops serve from.
type liveFunc func(p *upstream.Pool, s *upstream.Snapshot, took time.Duration)

// newServer builds everything and serves nothing yet. live may be nil.
func newServer(cfg *configs.Config, load func() (*configs.Config, error), log *logger, live liveFunc) (*server, error) {
	s := &server{
		load: load, log: log, env: os.LookupEnv, cfg: cfg, live: live,
		set: &upstream.Set{}, found: map[*upstream.Pool]string{}, times: map[string]*syncTimes{},
		status: metrics.ConfigStatus{OK: true, LastSuccess: time.Now()},
	}
	for _, w := range cfg.Warnings() {
		log.Warn(w.Error())
	}
	if _, err := raiseFiles(); err != nil {
		log.Warn("cannot raise the limit of open files", "error", err)
	}
	loops := loopsFor(cfg.Gateway.Loops, os.DirFS("/"))
	runtime.GOMAXPROCS(loops + 1) // one for everything beside the loops
	s.setPatterns(cfg)
	pools, ups := s.upstreams(cfg)
	s.set.Update(pools, nil)
	var err error
	s.syncer, err = upsync.New(upsync.Options{
		Consul: consulConfig(&cfg.Consul), Upstreams: ups, Set: s.set, NewPool: s.newFound,
		Applied: s.applied, Log: log.Logger,
	})
	if err != nil {
		return nil, err
	}
	s.gw, err = s.newGateway(loops)
	return s, err
}

func (s *server) newGateway(loops int) (*gateway.Gateway, error) {
	settings := gatewaySettings(s.cfg)
	sockets, err := inherited(s.env, os.Getpid(), settings.Listen)
	if err != nil {
		return nil, err
	}
	build := buildinfo.Get()
	return gateway.New(gateway.Options{
		Metrics: metrics.Sources{
			Sync: s.syncStatus, Config: s.configStatus, Version: build.Version, Revision: build.Commit,
		},
		Loops: loops, Set: s.set, Settings: settings, Admin: s.adminOptions(), Sockets: sockets,
		First: s.first, Serving: s.serving, Applied: s.inTraffic, Log: s.log.Logger,
		ID: func(addr net.Addr) string { return gatewayID(&s.cfg.Admin, addr) }, Trace: trace(s.cfg),
		Upstreams: func() (string, string) { return health(s.syncer) },
	})
}

// adminOptions is nil when there is to be no admin server.
func (s *server) adminOptions() *admin.Options {
	a := &s.cfg.Admin
	if a.Listen == "" || a.Listen == "off" {
		return nil
	}
	return &admin.Options{
		Listen: a.Listen, Token: string(a.Token), TokenFile: a.TokenFile, ReadToken: string(a.ReadToken),
		Log: s.log.Logger,
		Views: admin.Views{
			Sync:      func(name string) admin.SyncInfo { return syncInfo(s.syncer, name) },
			Decisions: func(name string) []admin.Decision { return decisions(s.syncer, name) },
			Reload:    s.reload,
			Config:    s.effective,
			Operate:   s.operate,
			Orders:    s.orders,
			History:   s.history,
		},
	}
}

func (s *server) effective() ([]byte, error) {
	return configs.Effective(s.config(), true), nil
}

// How long the listeners wait for the first servers. nginx-upsync gives a
// strong dependency three tries of a second each.
const (
	firstLimit  = 3 * time.Second
	strongLimit = 5 * time.Second
)

// first waits until every upstream has its first servers, or cannot have them
// for now: then the gateway listens all the same and answers 503 until there
// are some. Only an upstream with a strong dependency fails the start.
func (s *server) first(ctx context.Context) error {
	limit := firstLimit
	if len(s.strong()) > 0 {
		limit = strongLimit
	}
	limited, stop := context.WithTimeout(ctx, limit)
	defer stop()
	err := s.syncer.WaitFirst(limited)
	if err == nil || limited.Err() == nil || ctx.Err() != nil {
		return err
	}
	for _, name := range s.strong() {
		st, ok := s.syncer.Status(name)
		if !ok || st.Source != upsync.SourceLive {
			return fmt.Errorf("upstream %q has strong_dependency and its source gave no list within %v: %s", name, limit, st.LastError)
		}
	}
	s.log.Warn("listening without all first servers", "error", err)
	return nil
}

// strong are the upstreams without which the gateway must not start.
func (s *server) strong() []string {
	cfg := s.config()
	var names []string
	for _, name := range cfg.UpstreamNames() {
		if u := cfg.Upstreams[name]; u.StrongDependency {
			names = append(names, name)
		}
	}
	return names
}

func (s *server) serving(addrs []net.Addr) {
	if s.started != nil {
		s.started(addrs)
	}
	if _, degraded := health(s.syncer); degraded != "" {
		s.log.Warn("serving, degraded", "why", degraded)
	} else {
		s.log.Info("serving")
	}
	s.tell("READY=1")
}

// tell passes a state to the service manager.
func (s *server) tell(state string) {
	if err := notify(s.env, state); err != nil {
		s.log.Warn(err.Error())
	}
}

// upstreams are the pools of a configuration, those in use where they can
// stay, and what the syncer is told of them.
func (s *server) upstreams(cfg *configs.Config) (pools []*upstream.Pool, ups []upsync.Upstream) {
	for _, name := range cfg.UpstreamNames() {
		u := cfg.Upstreams[name]
		var pool *upstream.Pool
		if _, discovers := u.Discovers(); !discovers {
			pool = s.poolFor(name, &u)
			pools = append(pools, pool)
		}
		ups = append(ups, syncUpstream(name, &u, pool))
	}
	return pools, ups
}

// poolFor is the pool of that name, or a new one that begins with the servers
// of the one in use: the order of servers of a registry is not that of a
// list.
func (s *server) poolFor(name string, u *configs.Upstream) *upstream.Pool {
	have := s.set.Lookup(name)
	newestFirst := u.FromConsul()
	if have != nil && have.NewestFirst == newestFirst {
		return have
	}
	pool := upstream.NewPool(name, poolSettings(u))
	pool.NewestFirst = newestFirst
	if have != nil {
		snap := have.Load()
		specs := make([]upstream.Spec, len(snap.Entries))
		for i := range snap.Entries {
			specs[i] = snap.Entries[i].Spec
		}
		pool.Apply(specs, snap.Meta)
	}
	return pool
}

// newFound makes the pool of a discovered upstream. It runs under the
// syncer's locks.
func (s *server) newFound(pattern upsync.Upstream, name string) *upstream.Pool {
	s.foundMu.Lock()
	defer s.foundMu.Unlock()
	u := s.patterns[pattern.Name]
	p := upstream.NewPool(name, poolSettings(&u))
	p.NewestFirst = true
	s.found[p] = pattern.Name
	return p
}

// setPatterns remembers what newFound makes pools from.
func (s *server) setPatterns(cfg *configs.Config) {
	s.foundMu.Lock()
	defer s.foundMu.Unlock()
	s.patterns = map[string]configs.Upstream{}
	for name, u := range cfg.Upstreams {
		if _, discovers := u.Discovers(); discovers {
			s.patterns[name] = u
		}
	}
}

// config is the configuration in effect.
func (s *server) config() *configs.Config {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cfg
}

func (s *server) setConfig(cfg *configs.Config) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cfg = cfg
}
