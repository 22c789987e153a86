package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// What the tests of this file measure with: a backend takes usual, and what
// takes more than late is no backend that does well. All limits are wide: the
// machine that runs this is shared.
const (
	usual    = 10 * time.Millisecond
	late     = 400 * time.Millisecond
	recovery = 5 * time.Second
)

// guarded is a gateway in front of nine good backends and a victim.
type guarded struct {
	*sut
	victim string
	load   *steadyLoad
}

const guardedConfig = `
upstreams:
  web:
    servers: [%s]
    max_fails: 0
    connect_timeout: 500ms
    read_timeout: 600ms
    health: {type: http, path: /healthz, interval: 500ms, fast_interval: 100ms, timeout: 300ms, fall: 2}
    outlier: {enabled: true, latency_factor: 4, interval: 250ms, base_time: 20s}
    slow_start: 1s
routes:
  - upstream: web
log: {format: json}
`

func startGuarded(t *testing.T, victim string) *guarded {
	t.Helper()
	servers := []string{victim}
	for range 9 {
		servers = append(servers, startPaced(t).Listener.Addr().String())
	}
	g := &guarded{sut: serveConfig(t, fmt.Sprintf(guardedConfig, strings.Join(servers, ", "))), victim: victim}
	g.load = startSteady(t, "http://"+g.addr+"/")
	eventually(t, "load on all backends", func() error {
		if g.load.done.Load() < 200 {
			return fmt.Errorf("%d requests", g.load.done.Load())
		}
		return nil
	})
	return g
}

// paced is a backend that takes its time, which may be changed.
type paced struct {
	*httptest.Server
	takes  atomic.Int64
	served atomic.Int64
}

func startPaced(t *testing.T) *paced {
	p := &paced{}
	p.takes.Store(int64(usual))
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/healthz" {
			return
		}
		p.served.Add(1)
		<-time.After(time.Duration(p.takes.Load()))
		io.WriteString(w, "ok")
	}))
	t.Cleanup(p.Close)
	return p
}

// steadyLoad asks from a few clients until it is stopped.
type steadyLoad struct {
	over chan struct{}
	wait sync.WaitGroup
	done atomic.Int64

	mu     sync.Mutex
	failed []string
	seen   []timed
}

type timed struct {
	began time.Time
	took  time.Duration
}

func startSteady(t *testing.T, url string) *steadyLoad {
	l := &steadyLoad{over: make(chan struct{})}
	for range 8 {
		l.wait.Go(func() { l.run(url) })
	}
	t.Cleanup(l.stop)
	return l
}

