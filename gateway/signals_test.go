package gateway_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"spillway/gateway"
	"spillway/gateway/admin"
	"spillway/gateway/upstream"
)

// signalled is a report as its reader sees it.
type signalled struct {
	Gateway   string
	Upstreams map[string]struct {
		Seconds []struct {
			T          int64
			A, C, E, R int
			L          float64
			H          []int
		}
		Servers map[string]struct {
			Serving bool
			L       int
			C       int
			Index   uint64
		}
	}
}

// signals asks for a report; it may be called on any goroutine.
func (w *world) signals() (s signalled, err error) {
	resp, err := w.client.Get("http://" + w.gw.AdminAddr().String() + "/api/v1/signals")
	if err != nil {
		return s, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != 200 {
		err = fmt.Errorf("answered %d %s", resp.StatusCode, text)
	}
	if err != nil {
		return s, err
	}
	return s, json.Unmarshal(text, &s)
}

// sums adds up the seconds of web.
func (s *signalled) sums() (a, c, e, r, h int, l float64) {
	for _, sec := range s.Upstreams["web"].Seconds {
		a, c, e, r, l = a+sec.A, c+sec.C, e+sec.E, r+sec.R, l+sec.L
		for _, n := range sec.H {
			h += n
		}
	}
	return a, c, e, r, h, l
}

func withAdmin(set *upstream.Set) gateway.Options {
	return gateway.Options{Set: set, Settings: settings(everythingTo("web")), Admin: &admin.Options{Listen: "127.0.0.1:0", Token: "w"}}
}

// Every request is told of once, in the second it came in and the one it
// ended in; what is in flight over time is what clients waited, the time on
// the way to them aside.
func TestSignalsAddUpToTheTraffic(t *testing.T) {
	const delay = 20 * time.Millisecond
	b := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		time.Sleep(delay) //arch:allow sleep: the server takes its time, nothing waits for it
		if r.URL.Path == "/bad" {
			rw.WriteHeader(http.StatusInternalServerError)
		}
	}))
	t.Cleanup(b.Close)
	p := pool("web", b.Listener.Addr().String())
	w := start(t, withAdmin(setOf(p)))
	addr := w.listens()
	const clients, each = 8, 20
	var waited atomic.Int64
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			for i := range each {
				path := "/"
				if i%4 == 0 {
					path = "/bad"
				}
				began := time.Now()
				w.get(addr, path)
				waited.Add(int64(time.Since(began)))
			}
		})
	}
	wg.Wait()
	p.Apply(nil, upstream.Meta{})
	n := clients * each
	w.eventually("503", func() bool {
		began := time.Now()
		status, _ := w.get(addr, "/")
		if status == 200 { // the loop had not heard of it
			waited.Add(int64(time.Since(began)))
			n++
		}
		return status == 503
	})
	w.eventually("signals of all requests", func() bool {
		s, err := w.signals()
		a, c, e, r, h, l := s.sums()
		if err != nil || a < n+1 || a != c+r {
			return false
		}
		least, most := float64(n)*delay.Seconds(), time.Duration(waited.Load()).Seconds()+0.1
		if c != n || e != clients*each/4 || r != 1 || h != n || l < least*0.99 || l > most {
			t.Errorf("%d arrived, %d completed, %d failed, %d refused, %d latencies, %v request-seconds; want %d %d %d %d %d, %v to %v",
				a, c, e, r, h, l, n+1, n, clients*each/4, 1, n, least, most)
		}
		return true
	})
}

