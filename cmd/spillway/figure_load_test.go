//go:build !race

package main_test

import (
	"bufio"
	"bytes"
	"cmp"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// startServer runs a backend that answers every request with its name, and
// returns its address.
func startServer(t testing.TB, name string) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	answer := fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nServer: figure\r\nDate: Tue, 15 Nov 1994 08:12:31 GMT\r\nContent-Length: %d\r\n\r\n%s", len(name), name)
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go serve(c, answer)
		}
	}()
	return ln.Addr().String()
}

// serve answers requests without a body.
func serve(c net.Conn, answer []byte) {
	defer c.Close()
	r := bufio.NewReaderSize(c, 1024)
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return
		}
		if len(line) != len("\r\n") {
			continue
		}
		if _, err := c.Write(answer); err != nil {
			return
		}
	}
}

// asker is one keep-alive connection to the gateway.
type asker struct {
	c       net.Conn
	r       *bufio.Reader
	request []byte
}

// askLimit ends a connection that hangs, and with it the test.
const askLimit = 10 * time.Minute

func newAsker(addr, host string) (*asker, error) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	c.SetDeadline(time.Now().Add(askLimit))
	return &asker{c: c, r: bufio.NewReaderSize(c, 1024), request: fmt.Appendf(nil, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", host)}, nil
}

// ask sends one request and returns the body of its answer, which is valid
// until the next.
func (a *asker) ask() ([]byte, error) {
	if _, err := a.c.Write(a.request); err != nil {
		return nil, err
	}
	line, err := a.r.ReadSlice('\n')
	if err != nil {
		return nil, err
	}
	ok, length := bytes.HasPrefix(line, []byte("HTTP/1.1 200 ")), 0
	status := string(line)
	for len(line) != len("\r\n") {
		if line, err = a.r.ReadSlice('\n'); err != nil {
			return nil, err
		}
		if v, found := bytes.CutPrefix(line, []byte("Content-Length: ")); found {
			length, _ = strconv.Atoi(string(bytes.TrimSpace(v)))
		}
	}
	body, err := a.r.Peek(length)
	a.r.Discard(len(body))
	if err == nil && !ok {
		err = fmt.Errorf("answer %q", status)
	}
	return body, err
}

// load asks on many connections at once until it is stopped.
type load struct {
	served, failed atomic.Int64
	over           chan struct{}
	wait           sync.WaitGroup

	mu    sync.Mutex
	first error // why the first request failed
}

// startLoad opens the connections. Each asks again as soon as it is answered,
// or once in every if that is not 0.
func startLoad(t testing.TB, addr, host string, connections int, every time.Duration) *load {
	t.Helper()
	l := &load{over: make(chan struct{})}
	for range connections {
		a, err := newAsker(addr, host)
		if err != nil {
			t.Fatal(err)
		}
		l.wait.Go(func() { l.run(a, addr, host, every) })
	}
	t.Cleanup(func() { l.stop() })
	return l
}

func (l *load) run(a *asker, addr, host string, every time.Duration) {
	var tick <-chan time.Time
	if every > 0 {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		tick = ticker.C
	}
	for l.goOn(tick) {
		if _, err := a.ask(); err == nil {
			l.served.Add(1)
			continue
		} else {
			l.fail(err)
		}
		a.c.Close()
		var err error
		if a, err = newAsker(addr, host); err != nil {
			l.fail(err)
			return
		}
	}
	a.c.Close()
}

// goOn waits for the next turn and reports whether there is one.
func (l *load) goOn(tick <-chan time.Time) bool {
	if tick == nil {
		select {
		case <-l.over:
			return false
		default:
			return true
		}
	}
	select {
	case <-l.over:
		return false
	case <-tick:
		return true
	}
}

func (l *load) fail(err error) {
	l.failed.Add(1)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.first == nil {
		l.first = err
	}
}

// stop ends the load and returns how many requests failed, and why the first
// did.
func (l *load) stop() (failed int64, first error) {
	select {
	case <-l.over:
	default:
		close(l.over)
	}
	l.wait.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failed.Load(), l.first
}

// quantile is the value below which the part q of the sorted values lies.
func quantile[T any](sorted []T, q float64) T {
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

func median[T cmp.Ordered](values []T) T {
	return quantile(slices.Sorted(slices.Values(values)), 0.5)
}