func (l *steadyLoad) run(url string) {
	client := &http.Client{Timeout: patience, Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	for {
		select {
		case <-l.over:
			return
		default:
		}
		began := time.Now()
		a, err := getBy(client, url, "")
		if err == nil && a.status != http.StatusOK {
			err = fmt.Errorf("answered %d", a.status)
		}
		l.note(timed{began, time.Since(began)}, err)
	}
}

func (l *steadyLoad) note(r timed, err error) {
	l.done.Add(1)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seen = append(l.seen, r)
	if err != nil {
		l.failed = append(l.failed, err.Error())
	}
}

func (l *steadyLoad) stop() {
	select {
	case <-l.over:
	default:
		close(l.over)
	}
	l.wait.Wait()
}

// lateSince is the part of the requests since then that took too long.
func (l *steadyLoad) lateSince(then time.Time) (part float64, of int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	slow := 0
	for _, r := range l.seen {
		if r.began.Before(then) {
			continue
		}
		of++
		if r.took > late {
			slow++
		}
	}
	return float64(slow) / float64(max(1, of)), of
}

// standing is what the API says of the victim.
func (g *guarded) standing() (state, why string) {
	var all struct {
		Servers []struct{ Address, State, Why string }
	}
	if err := json.Unmarshal([]byte(g.ops("/api/v1/upstreams/web").body), &all); err != nil {
		g.t.Fatal(err)
	}
	for _, s := range all.Servers {
		if s.Address == g.victim {
			return s.State, s.Why
		}
	}
	g.t.Fatalf("no server %s", g.victim)
	return "", ""
}

// survives waits until the victim is out of service, and judges the load from
// then on; began is when it was struck.
func (g *guarded) survives(began time.Time) {
	g.t.Helper()
	eventually(g.t, "verdict on the victim", func() error {
		state, why := g.standing()
		if !strings.Contains(state, "ejected") && !strings.Contains(state, "unhealthy") {
			return fmt.Errorf("it is %s (%s)", state, why)
		}
		g.t.Logf("%s after %s: %s", state, time.Since(began).Round(time.Millisecond), why)
		return nil
	})
	if took := time.Since(began); took > recovery {
		g.t.Errorf("the victim was taken out after %s", took)
	}
	from := time.Now()
	eventually(g.t, "load behind the verdict", func() error {
		if _, n := g.load.lateSince(from); n < 600 {
			return fmt.Errorf("%d requests", n)
		}
		return nil
	})
	g.load.stop()
	if part, n := g.load.lateSince(from); part > 0.03 { // a server in ten that is still asked makes it 10 %
		g.t.Errorf("%.1f %% of %d requests took more than %s", 100*part, n, late)
	}
	if n := len(g.load.failed); n > 0 {
		g.t.Errorf("%d requests failed, first: %s", n, g.load.failed[0])
	}
}

// backendProcess is a backend that can be killed and stopped.
func backendProcess(t *testing.T) (p *process, addr string) {
	bin, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	addr = fmt.Sprint("127.0.0.1:", freePort(t))
	p = launch(t, exec.Command(bin, "demo-app", "--listen", addr, "--work", "0s"))
	eventually(t, "backend", func() error {
		_, err := get("http://"+addr+"/healthz", "")
		return err
	})
	return p, addr
}

func TestABackendIsKilledUnderLoad(t *testing.T) {
	p, addr := backendProcess(t)
	g := startGuarded(t, addr)
	began := time.Now()
	p.signal(syscall.SIGKILL)
	g.survives(began)
}

func TestABackendIsStoppedUnderLoad(t *testing.T) {
	p, addr := backendProcess(t)
	g := startGuarded(t, addr)
	began := time.Now()
	p.signal(syscall.SIGSTOP)
	t.Cleanup(func() { p.signal(syscall.SIGCONT) })
	g.survives(began)
}

func TestABackendBecomesSlowUnderLoad(t *testing.T) {
	victim := startPaced(t)
	g := startGuarded(t, victim.Listener.Addr().String())
	began := time.Now()
	victim.takes.Store(int64(100 * usual))
	g.survives(began)
}

// TestABackendComesBack: killed, ejected, started again on its port, and in
// service within seconds.
func TestABackendComesBack(t *testing.T) {
	p, addr := backendProcess(t)
	g := startGuarded(t, addr)
	p.signal(syscall.SIGKILL)
	eventually(t, "verdict", func() error {
		if state, _ := g.standing(); state == "up" {
			return fmt.Errorf("still up")
		}
		return nil
	})
	bin, _ := binary()
	launch(t, exec.Command(bin, "demo-app", "--listen", addr, "--work", "0s"))
	eventually(t, "way back", func() error {
		if state, why := g.standing(); state != "up" {
			return fmt.Errorf("%s (%s)", state, why)
		}
		return nil
	})
	g.load.stop()
	if n := len(g.load.failed); n > 0 {
		t.Errorf("%d requests failed, first: %s", n, g.load.failed[0])
	}
	metrics := g.ops("/metrics").body
	for _, want := range []string{`spillway_health_probes_total{outcome="good",upstream="web"}`, `spillway_upstream_panic{upstream="web"} 0`} {
		if !strings.Contains(metrics, want) {
			t.Errorf("/metrics has no %s", want)
		}
	}
}

// TestHealthIsObeyedOnReload: probes are switched on and off by HUP, without a
// request that fails.
func TestHealthIsObeyedOnReload(t *testing.T) {
	sick := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/healthz" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		io.WriteString(w, "sick")
	}))
	t.Cleanup(sick.Close)
	config := func(health string) string {
		return fmt.Sprintf("upstreams:\n  web:\n    servers: [%s, %s]\n    health: %s\nroutes:\n  - upstream: web\nlog: {format: json}\n",
			namedBackend(t, "well"), sick.Listener.Addr(), health)
	}
	off := config("{}")
	on := strings.Replace(off, "{}", "{type: http, path: /healthz, interval: 50ms, fast_interval: 20ms, fall: 2}", 1)
	s := serveConfig(t, off)
	load := startSteady(t, "http://"+s.addr+"/")
	s.served("", "/", "well", "sick")
	for _, step := range []struct {
		config string
		by     []string
	}{{on, []string{"well"}}, {off, []string{"well", "sick"}}, {on, []string{"well"}}} {
		writeFile(t, s.file, step.config)
		s.signal(syscall.SIGHUP)
		s.served("", "/", step.by...)
	}
	load.stop()
	if n := len(load.failed); n > 0 {
		t.Errorf("%d of %d requests failed, first: %s", n, load.done.Load(), load.failed[0])
	}
}
