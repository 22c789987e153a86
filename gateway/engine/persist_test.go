package engine_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestClientPersistence(t *testing.T) {
	for _, r := range []struct {
		name, send, option string
		stays              bool
	}{
		{"1.1", get("/"), "", true},
		{"1.1 keep-alive", get("/", "Connection: keep-alive"), "", true},
		{"1.1 close", get("/", "Connection: close"), "close", false},
		{"1.1 Close in a list", get("/", "Connection: foo,\tCLOSE"), "close", false},
		{"1.1 close in the second line", get("/", "Connection: foo", "connection: close"), "close", false},
		{"1.1 close beats keep-alive", get("/", "Connection: keep-alive, close"), "close", false},
		{"1.1 closed is not close", get("/", "Connection: closed"), "", true},
		{"1.0", "GET / HTTP/1.0\r\nHost: a\r\n\r\n", "close", false},
		{"1.0 without Host", "GET / HTTP/1.0\r\n\r\n", "close", false},
		{"1.0 keep-alive", "GET / HTTP/1.0\r\nHost: a\r\nConnection: Keep-Alive\r\n\r\n", "keep-alive", true},
		{"1.0 keep-alive and close", "GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive, close\r\n\r\n", "close", false},
	} {
		t.Run(r.name, func(t *testing.T) {
			if (strings.Contains(r.name, " in ") || strings.Contains(r.name, "and close") || strings.Contains(r.name, "beats") ||
				strings.Contains(r.name, "closed") || strings.Contains(r.name, "without Host")) &&
				differs(t, "it knows only a lone option, and sends no Host it was not given") {
				return
			}
			b := hello(t)
			c := front(t, b).dial()
			c.send(r.send)
			m := c.answer(200)
			if string(m.Body) != "hello" {
				t.Errorf("body %q", m.Body)
			}
			if r.option != "" && !m.connection(r.option) {
				t.Errorf("got %q, want Connection: %s", m.Head, r.option)
			}
			if r.stays {
				c.open()
			} else {
				c.end()
			}
		})
	}
}

// What follows a request that closes is not processed.
func TestNothingIsProcessedAfterClose(t *testing.T) {
	b := hello(t)
	c := front(t, b).dial()
	c.send(get("/", "Connection: close") + second)
	c.answer(200)
	c.gone()
	if m := b.one(); m.Target != "/" {
		t.Errorf("target %q", m.Target)
	}
}

func TestHTTP10ClientGetsNoChunks(t *testing.T) {
	for _, answer := range []string{
		resp("200 OK", chunks("hel", "lo"), "Transfer-Encoding: chunked"),
		resp("200 OK", "hello", "Connection: close"),
		ok("hello"),
	} {
		for _, option := range []string{"", "Connection: keep-alive\r\n"} {
			b := newBackend(t, func(w *wire) { w.request(); w.send(answer) })
			c := front(t, b).dial()
			c.send("GET / HTTP/1.0\r\nHost: a\r\n" + option + "\r\n")
			m := c.answer(200)
			if string(m.Body) != "hello" || m.Framing == chunkedBody {
				t.Errorf("got %q %q", m.Head, m.Body)
			}
			if m.Framing == closeBody {
				c.end()
			}
		}
	}
}

// A chunked answer that breaks must not end like a whole one, though to a
// 1.0 client the end of the connection is all there is: it is reset.
func TestHTTP10ClientCanTellACutAnswer(t *testing.T) {
	if differs(t, "it ends the connection in order") {
		return
	}
	b := newBackend(t, once(says(resp("200 OK", "5\r\nhello\r\n", "Transfer-Encoding: chunked")), closes))
	c := front(t, b).dial()
	c.send("GET / HTTP/1.0\r\nHost: a\r\n\r\n")
	c.await()
	m, err := readAnswer(c.r, "GET")
	if err == nil && m.Status == 200 {
		t.Errorf("a cut answer looks whole: %q %q", m.Head, m.Body)
	}
}

func TestUpstreamPersistence(t *testing.T) {
	for _, r := range []struct {
		name, answer string
		reused       bool
	}{
		{"1.1", ok("x"), true},
		{"1.1 close", ok("x", "Connection: close"), false},
		{"1.1 Close in a list", ok("x", "Connection: foo, CLOSE"), false},
		{"1.0", "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", false},
		{"1.0 keep-alive", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nx", true},
		{"chunked", resp("200 OK", chunks("x"), "Transfer-Encoding: chunked"), true},
		{"error", resp("500 Oops", "", "Content-Length: 0"), true},
		{"Keep-Alive: timeout=0", ok("x", "Keep-Alive: timeout=0"), false},
	} {
		t.Run(r.name, func(t *testing.T) {
			if (strings.Contains(r.name, "list") || strings.Contains(r.name, "timeout") || r.name == "1.0 keep-alive") && differs(t, "it knows only a lone close") {
				return
			}
			b := newBackend(t, always(r.answer))
			p := startProxy(t, proxyConfig{Backends: []string{b.addr}, Loops: 1}) // idle connections belong to a loop
			for range 3 {
				c := p.dial()
				c.send(get("/"))
				c.response("GET")
				c.close()
			}
			want := 3
			if r.reused {
				want = 1
			}
			if n := b.conns(); n != want {
				t.Errorf("%d upstream connections for 3 requests, want %d", n, want)
			}
		})
	}
}

// The server said how long it keeps an idle connection; the gateway gives it
// up before.
func TestUpstreamKeepAliveTimeoutIsRespected(t *testing.T) {
	t.Parallel()
	if differs(t, "it does not know Keep-Alive: timeout") {
		return
	}
	b := newBackend(t, always(ok("", "Keep-Alive: timeout=1, max=100")))
	c := front(t, b).dial()
	c.send(get("/"))
	c.answer(200)
	began := time.Now()
	b.drained()
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("idle connection was given up after %v, the server keeps it for 1 s", took)
	}
}

