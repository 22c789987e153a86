package engine_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"spillway/gateway/upstream"
)

// piped is a proxy whose upstream shares connections, depth deep.
func piped(t *testing.T, depth int, servers ...string) *proxy {
	t.Helper()
	cfg := withRetry(upstream.Retry{Tries: 3, OnError: true, OnTimeout: true}, servers...)
	pool := cfg.Pools["web"]
	pool.Settings.Pipeline, pool.Settings.PipelineSlow = depth, time.Minute
	pool.Settings.ReadTimeout = 300 * time.Millisecond
	cfg.Pools["web"] = pool
	cfg.Loops = 1
	return startProxy(t, cfg)
}

// gather reads n requests before it answers the first.
func gather(w *wire, n int) []*message {
	var all []*message
	for range n {
		all = append(all, w.request())
	}
	return all
}

func echoed(m *message) string { return ok("id="+m.Target, "X-Id: "+m.Target) }

// ask has n clients send a request each, after one that makes the connection.
func ask(p *proxy, n int) []*wire {
	var cs []*wire
	for i := range n {
		c := p.dial()
		c.send(get(fmt.Sprintf("/%d", i)))
		cs = append(cs, c)
	}
	return cs
}

// reaches waits until n exchanges are with servers.
func (p *proxy) reaches(n int64) {
	p.t.Helper()
	for late := deadline(); p.inflight() != n; runtime.Gosched() {
		if late() {
			p.t.Fatalf("%d exchanges are under way, want %d", p.inflight(), n)
		}
	}
}

func TestPipeAnswersGoToWhoAsked(t *testing.T) {
	const n = 8
	b := newBackend(t, func(w *wire) {
		var out strings.Builder
		for _, m := range gather(w, n) {
			out.WriteString(echoed(m))
		}
		w.send(out.String())
		w.over()
	})
	p := piped(t, n, b.addr)
	cs := ask(p, n)
	for i, c := range cs {
		if m := c.answer(200); m.get("X-Id") != fmt.Sprintf("/%d", i) {
			t.Errorf("client %d got %q", i, m.Head)
		}
	}
	if b.conns() != 1 {
		t.Errorf("%d connections, want 1", b.conns())
	}
}

func TestPipeHasADepth(t *testing.T) {
	b := newBackend(t, func(w *wire) {
		for {
			if _, err := readRequest(w.r); err != nil {
				return
			}
		}
	})
	p := piped(t, 2, b.addr)
	ask(p, 4)
	b.connected(1) // the third request opened another connection
	if b.conns() < 2 {
		t.Errorf("%d connections, want more than 1", b.conns())
	}
}

func TestPipeClientThatLeavesKeepsItsTurn(t *testing.T) {
	for _, body := range []string{"chunked", "length"} {
		t.Run(body, func(t *testing.T) {
			gone := make(chan struct{})
			b := newBackend(t, func(w *wire) {
				all := gather(w, 3)
				<-gone
				for _, m := range all {
					if body == "chunked" {
						w.send(resp("200 OK", chunks("id="+m.Target), "Transfer-Encoding: chunked", "X-Id: "+m.Target))
					} else {
						w.send(echoed(m))
					}
				}
				w.over()
			})
			p := piped(t, 8, b.addr)
			cs := ask(p, 3)
			p.reaches(3)
			cs[1].reset()
			p.reaches(2)
			close(gone)
			for _, i := range []int{0, 2} {
				if m := cs[i].answer(200); m.get("X-Id") != fmt.Sprintf("/%d", i) {
					t.Errorf("client %d got %q", i, m.Head)
				}
			}
			if b.conns() != 1 {
				t.Errorf("%d connections, want 1", b.conns())
			}
		})
	}
}

