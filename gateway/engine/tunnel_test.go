package engine_test

import (
	"fmt"
	"io"
	"testing"
	"time"
)

func upgrade(target string) string {
	return get(target, "Connection: keep-alive, Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13")
}

var switching = resp("101 Switching Protocols", "", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")

// upgraded reads the request for a tunnel and from there on raw bytes.
func upgraded(w *wire) *message {
	m := w.request()
	w.tunnel()
	return m
}

func TestTunnel(t *testing.T) {
	if differs(t, "it ends the tunnel at the first FIN") {
		return
	}
	b := newBackend(t, func(w *wire) {
		m := upgraded(w)
		if !m.connection("upgrade") || m.get("Upgrade") != "websocket" || m.get("Sec-WebSocket-Key") == "" {
			w.fail("request %q", m.Head)
		}
		w.send(switching + "server speaks first")
		w.expect("client speaks\r\n\x00\xff")
		w.send("server \x00 again")
		w.closeWrite()
		w.expect("client still speaks")
		w.end()
	}, always(ok("")))
	p := front(t, b)
	c := p.dial()
	c.send(upgrade("/chat"))
	m := c.answer(101)
	if !m.connection("upgrade") || m.get("Upgrade") != "websocket" || m.get("Sec-WebSocket-Accept") == "" {
		t.Errorf("got %q", m.Head)
	}
	c.expect("server speaks first")
	c.send("client speaks\r\n\x00\xff")
	c.expect("server \x00 again")
	c.end() // the server's FIN is passed on
	c.send("client still speaks")
	c.closeWrite()
	b.drained()
	p.alive(200)
}

func TestTunnelPassesTheClientsFinOn(t *testing.T) {
	if differs(t, "it ends the tunnel at the first FIN") {
		return
	}
	b := newBackend(t, func(w *wire) {
		upgraded(w)
		w.send(switching)
		w.expect("last words")
		w.end()
		w.send("noted")
	})
	c := front(t, b).dial()
	c.send(upgrade("/"))
	c.answer(101)
	c.send("last words")
	c.closeWrite()
	c.expect("noted")
	c.end()
}

func TestTunnelPassesAResetOn(t *testing.T) {
	gone := make(chan struct{})
	b := newBackend(t, func(w *wire) {
		upgraded(w)
		w.send(switching)
		w.over()
		close(gone)
	}, func(w *wire) {
		upgraded(w)
		w.send(switching)
		w.expect("x")
		w.reset()
	})
	p := front(t, b)
	c := p.dial()
	c.send(upgrade("/"))
	c.answer(101)
	c.reset()
	<-gone
	c = p.dial()
	c.send(upgrade("/") + "x")
	c.answer(101)
	c.gone()
}

// Bytes the client sent with its request belong to whatever comes of it.
func TestBytesBehindAnUpgradeRequest(t *testing.T) {
	t.Run("101: to the tunnel", func(t *testing.T) {
		if differs(t, "it closes the connection") {
			return
		}
		b := newBackend(t, func(w *wire) {
			upgraded(w)
			w.send(switching)
			w.expect("early bytes")
			w.send("thanks")
		})
		c := front(t, b).dial()
		c.send(upgrade("/") + "early bytes")
		c.answer(101)
		c.expect("thanks")
		c.gone()
	})
	t.Run("200: the next request", func(t *testing.T) {
		b := hello(t)
		c := front(t, b).dial()
		c.send(upgrade("/") + get("/next"))
		c.answer(200)
		c.answer(200)
		if all := b.received(); len(all) != 2 || all[1].Target != "/next" || all[1].has("Upgrade") {
			t.Errorf("backend received %+v", all)
		}
	})
	t.Run("200: nothing passes unread", func(t *testing.T) {
		b := hello(t)
		c := front(t, b).dial()
		c.send(upgrade("/") + "GET /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n" + second)
		c.answer(200)
		c.answer(400)
		c.gone()
		b.one()
	})
}

// Only a request that may and does ask for it becomes a tunnel.
func TestNoTunnelUnasked(t *testing.T) {
	for _, r := range []struct{ name, send string }{
		{"no Upgrade", get("/")},
		{"Upgrade without Connection", get("/", "Upgrade: websocket")},
		{"Connection without Upgrade", get("/", "Connection: upgrade")},
		{"h2c", get("/", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAA")},
		{"1.0", "GET / HTTP/1.0\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"},
	} {
		t.Run(r.name, func(t *testing.T) {
			if differs(t, "it relays 101 as the server has it") {
				return
			}
			b := newBackend(t, func(w *wire) {
				m := w.request()
				if m.has("Upgrade") {
					w.fail("Upgrade was forwarded: %q", m.Head)
				}
				w.send(switching)
				w.over()
			})
			c := startProxy(t, proxyConfig{Pools: map[string]poolConfig{"web": onceOnly(b)}}).dial()
			c.send(r.send)
			c.answer(502)
		})
	}
}

func TestTunnelIdleTimeout(t *testing.T) {
	b := newBackend(t, func(w *wire) {
		upgraded(w)
		w.send(switching)
		w.over()
	})
	cfg := poolConfig{Specs: specs(b.addr)}
	if underNginx() { // its tunnels live by proxy_read_timeout
		cfg.Settings.ReadTimeout = 100 * time.Millisecond
	}
	p := startProxy(t, proxyConfig{Pools: map[string]poolConfig{"web": cfg}, Times: times{Tunnel: 100 * time.Millisecond}})
	c := p.dial()
	c.send(upgrade("/"))
	c.answer(101)
	c.gone()
	b.drained()
}

// The read timeout of answers does not end a tunnel, traffic in one
// direction keeps it.
func TestTunnelOutlivesOtherTimeouts(t *testing.T) {
	if differs(t, "its tunnels live by proxy_read_timeout") {
		return
	}
	const short = 100 * time.Millisecond
	b := newBackend(t, func(w *wire) {
		upgraded(w)
		w.send(switching)
		w.expect("finally")
		w.send("yes")
	})
	cfg := poolConfig{Specs: specs(b.addr)}
	cfg.Settings.ReadTimeout = short
	p := startProxy(t, proxyConfig{Pools: map[string]poolConfig{"web": cfg}, Times: times{Idle: short, Header: short, Body: short, Send: short}})
	c := p.dial()
	c.send(upgrade("/"))
	c.answer(101)
	c.conn.SetReadDeadline(time.Now().Add(3 * short))
	if n, err := c.r.Peek(1); err == nil || err == io.EOF {
		t.Fatalf("tunnel said %q, %v", n, err)
	}
	c.r.Reset(c.conn)
	c.send("finally")
	c.expect("yes")
	c.end()
}

// Each direction has its own backpressure: both sides may send at once.
func TestTunnelCarriesBothDirectionsAtOnce(t *testing.T) {
	t.Parallel()
	const size = 8 << 20
	b := newBackend(t, func(w *wire) {
		upgraded(w)
		w.send(switching)
		if err := duplex(w, size); err != nil {
			w.fail("%v", err)
		}
	})
	c := front(t, b).dial()
	c.send(upgrade("/"))
	c.answer(101)
	if err := duplex(c, size); err != nil {
		t.Fatal(err)
	}
	b.drained()
}

// duplex sends size bytes of the pattern while it reads as many.
func duplex(w *wire, size int64) error {
	w.conn.SetDeadline(time.Now().Add(3 * patience))
	sent := make(chan error, 1)
	go func() {
		_, err := io.Copy(w.conn, pattern(size))
		sent <- err
	}()
	if err := checkPattern(w.r, size); err != nil {
		return fmt.Errorf("reading: %w", err)
	}
	return <-sent
}

func TestUpgradeMayBeRefused(t *testing.T) {
	b := newBackend(t, always(resp("426 Upgrade Required", "no", "Content-Length: 2", "Upgrade: other", "Connection: upgrade")))
	c := front(t, b).dial()
	c.send(upgrade("/"))
	if m := c.answer(426); string(m.Body) != "no" {
		t.Errorf("got %q", m.Body)
	}
	c.send(upgrade("/"))
	c.answer(426)
	if n := b.conns(); n != 1 {
		t.Errorf("%d upstream connections, want 1", n)
	}
}
