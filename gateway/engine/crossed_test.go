package engine_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"spillway/gateway/upstream"
)

// The mayhem: clients send unique ids through pipelines, cancellations,
// half-closes and resets, to servers that delay, reset, stall, poison and
// answer late. Invariants:
//
//	an answer with an id answers the request with that id, in order
//	an answer is whole, or the connection ends with it
//	a POST is executed at most once
//	what reaches a server is well-formed (checked by backend.stop)
//	afterwards the gateway serves
//
// SPILLWAY_SEED repeats a run as far as the scheduler lets it.
type mayhem struct {
	t    testing.TB
	p    *proxy
	next atomic.Int64
	late func() bool

	mu       sync.Mutex
	executed map[string]int

	whole, local, cut atomic.Int64
}

func TestAnswersAreNeverCrossed(t *testing.T) {
	for loops := 1; loops <= 3; loops++ {
		for _, answerHalfClosed := range []bool{false, true} {
			t.Run(fmt.Sprintf("loops=%d,answer=%v", loops, answerHalfClosed), func(t *testing.T) {
				t.Parallel()
				runMayhem(t, loops, answerHalfClosed, testSeed(t), 700*time.Millisecond)
			})
		}
	}
}

// testSeed returns a seed and makes sure it is seen.
func testSeed(t testing.TB) uint64 {
	t.Helper()
	seed := rand.Uint64()
	if s := os.Getenv("SPILLWAY_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("SPILLWAY_SEED=%d", seed)
	return seed
}

func runMayhem(t *testing.T, loops int, answer bool, seed uint64, span time.Duration) {
	end := time.Now().Add(span)
	m := &mayhem{t: t, executed: map[string]int{}, late: func() bool { return time.Now().After(end) }}
	var servers []string
	for i := range 3 {
		servers = append(servers, newBackend(t, m.server(rand.New(rand.NewPCG(seed, uint64(i))))).addr)
	}
	cfg := withRetry(upstream.Retry{Tries: 3, OnError: true, OnTimeout: true, OnInvalid: true, Status: []int{503}}, servers...)
	pool := cfg.Pools["web"]
	pool.Settings.ReadTimeout = 40 * time.Millisecond
	cfg.Pools["web"] = pool
	cfg.Loops, cfg.AnswerHalfClosed = loops, answer
	m.p = startProxy(t, cfg)
	var clients sync.WaitGroup
	for i := range 12 {
		clients.Go(func() { m.client(rand.New(rand.NewPCG(seed, uint64(100+i)))) })
	}
	clients.Wait()
	m.p.settles()
	m.verdict()
}

func (m *mayhem) verdict() {
	m.t.Helper()
	m.t.Logf("%d whole answers, %d of the gateway's own, %d connections cut", m.whole.Load(), m.local.Load(), m.cut.Load())
	if m.whole.Load() < 20 {
		m.t.Errorf("only %d whole answers: the test tests nothing", m.whole.Load())
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for id, n := range m.executed {
		if n > 1 {
			m.t.Errorf("POST %s was executed %d times", id, n)
		}
	}
}

// server returns a script that answers with the id asked for, if it answers.
func (m *mayhem) server(seed *rand.Rand) func(*wire) {
	var mu sync.Mutex
	return func(w *wire) {
		mu.Lock()
		rng := rand.New(rand.NewPCG(seed.Uint64(), 0))
		mu.Unlock()
		for {
			r, err := readRequest(w.r)
			if err != nil {
				return
			}
			m.execute(r)
			if !m.misbehave(w, rng, r) {
				return
			}
		}
	}
}

func (m *mayhem) execute(r *message) {
	if r.Method == "POST" {
		m.mu.Lock()
		m.executed[r.Target]++
		m.mu.Unlock()
	}
	if want := bodyOf(r.Target); r.Method == "POST" && string(r.Body) != want {
		m.t.Errorf("request %s arrived with the body %.60q of %d bytes, want %d", r.Target, r.Body, len(r.Body), len(want))
	}
}

// misbehave answers one request somehow and reports whether the connection
// goes on.
func (m *mayhem) misbehave(w *wire, rng *rand.Rand, r *message) bool {
	body := "id=" + r.Target + ";" + strings.Repeat("b", rng.IntN(30)*rng.IntN(1000))
	if r.Method == "HEAD" {
		body = ""
	}
	full := ok(body, "X-Id: "+r.Target)
	if rng.IntN(2) == 0 && body != "" {
		full = resp("200 OK", chunked(body), "X-Id: "+r.Target, "Transfer-Encoding: chunked")
	}
	switch rng.IntN(24) {
	case 0:
		w.reset()
		return false
	case 1:
		return false
	case 2: // late: after the gateway's read timeout
		pause(60)
		w.trySend(full)
		return false
	case 3: // cut in the middle
		w.trySend(full[:rng.IntN(len(full))])
		return false
	case 4: // with the answer to nobody behind it, in one segment
		if len(full) < 4000 {
			full += ok("id=evil;", "X-Id: evil")
		}
		w.trySend(full)
	case 5: // a connection that seems to be kept, and is not
		w.trySend(full)
		pause(rng.IntN(3))
		return false
	case 6:
		w.trySend(resp("503 Busy", "", "Content-Length: 0", "X-Id: "+r.Target))
	case 7:
		w.trySend(full)
		return false
	case 8:
		w.trySend(resp("103 Early Hints", "", "X-Id: "+r.Target) + full)
	case 9, 10:
		pause(rng.IntN(5))
		w.trySend(full)
	default:
		w.trySend(full)
	}
	return true
}

// pause is the pace of the mayhem, not a wait for something to happen.
func pause(ms int) { <-time.After(time.Duration(ms) * time.Millisecond) }

// bodyOf is the body that belongs to an id.
func bodyOf(id string) string {
	n, _ := strconv.Atoi(strings.TrimPrefix(id, "/"))
	return strings.Repeat(id+",", n*7919%301)
}

// client opens connection after connection until time is up.
func (m *mayhem) client(rng *rand.Rand) {
	for !m.late() {
		c := dial(m.t, m.p.Addr)
		m.converse(c, rng)
		c.close()
	}
}

type asked struct{ method, id string }

func (m *mayhem) converse(c *wire, rng *rand.Rand) {
	for !m.late() {
		var batch []asked
		var text string
		for range 1 + rng.IntN(4)*rng.IntN(2) {
			a, s := m.ask(rng)
			batch = append(batch, a)
			text += s
		}
		how := rng.IntN(30)
		if how == 0 { // leave before it is sent
			text = text[:rng.IntN(len(text))]
		}
		if c.trySend(text) != nil {
			return
		}
		switch how {
		case 0, 1:
			c.reset()
			return
		case 2:
			c.close()
			return
		case 3:
			c.closeWrite()
		case 4:
			pause(rng.IntN(4))
			c.reset()
			return
		}
		if !m.hear(c, batch) || how == 3 {
			return
		}
	}
}

func (m *mayhem) ask(rng *rand.Rand) (asked, string) {
	id := fmt.Sprintf("/%d", m.next.Add(1))
	switch body := bodyOf(id); rng.IntN(5) {
	case 0:
		return asked{"POST", id}, post(id, body)
	case 1:
		return asked{"POST", id}, req("POST", id, chunked(body), "Transfer-Encoding: chunked")
	case 2:
		return asked{"HEAD", id}, req("HEAD", id, "")
	}
	return asked{"GET", id}, get(id)
}

// hear reads the answers to a batch and reports whether the connection goes
// on.
func (m *mayhem) hear(c *wire, batch []asked) bool {
	for _, a := range batch {
		c.await()
		r, err := readAnswer(c.r, a.method)
		for err == nil && r.Status == 103 {
			m.belongs(r, a)
			r, err = readAnswer(c.r, a.method)
		}
		if ended(err) {
			m.cut.Add(1)
			return false
		}
		if err != nil {
			m.t.Errorf("cannot read the answer to %v: %v (%+v)", a, err, r)
			return false
		}
		m.belongs(r, a)
		if r.connection("close") {
			return false
		}
	}
	return true
}

func (m *mayhem) belongs(r *message, a asked) {
	if !r.has("X-Id") {
		m.local.Add(1)
		if r.Status < 400 {
			m.t.Errorf("%v was answered %q, from nowhere", a, r.Head)
		}
		return
	}
	if id := r.get("X-Id"); id != a.id {
		m.t.Errorf("%v got the answer to %s", a, id)
	}
	if r.Status == 200 {
		m.whole.Add(1)
		if want := "id=" + a.id + ";"; a.method != "HEAD" && !strings.HasPrefix(string(r.Body), want) {
			m.t.Errorf("%v got the body %.60q", a, r.Body)
		}
	}
}

// Requests of one connection that end in different ways do not disturb each
// other: the whole alphabet of endings, each followed by each.
func TestEndingsFollowEachOther(t *testing.T) {
	b := newBackend(t, func(w *wire) {
		for {
			r, err := readRequest(w.r)
			if err != nil {
				return
			}
			switch {
			case strings.HasPrefix(r.Target, "/close"):
				w.trySend(ok(r.Target, "Connection: close"))
				return
			case strings.HasPrefix(r.Target, "/die"):
				w.reset()
				return
			case strings.HasPrefix(r.Target, "/surplus"):
				w.trySend(ok(r.Target) + ok("evil"))
			case strings.HasPrefix(r.Target, "/empty"):
				w.trySend(resp("204 No Content", ""))
			case strings.HasPrefix(r.Target, "/until-close"):
				w.trySend(resp("200 OK", r.Target))
				return
			default:
				w.trySend(ok(r.Target))
			}
		}
	})
	p := startProxy(t, proxyConfig{Pools: map[string]poolConfig{"web": onceOnly(b)}})
	kinds := []string{"/plain", "/close", "/die", "/surplus", "/empty", "/until-close"}
	c := p.dial()
	for i, first := range kinds {
		for j, then := range kinds {
			for _, target := range []string{fmt.Sprintf("%s/%d/%d/a", first, i, j), fmt.Sprintf("%s/%d/%d/b", then, i, j)} {
				c.send(get(target))
				m := c.response("GET")
				if m.Status == 200 && string(m.Body) != target {
					t.Fatalf("%s got %q", target, m.Body)
				}
				if m.connection("close") {
					c = p.dial()
				}
			}
		}
	}
}
