package engine_test

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"spillway/gateway/engine"
	"spillway/gateway/http1"
	"spillway/gateway/route"
	"spillway/gateway/upstream"
)

// startEngine builds the engine from cfg. This is the one place of the suite
// that knows its types.
func startEngine(t testing.TB, cfg proxyConfig) *proxy {
	t.Helper()
	set := &upstream.Set{}
	e, err := engine.New(engine.Options{Loops: cfg.Loops, Set: set})
	if err != nil {
		t.Fatal(err)
	}
	pools := map[string]*upstream.Pool{}
	for name, c := range cfg.Pools {
		p := upstream.NewPool(name, &c.Settings)
		p.Apply(c.Specs, upstream.Meta{Source: "static", At: time.Now()})
		e.Attach(p)
		pools[name] = p
		set.Update([]*upstream.Pool{p}, nil)
	}
	e.Publish(engineConfig(t, cfg))
	at, err := e.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e.Start()
	return &proxy{
		Addr: at.String(),
		apply: func(pool string, specs []upstream.Spec) {
			pools[pool].Apply(specs, upstream.Meta{Source: "static", At: time.Now()})
		},
		active: func() []int64 {
			var n []int64
			for _, m := range e.LoopMetrics() {
				n = append(n, m.Active.Load())
			}
			return n
		},
		inflight: func() (n int64) {
			for _, p := range pools {
				for _, s := range p.Load().Entries {
					n += s.Inflight.Load()
				}
			}
			return n
		},
		shutdown: func(d time.Duration) int { return shutdown(e, d) },
		close:    func() { shutdown(e, 0) },
	}
}

func shutdown(e *engine.Engine, d time.Duration) int {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	return e.Shutdown(ctx)
}

func engineConfig(t testing.TB, cfg proxyConfig) *engine.Config {
	t.Helper()
	var rules []route.Rule
	for _, r := range cfg.Routes {
		rules = append(rules, route.Rule{Host: r.Host, Path: r.Path, Upstream: r.Upstream})
	}
	table, err := route.Compile(rules)
	if err != nil {
		t.Fatal(err)
	}
	c := &engine.Config{
		Routes:           table,
		Limits:           http1.Limits{RequestLine: cfg.Limits.RequestLine, HeadBytes: cfg.Limits.HeadBytes, Fields: cfg.Limits.Fields},
		MaxBody:          cfg.Limits.Body,
		MaxConns:         cfg.Limits.Conns,
		MaxConnsPerAddr:  cfg.Limits.ConnsPerIP,
		XForwarded:       true,
		Via:              cfg.Via,
		AnswerHalfClosed: cfg.AnswerHalfClosed,
		Timeouts: engine.Timeouts{
			Header: cfg.Times.Header, Body: cfg.Times.Body, Idle: cfg.Times.Idle, Send: cfg.Times.Send,
			Tunnel: cfg.Times.Tunnel, Expect: cfg.Times.Expect, MinBodyRate: int64(cfg.Times.BodyRate),
		},
	}
	for _, p := range cfg.Trusted {
		c.TrustedProxies = append(c.TrustedProxies, netip.MustParsePrefix(p))
	}
	return c
}
