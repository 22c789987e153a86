package engine_test

import (
	"testing"
	"time"
)

// Shutdown lets what is under way finish, says close, drops idle
// connections and takes no new ones.
func TestShutdownFinishesWhatIsUnderWay(t *testing.T) {
	if differs(t, "it is not shut down this way") {
		return
	}
	release, reading := make(chan struct{}), make(chan struct{})
	b := newBackend(t, func(w *wire) {
		w.request()
		close(reading)
		w.wait(release)
		w.send(ok("done"))
		w.over()
	}, always(ok("")))
	p := startProxy(t, proxyConfig{Backends: []string{b.addr}, Loops: 2})
	busy := p.dial()
	busy.send(get("/"))
	<-reading
	idle := p.dial()
	idle.open()
	cut := make(chan int, 1)
	go func() { cut <- p.shutdown(patience) }()
	idle.end()
	refuses(t, p.Addr)
	close(release)
	m := busy.answer(200)
	if !m.connection("close") || string(m.Body) != "done" {
		t.Errorf("got %q %q", m.Head, m.Body)
	}
	busy.end()
	if n := <-cut; n != 0 {
		t.Errorf("%d connections were cut", n)
	}
}

func TestShutdownCutsAtItsDeadline(t *testing.T) {
	if differs(t, "it is not shut down this way") {
		return
	}
	reading := make(chan struct{})
	b := newBackend(t, func(w *wire) { w.request(); close(reading); w.over() })
	p := front(t, b)
	c := p.dial()
	c.send(get("/"))
	<-reading
	began := time.Now()
	if n := p.shutdown(short); n != 1 {
		t.Errorf("%d connections were cut, want 1", n)
	}
	within(t, began, short*9/10)
	c.gone()
	b.drained()
}

// A request that is sent while the gateway shuts down is answered or its
// connection ends; a pipelined one is not half done.
func TestShutdownUnderLoadFailsNoAnswerBegun(t *testing.T) {
	if differs(t, "it is not shut down this way") {
		return
	}
	b := newBackend(t, always(ok("whole")))
	p := startProxy(t, proxyConfig{Backends: []string{b.addr}, Loops: 2})
	results := make(chan error, 32)
	for range cap(results) {
		c := p.dial()
		c.open()
		go func() { results <- untilClosed(c) }()
	}
	if n := p.shutdown(patience); n != 0 {
		t.Errorf("%d connections were cut", n)
	}
	for range cap(results) {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
}

// untilClosed asks until the connection ends. The end may only come instead
// of an answer, or after one that says close.
func untilClosed(c *wire) error {
	for {
		if err := c.trySend(get("/")); err != nil {
			return nil
		}
		c.await()
		m, err := readAnswer(c.r, "GET")
		switch {
		case err != nil && m == nil && ended(err):
			return nil
		case err != nil:
			return err
		case m.connection("close"):
			return nil
		}
	}
}
