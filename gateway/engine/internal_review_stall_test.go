package engine

import (
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"
)

func fileOf(fd int) *os.File { return os.NewFile(uintptr(fd), "") }

const upgrade = "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"

const switching = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"

// A body that came while the connection was under way is read on once it is
// there.
func TestReviewBodyGoesOnAfterConnect(t *testing.T) {
	const n = 60 << 10
	addr, hear := deaf(t, func(p *peer) {
		p.head()
		p.take(n)
		p.send(plainOK)
	})
	r := newRig(t, patientSettings(), patientTimeouts(), addr)
	c := r.dial()
	c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 61440\r\n\r\n" + strings.Repeat("x", n/2))
	r.await("the first half is read", func() bool {
		ex := firstExchange(r.l)
		return ex != nil && ex.bodyRead == n/2
	})
	c.send(strings.Repeat("x", n/2))
	hear()
	if s := c.status(); s != "200" {
		t.Errorf("got %q", s)
	}
}

func firstExchange(l *loop) (ex *exchange) {
	l.loop.Each(eachClient(func(c *client) {
		if c.ex != nil {
			ex = c.ex
		}
	}))
	return ex
}

// A tunnel whose server was slow to read for a while lives on when it has
// caught up: the send timer ends with what it watched.
func TestReviewTunnelSurvivesASlowServer(t *testing.T) {
	const big = 16 << 20
	read := make(chan struct{})
	addr := serve(t, func(p *peer) {
		p.head()
		p.send(switching)
		<-read
		p.take(big)
		for {
			b, err := p.r.ReadByte()
			if err != nil {
				return
			}
			p.send(string(b))
		}
	})
	set := patientSettings()
	set.SendTimeout = 700 * time.Millisecond
	r := newRig(t, set, patientTimeouts(), addr)
	c := r.dial()
	c.send(upgrade)
	c.head()
	sent := make(chan struct{})
	go func() { defer close(sent); c.send(strings.Repeat("x", big)) }()
	r.await("the server is full", func() bool { ex := firstExchange(r.l); return ex != nil && ex.blocked() })
	close(read)
	<-sent
	c.send("a")
	if got := c.take(1); got != "a" {
		t.Fatalf("got %q", got)
	}
	r.on(func() {
		if ex := firstExchange(r.l); ex == nil || ex.u == nil || ex.u.Deadline() != 0 {
			t.Error("the server's timer runs on in a tunnel with nothing to send")
		}
	})
}

// A tunnel whose server has sent FIN while the client lagged still has its
// idle timer when the client has caught up.
func TestReviewHalfClosedTunnelHasATimer(t *testing.T) {
	const big = 16 << 20
	wrote := make(chan struct{})
	addr := serve(t, func(p *peer) {
		p.head()
		p.send(switching)
		p.send(strings.Repeat("x", big))
		p.Conn.(interface{ CloseWrite() error }).CloseWrite()
		close(wrote)
		io.Copy(io.Discard, p.r)
	})
	times := patientTimeouts()
	times.Tunnel = 300 * time.Millisecond
	r := newRig(t, patientSettings(), times, addr)
	c := r.dial()
	c.send(upgrade)
	c.head()
	r.await("the client lags", func() bool { ex := firstExchange(r.l); return ex != nil && ex.c.lagging() })
	c.take(big)
	<-wrote
	if b, err := c.r.ReadByte(); err != io.EOF {
		t.Fatalf("got %q, %v instead of the server's FIN", b, err)
	}
	r.await("the tunnel's timer ends it", func() bool { return r.l.m.Active.Load() == 0 })
}

// While the client lags the server's timers rest; when it has caught up and
// the server still takes nothing of the body, the send timer runs again.
func TestReviewSendTimerAfterALag(t *testing.T) {
	const big = 64 << 20
	addr := serve(t, func(p *peer) {
		p.head()
		//arch:allow sleep: a server that stalls
		time.Sleep(2 * reviewPatience) // and takes no byte of the body
	})
	r := newRig(t, patientSettings(), patientTimeouts(), addr)
	c := r.dial()
	c.send(fmt.Sprintf("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", big))
	go io.WriteString(c, strings.Repeat("y", big))
	r.await("the server is full", func() bool {
		ex := firstExchange(r.l)
		return ex != nil && ex.u != nil && ex.u.state == upBusy && ex.blocked()
	})
	r.on(func() {
		ex := firstExchange(r.l)
		r.l.loop.Disarm(&ex.u.Source) // as pumpResponse does when the client lags
		ex.clientDrained()
		if ex.u.Deadline() == 0 {
			t.Error("nothing bounds how long the server may take nothing")
		}
	})
}

// The floor of the body's rate counts from when the body may come, also
// behind Expect.
func TestReviewRateFloorBehindExpect(t *testing.T) {
	addr := serve(t, func(p *peer) {
		p.head()
		p.take(10)
		p.send(plainOK)
	})
	times := patientTimeouts()
	times.MinBodyRate, times.BodyGrace, times.Expect = 8, time.Nanosecond, 300*time.Millisecond
	r := newRig(t, patientSettings(), times, addr)
	c := r.dial()
	r.await("the loop is older than the body may take", func() bool { return r.l.loop.Now() > int64(1500*time.Millisecond) })
	c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n")
	c.send("12345")
	r.await("the body is begun", func() bool { ex := firstExchange(r.l); return ex != nil && ex.bodyRead == 5 })
	//arch:allow sleep: a client that pauses
	time.Sleep(500 * time.Millisecond)
	c.send("67890")
	if s := c.status(); s != "200" {
		t.Errorf("got %q", s)
	}
}

// A final answer to a request that waits for 100 is passed on whole, however
// long it takes: the client owes no body.
func TestReviewLongAnswerInsteadOf100(t *testing.T) {
	addr := serve(t, func(p *peer) {
		p.head()
		p.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 10\r\n\r\n12345")
		//arch:allow sleep: a server that pauses
		time.Sleep(600 * time.Millisecond)
		p.send("67890")
	})
	times := patientTimeouts()
	times.Expect, times.Body = 200*time.Millisecond, 200*time.Millisecond
	r := newRig(t, patientSettings(), times, addr)
	c := r.dial()
	c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n")
	if s := c.status(); s != "403" {
		t.Fatalf("got %q", s)
	}
	if got := c.take(10); got != "1234567890" {
		t.Errorf("got %q", got)
	}
}

// A tunnel and a long upload give their large buffers back once all is sent.
func TestReviewSentBuffersAreGivenBack(t *testing.T) {
	const n = 64 << 10
	got := make(chan struct{})
	addr := serve(t, func(p *peer) {
		if strings.Contains(p.head(), "ws") {
			p.send(switching)
		}
		p.take(n)
		close(got)
		io.Copy(io.Discard, p.r)
	})
	for _, head := range []string{upgrade, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n"} {
		got = make(chan struct{})
		r := newRig(t, patientSettings(), patientTimeouts(), addr)
		c := r.dial()
		c.send(head)
		if head == upgrade {
			c.head()
		}
		c.send(strings.Repeat("x", n))
		<-got
		r.await("small buffers", func() bool { ex := firstExchange(r.l); return ex != nil && cap(ex.up.b) <= 2*retain })
		c.Close()
	}
}
