package engine_test

import "testing"

// A client that ends its side behind a complete request is gone, unless the
// configuration says otherwise: the upstream request is cancelled.
func TestHalfCloseCancels(t *testing.T) {
	for _, r := range []struct{ name, send string }{
		{"GET", get("/")},
		{"POST", post("/", "hello")},
		{"chunked", req("POST", "/", chunks("hello"), "Transfer-Encoding: chunked")},
	} {
		t.Run(r.name, func(t *testing.T) {
			b := newBackend(t, stallsUnlessAlive)
			p := front(t, b)
			c := p.dial()
			c.send(r.send)
			c.closeWrite()
			c.gone()
			b.drained()
			p.alive(200)
		})
	}
}

// stallsUnlessAlive answers proxy.alive and nothing else. How much of a
// cancelled request arrives is left open.
func stallsUnlessAlive(w *wire) {
	if m, err := readRequest(w.r); err == nil && m.Target == "/alive" {
		w.send(ok(""))
	}
	w.over()
}

// The FIN may come in the segment of the request, or while the answer is on
// its way.
func TestHalfCloseWhileWaiting(t *testing.T) {
	reading := make(chan struct{})
	b := newBackend(t, func(w *wire) { w.request(); close(reading); w.over() }, always(ok("next")))
	p := front(t, b)
	c := p.dial()
	c.send(get("/"))
	<-reading
	c.closeWrite()
	c.gone()
	b.drained()
	p.alive(200)
}

func TestResetCancels(t *testing.T) {
	reading := make(chan struct{})
	b := newBackend(t, func(w *wire) { w.request(); close(reading); w.over() }, always(ok("next")))
	for _, answer := range []bool{false, true} {
		if answer {
			reading = make(chan struct{})
			b = newBackend(t, func(w *wire) { w.request(); close(reading); w.over() }, always(ok("next")))
		}
		p := startProxy(t, proxyConfig{Backends: []string{b.addr}, AnswerHalfClosed: answer && !underNginx()})
		c := p.dial()
		c.send(get("/"))
		<-reading
		c.reset()
		b.drained()
		p.alive(200)
	}
}

// A client that goes away in the middle of an answer ends it upstream too.
func TestResetInTheMiddleOfAnAnswer(t *testing.T) {
	b := newBackend(t, once(says(resp("200 OK", "hello", "Content-Length: 1000000"))), always(ok("next")))
	p := front(t, b)
	c := p.dial()
	c.send(get("/"))
	c.await()
	if _, err := c.r.Peek(1); err != nil {
		t.Fatal(err)
	}
	c.reset()
	b.drained()
	p.alive(200)
}

// With `client_half_close: answer` all that was asked is answered.
func TestHalfCloseAnswered(t *testing.T) {
	release := make(chan struct{})
	b := newBackend(t, serveAfter(release, func(m *message) string { return ok(m.Target + string(m.Body)) }))
	p := startProxy(t, proxyConfig{Backends: []string{b.addr}, AnswerHalfClosed: true})
	c := p.dial()
	c.send(get("/a") + post("/b", "c") + get("/d"))
	c.closeWrite()
	close(release)
	for _, want := range []string{"/a", "/bc", "/d"} {
		if m := c.answer(200); string(m.Body) != want {
			t.Errorf("got %q, want %q", m.Body, want)
		}
	}
	c.end()
}

// FIN on an idle connection closes it, nothing more.
func TestHalfCloseOfAnIdleConnection(t *testing.T) {
	b := hello(t)
	p := front(t, b)
	fresh := p.dial()
	fresh.closeWrite()
	fresh.end()
	used := p.dial()
	used.open()
	used.closeWrite()
	used.end()
	b.one()
}

// The late answer to a cancelled request reaches nobody.
func TestLateAnswerToCancelledRequest(t *testing.T) {
	reading, late := make(chan struct{}), make(chan struct{})
	b := newBackend(t, func(w *wire) {
		w.request()
		close(reading)
		w.wait(late)
		w.trySend(ok("late"))
		w.over()
	}, always(ok("next")))
	p := front(t, b)
	gone := p.dial()
	gone.send(get("/"))
	<-reading
	gone.reset()
	c := p.dial()
	c.send(get("/"))
	close(late)
	if m := c.answer(200); string(m.Body) != "next" {
		t.Errorf("got %q", m.Body)
	}
	c.open()
}