// A server that dies behind the first answer: the others are sent again,
// alone, and nobody sees it.
func TestPipeServerDies(t *testing.T) {
	var conns atomic.Int32
	b := newBackend(t, func(w *wire) {
		if conns.Add(1) > 1 {
			for {
				m, err := readRequest(w.r)
				if err != nil {
					return
				}
				w.trySend(echoed(m))
			}
		}
		w.send(echoed(gather(w, 4)[0]))
		w.reset()
	})
	p := piped(t, 8, b.addr)
	for i, c := range ask(p, 4) {
		if m := c.answer(200); m.get("X-Id") != fmt.Sprintf("/%d", i) {
			t.Errorf("client %d got %q", i, m.Head)
		}
		c.close()
	}
	p.settles()
}

// A server that goes silent costs the head its attempt; those behind it are
// answered by others.
func TestPipeServerStalls(t *testing.T) {
	stalled := newBackend(t, func(w *wire) { w.over() })
	good := newBackend(t, serve(echoed))
	p := piped(t, 8, stalled.addr, good.addr)
	for i, c := range ask(p, 6) {
		if m := c.answer(200); m.get("X-Id") != fmt.Sprintf("/%d", i) {
			t.Errorf("client %d got %q", i, m.Head)
		}
	}
}

// Requests with effects, and those that may not share, go alone.
func TestPipeTakesOnlyWhatMayBeReplayed(t *testing.T) {
	b := newBackend(t, serve(func(m *message) string {
		if m.Method == "HEAD" {
			return ok("")
		}
		return ok(m.Method)
	}))
	p := piped(t, 8, b.addr)
	c := p.dial()
	for _, r := range []struct{ method, send string }{
		{"GET", get("/")},
		{"POST", post("/", "x")},
		{"HEAD", req("HEAD", "/", "")},
		{"PUT", req("PUT", "/", "x", "Content-Length: 1")},
		{"GET", get("/")},
	} {
		c.send(r.send)
		if m := c.answerTo(r.method, 200); r.method != "HEAD" && string(m.Body) != r.method {
			t.Errorf("%s was answered %q", r.method, m.Body)
		}
	}
	if b.conns() != 2 {
		t.Errorf("%d connections, want a shared and another", b.conns())
	}
}

// Everything at once: no answer goes astray.
func TestPipeIsNeverCrossed(t *testing.T) {
	seed := testSeed(t)
	server := func(n uint64) func(*wire) {
		var k atomic.Uint64
		return func(w *wire) {
			rng := rand.New(rand.NewPCG(seed, n+k.Add(1)<<8))
			for {
				m, err := readRequest(w.r)
				if err != nil {
					return
				}
				switch rng.IntN(40) {
				case 0:
					w.reset()
					return
				case 1:
					w.trySend(echoed(m)[:20])
					return
				case 2:
					pause(30)
				}
				body := "id=" + m.Target + ";" + strings.Repeat("x", rng.IntN(9000))
				if rng.IntN(2) == 0 {
					w.trySend(resp("200 OK", chunked(body), "Transfer-Encoding: chunked", "X-Id: "+m.Target))
				} else {
					w.trySend(ok(body, "X-Id: "+m.Target))
				}
			}
		}
	}
	p := piped(t, 16, newBackend(t, server(1)).addr, newBackend(t, server(2)).addr)
	end := time.Now().Add(1500 * time.Millisecond)
	var whole atomic.Int64
	var clients sync.WaitGroup
	for i := range 24 {
		clients.Go(func() {
			rng := rand.New(rand.NewPCG(seed, uint64(1000+i)))
			for n := 0; time.Now().Before(end); {
				c := p.dial()
				for time.Now().Before(end) {
					n++
					id := fmt.Sprintf("/%d-%d", i, n)
					c.trySend(get(id))
					if rng.IntN(15) == 0 {
						c.reset()
						break
					}
					m, err := readAnswer(c.r, "GET")
					if err != nil {
						break
					}
					if m.Status == 200 {
						whole.Add(1)
						if m.get("X-Id") != id || !strings.HasPrefix(string(m.Body), "id="+id+";") {
							t.Errorf("%s got %q %.40q", id, m.Head, m.Body)
						}
					}
				}
				c.close()
			}
		})
	}
	clients.Wait()
	t.Logf("%d whole answers", whole.Load())
	if whole.Load() < 200 {
		t.Errorf("only %d whole answers", whole.Load())
	}
	p.settles()
}
