package consul

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// fastTiming makes every interval short, in proportion.
func fastTiming() timing {
	return timing{
		probe: 20 * time.Millisecond, probeLimit: 200 * time.Millisecond,
		live: 40 * time.Millisecond, liveLimit: 100 * time.Millisecond, release: 10 * time.Millisecond,
		backoffMin: 10 * time.Millisecond, backoffMax: 80 * time.Millisecond, forbidden: 150 * time.Millisecond,
		answer: 400 * time.Millisecond, slack: 200 * time.Millisecond, poll: 20 * time.Millisecond,
		register: 20 * time.Millisecond,
	}
}

// script is a Consul of which a test writes every answer. Each read of the
// watch takes the next function; after the last, reads block.
type script struct {
	t     *testing.T
	srv   *httptest.Server
	mu    sync.Mutex
	steps []http.HandlerFunc
	seen  []*http.Request
	probe http.HandlerFunc // answers /v1/status/leader
	stop  chan struct{}
	came  chan struct{} // one for each read
}

func newScript(t *testing.T, steps ...http.HandlerFunc) *script {
	s := &script{t: t, steps: steps, stop: make(chan struct{}), came: make(chan struct{}, 1000)}
	s.probe = func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `"127.0.0.1:8300"`) }
	s.srv = httptest.NewServer(s)
	t.Cleanup(func() {
		close(s.stop)
		s.srv.CloseClientConnections()
		s.srv.Close()
	})
	return s
}

func (s *script) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	if r.URL.Path == "/v1/status/leader" {
		probe := s.probe
		s.mu.Unlock()
		probe(w, r)
		return
	}
	s.seen = append(s.seen, r)
	s.came <- struct{}{}
	var step http.HandlerFunc
	if len(s.steps) > 0 {
		step, s.steps = s.steps[0], s.steps[1:]
	}
	s.mu.Unlock()
	if step != nil {
		step(w, r)
		return
	}
	select {
	case <-r.Context().Done():
	case <-s.stop:
	}
}

// then appends answers.
func (s *script) then(steps ...http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.steps = append(s.steps, steps...)
}

func (s *script) setProbe(f http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.probe = f
}

// requests returns the queries of the reads so far.
func (s *script) requests() []*http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*http.Request(nil), s.seen...)
}

// awaitRequests waits until n reads came, counted from the start.
func (s *script) awaitRequests(n int) {
	s.t.Helper()
	for range n {
		select {
		case <-s.came:
		case <-time.After(3 * time.Second):
			s.t.Fatalf("%d reads, want %d", len(s.requests()), n)
		}
	}
}

// answer is a 200 with an index and a body.
func answer(index, body string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if index != "" {
			w.Header().Set("X-Consul-Index", index)
		}
		for _, h := range headers {
			name, value, _ := strings.Cut(h, ": ")
			w.Header().Set(name, value)
		}
		io.WriteString(w, body)
	}
}

func status(code int, body string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for _, h := range headers {
			name, value, _ := strings.Cut(h, ": ")
			w.Header().Set(name, value)
		}
		w.WriteHeader(code)
		io.WriteString(w, body)
	}
}

// kv is the body of a KV answer with empty values.
func kv(keys ...string) string {
	var b strings.Builder
	for i, k := range keys {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(`{"LockIndex":0,"Key":"` + k + `","Flags":0,"Value":null,"CreateIndex":1,"ModifyIndex":1}`)
	}
	return "[" + b.String() + "]"
}

// seen is what the handler of a watch saw.
type seen struct {
	mu       sync.Mutex
	answers  []*Answer
	same     []Observation
	failures []string
	refuse   int // of the next sets to apply
	events   chan string
}

func (s *seen) handler() Handler {
	s.events = make(chan string, 1000)
	return Handler{
		Apply: func(a *Answer) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.refuse > 0 {
				s.refuse--
				s.events <- "refused"
				return io.ErrUnexpectedEOF
			}
			s.answers = append(s.answers, a)
			s.events <- "apply"
			return nil
		},
		Unchanged: func(o Observation) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.same = append(s.same, o)
			s.events <- "same"
		},
		Failed: func(reason string, _ error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.failures = append(s.failures, reason)
			s.events <- reason
		},
	}
}

// await waits for the next events, in this order.
func (s *seen) await(t *testing.T, want ...string) {
	t.Helper()
	for _, w := range want {
		select {
		case got := <-s.events:
			if got != w {
				t.Fatalf("event %q, want %q of %q", got, w, want)
			}
		case <-time.After(5 * time.Second):
			t.Fatalf("no event, want %q", w)
		}
	}
}

func (s *seen) last() *Answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.answers[len(s.answers)-1]
}

// watching starts a watch against addresses.
func watching(t *testing.T, q Query, change func(*Config), addresses ...string) (*Client, *seen) {
	t.Helper()
	cfg := Config{Addresses: addresses}
	if change != nil {
		change(&cfg)
	}
	c, err := New(cfg, Env{Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	c.timing = fastTiming()
	s := &seen{}
	h := s.handler()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { c.Run(ctx) })
	wg.Go(func() { c.Watch(ctx, q, h) })
	t.Cleanup(func() {
		cancel()
		wg.Wait()
	})
	return c, s
}

func testContext(t *testing.T) (context.Context, context.CancelFunc) {
	return context.WithTimeout(t.Context(), 10*time.Second)
}