func TestAnnouncedCapacityIsShownAndMeasured(t *testing.T) {
	w := start(t, withAdmin(setOf(pool("web", backend(t, "a")))))
	post := func(text string) {
		t.Helper()
		url := "http://" + w.gw.AdminAddr().String() + "/api/v1/upstreams/web/capacity"
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer w")
		resp, err := w.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusNoContent {
			t.Fatalf("%s: answered %d", text, resp.StatusCode)
		}
	}
	shown := func(path, text string, want bool) {
		t.Helper()
		if _, body := w.get(w.gw.AdminAddr(), path); strings.Contains(body, text) != want {
			t.Errorf("%s: %q shown is not %v", path, text, want)
		}
	}
	eta := time.Now().Add(time.Minute).UnixMilli()
	post(fmt.Sprintf(`{"ordered":3,"eta_ms":%d}`, eta))
	shown("/api/v1/upstreams/web", fmt.Sprintf(`"eta_ms": %d`, eta), true)
	shown("/metrics", `spillway_upstream_capacity_ordered{upstream="web"} 3`, true)
	shown("/metrics", `spillway_upstream_capacity_eta_timestamp_seconds{upstream="web"} `, true)
	post(fmt.Sprintf(`{"ordered":3,"eta_ms":%d}`, time.Now().Add(-61*time.Second).UnixMilli()))
	shown("/api/v1/upstreams/web", `"capacity"`, false)
	shown("/metrics", "spillway_upstream_capacity_ordered{", false)
}

// A gateway that starts knows of no server yet. That must not be taken for a
// server that gets no requests.
func TestAStartingGatewayGivesNoSignals(t *testing.T) {
	first := make(chan struct{})
	o := withAdmin(setOf(pool("web", backend(t, "a"))))
	o.First = func(context.Context) error { <-first; return nil }
	w := prepare(t, o)
	go func() { w.ran <- w.gw.Run(context.Background()) }()
	t.Cleanup(w.end)
	if status, body := w.get(w.gw.AdminAddr(), "/api/v1/signals"); status != 503 || !strings.Contains(body, "starting") {
		t.Errorf("answered %d %s", status, body)
	}
	close(first)
	w.listens()
	w.eventually("signals", func() bool { _, err := w.signals(); return err == nil })
}

func TestATraceIsWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "trace.jsonl")
	o := withAdmin(setOf(pool("web", backend(t, "a")), pool("silent", backend(t, "b"))))
	o.Trace = gateway.Trace{Path: path, Size: 1 << 20}
	w := start(t, o)
	w.expect("/", 200, "a")
	w.eventually("line", func() bool {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Contains(string(text), `"u":"web","a":1,"c":1,"e":0,"r":0,"l":`)
	})
	if text, err := os.ReadFile(path); err != nil || strings.Contains(string(text), "silent") {
		t.Errorf("%v: %s", err, text)
	}
}

func TestATraceThatCannotBeOpenedFailsTheStart(t *testing.T) {
	o := withAdmin(setOf(pool("web", backend(t, "a"))))
	o.Loops, o.Trace = 1, gateway.Trace{Path: filepath.Join(t.TempDir(), "no", "such"), Size: 1 << 20}
	if g, err := gateway.New(o); err == nil {
		g.Shutdown(t.Context())
		t.Error("started")
	}
}

// fleet is servers of which each comes and goes by itself.
type fleet struct {
	p    *upstream.Pool
	mu   sync.Mutex
	want map[string]upstream.Spec
}

func (f *fleet) set(addr string, s *upstream.Spec) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if s == nil {
		delete(f.want, addr)
	} else {
		f.want[addr] = *s
	}
	specs := make([]upstream.Spec, 0, len(f.want))
	for _, s := range f.want {
		specs = append(specs, s)
	}
	f.p.Apply(specs, upstream.Meta{})
}

// asked is a server that counts its requests. cycle numbers the times it was
// taken out of traffic, from just before it is; 0 while it is to serve.
type asked struct {
	addr  string
	n     atomic.Int64
	cycle atomic.Int64

	mu  sync.Mutex
	ack map[int64]int64 // by cycle: the requests by the time it was told not to serve
}

func newAsked(t *testing.T) *asked {
	a := &asked{ack: map[int64]int64{}}
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { a.n.Add(1) }))
	t.Cleanup(s.Close)
	a.addr = s.Listener.Addr().String()
	return a
}

// acked returns how many requests had come when the acknowledgement did.
func (a *asked) acked(cycle int64) (n int64, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	n, ok = a.ack[cycle]
	return n, ok
}

