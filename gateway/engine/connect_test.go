package engine_test

import (
	"testing"
)

const connect = "CONNECT db:5432 HTTP/1.1\r\nHost: db:5432\r\n\r\n"

// connects is a gateway whose route for host db allows CONNECT; all others
// lead to the same servers and do not.
func connects(t *testing.T, b *backend) *proxy {
	t.Helper()
	return startProxy(t, proxyConfig{
		Backends: []string{b.addr},
		Routes:   []routeRule{{Host: "db", Upstream: "web", Connect: true}, {Upstream: "web"}},
	})
}

// A 2xx makes a tunnel of raw bytes that passes FIN on each way; what the
// client sent ahead goes first, what the server sent behind its head too.
func TestConnectTunnels(t *testing.T) {
	if differs(t, "it does not know CONNECT") {
		return
	}
	for _, answer := range []string{
		resp("200 Connection established", ""),
		resp("200 OK", "", "Content-Length: 5"), // a length means nothing here (RFC 9110 9.3.6)
		resp("204 No Content", ""),
		resp("200 OK", "", "Transfer-Encoding: chunked"),
	} {
		b := newBackend(t, func(w *wire) {
			m := upgraded(w)
			if m.Target != "db:5432" || m.get("Host") != "db:5432" {
				w.fail("got %q", m.Head)
			}
			w.send(answer + "\x00server first")
			w.expect("early\x00")
			w.closeWrite()
			w.expect("late")
			w.end()
		}, always(ok("")))
		p := connects(t, b)
		c := p.dial()
		c.send(connect + "early\x00")
		if m := c.response("CONNECT"); m.Status/100 != 2 || m.has("Transfer-Encoding") || m.has("Content-Length") {
			t.Errorf("got %q", m.Head)
		}
		c.expect("\x00server first")
		c.end()
		c.send("late")
		c.closeWrite()
		b.drained()
		c.close()
		p.alive(200)
		p.settles()
	}
}

// Any other answer is an answer like others: its body is framed, and the
// connection serves the next request.
func TestConnectRefusedByTheServer(t *testing.T) {
	if differs(t, "it does not know CONNECT") {
		return
	}
	for _, r := range []struct {
		answer string
		status int
		body   string
	}{
		{resp("403 Forbidden", "no", "Content-Length: 2"), 403, "no"},
		{resp("407 Who", chunks("n", "o"), "Transfer-Encoding: chunked"), 407, "no"},
		{resp("302 There", "", "Content-Length: 0", "Location: /"), 302, ""},
	} {
		b := newBackend(t, serve(func(m *message) string {
			if m.Method == "CONNECT" {
				return r.answer
			}
			return ok("next")
		}))
		c := connects(t, b).dial()
		c.send(connect)
		if m := c.answerTo("CONNECT", r.status); string(m.Body) != r.body {
			t.Errorf("got %q, want %q", m.Body, r.body)
		}
		c.open()
		if b.conns() != 1 {
			t.Errorf("%d upstream connections, want 1", b.conns())
		}
	}
}

// 101 is no answer to CONNECT.
func TestConnectAnsweredBySwitching(t *testing.T) {
	if differs(t, "it does not know CONNECT") {
		return
	}
	b := newBackend(t, func(w *wire) { upgraded(w); w.send(switching + "raw"); w.over() })
	c := connects(t, b).dial()
	c.send(connect)
	c.answerTo("CONNECT", 502)
}

// Without leave of its route CONNECT is 405, the server never hears of it,
// and what follows is not taken for a request.
func TestConnectWithoutLeave(t *testing.T) {
	if differs(t, "it does not know CONNECT") {
		return
	}
	b := hello(t)
	c := connects(t, b).dial()
	c.send("CONNECT other:443 HTTP/1.1\r\nHost: other:443\r\n\r\n" + get("/smuggled"))
	m := c.answerTo("CONNECT", 405)
	if m.get("Allow") == "" || !m.connection("close") {
		t.Errorf("got %q", m.Head)
	}
	c.gone()
	b.untouched(t)
}

// CONNECT is not idempotent: once it was sent it is not sent again.
func TestConnectIsNotRepeated(t *testing.T) {
	if differs(t, "it does not know CONNECT") {
		return
	}
	dead, tries := counted(t, func(w *wire, m *message) { w.reset() })
	cfg := withRetry(onError, dead.addr, dead.addr)
	cfg.Routes = []routeRule{{Upstream: "web", Connect: true}}
	c := startProxy(t, cfg).dial()
	c.send(connect)
	c.answerTo("CONNECT", 502)
	if n := tries.Load(); n != 1 {
		t.Errorf("tried %d times, want once", n)
	}
}
