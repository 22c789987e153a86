package engine_test

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"spillway/gateway/accesslog"
	"spillway/gateway/balance"
	"spillway/gateway/engine"
	"spillway/gateway/http1"
	"spillway/gateway/route"
	"spillway/gateway/upstream"
)

// sut is a running engine. This file is the one place of the suite that knows
// its types.
type sut struct {
	t       testing.TB
	e       *engine.Engine
	set     *upstream.Set
	logPath string

	mu     sync.Mutex
	pools  map[string]*upstream.Pool
	log    *accesslog.Logger // nil without one
	format string            // of log
}

// startEngine builds the engine from cfg.
func startEngine(t testing.TB, cfg proxyConfig) *proxy {
	t.Helper()
	set := &upstream.Set{}
	e, err := engine.New(engine.Options{Loops: cfg.Loops, Set: set})
	if err != nil {
		t.Fatal(err)
	}
	s := &sut{t: t, e: e, set: set, logPath: filepath.Join(t.TempDir(), "access.log"), pools: map[string]*upstream.Pool{}}
	set.Notify(e.Attach, e.Detach)
	for name, c := range cfg.Pools {
		s.put(name, c)
	}
	s.reload(cfg)
	var at []string
	for _, addr := range cfg.Listen {
		a, err := e.Listen(addr)
		if err != nil {
			t.Fatal(err)
		}
		at = append(at, a.String())
	}
	e.Start()
	return &proxy{
		Addr: at[0], Addrs: at,
		apply: s.apply, active: s.active, inflight: s.inflight, counters: s.counters,
		reload: s.reload, put: s.put, take: s.take, logged: s.logged, shutdown: s.shutdown, mute: s.mute,
		close: func() {
			s.shutdown(0)
			if n := s.counters().panics; n > 0 {
				t.Errorf("%d panics were recovered", n)
			}
		},
	}
}

func (s *sut) put(name string, c poolConfig) {
	c.Settings = defaultSettings(c.Settings)
	c.Settings.Prepare = balance.Prepare(c.Settings.Balance)
	p := upstream.NewPool(name, &c.Settings)
	p.Apply(c.Specs, upstream.Meta{Source: "static", At: time.Now()})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pools[name] = p
	s.set.Update([]*upstream.Pool{p}, nil)
}

func (s *sut) take(name string) { s.set.Update(nil, []string{name}) }

func (s *sut) apply(pool string, specs []upstream.Spec) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pools[pool].Apply(specs, upstream.Meta{Source: "static", At: time.Now()})
}

func (s *sut) mute(pool, addr string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.pools[pool].Load().Entries {
		if e.Addr == addr {
			e.Amend(func(upstream.Standing) upstream.Standing { return upstream.Unhealthy })
			s.e.Abandon(e.Server)
		}
	}
}

func (s *sut) active() (n []int64) {
	for _, m := range s.e.LoopMetrics() {
		n = append(n, m.Active.Load())
	}
	return n
}

func (s *sut) inflight() (n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.pools {
		for _, e := range p.Load().Entries {
			n += e.Inflight.Load()
		}
	}
	return n
}

func (s *sut) counters() (c counters) {
	for _, m := range s.e.LoopMetrics() {
		c.accepted += m.Accepted.Load()
		c.handoffs += m.Handoffs.Load()
		c.shortages += m.EMFILE.Load()
		c.panics += m.Panics.Load()
	}
	return c
}

// reload publishes cfg. An access log whose format changed is closed once no
// loop writes to it any more.
func (s *sut) reload(cfg proxyConfig) {
	s.t.Helper()
	c := engineConfig(s.t, cfg)
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.log
	if cfg.LogFormat == "" {
		s.log = nil
	} else {
		f, err := accesslog.Compile(cfg.LogFormat)
		if err != nil {
			s.t.Fatal(err)
		}
		c.LogFields = f.Headers()
		if s.log == nil || cfg.LogFormat != s.format {
			if s.log, err = accesslog.Open(s.logPath, f, len(s.e.LoopMetrics())); err != nil {
				s.t.Fatal(err)
			}
		}
		c.AccessLog, s.format = s.log, cfg.LogFormat
	}
	s.e.Publish(c)
	if was != nil && was != s.log {
		was.Close()
	}
}

// logged returns the lines written so far.
func (s *sut) logged() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.log != nil {
		if err := s.log.Flush(); err != nil {
			s.t.Error(err)
		}
	}
	raw, err := os.ReadFile(s.logPath)
	if err != nil {
		s.t.Error(err)
	}
	var lines []string
	for line := range strings.Lines(string(raw)) {
		lines = append(lines, strings.TrimSuffix(line, "\n"))
	}
	return lines
}

// shutdown ends the engine; it may be called twice.
func (s *sut) shutdown(d time.Duration) int {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	cut := s.e.Shutdown(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.log != nil {
		s.log.Close()
		s.log = nil
	}
	return cut
}

func engineConfig(t testing.TB, cfg proxyConfig) *engine.Config {
	t.Helper()
	var rules []route.Rule
	for _, r := range cfg.Routes {
		rules = append(rules, route.Rule{Host: r.Host, Path: r.Path, Upstream: r.Upstream, Connect: r.Connect})
	}
	table, err := route.Compile(rules)
	if err != nil {
		t.Fatal(err)
	}
	c := &engine.Config{
		Routes:            table,
		Limits:            http1.Limits{RequestLine: cfg.Limits.RequestLine, HeadBytes: cfg.Limits.HeadBytes, Fields: cfg.Limits.Fields},
		MaxBody:           cfg.Limits.Body,
		MaxConns:          cfg.Limits.Conns,
		MaxConnsPerAddr:   cfg.Limits.ConnsPerIP,
		KeepaliveRequests: cfg.Limits.Requests,
		XForwarded:        true,
		Forwarded:         cfg.Forwarded,
		RequestID:         cfg.RequestID,
		Via:               cfg.Via,
		AnswerHalfClosed:  cfg.AnswerHalfClosed,
		Timeouts: engine.Timeouts{
			Header: cfg.Times.Header, Body: cfg.Times.Body, Idle: cfg.Times.Idle, Send: cfg.Times.Send,
			Tunnel: cfg.Times.Tunnel, Expect: cfg.Times.Expect, MinBodyRate: int64(cfg.Times.BodyRate), BodyGrace: cfg.Times.Grace,
		},
	}
	for _, p := range cfg.Trusted {
		c.TrustedProxies = append(c.TrustedProxies, netip.MustParsePrefix(p))
	}
	return c
}
