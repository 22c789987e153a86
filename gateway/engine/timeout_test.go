package engine_test

import (
	"strings"
	"testing"
	"time"
)

// short is a timeout that a test waits out.
const short = 100 * time.Millisecond

func slow(t *testing.T, x times, b *backend) *proxy {
	t.Helper()
	return startProxy(t, proxyConfig{Backends: []string{b.addr}, Times: x})
}

// within fails if more than patience's half went by since began, or less
// than least.
func within(t *testing.T, began time.Time, least time.Duration) {
	t.Helper()
	if took := time.Since(began); took < least || took > patience/2 {
		t.Errorf("took %v, want a little more than %v", took, least)
	}
}

func TestHeaderTimeout(t *testing.T) {
	for _, part := range []string{"G", "GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\r"} {
		if differs(t, "it closes without an answer") {
			return
		}
		b := hello(t)
		c := slow(t, times{Header: short}, b).dial()
		began := time.Now()
		c.send(part)
		m := c.answer(408)
		within(t, began, short*9/10)
		if !m.connection("close") {
			t.Errorf("got %q", m.Head)
		}
		c.gone()
		b.untouched(t)
	}
}

// The time for a head is for the whole of it: a byte now and then does not
// buy more.
func TestHeaderTimeoutOfADrippingClient(t *testing.T) {
	t.Parallel()
	b := hello(t)
	c := slow(t, times{Header: 3 * short}, b).dial()
	began := time.Now()
	tick := time.NewTicker(short / 5)
	defer tick.Stop()
	for range 500 {
		<-tick.C
		if c.trySend("G") != nil {
			break
		}
	}
	within(t, began, 3*short*9/10)
	b.untouched(t)
}

// It is also for the head of a later request.
func TestHeaderTimeoutOfASecondRequest(t *testing.T) {
	if differs(t, "it closes without an answer") {
		return
	}
	c := slow(t, times{Header: short}, hello(t)).dial()
	c.open()
	c.send("GET / HTTP/1.1\r\n")
	c.answer(408)
	c.gone()
}

// An idle connection is closed without a word.
func TestIdleTimeout(t *testing.T) {
	p := slow(t, times{Idle: short, Header: short}, hello(t))
	c := p.dial()
	c.open()
	began := time.Now()
	c.end()
	within(t, began, short*9/10)
	fresh := p.dial()
	fresh.gone()
}

func TestBodyTimeout(t *testing.T) {
	if differs(t, "it closes without an answer") {
		return
	}
	for _, r := range []struct{ name, send string }{
		{"length", req("POST", "/", "he", "Content-Length: 5")},
		{"no byte", req("POST", "/", "", "Content-Length: 5")},
		{"chunked", req("POST", "/", "5\r\nhe", "Transfer-Encoding: chunked")},
	} {
		t.Run(r.name, func(t *testing.T) {
			b := hello(t)
			p := slow(t, times{Body: short}, b)
			c := p.dial()
			c.send(r.send)
			m := c.answerTo("POST", 408)
			if !m.connection("close") {
				t.Errorf("got %q", m.Head)
			}
			c.gone()
			b.drained()
			b.none()
			p.alive(200)
		})
	}
}

// A body that trickles is cut although each byte comes in time, but not
// before the grace is over: by default 10 s.
func TestBodyRateFloor(t *testing.T) {
	t.Parallel()
	for _, r := range []struct {
		name  string
		x     times
		least time.Duration
	}{
		{"no grace", times{BodyRate: 10000, Body: short, Grace: time.Nanosecond}, 0},
		{"short grace", times{BodyRate: 10000, Body: short, Grace: 6 * short}, 6 * short},
		{"default", times{BodyRate: 10000, Body: 10 * short}, 10 * time.Second},
	} {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			if differs(t, "it has no such thing") {
				return
			}
			b := hello(t)
			p := slow(t, r.x, b)
			c := p.dial()
			began := time.Now()
			c.send(req("POST", "/", "", "Content-Length: 1000000"))
			go trickle(c)
			c.conn.SetReadDeadline(began.Add(r.least + patience))
			m, err := readAnswer(c.r, "POST")
			if took := time.Since(began); err != nil || m.Status != 408 || took < r.least {
				t.Errorf("250 bytes a second: %+v, %v after %v, want 408 after %v", m, err, took, r.least)
			}
			c.close()
			b.drained()
			b.none()
			p.alive(200)
		})
	}
}

// trickle sends 250 bytes a second until nobody takes them.
func trickle(c *wire) {
	tick := time.NewTicker(short / 5)
	defer tick.Stop()
	for c.trySend("xxxxx") == nil {
		<-tick.C
	}
}

// The grace is no leave to stand still, and what came late but then fast is
// not cut for it.
func TestBodyRateGrace(t *testing.T) {
	if differs(t, "it has no such thing") {
		return
	}
	b := hello(t)
	p := slow(t, times{BodyRate: 1000, Body: short, Grace: 30 * short}, b)
	c := p.dial()
	c.send(req("POST", "/", "", "Content-Length: 1000000"))
	c.answerTo("POST", 408)
	c = slow(t, times{BodyRate: 1000, Grace: 3 * short}, b).dial()
	c.send(req("POST", "/", "", "Content-Length: 1000"))
	pauseFor(t, 2*short)
	c.send(strings.Repeat("x", 1000))
	c.answerTo("POST", 200)
}

