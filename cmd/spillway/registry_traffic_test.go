package main_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// traffic is the load that runs through a gateway all the while: clients that
// send unique ids at a steady pace and check that each answer is their own.
// They retry nothing.
type traffic struct {
	gateway   string
	upstreams []string
	getOnly   bool

	ended   chan struct{}
	running sync.WaitGroup
	ids     atomic.Int64
	answers sync.Map // upstream -> *atomic.Int64
	paused  sync.RWMutex

	mu     sync.Mutex
	failed int
	first  []string // the first failures, for the report
}

const (
	trafficClients = 3
	trafficPace    = 18 * time.Millisecond // between the requests of one client
	requestLimit   = 10 * time.Second
)

func startTraffic(t *testing.T, gateway string, getOnly bool, upstreams ...string) *traffic {
	l := &traffic{gateway: gateway, upstreams: upstreams, getOnly: getOnly, ended: make(chan struct{})}
	for _, u := range upstreams {
		l.answers.Store(u, new(atomic.Int64))
	}
	for i := range trafficClients {
		l.running.Go(func() { l.client(i) })
	}
	t.Cleanup(l.stop)
	return l
}

func (l *traffic) stop() {
	select {
	case <-l.ended:
	default:
		close(l.ended)
	}
	l.running.Wait()
}

// pause holds the clients between two requests until the returned function is
// called.
func (l *traffic) pause() (resume func()) {
	l.paused.Lock()
	return l.paused.Unlock
}

// client is one keep-alive connection after the other.
func (l *traffic) client(n int) {
	tick := time.NewTicker(trafficPace)
	defer tick.Stop()
	var c *wire
	defer func() { c.close() }()
	for i := n; ; i++ {
		select {
		case <-l.ended:
			return
		case <-tick.C:
		}
		l.paused.RLock()
		c = l.once(c, i)
		l.paused.RUnlock()
	}
}

func (l *traffic) once(c *wire, i int) *wire {
	upstream := l.upstreams[i%len(l.upstreams)]
	method := "GET"
	if !l.getOnly && i%4 == 3 {
		method = "POST"
	}
	c, err := ask(c, l.gateway, method, upstream, "", l.ids.Add(1))
	if err != nil {
		l.fail(fmt.Sprintf("%s %s %s: %v", time.Now().Format("15:04:05.000"), method, upstream, err))
		c.close()
		return nil
	}
	n, _ := l.answers.Load(upstream)
	n.(*atomic.Int64).Add(1)
	return c
}

func (l *traffic) fail(why string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failed++; len(l.first) < 5 {
		l.first = append(l.first, why)
	}
}

func (l *traffic) failures() (int, []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failed, l.first
}

func (l *traffic) answered(upstream string) int64 {
	n, _ := l.answers.Load(upstream)
	return n.(*atomic.Int64).Load()
}

// wire is one client connection.
type wire struct {
	net.Conn
	r *bufio.Reader
}

func (c *wire) close() {
	if c != nil {
		_ = c.Conn.Close()
	}
}

// ask sends one request on c, or on a new connection if c is nil, and checks
// the answer.
func ask(c *wire, gateway, method, upstream, path string, id int64) (*wire, error) {
	if c == nil {
		conn, err := net.DialTimeout("tcp", gateway, requestLimit)
		if err != nil {
			return nil, err
		}
		c = &wire{conn, bufio.NewReader(conn)}
	}
	_ = c.SetDeadline(time.Now().Add(requestLimit))
	body := ""
	if method == "POST" {
		body = strings.Repeat("x", int(id%100)+1)
	}
	_, err := fmt.Fprintf(c, "%s /%s/%s?id=%d HTTP/1.1\r\nHost: registry.test\r\nContent-Length: %d\r\n\r\n%s",
		method, upstream, path, id, len(body), body)
	if err != nil {
		return c, err
	}
	return c, c.check(fmt.Sprintf("%s id=%d %s", upstream, id, body))
}

func (c *wire) check(want string) error {
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return err
	case resp.StatusCode != http.StatusOK:
		return fmt.Errorf("status %d: %.200s", resp.StatusCode, got)
	case string(got) != want:
		return fmt.Errorf("answered %.100q, want %.100q", got, want)
	}
	return nil
}
