package engine_test

import (
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"spillway/gateway/upstream"
)

// Servers may listen on IPv4, IPv6 and unix sockets.
func TestKindsOfAddresses(t *testing.T) {
	for _, at := range [][2]string{{"tcp4", "127.0.0.1:0"}, {"tcp6", "[::1]:0"}, {"unix", filepath.Join(t.TempDir(), "s")}} {
		t.Run(at[0], func(t *testing.T) {
			ln, err := net.Listen(at[0], at[1])
			if err != nil {
				t.Fatal(err)
			}
			srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.URL.Path) })}
			go srv.Serve(ln)
			defer srv.Close()
			addr := ln.Addr().String()
			if at[0] == "unix" {
				addr = "unix:" + addr
			}
			c := startProxy(t, proxyConfig{Backends: []string{addr}}).dial()
			for range 3 {
				c.send(get("/path"))
				if m := c.answer(200); string(m.Body) != "/path" {
					t.Errorf("got %q", m.Body)
				}
			}
		})
	}
}

func TestMissingUnixSocketIs502(t *testing.T) {
	c := startProxy(t, proxyConfig{Backends: []string{"unix:" + filepath.Join(t.TempDir(), "none")}}).dial()
	c.send(get("/"))
	c.answer(502)
}

// max_conns bounds what a server works on at once.
func TestMaxConns(t *testing.T) {
	if differs(t, "it counts per worker and is not configured for this") {
		return
	}
	release := make(chan struct{})
	var now, most atomic.Int32
	slow := serve(func(*message) string {
		n := now.Add(1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		<-release
		now.Add(-1)
		return ok("limited")
	})
	limited := newBackend(t, slow)
	other := newBackend(t, always(ok("other")))
	ss := specs(limited.addr, other.addr)
	ss[0].MaxConns, ss[1].Backup = 2, true
	p := startProxy(t, proxyConfig{Pools: map[string]poolConfig{"web": {Specs: ss}}})
	var cs []*wire
	for i := range 2 {
		c := p.dial()
		c.send(get("/"))
		limited.connected(i)
		cs = append(cs, c)
	}
	c := p.dial()
	for range 3 {
		c.send(get("/"))
		if m := c.answer(200); string(m.Body) != "other" {
			t.Errorf("got %q", m.Body)
		}
	}
	close(release)
	for _, c := range cs {
		c.answer(200)
	}
	if most.Load() != 2 {
		t.Errorf("%d requests at once, want 2", most.Load())
	}
	c.send(get("/"))
	if m := c.answer(200); string(m.Body) != "limited" {
		t.Errorf("after the others are done it got %q", m.Body)
	}
	for _, c := range append(cs, c) {
		c.close()
	}
	p.settles()
}

// A large body that cannot be replayed is sent whole or not at all.
func TestLargeBodyAndRetries(t *testing.T) {
	t.Parallel()
	body := strings.Repeat("0123456789abcdef", 1<<16) // 1 MiB
	for _, r := range []struct {
		name string
		dead func(t *testing.T) string
		must bool // be answered 200
	}{
		{"refused", refusedAddr, true},
		{"reset at once", func(t *testing.T) string { return newBackend(t, resets).addr }, false},
		{"reset after the head", func(t *testing.T) string {
			return newBackend(t, func(w *wire) { w.head(); w.reset() }).addr
		}, false},
	} {
		t.Run(r.name, func(t *testing.T) {
			b := newBackend(t, serve(func(m *message) string { return ok(fmt.Sprint(string(m.Body) == body)) }))
			p := startProxy(t, withRetry(upstream.Retry{Tries: 3, OnError: true}, r.dead(t), b.addr))
			for range 4 {
				c := p.dial()
				go c.trySend(req("PUT", "/", body, fmt.Sprintf("Content-Length: %d", len(body))))
				m := c.response("PUT")
				switch {
				case m.Status == 200 && string(m.Body) != "true":
					t.Error("the server got another body")
				case m.Status != 200 && (r.must || m.Status != 502):
					t.Errorf("got %q", m.Head)
				}
				c.close()
			}
			p.settles()
		})
	}
}

func refusedAddr(t *testing.T) string { return refused(t) }

// Interim answers without end neither fill the memory nor stop the loop.
func TestFloodOfInterimAnswers(t *testing.T) {
	if differs(t, "it drops interim answers") {
		return
	}
	flood := strings.Repeat(resp("103 Early Hints", "", "Link: </"+strings.Repeat("x", 100)+">"), 1000)
	b := newBackend(t, func(w *wire) {
		if m, err := readRequest(w.r); err != nil || m.Target == "/alive" {
			w.trySend(ok(""))
			return
		}
		for w.trySend(flood) == nil {
		}
	})
	p := front(t, b)
	c := p.dial()
	c.send(get("/"))
	b.connected(0)
	p.alive(200) // while nobody reads
	c.close()
	b.drained()
	p.settles()
}

// Hundreds of pipelined requests whose answers nobody reads yet: the loop
// still serves others, and then them.
func TestPipelineBehindASlowReader(t *testing.T) {
	b := newBackend(t, always(ok(strings.Repeat("x", 100<<10))))
	p := front(t, b)
	c := p.dial()
	go c.trySend(strings.Repeat(get("/"), 300))
	b.connected(0)
	p.alive(200)
	for range 300 {
		if m := c.answer(200); len(m.Body) != 100<<10 {
			t.Fatalf("got %d bytes", len(m.Body))
		}
	}
}

// An answer without Date gets one; one that has it keeps it.
func TestDate(t *testing.T) {
	b := newBackend(t, always(ok("")), always(ok("", "Date: Tue, 15 Nov 1994 08:12:31 GMT")))
	p := front(t, b)
	c := p.dial()
	c.send(get("/", "Connection: close"))
	m := c.answer(200)
	if _, err := http.ParseTime(m.get("Date")); err != nil || len(m.all("Date")) != 1 {
		t.Errorf("Date %q: %v", m.all("Date"), err)
	}
}
