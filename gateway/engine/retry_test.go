package engine_test

import (
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"spillway/gateway/upstream"
)

// counted runs script on each connection and counts the requests read by it.
func counted(t *testing.T, script func(w *wire, m *message)) (*backend, *atomic.Int32) {
	t.Helper()
	n := new(atomic.Int32)
	return newBackend(t, func(w *wire) {
		for {
			m, err := readRequest(w.r)
			if err != nil {
				return
			}
			n.Add(1)
			script(w, m)
		}
	}), n
}

func withRetry(r upstream.Retry, servers ...string) proxyConfig {
	p := poolConfig{Specs: specs(servers...)}
	p.Settings.Retry = r
	return proxyConfig{Pools: map[string]poolConfig{"web": p}}
}

var onError = upstream.Retry{Tries: 5, OnError: true}

// A connection that cannot be made cost nothing: any request may go on.
func TestRefusedConnectionIsTriedElsewhere(t *testing.T) {
	b := hello(t)
	p := startProxy(t, withRetry(onError, refused(t), refused(t), b.addr))
	for _, r := range []struct{ send, body string }{
		{get("/"), ""},
		{post("/", "hello"), "hello"},
		{req("POST", "/", chunks("hello"), "Transfer-Encoding: chunked"), "hello"},
		{req("PATCH", "/", "x", "Content-Length: 1"), "x"},
	} {
		c := p.dial()
		c.send(r.send)
		c.answerTo("POST", 200)
		if got := b.last(); string(got.Body) != r.body {
			t.Errorf("backend received %q with body %q, want %q", got.Head, got.Body, r.body)
		}
	}
	if n := len(b.received()); n != 4 {
		t.Errorf("backend received %d requests, want 4", n)
	}
}

func TestNoServerLeft(t *testing.T) {
	p := startProxy(t, withRetry(onError, refused(t), refused(t)))
	c := p.dial()
	c.send(get("/") + get("/"))
	c.answer(502)
	if m := c.response("GET"); m.Status != 502 && m.Status != 503 {
		t.Errorf("got %q", m.Head)
	}
	empty := startProxy(t, proxyConfig{Pools: map[string]poolConfig{"web": {Specs: []upstream.Spec{{Addr: refused(t), Weight: 1, Down: true}}}}})
	c = empty.dial()
	c.send(get("/"))
	if m := c.response("GET"); m.Status != 503 && !differs(t, "it says 502") {
		t.Errorf("got %q", m.Head)
	}
}

// A server that dies without an answer: what is idempotent goes on, the rest
// is answered 502, because it may have been executed.
func TestDeadServer(t *testing.T) {
	for _, end := range []struct {
		name string
		do   func(*wire)
	}{{"FIN", closes}, {"reset", resets}} {
		for _, r := range []struct {
			name, send, method string
			want               int
		}{
			{"GET", get("/"), "GET", 200},
			{"HEAD", req("HEAD", "/", ""), "HEAD", 200},
			{"PUT", req("PUT", "/", "x", "Content-Length: 1"), "PUT", 200},
			{"DELETE", req("DELETE", "/", ""), "DELETE", 200},
			{"OPTIONS", req("OPTIONS", "/", ""), "OPTIONS", 200},
			{"POST", post("/", "x"), "POST", 502},
			{"POST without body", req("POST", "/", ""), "POST", 502},
			{"PATCH", req("PATCH", "/", "x", "Content-Length: 1"), "PATCH", 502},
			{"unknown method", req("FROB", "/", ""), "FROB", 502},
		} {
			t.Run(end.name+" "+r.name, func(t *testing.T) {
				dead, tries := counted(t, func(w *wire, m *message) { end.do(w) })
				b := hello(t)
				if r.name == "unknown method" && differs(t, "it takes only POST, LOCK, PATCH for not idempotent") {
					return
				}
				c := startProxy(t, withRetry(onError, dead.addr, b.addr)).dial()
				c.send(r.send)
				m := c.response(r.method)
				if tries.Load() == 0 { // the picker began with the other
					c.send(r.send)
					m = c.response(r.method)
				}
				if m.Status != r.want || tries.Load() != 1 {
					t.Errorf("got %d after %d tries at the dead server, want %d after 1", m.Status, tries.Load(), r.want)
				}
			})
		}
	}
}

