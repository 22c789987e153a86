package signal

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
	"time"
)

// world is some gateways on one clock that the test moves.
type world struct {
	t  *testing.T
	mu sync.Mutex

	now      time.Time
	gateways map[string]*fakeGateway
	findErr  error
	source   *Gateways
}

// fakeGateway answers as a gateway does. Its fields are the world's lock's.
type fakeGateway struct {
	w      *world
	server *httptest.Server

	registered bool
	down       bool
	status     int
	ahead      time.Duration // its clock
	from       int64         // first second it knows, by its clock
	rate       float64       // arrivals of each second
	upstreams  []string
	servers    map[string]serverAnswer
	body       string // instead of an answer
	asked      []string
	posted     []string
	tokens     map[string]bool
}

func newWorld(t *testing.T, names ...string) *world {
	w := &world{t: t, now: time.Unix(1764000000, 300e6), gateways: map[string]*fakeGateway{}}
	for _, name := range names {
		w.add(name)
	}
	w.source = NewGateways(Options{
		Find: w.find, Now: w.clock, Timeout: 2 * time.Second, Token: func() string { return "secret" },
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	return w
}

func (w *world) add(name string) *fakeGateway {
	g := &fakeGateway{w: w, registered: true, rate: 10, upstreams: []string{"web"}, from: w.now.Unix() + 1, tokens: map[string]bool{}}
	g.server = httptest.NewServer(g)
	w.t.Cleanup(g.server.Close)
	w.gateways[name] = g
	return g
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) find(context.Context) ([]Gateway, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var list []Gateway
	for name, g := range w.gateways {
		if g.registered {
			list = append(list, Gateway{name, g.server.URL})
		}
	}
	return list, w.findErr
}

// run lets seconds pass, with a round in each.
func (w *world) run(seconds int) {
	for range seconds {
		w.mu.Lock()
		w.now = w.now.Add(time.Second)
		w.mu.Unlock()
		w.source.Poll(context.Background())
	}
}

// set changes something under the lock.
func (w *world) set(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

func (g *fakeGateway) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	g.w.mu.Lock()
	defer g.w.mu.Unlock()
	g.tokens[r.Header.Get("Authorization")] = true
	if r.Method == http.MethodPost {
		body, _ := io.ReadAll(r.Body)
		g.posted = append(g.posted, r.URL.Path+" "+string(body))
	} else {
		g.asked = append(g.asked, r.URL.RawQuery)
	}
	switch {
	case g.down:
		panic(http.ErrAbortHandler)
	case g.status != 0:
		rw.WriteHeader(g.status)
	case g.body != "":
		io.WriteString(rw, g.body)
	case r.Method == http.MethodGet:
		since, _ := strconv.ParseInt(r.URL.Query().Get("since"), 10, 64)
		json.NewEncoder(rw).Encode(g.answer(since))
	}
}

func (g *fakeGateway) answer(since int64) *answer {
	now := g.w.now.Add(g.ahead)
	a := &answer{Gateway: "g", NowMS: now.UnixMilli(), Upstreams: map[string]upstreamAnswer{}}
	for _, name := range g.upstreams {
		u := upstreamAnswer{Servers: g.servers, Seconds: []secondAnswer{}}
		last := now.Unix()
		for t := max(g.from, last-119, since/1000+1); t <= last; t++ {
			h := make([]float64, Buckets)
			h[10] = g.rate
			u.Seconds = append(u.Seconds, secondAnswer{T: t, A: g.rate, C: g.rate, E: 1, R: 2, L: 3, H: h})
		}
		a.Upstreams[name] = u
	}
	return a
}

var errConsul = errors.New("no cluster leader")
