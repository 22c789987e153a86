package engine_test

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"spillway/gateway/upstream"
)

// A reload while requests run: new ones go by the new routes at once, old
// ones finish by what they began with.
func TestReloadOfRoutes(t *testing.T) {
	if differs(t, "its old workers serve on") {
		return
	}
	release := make(chan struct{})
	one := newBackend(t, serveAfter(release, func(*message) string { return ok("one") }))
	two := newBackend(t, always(ok("two")))
	cfg := proxyConfig{
		Pools:  map[string]poolConfig{"one": {Specs: specs(one.addr)}, "two": {Specs: specs(two.addr)}},
		Routes: []routeRule{{Upstream: "one"}},
	}
	p := startProxy(t, cfg)
	under, idle := p.dial(), p.dial()
	under.send(get("/") + get("/behind"))
	one.connected(0)
	for len(one.received()) == 0 {
		pauseFor(t, time.Millisecond)
	}
	cfg.Routes = []routeRule{{Path: "/gone", Upstream: "nowhere"}, {Upstream: "two"}}
	p.reload(cfg)
	for range 5 {
		idle.send(get("/") + get("/gone"))
		if m := idle.answer(200); string(m.Body) != "two" {
			t.Errorf("got %q after the reload", m.Body)
		}
		idle.answer(404)
	}
	close(release)
	if m := under.answer(200); string(m.Body) != "one" {
		t.Errorf("the request under way got %q", m.Body)
	}
	if m := under.answer(200); string(m.Body) != "two" {
		t.Errorf("the request behind it got %q", m.Body)
	}
}

// Everything a reload may change is changed again and again under load: no
// request fails, and none is missing from the log.
func TestReloadsUnderLoad(t *testing.T) {
	t.Parallel()
	if differs(t, "it is not configured for this") {
		return
	}
	b := newBackend(t, serve(func(m *message) string { return ok(m.Target + string(m.Body)) }))
	cfg := proxyConfig{Backends: []string{b.addr}, Loops: 3, LogFormat: "$status $http_x_a"}
	p := startProxy(t, cfg)
	done := load(t, p, 12)
	formats := []string{"$status", "$status $http_x_a $http_x_b $http_x_c", "$status $http_x_b", "$status $request_id", ""}
	for i := range 60 {
		cfg.LogFormat = formats[i%4]
		cfg.Routes = append([]routeRule{{Path: "/unused", Upstream: "none"}}, routeRule{Upstream: "web"})[i%2:]
		cfg.Limits.Fields, cfg.RequestID, cfg.Via = 50+i, i%3 == 0, strings.Repeat("v", i%2)
		p.reload(cfg)
		pauseFor(t, 5*time.Millisecond)
	}
	n := done()
	lines := logLines(t, p, int(n))
	if int64(len(lines)) != n {
		t.Errorf("%d lines for %d requests", len(lines), n)
	}
	for _, line := range lines {
		if !strings.HasPrefix(line, "200") {
			t.Errorf("line %q", line)
		}
	}
	cfg.LogFormat = formats[4]
	p.reload(cfg)
	p.alive(200)
	if got := len(p.logged()); int64(got) != n {
		t.Errorf("%d lines after the log was switched off, want %d", got, n)
	}
}

// Upstreams join and leave under load. Those that stay are not disturbed;
// one that is away is 404, and serves again when it is back, with the servers
// it came back with.
func TestUpstreamsJoinAndLeaveUnderLoad(t *testing.T) {
	t.Parallel()
	if differs(t, "it is not configured for this") {
		return
	}
	stays := newBackend(t, serve(func(m *message) string { return ok(m.Target + string(m.Body)) }))
	comes := newBackend(t, always(ok("here")))
	p := startProxy(t, proxyConfig{
		Backends: []string{stays.addr}, Loops: 3,
		Routes: []routeRule{{Host: "guest", Upstream: "guest"}, {Host: "*.dyn", Upstream: "{host.1}"}, {Upstream: "web"}},
	})
	done := load(t, p, 8)
	var over atomic.Bool
	var visitors sync.WaitGroup
	for i := range 6 {
		c := p.dial()
		visitors.Go(func() { visit(c, []string{"guest", "guest.dyn"}[i%2], &over) })
	}
	for range 50 {
		p.put("guest", poolConfig{Specs: specs(comes.addr)})
		for _, host := range []string{"guest", "guest.dyn"} {
			if m := askHost(p, host); m.Status != 200 || string(m.Body) != "here" {
				t.Errorf("%s is there and got %q", host, m.Head)
			}
		}
		p.take("guest")
		if m := askHost(p, "guest"); m.Status != 404 {
			t.Errorf("it is gone and got %q", m.Head)
		}
	}
	over.Store(true)
	visitors.Wait()
	if n := done(); n < 100 {
		t.Errorf("only %d requests: the test tests nothing", n)
	}
	comes.drained() // nothing is kept to servers of an upstream that left
}