// Never the same server twice while another is left, and never more tries
// than allowed.
func TestTriesAreBoundAndSpread(t *testing.T) {
	for tries := 1; tries <= 5; tries++ {
		var servers []string
		var counts []*atomic.Int32
		for range 4 {
			b, n := counted(t, func(w *wire, m *message) { w.reset() })
			servers, counts = append(servers, b.addr), append(counts, n)
		}
		c := startProxy(t, withRetry(upstream.Retry{Tries: tries, OnError: true}, servers...)).dial()
		c.send(get("/"))
		c.answer(502)
		total := 0
		for _, n := range counts {
			total += int(n.Load())
			if n.Load() > 1 && tries <= 4 {
				t.Errorf("a server was tried %d times within %d tries", n.Load(), tries)
			}
		}
		if want := min(tries, 4); total != want {
			t.Errorf("%d attempts, want %d", total, want)
		}
	}
}

func TestStatusIsTriedElsewhere(t *testing.T) {
	bad := newBackend(t, always(resp("503 Busy", "busy", "Content-Length: 4")))
	good := hello(t)
	retry := upstream.Retry{Tries: 3, Status: []int{502, 503}}
	p := startProxy(t, withRetry(retry, bad.addr, good.addr))
	c := p.dial()
	for range 4 {
		c.open()
	}
	alone := startProxy(t, withRetry(retry, bad.addr))
	c = alone.dial()
	c.send(get("/"))
	if m := c.answer(503); string(m.Body) != "busy" {
		t.Errorf("the last answer is passed on, got %q", m.Body)
	}
	c.send(get("/"))
	c.answer(503)
}

func TestInvalidAnswerIsTriedElsewhere(t *testing.T) {
	bad := newBackend(t, once(says("HTTP/1.1 200 OK\r\nX Y: z\r\n\r\n"), closes))
	good := hello(t)
	c := startProxy(t, withRetry(upstream.Retry{Tries: 3, OnInvalid: true}, bad.addr, good.addr)).dial()
	for range 4 {
		c.open()
	}
	if bad.conns() == 0 {
		t.Error("the bad server was never tried")
	}
}

func TestTimeoutIsTriedElsewhere(t *testing.T) {
	stuck := newBackend(t, once(stalls))
	good := hello(t)
	cfg := withRetry(upstream.Retry{Tries: 3, OnTimeout: true}, stuck.addr, good.addr)
	p := cfg.Pools["web"]
	p.Settings.ReadTimeout = short
	cfg.Pools["web"] = p
	c := startProxy(t, cfg).dial()
	c.open()
	c.open()
	if stuck.conns() == 0 {
		t.Error("the stuck server was never tried")
	}
}

// A POST that timed out may have been executed.
func TestTimeoutOfAPostIsNotTriedElsewhere(t *testing.T) {
	stuck, tries := counted(t, func(w *wire, m *message) { w.over() })
	stuck2, tries2 := counted(t, func(w *wire, m *message) { w.over() })
	cfg := withRetry(upstream.Retry{Tries: 3, OnTimeout: true, OnError: true}, stuck.addr, stuck2.addr)
	p := cfg.Pools["web"]
	p.Settings.ReadTimeout = short
	cfg.Pools["web"] = p
	c := startProxy(t, cfg).dial()
	c.send(post("/", "x"))
	c.answerTo("POST", 504)
	if n := tries.Load() + tries2.Load(); n != 1 {
		t.Errorf("executed %d times", n)
	}
}

// With non_idempotent the operator allows it.
func TestNonIdempotentRetry(t *testing.T) {
	dead, _ := counted(t, func(w *wire, m *message) { w.reset() })
	b := newBackend(t, serve(func(m *message) string { return ok(string(m.Body)) }))
	c := startProxy(t, withRetry(upstream.Retry{Tries: 3, OnError: true, NonIdempotent: true}, dead.addr, b.addr)).dial()
	for range 2 {
		c.send(post("/", "hello"))
		if m := c.answerTo("POST", 200); string(m.Body) != "hello" {
			t.Errorf("got %q", m.Body)
		}
	}
}

// No retry once the client has seen a byte of the answer.
func TestNoRetryAfterTheHead(t *testing.T) {
	b, n := counted(t, func(w *wire, m *message) {
		w.send(resp("200 OK", "hel", "Content-Length: 5"))
		w.close()
	})
	c := startProxy(t, withRetry(onError, b.addr, hello(t).addr)).dial()
	c.send(get("/"))
	m, err := readAnswer(c.r, "GET")
	if n.Load() == 0 {
		c.send(get("/"))
		m, err = readAnswer(c.r, "GET")
	}
	if err == nil && m.Status == 200 {
		t.Errorf("got a whole answer %q %q", m.Head, m.Body)
	}
}

