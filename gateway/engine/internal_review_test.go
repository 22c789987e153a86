package engine

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"spillway/gateway/http1"
	"spillway/gateway/route"
	"spillway/gateway/upstream"
)

// These tests look at what a client cannot see: timers, counters, buffers and
// the order of events on a loop. They use one engine of one loop before
// servers made of functions.

const reviewPatience = 10 * time.Second

// rig is an engine with one upstream, "web".
type rig struct {
	t    *testing.T
	e    *Engine
	l    *loop
	pool *upstream.Pool
	cfg  Config
	addr string
}

// patientTimeouts never end anything within a test.
func patientTimeouts() Timeouts {
	const long = 6 * reviewPatience
	return Timeouts{Header: long, Body: long, Idle: long, Send: long, Tunnel: long, Expect: long}
}

func patientSettings() upstream.Settings {
	const long = 6 * reviewPatience
	return upstream.Settings{
		Balance: "round_robin", ConnectTimeout: long, SendTimeout: long, ReadTimeout: long,
		Keepalive: 16, KeepaliveTimeout: long, Retry: upstream.Retry{Tries: 3, OnError: true, OnTimeout: true},
	}
}

func newRig(t *testing.T, set upstream.Settings, times Timeouts, servers ...string) *rig {
	t.Helper()
	routes, err := route.Compile([]route.Rule{{Upstream: "web"}})
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, pool: upstream.NewPool("web", &set), cfg: Config{Routes: routes, Limits: http1.Limits{}, Timeouts: times}}
	set2 := &upstream.Set{}
	if r.e, err = New(Options{Loops: 1, Set: set2}); err != nil {
		t.Fatal(err)
	}
	r.l = r.e.loops[0]
	var specs []upstream.Spec
	for _, a := range servers {
		specs = append(specs, upstream.Spec{Addr: a, Weight: 1, FailTimeout: time.Second})
	}
	r.pool.Apply(specs, upstream.Meta{Source: "static", At: time.Now()})
	r.e.Attach(r.pool)
	set2.Update([]*upstream.Pool{r.pool}, nil)
	r.publish(func(*Config) {})
	at, err := r.e.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.addr = at.String()
	r.e.Start()
	t.Cleanup(func() { r.shutdown(0) })
	return r
}

// publish changes the configuration.
func (r *rig) publish(change func(*Config)) {
	cfg := r.cfg
	change(&cfg)
	r.cfg = cfg
	r.e.Publish(&cfg)
}

func (r *rig) shutdown(within time.Duration) int {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	return r.e.Shutdown(ctx)
}

// on runs f on the loop.
func (r *rig) on(f func()) {
	r.t.Helper()
	done := make(chan struct{})
	r.l.loop.Post(func() { defer close(done); f() })
	select {
	case <-done:
	case <-time.After(reviewPatience):
		r.t.Fatal("the loop does not answer")
	}
}

// await polls f on the loop until it holds.
func (r *rig) await(what string, f func() bool) {
	r.t.Helper()
	for end := time.Now().Add(reviewPatience); ; time.Sleep(time.Millisecond) { //arch:allow sleep: the pace of polling
		var ok bool
		r.on(func() { ok = f() })
		if ok {
			return
		}
		if time.Now().After(end) {
			r.t.Fatalf("waited in vain for: %s", what)
		}
	}
}

// peer is one end of a connection, with a deadline on each step.
type peer struct {
	net.Conn
	t *testing.T
	r *bufio.Reader
}

func newPeer(t *testing.T, c net.Conn) *peer {
	c.SetDeadline(time.Now().Add(2 * reviewPatience))
	return &peer{c, t, bufio.NewReader(c)}
}

func (r *rig) dial() *peer {
	r.t.Helper()
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { c.Close() })
	return newPeer(r.t, c)
}

func (p *peer) send(s string) {
	p.t.Helper()
	if _, err := io.WriteString(p, s); err != nil {
		p.t.Errorf("cannot send: %v", err)
	}
}

// head reads up to the empty line.
func (p *peer) head() string {
	p.t.Helper()
	var b strings.Builder
	for {
		line, err := p.r.ReadString('\n')
		b.WriteString(line)
		if err != nil {
			p.t.Errorf("no whole head: %q, %v", b.String(), err)
			return b.String()
		}
		if line == "\r\n" {
			return b.String()
		}
	}
}

// take reads n bytes.
func (p *peer) take(n int) string {
	p.t.Helper()
	b := make([]byte, n)
	if k, err := io.ReadFull(p.r, b); err != nil {
		p.t.Errorf("got %d of %d bytes: %v", k, n, err)
	}
	return string(b)
}

// status reads a head and returns the code of its status line.
func (p *peer) status() string {
	p.t.Helper()
	h := p.head()
	if len(h) < 12 {
		return h
	}
	return h[9:12]
}

// serve starts a server that hands every connection to f.
func serve(t *testing.T, f func(p *peer)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() { defer c.Close(); f(newPeer(t, c)) }()
		}
	}()
	return ln.Addr().String()
}

const (
	plainGet = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
	plainOK  = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
)

// deaf returns a server that takes no connection until the function it
// returns is called: its queue is full, so connecting stays under way.
func deaf(t *testing.T, f func(p *peer)) (addr string, hear func()) {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	sa, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	addr = fmt.Sprintf("127.0.0.1:%d", sa.(*syscall.SockaddrInet4).Port)
	filler, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { filler.Close(); syscall.Close(fd) })
	return addr, func() {
		first, _, err := syscall.Accept(fd)
		if err != nil {
			t.Error(err)
		}
		syscall.Close(first)
		go func() {
			nfd, _, err := syscall.Accept(fd)
			if err != nil {
				t.Error(err)
				return
			}
			c, err := net.FileConn(fileOf(nfd))
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			f(newPeer(t, c))
		}()
	}
}