// visit asks for an upstream that comes and goes: the answer is one or the
// other, never an error of the gateway's.
func visit(c *wire, host string, over *atomic.Bool) {
	for !over.Load() {
		c.trySend("GET / HTTP/1.1\r\nHost: " + host + "\r\n\r\n")
		c.await()
		m, err := readAnswer(c.r, "GET")
		if err != nil || m.Status != 404 && (m.Status != 200 || string(m.Body) != "here") {
			c.t.Errorf("%s: %v %+v", host, err, m)
			return
		}
	}
}

func askHost(p *proxy, host string) *message {
	p.t.Helper()
	c := p.dial()
	defer c.close()
	c.send("GET / HTTP/1.1\r\nHost: " + host + "\r\n\r\n")
	return c.response("GET")
}

// A connection serves so many requests and then ends, announced; answers of
// the gateway's own count like others, and what is pipelined behind is not
// taken.
func TestClientKeepaliveRequests(t *testing.T) {
	if differs(t, "it is not configured for this") {
		return
	}
	b := hello(t)
	p := startProxy(t, proxyConfig{
		Backends: []string{b.addr}, Limits: limits{Requests: 3},
		Routes: []routeRule{{Path: "/none", Upstream: "none"}, {Upstream: "web"}},
	})
	for _, r := range []struct {
		targets string
		status  int
	}{{"/a /b /c /beyond", 200}, {"/none /none /none /beyond", 404}} {
		c := p.dial()
		for target := range strings.FieldsSeq(r.targets) {
			c.trySend(get(target))
		}
		for i := range 3 {
			if m := c.answer(r.status); m.connection("close") != (i == 2) {
				t.Errorf("answer %d of 3: %q", i+1, m.Head)
			}
		}
		c.gone()
	}
	for _, m := range b.received() {
		if m.Target == "/beyond" {
			t.Error("a request beyond the last was forwarded")
		}
	}
}

// The bound on one address holds over all loops, counts addresses apart, and
// is given back.
func TestConnectionsOfOneAddressOverLoops(t *testing.T) {
	if differs(t, "it is not configured for this") {
		return
	}
	b := hello(t)
	p := startProxy(t, proxyConfig{Backends: []string{b.addr}, Loops: 3, Limits: limits{ConnsPerIP: 8}})
	for range 3 {
		var open []*wire
		for range 16 {
			c := p.dial()
			c.trySend(get("/"))
			c.await()
			if m, err := readAnswer(c.r, "GET"); err == nil && m.Status == 200 {
				open = append(open, c)
			}
		}
		if len(open) != 8 {
			t.Fatalf("%d connections of 16 were served, want 8", len(open))
		}
		for _, c := range open {
			c.close()
		}
		p.settles()
	}
}

// A server that leaves in the instant its kept connection dies: the request
// goes elsewhere, as nothing of it was done.
func TestRemovedServerDropsAKeptConnection(t *testing.T) {
	gone := make(chan struct{})
	leaving := newBackend(t, func(w *wire) {
		w.request()
		w.send(ok("first"))
		w.request()
		w.wait(gone)
	})
	stays := newBackend(t, always(ok("stays")))
	p := startProxy(t, withRetry(upstream.Retry{Tries: 1}, leaving.addr))
	if differs(t, "its tries count this one too") {
		return
	}
	c := p.dial()
	c.open()
	c.send(get("/again"))
	for len(leaving.received()) < 2 {
		pauseFor(t, time.Millisecond)
	}
	p.apply("web", specs(stays.addr))
	for range 12 { // on every loop: the change has arrived
		p.alive(200)
	}
	close(gone)
	if m := c.answer(200); string(m.Body) != "stays" {
		t.Errorf("got %q", m.Body)
	}
}