// This is what a scaler stops containers by: once a server is told not to
// serve and to have nothing in flight, it gets no request until it is put back.
// Servers go down, leave and come back under load, each by itself, so that
// snapshots overtake one another and the reports, which are asked for all the
// time; and the loops are late to adopt.
func TestAServerToldNotToServeGetsNothing(t *testing.T) {
	const rounds, servers = 25, 4
	p := upstream.NewPool("web", &upstream.Settings{
		Balance: "least_conn", ConnectTimeout: limit, ReadTimeout: limit, Keepalive: 64,
		Retry: upstream.Retry{Tries: 3, OnError: true},
	})
	f := &fleet{p: p, want: map[string]upstream.Spec{}}
	stays := newAsked(t)
	f.set(stays.addr, &upstream.Spec{Addr: stays.addr, Weight: 1})
	o := withAdmin(setOf(p))
	o.Applied = func(*upstream.Pool, *upstream.Snapshot, time.Duration) {
		time.Sleep(time.Millisecond) //arch:allow sleep: the loop is held up, nothing waits for it
	}
	w := start(t, o)
	over := make(chan struct{})
	var others, owners sync.WaitGroup
	var served atomic.Int64
	for range 8 {
		others.Go(func() { keepAsking(t, w.listens(), over, &served) })
	}
	var all []*asked
	for range servers {
		all = append(all, newAsked(t))
	}
	for range 2 {
		others.Go(func() { w.keepReading(all, over) })
	}
	for i, a := range all {
		rng := rand.New(rand.NewPCG(uint64(i), 1))
		owners.Go(func() {
			for cycle := range int64(rounds) {
				if err := f.drains(a, cycle+1, rng, &served); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	owners.Wait()
	close(over)
	others.Wait()
}

// keepReading reads reports until it is over. What one says of a server counts
// if the server was to be taken out before it was asked for.
func (w *world) keepReading(all []*asked, over chan struct{}) {
	for {
		select {
		case <-over:
			return
		default:
		}
		cycles := make([]int64, len(all))
		for i, a := range all {
			cycles[i] = a.cycle.Load()
		}
		s, err := w.signals()
		if err != nil {
			w.t.Error(err)
			return
		}
		for i, a := range all {
			told, ok := s.Upstreams["web"].Servers[a.addr]
			if ok && !told.Serving && told.L == 0 {
				a.mu.Lock()
				if _, first := a.ack[cycles[i]]; !first {
					a.ack[cycles[i]] = a.n.Load()
				}
				a.mu.Unlock()
			}
		}
	}
}

// keepAsking asks on one connection until it is over. Every request has to be
// answered 200.
func keepAsking(t *testing.T, addr net.Addr, over chan struct{}, served *atomic.Int64) {
	client := &http.Client{Timeout: limit, Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	for {
		select {
		case <-over:
			return
		default:
		}
		resp, err := client.Get("http://" + addr.String() + "/")
		if err != nil {
			t.Error(err)
			return
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if resp.StatusCode != 200 {
			t.Errorf("answered %d", resp.StatusCode)
			return
		}
		served.Add(1)
	}
}

// drains puts a server into traffic, takes it out again one way or the other,
// waits for the acknowledgement, and looks that nothing comes after it.
func (f *fleet) drains(a *asked, cycle int64, rng *rand.Rand, served *atomic.Int64) error {
	spec := upstream.Spec{Addr: a.addr, Weight: 1 + rng.IntN(3)}
	enough := a.n.Load() + 1 + rng.Int64N(20)
	f.set(a.addr, &spec)
	if err := wait("traffic", func() bool { return a.n.Load() >= enough }); err != nil {
		return err
	}
	a.cycle.Store(cycle)
	defer a.cycle.Store(0)
	if spec.Down = true; rng.IntN(2) == 0 {
		f.set(a.addr, &spec)
	} else {
		f.set(a.addr, nil)
	}
	var acked int64
	err := wait("acknowledgement", func() (ok bool) { acked, ok = a.acked(cycle); return ok })
	if err != nil {
		return err
	}
	enough = served.Load() + 50
	if err := wait("requests", func() bool { return served.Load() >= enough }); err != nil {
		return err
	}
	if late := a.n.Load() - acked; late != 0 {
		return fmt.Errorf("cycle %d: %d requests came after the server was told not to serve", cycle, late)
	}
	return nil
}

// wait asks until it is so.
func wait(what string, ok func() bool) error {
	tick, end := time.NewTicker(200*time.Microsecond), time.After(limit)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-end:
			return fmt.Errorf("no %s", what)
		}
	}
	return nil
}
