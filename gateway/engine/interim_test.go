package engine_test

import (
	"testing"
	"time"
)

func TestInterimAnswersPass(t *testing.T) {
	if differs(t, "it drops interim answers") {
		return
	}
	hints := resp("103 Early Hints", "", "Link: </a.css>; rel=preload", "X-Gone: 1", "Connection: X-Gone")
	b := newBackend(t, always(resp("102 Processing", "")+hints+hints+ok("final")))
	c := front(t, b).dial()
	for range 2 {
		c.send(get("/"))
		c.answer(102)
		for range 2 {
			if m := c.answer(103); m.get("Link") != "</a.css>; rel=preload" || m.has("X-Gone") {
				t.Errorf("got %q", m.Head)
			}
		}
		if m := c.answer(200); string(m.Body) != "final" || m.has("Link") {
			t.Errorf("got %q %q", m.Head, m.Body)
		}
	}
}

// Interim answers arrive one by one, not with the final one.
func TestInterimAnswersAreNotHeldBack(t *testing.T) {
	if differs(t, "it drops interim answers") {
		return
	}
	seen := make(chan struct{})
	b := newBackend(t, once(says(resp("103 Early Hints", "")), func(w *wire) { w.wait(seen) }, says(ok(""))))
	c := front(t, b).dial()
	c.send(get("/"))
	c.answer(103)
	close(seen)
	c.answer(200)
}

func TestInterimAnswersDoNotReachHTTP10(t *testing.T) {
	if differs(t, "it takes an interim answer for the final one") {
		return
	}
	b := newBackend(t, always(resp("100 Continue", "")+resp("103 Early Hints", "")+ok("final")))
	c := front(t, b).dial()
	c.send("GET / HTTP/1.0\r\nHost: a\r\n\r\n")
	if m := c.answer(200); string(m.Body) != "final" {
		t.Errorf("got %q", m.Body)
	}
	c.end()
}

// Without end, interim answers are an attack; the gateway may stop or go on,
// but the connection ends with the server's.
func TestInterimAnswersThenEnd(t *testing.T) {
	if differs(t, "it takes an interim answer for the final one") {
		return
	}
	b := newBackend(t, once(says(resp("103 Early Hints", "")), closes), always(ok("next")))
	p := startProxy(t, proxyConfig{Pools: map[string]poolConfig{"web": onceOnly(b)}})
	c := p.dial()
	c.send(get("/"))
	m := c.response("GET")
	if m.Status == 103 {
		c.cut("GET")
	} else if m.Status != 502 {
		t.Errorf("got %q", m.Head)
	}
	p.alive(200)
}

func TestExpectContinueEndToEnd(t *testing.T) {
	if differs(t, "it answers 100 itself") {
		return
	}
	for _, framing := range []string{"Content-Length: 5", "Transfer-Encoding: chunked"} {
		b := newBackend(t, func(w *wire) {
			m := w.head()
			if m.get("Expect") != "100-continue" {
				w.fail("head %q without Expect", m.Head)
			}
			w.send(resp("100 Continue", ""))
			m.readBody(w.r)
			w.send(ok(string(m.Body)))
			w.over()
		})
		c := front(t, b).dial()
		c.send(req("POST", "/", "", "Expect: 100-continue", framing))
		c.answerTo("POST", 100)
		if framing == "Content-Length: 5" {
			c.send("hello")
		} else {
			c.send(chunks("hello"))
		}
		if m := c.answerTo("POST", 200); string(m.Body) != "hello" {
			t.Errorf("got %q", m.Body)
		}
	}
}

// The server refuses: the client hears it and is not asked for the body.
func TestExpectRefused(t *testing.T) {
	if differs(t, "it answers 100 itself") {
		return
	}
	for _, status := range []string{"417 Expectation Failed", "403 Forbidden"} {
		b := newBackend(t, func(w *wire) {
			w.head()
			w.send(resp(status, "", "Content-Length: 0"))
			w.over()
		}, always(ok("next")))
		p := front(t, b)
		c := p.dial()
		c.send(req("POST", "/", "", "Content-Length: 33", "Expect: 100-continue"))
		m := c.response("POST")
		if m.Start[9:] != status {
			t.Errorf("got %q", m.Start)
		}
		// The body that never came may not be read as a request, nor a
		// request as the body.
		if m.connection("close") {
			c.gone()
		} else {
			c.trySend(second)
			c.trySend(get("/after"))
		}
		p.alive(200)
		for _, m := range b.received() {
			if m.Target == "/second" {
				t.Error("a body was read as a request")
			}
		}
	}
}

// A client that does not wait sends its body at once.
func TestExpectWithoutWaiting(t *testing.T) {
	b := newBackend(t, func(w *wire) {
		for {
			m, err := readHead(w.r)
			if err != nil {
				return
			}
			if m.has("Expect") {
				w.send(resp("100 Continue", ""))
			}
			m.readBody(w.r)
			w.send(ok(string(m.Body)))
		}
	})
	c := front(t, b).dial()
	for range 2 {
		c.send(post("/", "hello", "Expect: 100-continue"))
		m := c.response("POST")
		if m.Status == 100 {
			m = c.response("POST")
		}
		if m.Status != 200 || string(m.Body) != "hello" {
			t.Errorf("got %q %q", m.Head, m.Body)
		}
	}
}

// A server that does not know the expectation waits for the body; after a
// while the gateway asks for it.
func TestExpectTimer(t *testing.T) {
	b := newBackend(t, always(ok("got it")))
	p := startProxy(t, proxyConfig{Backends: addrs([]*backend{b}), Times: times{Expect: 50 * time.Millisecond}})
	c := p.dial()
	for range 2 {
		c.send(req("POST", "/", "", "Content-Length: 5", "Expect: 100-continue"))
		c.answerTo("POST", 100)
		c.send("hello")
		c.answerTo("POST", 200)
	}
	if all := b.received(); len(all) != 2 || string(all[1].Body) != "hello" {
		t.Errorf("backend received %+v", all)
	}
}

func TestExpectUnknown(t *testing.T) {
	if differs(t, "it forwards it") {
		return
	}
	b := hello(t)
	c := front(t, b).dial()
	c.send(req("POST", "/", "", "Content-Length: 5", "Expect: magic"))
	c.answerTo("POST", 417)
}

func TestExpectOfHTTP10IsIgnored(t *testing.T) {
	b := hello(t)
	c := front(t, b).dial()
	c.send("POST / HTTP/1.0\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello")
	c.answerTo("POST", 200)
	if got := string(b.one().Body); got != "hello" {
		t.Errorf("body %q", got)
	}
}