// The server closed an idle connection just when it was used again: one
// silent retry on a fresh one.
func TestStaleConnectionIsReplaced(t *testing.T) {
	for _, end := range []struct {
		name string
		do   func(*wire)
	}{{"FIN", closes}, {"reset", resets}} {
		for _, r := range []struct{ name, send string }{
			{"GET", get("/again")},
			{"PUT", req("PUT", "/again", "x", "Content-Length: 1")},
			{"GET with a chunked body", req("GET", "/again", chunks("x"), "Transfer-Encoding: chunked")},
		} {
			t.Run(end.name+" "+r.name, func(t *testing.T) {
				b := newBackend(t, func(w *wire) {
					w.request()
					w.send(ok("first"))
					w.request() // dies on the second request, before a byte of its answer
					end.do(w)
				}, always(ok("fresh")))
				c := startProxy(t, withRetry(upstream.Retry{Tries: 1, OnError: true}, b.addr)).dial()
				if differs(t, "its tries count this one too") {
					return
				}
				c.open()
				c.send(r.send)
				if m := c.answer(200); string(m.Body) != "fresh" {
					t.Errorf("got %q", m.Body)
				}
			})
		}
	}
}

func TestStaleConnectionIsNoLicenceForPost(t *testing.T) {
	b := newBackend(t, func(w *wire) {
		w.request()
		w.send(ok("first"))
		w.request()
		w.close()
	}, always(ok("fresh")))
	c := front(t, b).dial()
	c.open()
	c.send(post("/again", "x"))
	c.answerTo("POST", 502)
	n := 0
	for _, m := range b.received() {
		if m.Target == "/again" {
			n++
		}
	}
	if n != 1 {
		t.Errorf("a POST was executed %d times", n)
	}
}

// An idle connection the server has closed is not used at all, not even for
// a POST, whatever came first: the FIN or the request.
func TestClosedIdleConnectionIsNotUsed(t *testing.T) {
	b := newBackend(t, func(w *wire) { w.request(); w.send(ok("")) }, always(ok("")))
	c := front(t, b).dial()
	c.open()
	b.drained()
	c.send(post("/", "x"))
	if m := c.response("POST"); m.Status != 200 && m.Status != 502 {
		t.Errorf("got %q", m.Head)
	}
}

// max_fails within fail_timeout: the server rests, then is let in again.
func TestFailedServerRests(t *testing.T) {
	t.Parallel()
	dead, tries := counted(t, func(w *wire, m *message) { w.reset() })
	good := hello(t)
	cfg := withRetry(onError, dead.addr, good.addr)
	cfg.Pools["web"].Specs[0].MaxFails = 2
	cfg.Pools["web"].Specs[0].FailTimeout = time.Second
	c := startProxy(t, cfg).dial()
	for range 20 {
		c.open()
	}
	if n := tries.Load(); n != 2 {
		t.Errorf("%d tries at a server with max_fails=2", n)
	}
	late := deadline()
	for tries.Load() == 2 && !late() {
		c.open()
	}
	if tries.Load() < 3 {
		t.Error("the server was never let in again")
	}
}

func TestBackupServesWhenNoPrimaryDoes(t *testing.T) {
	down := refused(t)
	b, backup := hello(t), hello(t)
	cfg := withRetry(onError, b.addr, backup.addr)
	cfg.Pools["web"].Specs[1].Backup = true
	c := startProxy(t, cfg).dial()
	for range 5 {
		c.open()
	}
	if n := len(backup.received()); n != 0 {
		t.Errorf("the backup got %d requests", n)
	}
	cfg = withRetry(onError, down, backup.addr)
	cfg.Pools["web"].Specs[1].Backup = true
	c = startProxy(t, cfg).dial()
	c.open()
	c.open()
}

func TestWeightsOfOneLoopAreExact(t *testing.T) {
	var bs []*backend
	var ss []upstream.Spec
	for _, weight := range []int{5, 1, 1} {
		b := newBackend(t, always(ok(fmt.Sprint(weight))))
		bs = append(bs, b)
		ss = append(ss, upstream.Spec{Addr: b.addr, Weight: weight})
	}
	c := startProxy(t, proxyConfig{Loops: 1, Pools: map[string]poolConfig{"web": {Specs: ss}}}).dial()
	var got []string
	for range 14 {
		c.send(get("/"))
		got = append(got, string(c.answer(200).Body))
	}
	var counts []int
	for _, b := range bs {
		counts = append(counts, len(b.received()))
	}
	if want := []int{10, 2, 2}; !slices.Equal(counts, want) {
		t.Errorf("requests %v, want %v, in order %q", counts, want, got)
	}
	// a a b a c a a, as nginx has it
	if !slices.Equal(got[:7], []string{"5", "5", "1", "5", "1", "5", "5"}) {
		t.Errorf("order %q", got)
	}
}