func TestUpstreamKeepaliveRequests(t *testing.T) {
	b := hello(t)
	cfg := poolConfig{Specs: specs(b.addr)}
	cfg.Settings.KeepaliveRequests = 2
	p := startProxy(t, proxyConfig{Pools: map[string]poolConfig{"web": cfg}})
	c := p.dial()
	for range 6 {
		c.open()
	}
	if n := b.conns(); n != 3 && !differs(t, "it is not configured for this") {
		t.Errorf("%d upstream connections for 6 requests, want 3", n)
	}
}

func TestUpstreamKeepaliveTimeout(t *testing.T) {
	b := hello(t)
	cfg := poolConfig{Specs: specs(b.addr)}
	cfg.Settings.KeepaliveTimeout = 50 * time.Millisecond
	p := startProxy(t, proxyConfig{Pools: map[string]poolConfig{"web": cfg}})
	c := p.dial()
	c.open()
	b.drained()
	c.open()
}

// At most Keepalive idle connections are kept by a loop.
func TestUpstreamKeepaliveBound(t *testing.T) {
	release := make(chan struct{})
	b := newBackend(t, serveAfter(release, func(*message) string { return ok("") }))
	cfg := poolConfig{Specs: specs(b.addr)}
	cfg.Settings.Keepalive = 2
	p := startProxy(t, proxyConfig{Loops: 1, Pools: map[string]poolConfig{"web": cfg}})
	var cs []*wire
	for i := range 5 {
		c := p.dial()
		c.send(get("/"))
		b.connected(i)
		cs = append(cs, c)
	}
	close(release)
	for _, c := range cs {
		c.answer(200)
	}
	late, open := deadline(), 5
	for open > 2 && !late() {
		open = 0
		for i := range 5 {
			select {
			case <-b.connected(i).done:
			case <-time.After(time.Millisecond):
				open++
			}
		}
	}
	if open != 2 {
		t.Errorf("%d idle upstream connections are kept, want 2", open)
	}
}

func TestPipelinedRequestsAreAnsweredInOrder(t *testing.T) {
	b := newBackend(t, serve(func(m *message) string {
		return ok(m.Target + ":" + strings.Repeat("y", len(m.Body)*3))
	}))
	p := front(t, b)
	for _, segment := range []int{1 << 20, 1000, 7} {
		c := p.dial()
		var all string
		for i := range 10 {
			all += pipelined(i)
		}
		go func() {
			for s := all; s != ""; {
				n := min(segment, len(s))
				if c.trySend(s[:n]) != nil {
					return
				}
				s = s[n:]
			}
		}()
		for i := range 10 {
			want := fmt.Sprintf("/%d:%s", i, strings.Repeat("y", 3*bodySize(i)))
			if m := c.answerTo("POST", 200); string(m.Body) != want {
				t.Fatalf("answer %d in segments of %d is %.40q (%d bytes)", i, segment, m.Body, len(m.Body))
			}
		}
		c.open()
	}
}

func bodySize(i int) int { return []int{0, 1, 100, 5000, 20000}[i%5] }

func pipelined(i int) string {
	body := strings.Repeat("x", bodySize(i))
	switch {
	case body == "":
		return get(fmt.Sprintf("/%d", i))
	case i%2 == 0:
		return post(fmt.Sprintf("/%d", i), body)
	}
	return req("POST", fmt.Sprintf("/%d", i), chunked(body), "Transfer-Encoding: chunked")
}

// chunked spells body in chunks of at most 999 bytes.
func chunked(body string) string {
	var parts []string
	for len(body) > 999 {
		parts, body = append(parts, body[:999]), body[999:]
	}
	return chunks(append(parts, body)...)
}

// The first of pipelined requests takes long: the others wait their turn.
func TestPipelinedRequestsWaitForASlowOne(t *testing.T) {
	release := make(chan struct{})
	b := newBackend(t, serveAfter(release, func(m *message) string { return ok(m.Target) }))
	c := front(t, b).dial()
	c.send(get("/slow") + get("/a") + req("HEAD", "/b", "") + get("/c"))
	b.connected(0)
	close(release)
	for _, r := range []struct{ method, want string }{{"GET", "/slow"}, {"GET", "/a"}, {"HEAD", ""}, {"GET", "/c"}} {
		if m := c.response(r.method); string(m.Body) != r.want {
			t.Errorf("got %q, want %q", m.Body, r.want)
		}
	}
}

func TestPipelineDeeperThanABuffer(t *testing.T) {
	b := hello(t)
	c := front(t, b).dial()
	const n = 3000 // about 100 KB of requests
	go c.trySend(strings.Repeat(get("/"), n))
	for range n {
		c.answer(200)
	}
}

func TestByteByByte(t *testing.T) {
	b := newBackend(t, func(w *wire) {
		for {
			m, err := readRequest(w.r)
			if err != nil {
				return
			}
			w.sendIn(1, resp("103 Early Hints", "")+resp("200 OK", chunks(string(m.Body), "!"), "Transfer-Encoding: chunked"))
		}
	})
	c := front(t, b).dial()
	if differs(t, "it drops interim answers") {
		return
	}
	for _, r := range []string{post("/", "body"), req("POST", "/", chunks("bo", "dy"), "Transfer-Encoding: chunked")} {
		c.sendIn(1, r)
		c.answer(103)
		if m := c.answer(200); string(m.Body) != "body!" {
			t.Errorf("got %q", m.Body)
		}
	}
}
