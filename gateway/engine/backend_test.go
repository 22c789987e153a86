package engine_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"
)

// backend is a scripted server. It runs one script a connection on a
// goroutine of its own, records every byte received, and when the test ends
// checks that each connection carried nothing but well-formed requests.
type backend struct {
	t    testing.TB
	ln   *net.TCPListener
	addr string

	mu      sync.Mutex
	wires   []*wire
	stopped bool
	changed chan struct{} // closed and replaced when wires grows
	running sync.WaitGroup
}

// newBackend starts a server whose nth connection runs the nth script; the
// last script serves all further ones.
func newBackend(t testing.TB, scripts ...func(*wire)) *backend {
	t.Helper()
	return newBackendAt(t, "127.0.0.1:0", scripts...)
}

func newBackendAt(t testing.TB, addr string, scripts ...func(*wire)) *backend {
	t.Helper()
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatalf("cannot listen: %v", err)
	}
	b := &backend{t: t, ln: ln.(*net.TCPListener), addr: ln.Addr().String(), changed: make(chan struct{})}
	b.running.Go(func() { b.accept(scripts) })
	t.Cleanup(b.stop)
	return b
}

func (b *backend) accept(scripts []func(*wire)) {
	for n := 0; ; n++ {
		c, err := b.ln.AcceptTCP()
		if err != nil {
			return
		}
		w := newWire(b.t, "backend", c)
		if !b.add(w) {
			c.Close()
			return
		}
		script := scripts[min(n, len(scripts)-1)]
		b.running.Go(func() {
			defer close(w.done)
			defer w.close()
			script(w)
		})
	}
}

func (b *backend) add(w *wire) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stopped {
		return false
	}
	b.wires = append(b.wires, w)
	close(b.changed)
	b.changed = make(chan struct{})
	return true
}

// stop ends all scripts and judges what was received. It may be called
// before the test ends.
func (b *backend) stop() {
	b.mu.Lock()
	first := !b.stopped
	b.stopped = true
	wires := b.wires
	b.mu.Unlock()
	if !first {
		return
	}
	b.ln.Close()
	for _, w := range wires {
		close(w.quit)
		w.close()
	}
	b.running.Wait()
	for i, w := range wires {
		if _, rest, err := readRequests(w.seen.http()); err != nil {
			b.t.Errorf("backend connection %d: %v, from %.300q", i, err, rest)
		}
	}
}

// conns is the number of connections accepted so far.
func (b *backend) conns() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.wires)
}

// received returns the complete requests so far, in order of connections.
func (b *backend) received() []*message {
	b.mu.Lock()
	wires := b.wires
	b.mu.Unlock()
	var all []*message
	for _, w := range wires {
		whole, _, _ := readRequests(w.seen.http())
		all = append(all, whole...)
	}
	return all
}

// last returns the request received last, whichever connection it came by.
func (b *backend) last() *message {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	var last *wire
	for _, w := range b.wires {
		if last == nil || w.seen.latest().After(last.seen.latest()) {
			last = w
		}
	}
	if last != nil {
		if all, _, _ := readRequests(last.seen.http()); len(all) > 0 {
			return all[len(all)-1]
		}
	}
	b.t.Fatal("backend received no request")
	return nil
}

// one returns the only request received.
func (b *backend) one() *message {
	b.t.Helper()
	all := b.received()
	if len(all) != 1 {
		b.t.Fatalf("backend received %d requests, want 1: %+v", len(all), all)
	}
	return all[0]
}

// drained waits until every connection so far is over: what the gateway
// wanted to send has been received.
func (b *backend) drained() {
	b.t.Helper()
	b.mu.Lock()
	wires := b.wires
	b.mu.Unlock()
	for i, w := range wires {
		w.finished(fmt.Sprintf("backend connection %d", i))
	}
}

// connected waits for the nth connection, counted from 0.
func (b *backend) connected(n int) *wire {
	b.t.Helper()
	late := time.After(patience)
	for {
		b.mu.Lock()
		wires, changed := b.wires, b.changed
		b.mu.Unlock()
		if n < len(wires) {
			return wires[n]
		}
		select {
		case <-changed:
		case <-late:
			b.t.Fatalf("backend got %d connections, want %d", len(wires), n+1)
		}
	}
}

// untouched fails the test, which may be a subtest, if a byte was received.
func (b *backend) untouched(t testing.TB) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, w := range b.wires {
		if raw := w.seen.http(); len(raw) > 0 {
			t.Errorf("backend received %.300q, want nothing", raw)
		}
	}
}

// none fails if a complete request was received.
func (b *backend) none() {
	b.t.Helper()
	if all := b.received(); len(all) > 0 {
		b.t.Errorf("backend received a complete request, want none: %q %.100q", all[0].Head, all[0].Body)
	}
}

// serve answers every request of a connection with what reply returns, until
// the gateway closes it.
func serve(reply func(*message) string) func(*wire) {
	return func(w *wire) {
		for {
			m, err := readRequest(w.r)
			if err != nil {
				if !ended(err) {
					w.fail("cannot read a request: %v", err)
				}
				return
			}
			if err := w.trySend(reply(m)); err != nil {
				return
			}
			if m.connection("close") {
				return
			}
		}
	}
}

// serveAfter is serve, but no answer is given before the gate is closed.
func serveAfter(gate <-chan struct{}, reply func(*message) string) func(*wire) {
	return func(w *wire) {
		serve(func(m *message) string { w.wait(gate); return reply(m) })(w)
	}
}

// ended reports whether a connection merely ended: closed, cut or reset.
func ended(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, errTruncated) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// always serves one answer.
func always(answer string) func(*wire) {
	return serve(func(*message) string { return answer })
}

// hello is a backend that answers everything with 200.
func hello(t testing.TB) *backend { return newBackend(t, always(ok("hello"))) }

// once reads one request, plays the steps given and keeps the connection
// until the gateway ends it.
func once(steps ...func(*wire)) func(*wire) {
	return func(w *wire) {
		w.request()
		for _, s := range steps {
			s(w)
		}
		w.over()
	}
}

func says(s string) func(*wire) { return func(w *wire) { w.send(s) } }

func closes(w *wire)     { w.close() }
func resets(w *wire)     { w.reset() }
func halfCloses(w *wire) { w.closeWrite() }

// stalls says nothing until the gateway gives up.
func stalls(w *wire) { w.over() }

// refused is an address where nothing listens: bound, so that nobody else
// gets it, but not listening.
func refused(t testing.TB) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	return bindLoopback(t, fd)
}

// blackhole is an address whose connection attempts never end: a listener
// whose queue is full, so that the kernel drops further SYNs.
func blackhole(t testing.TB) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	addr := bindLoopback(t, fd)
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	dial(t, addr)
	return addr
}

func bindLoopback(t testing.TB, fd int) string {
	t.Helper()
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	sa, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	a := sa.(*syscall.SockaddrInet4)
	return (&net.TCPAddr{IP: a.Addr[:], Port: a.Port}).String()
}
