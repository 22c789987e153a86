package engine_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"spillway/gateway/engine"
	"spillway/gateway/signals"
	"spillway/gateway/upstream"
)

// watched is an engine before one upstream, "web", whose signals are read.
type watched struct {
	t    *testing.T
	e    *engine.Engine
	set  *upstream.Set
	web  *upstream.Pool
	addr string
}

// count starts an engine; changed may be nil.
func count(t *testing.T, changed func(*upstream.Pool), servers ...string) *watched {
	t.Helper()
	settings := defaultSettings(upstream.Settings{})
	c := &watched{t: t, set: &upstream.Set{}, web: upstream.NewPool("web", &settings)}
	c.apply(servers...)
	c.set.Update([]*upstream.Pool{c.web}, nil)
	var err error
	if c.e, err = engine.New(engine.Options{Loops: 2, Set: c.set, Changed: changed}); err != nil {
		t.Fatal(err)
	}
	c.set.Notify(c.e.Attach, c.e.Detach)
	c.e.Publish(engineConfig(t, proxyConfig{}.withDefaults()))
	at, err := c.e.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c.addr = at.String()
	c.e.Start()
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		c.e.Shutdown(ctx)
	})
	return c
}

func (c *watched) apply(servers ...string) {
	c.web.Apply(specs(servers...), upstream.Meta{Source: "static"})
}

func (c *watched) context() context.Context {
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	c.t.Cleanup(cancel)
	return ctx
}

// serving lists the servers of web that some loop picks from.
func (c *watched) serving() string {
	c.t.Helper()
	adopted, err := c.e.Adopted(c.context(), func(name string) bool { return name == "web" })
	if err != nil {
		c.t.Fatal(err)
	}
	up := map[string]bool{}
	for _, a := range adopted {
		for i := range a.Snapshot.Entries {
			if e := &a.Snapshot.Entries[i]; !e.Spec.Down {
				up[e.Addr] = true
			}
		}
	}
	return fmt.Sprint(up)
}

func (c *watched) serves(servers ...string) {
	c.t.Helper()
	want := map[string]bool{}
	for _, s := range servers {
		want[s] = true
	}
	if got := c.serving(); got != fmt.Sprint(want) {
		c.t.Errorf("serving %v, want %v", got, want)
	}
}

// sample sums up what the loops counted of web since the last time; inFlight
// is the request-time in it.
func (c *watched) sample() (sum signals.Flow, inFlight time.Duration, answers uint64) {
	c.t.Helper()
	tallies, err := c.e.Sample(c.context())
	if err != nil {
		c.t.Fatal(err)
	}
	for _, t := range tallies {
		for _, p := range t.Parts {
			sum.Arrivals += p.Counts.Arrivals
			sum.Completions += p.Counts.Completions
			sum.Errors += p.Counts.Errors
			sum.Refused += p.Counts.Refused
			for k, n := range p.Counts.Latency {
				sum.Latency[k] += n
			}
			inFlight += time.Duration(p.Area)
		}
		for _, s := range t.Servers {
			answers += s.Answers
		}
	}
	return sum, inFlight, answers
}

// counts checks what was counted since the last time.
func (c *watched) counts(what string, arrivals, completions, errors, refused, latencies, answers uint64) {
	c.t.Helper()
	f, _, n := c.sample()
	took := uint64(0)
	for _, k := range f.Latency {
		took += k
	}
	got := [...]uint64{f.Arrivals, f.Completions, f.Errors, f.Refused, took, n}
	if want := [...]uint64{arrivals, completions, errors, refused, latencies, answers}; got != want {
		c.t.Errorf("%s: arrivals, completions, errors, refused, latencies, answers %d, want %d", what, got, want)
	}
}

// A loop picks from the snapshot it has adopted, not from the pool's: between
// the two a server that is to leave still gets requests, and has to be told as
// serving.
func TestAdoptedIsWhatTheLoopsPickFrom(t *testing.T) {
	a, b := newBackend(t, always(ok("a"))), newBackend(t, always(ok("b")))
	applied, release := make(chan struct{}), make(chan struct{})
	hold := false
	c := count(t, func(*upstream.Pool) {
		if hold {
			close(applied)
			<-release
		}
	}, a.addr)
	c.serves(a.addr) // by loops that have not used the pool yet
	conns := c.everyLoop()
	hold = true
	done := make(chan struct{})
	go func() { c.apply(b.addr); close(done) }()
	<-applied // the pool has it, no loop does
	c.serves(a.addr)
	for _, w := range conns {
		w.send(get("/"))
		if m := w.answer(200); string(m.Body) != "a" {
			t.Errorf("answered by %q before the change was adopted", m.Body)
		}
	}
	hold = false
	close(release)
	<-done
	c.serves(b.addr)
	for _, w := range conns {
		w.send(get("/"))
		if m := w.answer(200); string(m.Body) != "b" {
			t.Errorf("answered by %q after the change was adopted", m.Body)
		}
	}
}

// everyLoop returns connections that have asked once, some on each loop.
func (c *watched) everyLoop() (conns []*wire) {
	c.t.Helper()
	for range 16 {
		w := dial(c.t, c.addr)
		w.send(get("/"))
		w.answer(200)
		conns = append(conns, w)
	}
	return conns
}