// The floor counts what the client does, not what the server does not take.
func TestBodyRateFloorSparesAFastClient(t *testing.T) {
	t.Parallel()
	const size = 16 << 20
	hold := make(chan struct{})
	b := newBackend(t, unrecorded(func(w *wire, m *message) {
		w.wait(hold)
		if err := checkPattern(w.r, size); err != nil {
			w.fail("%v", err)
		}
		w.send(ok(""))
	}))
	p := slow(t, times{BodyRate: 1 << 20, Body: short, Grace: time.Nanosecond}, b)
	c := p.dial()
	c.send(req("POST", "/", "", "Content-Length: 16777216"))
	began := time.Now()
	go func() {
		c.conn.SetWriteDeadline(time.Now().Add(3 * patience))
		writePattern(c, size)
	}()
	timer := time.NewTimer(time.Until(began.Add(2500 * time.Millisecond)))
	<-timer.C
	close(hold)
	c.answerTo("POST", 200)
}

func TestReadTimeoutIs504(t *testing.T) {
	for _, r := range []struct {
		name   string
		script func(*wire)
	}{
		{"nothing", once(stalls)},
		{"part of a head", once(says("HTTP/1.1 200 OK\r\nX: "), stalls)},
	} {
		t.Run(r.name, func(t *testing.T) {
			b := newBackend(t, r.script)
			cfg := onceOnly(b)
			cfg.Settings.ReadTimeout = short
			p := startProxy(t, proxyConfig{Pools: map[string]poolConfig{"web": cfg}})
			c := p.dial()
			began := time.Now()
			c.send(get("/"))
			c.answer(504)
			within(t, began, short*9/10)
			b.drained()
		})
	}
}

func TestReadTimeoutInABodyCutsTheClient(t *testing.T) {
	b := newBackend(t, once(says(resp("200 OK", "hello", "Content-Length: 10")), stalls))
	cfg := onceOnly(b)
	cfg.Settings.ReadTimeout = short
	c := startProxy(t, proxyConfig{Pools: map[string]poolConfig{"web": cfg}}).dial()
	c.send(get("/"))
	c.cut("GET")
	b.drained()
}

func TestConnectTimeoutIs504(t *testing.T) {
	cfg := poolConfig{Specs: specs(blackhole(t))}
	cfg.Settings.Retry.Tries = 1
	cfg.Settings.ConnectTimeout = short
	c := startProxy(t, proxyConfig{Pools: map[string]poolConfig{"web": cfg}}).dial()
	began := time.Now()
	c.send(get("/"))
	c.answer(504)
	within(t, began, short*9/10)
}

func TestSendTimeoutIs504(t *testing.T) {
	b := newBackend(t, func(w *wire) { <-w.t.Context().Done() })
	cfg := onceOnly(b)
	cfg.Settings.SendTimeout = 2 * short
	p := startProxy(t, proxyConfig{Pools: map[string]poolConfig{"web": cfg}})
	c := p.dial()
	c.send(req("POST", "/", "", "Content-Length: 1000000000"))
	writeUntilBlocked(c, 1<<30)
	c.answerTo("POST", 504)
}

// A client that does not take its answer is dropped, and with it the
// upstream request.
func TestClientSendTimeout(t *testing.T) {
	b := newBackend(t, unrecorded(func(w *wire, m *message) {
		w.send(resp("200 OK", "", "Content-Length: 1000000000"))
		writePattern(w, 1000000000)
	}))
	c := slow(t, times{Send: 2 * short}, b).dial()
	c.send(get("/"))
	b.connected(0)
	b.drained()
	c.over()
}

// writePattern writes until it fails, or all.
func writePattern(w *wire, size int64) error {
	p := pattern(size)
	buf := make([]byte, 64<<10)
	for {
		n, err := p.Read(buf)
		if err != nil {
			return nil
		}
		if _, err := w.conn.Write(buf[:n]); err != nil {
			return err
		}
	}
}

// What is refused is readable although the client sends on: the connection
// lingers instead of resetting.
func TestRefusalIsReadableWhileTheClientSends(t *testing.T) {
	for _, r := range []struct {
		name, send string
		want       int
	}{
		{"413", req("POST", "/", "", "Content-Length: 60000"), 413},
		{"400", "GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400},
		{"501", req("POST", "/", "", "Transfer-Encoding: br"), 501},
	} {
		t.Run(r.name, func(t *testing.T) {
			b := hello(t)
			p := startProxy(t, proxyConfig{Backends: []string{b.addr}, Limits: limits{Body: 1000}})
			c := p.dial()
			c.send(r.send)
			c.await()
			if _, err := c.r.Peek(1); err != nil { // refused already
				t.Fatal(err)
			}
			for range 60 { // what is sent now meets a closing connection
				c.send(strings.Repeat("x", 1000))
			}
			c.closeWrite()
			c.answerTo("POST", r.want)
			c.gone()
		})
	}
}

// One that never stops sending is cut in the end.
func TestLingeringEnds(t *testing.T) {
	if differs(t, "it lingers for 30 s") {
		return
	}
	p := front(t, hello(t))
	c := p.dial()
	c.send("GET / HTTP/1.1\r\nHost : a\r\n\r\n")
	late := deadline()
	for c.trySend(strings.Repeat("x", 4096)) == nil {
		if late() {
			t.Fatal("the connection lingers without end")
		}
	}
}
