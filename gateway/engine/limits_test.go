package engine_test

import (
	"fmt"
	"strings"
	"testing"
)

func fieldLines(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "X-%d: %d\r\n", i, i)
	}
	return b.String()
}

func TestLimitsOfTheHead(t *testing.T) {
	b := hello(t)
	p := startProxy(t, proxyConfig{Backends: addrs([]*backend{b}), Limits: limits{RequestLine: 8200, HeadBytes: 16 << 10, Fields: 50}})
	long := func(n int) string { return "/" + strings.Repeat("x", n) }
	for _, r := range []struct {
		name, send string
		want       int
		nginx      string
	}{
		{"target of 8000 octets", get(long(7999)), 200, ""},
		{"target too long", get(long(9000)), 414, "has the one limit for both"},
		{"target too long, request not at its end", "GET " + long(20000), 414, ""},
		{"absolute target too long", get("http://a" + long(9000)), 414, "has the one limit for both"},
		{"head just fits", get("/", "X: "+strings.Repeat("x", 16000)), 200, ""},
		{"one field too long", get("/", "X: "+strings.Repeat("x", 17000)), 431, "answers 400"},
		{"field too long, head not at its end", "GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("x", 17000), 431, "answers 400"},
		{"name too long", "GET / HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("x", 17000), 431, "answers 400"},
		{"many fields fit", "GET / HTTP/1.1\r\nHost: a\r\n" + fieldLines(49) + "\r\n", 200, ""},
		{"too many fields", "GET / HTTP/1.1\r\nHost: a\r\n" + fieldLines(60) + "\r\n", 431, "has no such limit"},
		{"too many bytes in fields", "GET / HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("X: "+strings.Repeat("y", 500)+"\r\n", 40) + "\r\n", 431, "limits otherwise"},
	} {
		t.Run(r.name, func(t *testing.T) {
			if r.nginx != "" && differs(t, r.nginx) {
				return
			}
			c := dial(t, p.Addr)
			c.send(r.send)
			m := c.answer(r.want)
			if r.want == 200 {
				c.open()
				return
			}
			if !m.connection("close") {
				t.Errorf("the answer does not say close: %q", m.Head)
			}
			c.gone()
		})
	}
}

func TestHeadsFarBeyondABuffer(t *testing.T) {
	b := newBackend(t, serve(func(m *message) string { return ok(fmt.Sprint(len(m.Fields)), "X-Echo: "+m.get("X-Big")) }))
	p := startProxy(t, proxyConfig{
		Backends: addrs([]*backend{b}), Limits: limits{RequestLine: 70 << 10, HeadBytes: 200 << 10, Fields: 2000},
	})
	if differs(t, "its buffers for answers are small") {
		return
	}
	c := p.dial()
	big := strings.Repeat("v", 20<<10)
	c.send(get("/"+strings.Repeat("p", 60<<10), "X-Big: "+big, "X-More: "+strings.Repeat("m", 80<<10)))
	if got := c.answer(200).get("X-Echo"); got != big {
		t.Errorf("field of %d bytes came back with %d", len(big), len(got))
	}
	c.send("GET / HTTP/1.1\r\nHost: a\r\n" + fieldLines(1500) + "\r\n")
	if m := c.answer(200); len(m.Body) != 4 {
		t.Errorf("backend saw %s fields", m.Body)
	}
	c.open()
}

func TestLimitOfTheBody(t *testing.T) {
	const limit = 1000
	for _, r := range []struct {
		name, send string
		want       int
		reaches    bool // the head may reach the backend before the excess shows
	}{
		{"length fits", post("/", strings.Repeat("x", limit)), 200, true},
		{"length too large", req("POST", "/", "", "Content-Length: 1001"), 413, false},
		{"length far too large", req("POST", "/", "", "Content-Length: 9223372036854775807"), 413, false},
		{"length too large, body behind it", post("/", strings.Repeat("x", 5000)), 413, false},
		{"length too large with Expect", req("POST", "/", "", "Content-Length: 1001", "Expect: 100-continue"), 413, false},
		{"chunked fits", req("POST", "/", chunks(strings.Repeat("x", 500), strings.Repeat("y", 500)), "Transfer-Encoding: chunked"), 200, true},
		{"chunked too large", req("POST", "/", chunks(strings.Repeat("x", 500), strings.Repeat("y", 501)), "Transfer-Encoding: chunked"), 413, true},
	} {
		t.Run(r.name, func(t *testing.T) {
			if r.want == 413 && differs(t, "it lingers for 5 s and answers 400 to a chunk of 2^63-1 bytes") {
				return
			}
			b := newBackend(t, serve(func(*message) string { return ok("") }))
			p := startProxy(t, proxyConfig{Backends: addrs([]*backend{b}), Limits: limits{Body: limit}})
			c := p.dial()
			c.send(r.send)
			m := c.answerTo("POST", r.want)
			if r.want == 200 {
				c.open()
				return
			}
			if m.connection("close") {
				c.gone()
			}
			if !r.reaches {
				b.untouched(t)
			}
			b.none()
			p.alive(200)
		})
	}
}

func TestLimitOfConnections(t *testing.T) {
	if differs(t, "it is not configured for this") {
		return
	}
	for _, l := range []limits{{Conns: 3}, {ConnsPerIP: 3}} {
		b := hello(t)
		p := startProxy(t, proxyConfig{Backends: addrs([]*backend{b}), Limits: l})
		var held []*wire
		for range 3 {
			c := p.dial()
			c.open()
			held = append(held, c)
		}
		over := p.dial()
		over.trySend(get("/over"))
		over.await()
		if m, err := readAnswer(over.r, "GET"); err == nil && m.Status < 400 {
			t.Errorf("connection beyond %+v got %q", l, m.Head)
		}
		for _, c := range held {
			c.open()
		}
		held[0].close()
		reconnect(t, p)
	}
}

// reconnect waits until a freed place can be used again.
func reconnect(t *testing.T, p *proxy) {
	t.Helper()
	late := deadline()
	for !late() {
		c := p.dial()
		c.trySend(get("/again"))
		c.await()
		if m, err := readAnswer(c.r, "GET"); err == nil && m.Status == 200 {
			return
		}
	}
	t.Fatal("a closed connection does not make room")
}
