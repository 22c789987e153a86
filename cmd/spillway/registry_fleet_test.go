package main_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// fleet is the servers behind a gateway. Each answers with its own address
// and the id of the request, and counts what reaches it.
type fleet struct {
	t       *testing.T
	release chan struct{} // lets requests to .../hold go

	mu      sync.Mutex
	servers map[string]*backend
	held    map[string]int // requests in flight at .../hold, by address
}

// backend is one server of a fleet.
type backend struct {
	addr   string
	hits   map[string]int // by the first part of the path: the upstream
	opened int            // connections
	open   map[net.Conn]bool
}

func newFleet(t *testing.T) *fleet {
	return &fleet{t: t, release: make(chan struct{}), servers: map[string]*backend{}, held: map[string]int{}}
}

// add starts a server on a port of its own and returns its address.
func (f *fleet) add() string { return f.addOn("127.0.0.1:0") }

func (f *fleet) addOn(listen string) string {
	f.t.Helper()
	ln, err := net.Listen("tcp", listen)
	if err != nil {
		f.t.Fatal(err)
	}
	b := &backend{addr: ln.Addr().String(), hits: map[string]int{}, open: map[net.Conn]bool{}}
	f.mu.Lock()
	f.servers[b.addr] = b
	f.mu.Unlock()
	srv := &http.Server{
		Handler:     http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { f.serve(b, w, r) }),
		ConnState:   func(c net.Conn, s http.ConnState) { f.note(b, c, s) },
		ReadTimeout: time.Minute,
	}
	go func() { _ = srv.Serve(ln) }()
	f.t.Cleanup(func() { _ = srv.Close() })
	return b.addr
}

func (f *fleet) addMany(n int) []string {
	var addrs []string
	for range n {
		addrs = append(addrs, f.add())
	}
	return addrs
}

func (f *fleet) note(b *backend, c net.Conn, s http.ConnState) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch s {
	case http.StateNew:
		b.opened++
		b.open[c] = true
	case http.StateClosed, http.StateHijacked:
		delete(b.open, c)
	}
}

func (f *fleet) serve(b *backend, w http.ResponseWriter, r *http.Request) {
	answer(w, r, b.addr, func(upstream string, hold bool) {
		f.count(b, upstream, 0)
		if hold {
			f.count(b, "", 1)
			<-f.release
			f.count(b, "", -1)
		}
	})
}

func (f *fleet) count(b *backend, upstream string, held int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if upstream != "" {
		b.hits[upstream]++
	}
	f.held[b.addr] += held
}

// answer is what every server of the tests does, in whatever process.
func answer(w http.ResponseWriter, r *http.Request, addr string, seen func(upstream string, hold bool)) {
	upstream, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	seen(upstream, rest == "hold")
	w.Header().Set("X-Backend", addr)
	fmt.Fprintf(w, "%s %s %s", upstream, r.URL.RawQuery, body)
}

func (f *fleet) hits(addr, upstream string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.servers[addr].hits[upstream]
}

func (f *fleet) hitsOf(addr string) (n int) {
	for _, u := range sources() {
		n += f.hits(addr, u)
	}
	return n
}

func (f *fleet) holding(addr string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.held[addr]
}

// connections returns how many connections to a server were opened in all,
// and how many are open.
func (f *fleet) connections(addr string) (opened, open int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.servers[addr].opened, len(f.servers[addr].open)
}

// TestRegistryBackendProcess is no test: started by the rows that kill a
// server, it serves until it is killed.
func TestRegistryBackendProcess(t *testing.T) {
	addr := os.Getenv("SPILLWAY_TEST_BACKEND")
	if addr == "" {
		return
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	_ = http.Serve(ln, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer(w, r, addr, func(string, bool) {})
	}))
}

// startBackendProcess starts a server that can be killed.
func startBackendProcess(t *testing.T, addr string) *daemon {
	t.Helper()
	d := startDaemon(t, "backend "+addr, []string{"SPILLWAY_TEST_BACKEND=" + addr}, os.Args[0], "-test.run=^TestRegistryBackendProcess$")
	await(t, 10*time.Second, "the server process listens", func() bool {
		c, err := net.DialTimeout("tcp", addr, time.Second)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
	return d
}