// A pool that left the set is picked from until its last request is over:
// that one may be tried again.
func TestAPoolThatLeftServesWhileARequestIsUnderWay(t *testing.T) {
	came, release := make(chan struct{}, 1), make(chan struct{})
	slow := newBackend(t, func(w *wire) {
		if _, err := readRequest(w.r); err == nil {
			came <- struct{}{}
			w.wait(release)
			w.trySend(ok("late"))
		}
	})
	c := count(t, nil, slow.addr)
	w := dial(t, c.addr)
	w.send(get("/"))
	<-came
	c.set.Update(nil, []string{"web"})
	c.serves(slow.addr)
	close(release)
	w.answer(200)
	c.serves()
}

func TestEveryRequestIsCountedOnce(t *testing.T) {
	b := newBackend(t, func(w *wire) {
		for {
			m, err := readRequest(w.r)
			if err != nil {
				return
			}
			switch m.Target {
			case "/500":
				w.trySend("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")
			case "/short":
				w.trySend("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort")
				w.close()
				return
			case "/reset":
				w.close()
				return
			default:
				w.trySend(ok("fine"))
			}
		}
	})
	c := count(t, nil, b.addr)
	ask := func(target string, status int) {
		t.Helper()
		w := dial(t, c.addr)
		w.send(get(target))
		if m := w.response("GET"); m.Status != status {
			t.Errorf("%s: %d, want %d", target, m.Status, status)
		}
	}
	ask("/", 200)
	ask("/", 200)
	c.counts("answers", 2, 2, 0, 0, 2, 2)
	ask("/500", 500)
	c.counts("an error of the server", 1, 1, 1, 0, 1, 1)
	ask("/reset", 502)
	c.counts("no answer", 1, 1, 1, 0, 1, 0)
	w := dial(t, c.addr)
	w.send(get("/short"))
	w.cut("GET")
	c.counts("half an answer", 1, 1, 1, 0, 1, 1)
	w = dial(t, c.addr)
	w.send("OPTIONS / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n")
	w.answerTo("OPTIONS", 200)
	c.counts("a request the gateway answers", 0, 0, 0, 0, 0, 0)
	c.apply()
	ask("/", 503)
	c.counts("no server", 1, 0, 0, 1, 0, 0)
	c.counts("nothing", 0, 0, 0, 0, 0, 0)
}

// What is in flight is counted while it is, over every sample, and not before
// or after.
func TestTimeInFlightIsCountedExactly(t *testing.T) {
	came, release := make(chan struct{}, 1), make(chan struct{})
	slow := newBackend(t, func(w *wire) {
		if _, err := readRequest(w.r); err == nil {
			came <- struct{}{}
			w.wait(release)
			w.trySend(ok("late"))
		}
	})
	c := count(t, nil, slow.addr)
	began := time.Now()
	w := dial(t, c.addr)
	w.send(get("/"))
	<-came
	inside := time.Now()
	var sum time.Duration
	for range 10 {
		f, inFlight, _ := c.sample()
		sum += inFlight
		if f.Completions != 0 {
			t.Error("completed while it is in flight")
		}
	}
	left := time.Now()
	close(release)
	w.answer(200)
	over := time.Now()
	_, inFlight, _ := c.sample()
	sum += inFlight
	if least, most := left.Sub(inside), over.Sub(began); sum < least || sum > most {
		t.Errorf("%v in flight, want %v to %v", sum, least, most)
	}
	if _, inFlight, _ = c.sample(); inFlight != 0 {
		t.Errorf("%v in flight when all is over", inFlight)
	}
}

func TestAnIdleConnectionIsNotInFlight(t *testing.T) {
	b := newBackend(t, always(ok("fine")))
	c := count(t, nil, b.addr)
	w := dial(t, c.addr)
	w.send(get("/"))
	w.answer(200)
	c.counts("an answer", 1, 1, 0, 0, 1, 1)
	if _, inFlight, _ := c.sample(); inFlight != 0 {
		t.Errorf("%v in flight on an idle connection", inFlight)
	}
}

func TestATunnelIsInFlightAndHasNoLatency(t *testing.T) {
	b := newBackend(t, func(w *wire) {
		if _, err := readRequest(w.r); err == nil {
			w.trySend("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
			w.tunnel()
			w.over()
		}
	})
	c := count(t, nil, b.addr)
	w := dial(t, c.addr)
	w.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
	w.response("GET")
	c.counts("an open tunnel", 1, 0, 0, 0, 0, 0)
	if _, inFlight, _ := c.sample(); inFlight <= 0 {
		t.Error("an open tunnel is not in flight")
	}
	w.close()
	late := deadline()
	for !late() {
		if f, _, _ := c.sample(); f.Completions == 1 {
			if f.Errors != 0 || f.Latency != [signals.Buckets]uint64{} {
				t.Errorf("a tunnel that ended: %+v", f)
			}
			return
		}
	}
	t.Error("the tunnel does not end")
}

func TestLoopsThatDoNotRunAnswerNobody(t *testing.T) {
	e, err := engine.New(engine.Options{Loops: 1, Set: &upstream.Set{}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := e.Sample(ctx); err == nil {
		t.Error("a sample")
	}
	if _, err := e.Adopted(ctx, func(string) bool { return true }); err == nil {
		t.Error("an answer")
	}
	e.Shutdown(ctx)
}
