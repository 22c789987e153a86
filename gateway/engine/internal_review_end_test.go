package engine

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"spillway/gateway/accesslog"
	"spillway/gateway/upstream"
	"spillway/internal/netloop"
)

// eachClient makes a function on clients one for netloop.Loop.Each.
func eachClient(f func(*client)) func(netloop.Handler) {
	return func(h netloop.Handler) {
		if c, ok := h.(*client); ok {
			f(c)
		}
	}
}

// A new access log format takes over while a request is under way that was
// recorded for the old one.
func TestReviewLogFormatChangesInFlight(t *testing.T) {
	release := make(chan struct{})
	addr := serve(t, func(p *peer) { p.head(); <-release; p.send(plainOK) })
	r := newRig(t, patientSettings(), patientTimeouts(), addr)
	path := filepath.Join(t.TempDir(), "log")
	use := func(format string) *accesslog.Logger {
		f, err := accesslog.Compile(format)
		if err != nil {
			t.Fatal(err)
		}
		lg, err := accesslog.Open(path, f, 1)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { lg.Close() })
		r.publish(func(c *Config) { c.AccessLog, c.LogFields = lg, f.Headers() })
		return lg
	}
	use("$status $http_x_old")
	c := r.dial()
	c.send("GET / HTTP/1.1\r\nHost: a\r\nX-Old: secret\r\n\r\n")
	r.await("the request is under way", func() bool { return firstExchange(r.l) != nil })
	lg := use("$status $http_x_a $http_x_b")
	close(release)
	if s := c.status(); s != "200" {
		t.Errorf("got %q", s)
	}
	r.await("the exchange ends", func() bool { return firstExchange(r.l) == nil })
	if n := r.l.m.Panics.Load(); n != 0 {
		t.Errorf("%d panics", n)
	}
	if err := lg.Flush(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil || strings.TrimSpace(string(b)) != "200 - -" {
		t.Errorf("logged %q, %v", b, err)
	}
}

// Shutdown does not reset an idle connection on which a request has arrived
// that the loop has not seen yet.
func TestReviewIdleWithARequestOnItsWay(t *testing.T) {
	addr := serve(t, func(p *peer) {
		for range 2 {
			p.head()
			p.send(plainOK)
		}
	})
	r := newRig(t, patientSettings(), patientTimeouts(), addr)
	c := r.dial()
	c.send(plainGet)
	c.status()
	c.take(2)
	arrived, held, ended := make(chan struct{}), make(chan struct{}), make(chan struct{})
	r.l.loop.Post(func() {
		close(held)
		<-arrived
		r.l.draining = true
		r.l.closeIdle()
		close(ended)
	})
	<-held
	c.send(plainGet)
	//arch:allow sleep: nothing tells when loopback has put it into the kernel
	time.Sleep(20 * time.Millisecond)
	close(arrived)
	<-ended
	if s := c.status(); s != "200" {
		t.Errorf("got %q", s)
	}
}

// What is cut at the end of Shutdown is counted, logged, and taken off the
// servers and gauges.
func TestReviewCutRequestsAreAccountedFor(t *testing.T) {
	//arch:allow sleep: a server that does not answer
	addr := serve(t, func(p *peer) { p.head(); time.Sleep(2 * reviewPatience) })
	r := newRig(t, patientSettings(), patientTimeouts(), addr)
	path := filepath.Join(t.TempDir(), "log")
	f, err := accesslog.Compile("$status")
	if err != nil {
		t.Fatal(err)
	}
	lg, err := accesslog.Open(path, f, 1)
	if err != nil {
		t.Fatal(err)
	}
	r.publish(func(c *Config) { c.AccessLog = lg })
	c := r.dial()
	c.send(plainGet)
	r.await("the request is at the server", func() bool { return r.pool.Load().Entries[0].Inflight.Load() == 1 })
	if n := r.shutdown(50 * time.Millisecond); n != 1 {
		t.Errorf("%d cut, want 1", n)
	}
	if n := r.pool.Load().Entries[0].Inflight.Load(); n != 0 {
		t.Errorf("%d in flight at the server after the end", n)
	}
	if n := r.l.m.Active.Load(); n != 0 {
		t.Errorf("%d connections after the end", n)
	}
	lg.Close()
	if b, err := os.ReadFile(path); err != nil || len(strings.Fields(string(b))) != 1 {
		t.Errorf("logged %q, %v", b, err)
	}
}

// A server is not blamed for what the gateway lacks: descriptors or ports.
func TestReviewOwnShortageIsNobodysFailure(t *testing.T) {
	addr := serve(t, func(p *peer) { p.head(); p.send(plainOK) })
	r := newRig(t, patientSettings(), patientTimeouts(), addr)
	r.pool.Apply([]upstream.Spec{
		{Addr: addr, Weight: 1, MaxFails: 1, FailTimeout: time.Hour},
		{Addr: "127.0.0.1:1", Weight: 1, Down: true},
	}, upstream.Meta{Source: "static", At: time.Now()})
	c := r.dial()
	var limit syscall.Rlimit
	r.await("the connection is accepted", func() bool { return r.l.m.Active.Load() == 1 })
	r.on(func() {
		if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
			t.Error(err)
		}
		none := limit
		none.Cur = 3
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &none); err != nil {
			t.Error(err)
		}
	})
	c.send(plainGet)
	s := c.status()
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if s != "502" {
		t.Errorf("without descriptors: %q", s)
	}
	c = r.dial()
	c.send(plainGet)
	if s := c.status(); s != "200" {
		t.Errorf("with descriptors again: %q", s)
	}
}
