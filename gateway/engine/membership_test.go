package engine_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"spillway/gateway/upstream"
)

// Servers come and go, change weight, go down and up, 250 times a
// second: no request fails.
func TestMembershipChangesFailNoRequest(t *testing.T) {
	for loops := 1; loops <= 3; loops++ {
		t.Run(fmt.Sprintf("loops=%d", loops), func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(testSeed(t), 0))
			var servers []string
			for range 6 {
				servers = append(servers, newBackend(t, serve(func(m *message) string { return ok(m.Target + string(m.Body)) })).addr)
			}
			cfg := withRetry(upstream.Retry{Tries: 1}, servers...)
			cfg.Loops = loops
			p := startProxy(t, cfg)
			done := load(t, p, 16)
			tick := time.NewTicker(4 * time.Millisecond)
			defer tick.Stop()
			for range 200 {
				<-tick.C
				p.apply("web", someServers(rng, servers))
			}
			if n := done(); n < 100 {
				t.Errorf("only %d requests: the test tests nothing", n)
			}
		})
	}
}

// someServers picks one or more, at least one of them up.
func someServers(rng *rand.Rand, servers []string) []upstream.Spec {
	var ss []upstream.Spec
	for i, at := range rng.Perm(len(servers))[:1+rng.IntN(len(servers))] {
		ss = append(ss, upstream.Spec{Addr: servers[at], Weight: 1 + rng.IntN(5), Down: i > 0 && rng.IntN(3) == 0, Backup: i > 0 && rng.IntN(4) == 0})
	}
	return ss
}

// load keeps n connections busy until the returned function is called; that
// returns the number of requests. Each has to be answered 200 with its own
// echo.
func load(t *testing.T, p *proxy, n int) (stop func() int64) {
	t.Helper()
	var requests atomic.Int64
	var over atomic.Bool
	var wg sync.WaitGroup
	for i := range n {
		c := p.dial()
		wg.Go(func() {
			for j := 0; !over.Load(); j++ {
				id := fmt.Sprintf("/%d/%d", i, j)
				c.trySend(post(id, "x"))
				c.await()
				m, err := readAnswer(c.r, "POST")
				if err != nil || m.Status != 200 || string(m.Body) != id+"x" {
					t.Errorf("%s: %v %+v", id, err, m)
					return
				}
				requests.Add(1)
			}
		})
	}
	return func() int64 {
		over.Store(true)
		wg.Wait()
		return requests.Load()
	}
}

// A removed server gets no new request, its idle connections close, and what
// it is serving is finished.
func TestRemovedServer(t *testing.T) {
	release := make(chan struct{})
	leaving := newBackend(t, func(w *wire) {
		for {
			m, err := readRequest(w.r)
			if err != nil {
				return
			}
			if m.Target == "/slow" {
				w.wait(release)
			}
			w.trySend(ok("leaving"))
		}
	})
	stays := newBackend(t, always(ok("stays")))
	p := startProxy(t, proxyConfig{Backends: []string{leaving.addr}})
	slow, idle := p.dial(), p.dial()
	idle.open()
	slow.send(get("/slow"))
	for len(leaving.received()) < 2 {
		leaving.connected(0)
	}
	p.apply("web", specs(stays.addr))
	late := deadline()
	for !late() {
		idle.send(get("/"))
		if string(idle.answer(200).Body) == "stays" {
			break
		}
	}
	before := len(leaving.received())
	for range 50 {
		idle.send(get("/"))
		if m := idle.answer(200); string(m.Body) != "stays" {
			t.Errorf("a removed server answered %q", m.Body)
		}
	}
	if after := len(leaving.received()); after != before {
		t.Errorf("a removed server got %d requests", after-before)
	}
	close(release)
	if m := slow.answer(200); string(m.Body) != "leaving" {
		t.Errorf("the request under way got %q", m.Body)
	}
	if !differs(t, "its old workers keep idle connections") {
		leaving.drained()
	}
}

// A server that comes back is a fresh one; a pool that becomes empty answers
// 503 and serves again with the first server.
func TestEmptyAndBack(t *testing.T) {
	if differs(t, "an empty upstream is an error") {
		return
	}
	b := hello(t)
	p := startProxy(t, proxyConfig{Backends: []string{b.addr}})
	c := p.dial()
	for range 3 {
		c.open()
		p.apply("web", nil)
		until(t, c, 503)
		p.apply("web", specs(b.addr))
		until(t, c, 200)
	}
}

// until asks until it gets that status.
func until(t *testing.T, c *wire, status int) {
	t.Helper()
	late := deadline()
	for {
		c.send(get("/"))
		switch m := c.response("GET"); {
		case m.Status == status:
			return
		case late() || m.connection("close"):
			t.Fatalf("got %q, want %d", m.Head, status)
		}
	}
}

func TestRoutesAndUnknownUpstreams(t *testing.T) {
	if differs(t, "it is configured by locations") {
		return
	}
	one, two := newBackend(t, always(ok("one"))), newBackend(t, always(ok("two")))
	p := startProxy(t, proxyConfig{
		Pools: map[string]poolConfig{"one": {Specs: specs(one.addr)}, "two": {Specs: specs(two.addr)}},
		Routes: []routeRule{
			{Host: "b", Upstream: "two"},
			{Path: "/two/", Upstream: "two"},
			{Host: "*.dyn", Upstream: "{host.1}"},
			{Host: "a", Upstream: "one"},
		},
	})
	c := p.dial()
	for _, r := range []struct {
		host, target string
		status       int
		body         string
	}{
		{"a", "/", 200, "one"},
		{"A:8080", "/", 200, "one"},
		{"b", "/", 200, "two"},
		{"a", "/two/x", 200, "two"},
		{"a", "/x/../two/x", 200, "two"},
		{"a", "/x/%2e%2e/two/x", 200, "two"},
		{"a", "/two", 200, "one"},
		{"two.dyn", "/", 200, "two"},
		{"three.dyn", "/", 404, ""},
		{"c", "/", 404, ""},
	} {
		c.send("GET " + r.target + " HTTP/1.1\r\nHost: " + r.host + "\r\n\r\n")
		m := c.response("GET")
		if m.Status != r.status || r.status == 200 && string(m.Body) != r.body {
			t.Errorf("%s %s got %d %q, want %d %q", r.host, r.target, m.Status, m.Body, r.status, r.body)
		}
		if m.connection("close") {
			c = p.dial()
		}
	}
}
