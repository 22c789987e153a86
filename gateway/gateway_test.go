package gateway_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"spillway/gateway"
	"spillway/gateway/admin"
	"spillway/gateway/route"
	"spillway/gateway/upstream"
)

const limit = 20 * time.Second

// world is a gateway under test and what is around it.
type world struct {
	t      *testing.T
	gw     *gateway.Gateway
	set    *upstream.Set
	addrs  chan []net.Addr
	ran    chan error
	client *http.Client
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// backend answers with its name.
func backend(t *testing.T, name string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, name) }))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

func pool(name, addr string) *upstream.Pool {
	p := upstream.NewPool(name, &upstream.Settings{Balance: "round_robin", ConnectTimeout: limit, ReadTimeout: limit, Retry: upstream.Retry{Tries: 1}})
	p.Apply([]upstream.Spec{{Addr: addr, Weight: 1}}, upstream.Meta{Source: "static"})
	return p
}

func everythingTo(name string) []route.Rule { return []route.Rule{{Upstream: name}} }

// start runs a gateway and waits until it serves.
func start(t *testing.T, o gateway.Options) *world {
	t.Helper()
	w := prepare(t, o)
	go func() { w.ran <- w.gw.Run(context.Background()) }()
	t.Cleanup(w.end)
	return w
}

func prepare(t *testing.T, o gateway.Options) *world {
	t.Helper()
	w := &world{t: t, set: o.Set, addrs: make(chan []net.Addr, 1), ran: make(chan error, 1), client: &http.Client{Timeout: limit}}
	t.Cleanup(w.client.CloseIdleConnections)
	o.Loops, o.Log = 2, quiet()
	o.Serving = func(addrs []net.Addr) { w.addrs <- addrs }
	var err error
	if w.gw, err = gateway.New(o); err != nil {
		t.Fatal(err)
	}
	return w
}

// end shuts down and checks that Run ended well.
func (w *world) end() {
	w.t.Helper()
	ctx, stop := context.WithTimeout(context.Background(), limit)
	defer stop()
	w.gw.Shutdown(ctx)
	if err := w.ended(); err != nil {
		w.t.Errorf("Run: %v", err)
	}
}

func (w *world) ended() error {
	w.t.Helper()
	select {
	case err := <-w.ran:
		w.ran <- err
		return err
	case <-time.After(limit):
		w.t.Fatal("Run does not end")
		return nil
	}
}

func (w *world) listens() net.Addr {
	w.t.Helper()
	select {
	case a := <-w.addrs:
		w.addrs <- a
		return a[0]
	case <-time.After(limit):
		w.t.Fatal("it does not listen")
		return nil
	}
}

// get is the body of a request's answer and its status.
func (w *world) get(addr net.Addr, path string) (int, string) {
	w.t.Helper()
	resp, err := w.client.Get("http://" + addr.String() + path)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func (w *world) expect(path string, status int, body string) {
	w.t.Helper()
	if s, b := w.get(w.listens(), path); s != status || body != "" && b != body {
		w.t.Errorf("%s: answered %d %q, want %d %q", path, s, b, status, body)
	}
}

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, // fasthttp's own, which end some time after the server
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"))
}

func setOf(pools ...*upstream.Pool) *upstream.Set {
	s := &upstream.Set{}
	s.Update(pools, nil)
	return s
}

func settings(rules []route.Rule) gateway.Settings {
	return gateway.Settings{Listen: []string{"127.0.0.1:0"}, Routes: rules}
}

func TestPoolsThatJoinAndLeaveTheSet(t *testing.T) {
	a, b := backend(t, "a"), backend(t, "b")
	w := start(t, gateway.Options{Set: setOf(pool("web", a)), Settings: settings(everythingTo("web"))})
	w.expect("/", 200, "a")
	next := pool("web", a)
	w.set.Update([]*upstream.Pool{next}, nil)
	next.Apply([]upstream.Spec{{Addr: b, Weight: 1}}, upstream.Meta{})
	w.eventually("b", func() bool { _, body := w.get(w.listens(), "/"); return body == "b" })
	w.set.Update(nil, []string{"web"})
	w.eventually("404", func() bool { status, _ := w.get(w.listens(), "/"); return status == 404 })
	w.set.Update([]*upstream.Pool{pool("web", a)}, nil)
	w.expect("/", 200, "a")
}

func (w *world) eventually(what string, ok func() bool) {
	w.t.Helper()
	tick, end := time.NewTicker(time.Millisecond), time.After(limit)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-end:
			w.t.Fatalf("no %s", what)
		}
	}
}

func TestReadiness(t *testing.T) {
	first := make(chan struct{})
	var waiting, degraded string
	w := prepare(t, gateway.Options{
		Set: setOf(pool("web", backend(t, "a"))), Settings: settings(everythingTo("web")),
		Admin:     &admin.Options{Listen: "127.0.0.1:0"},
		First:     func(context.Context) error { <-first; return nil },
		Upstreams: func() (string, string) { return waiting, degraded },
	})
	says := func(status int, text string) {
		t.Helper()
		if s, body := w.get(w.gw.AdminAddr(), "/-/ready"); s != status || !strings.Contains(body, text) {
			t.Errorf("ready: %d %s, want %d %s", s, body, status, text)
		}
	}
	go func() { w.ran <- w.gw.Run(context.Background()) }()
	says(503, "starting")
	close(first)
	w.listens()
	says(200, `"ready": true`)
	waiting = "no servers yet for web"
	says(503, waiting)
	waiting, degraded = "", "web: served from the dump"
	says(200, degraded)
	w.gw.Drain()
	says(503, "draining")
	w.expect("/", 200, "a") // it still accepts
	w.end()
}

func TestMetricsOfAllParts(t *testing.T) {
	log := filepath.Join(t.TempDir(), "access.log")
	s := settings(everythingTo("web"))
	s.AccessLog = gateway.AccessLog{Path: log, Format: "common"}
	w := start(t, gateway.Options{Set: setOf(pool("web", backend(t, "a"))), Settings: s, Admin: &admin.Options{Listen: "127.0.0.1:0"}})
	w.expect("/", 200, "a")
	_, body := w.get(w.gw.AdminAddr(), "/metrics")
	for _, line := range []string{
		`spillway_requests_total{code="200",upstream="web"} 1`, "spillway_connections 1", "spillway_access_log_dropped_lines_total 0",
		`spillway_upstream_server_up{server=`, "go_goroutines",
	} {
		if !strings.Contains(body, line) {
			t.Errorf("no %s in /metrics", line)
		}
	}
}

func TestAReloadThatFailsChangesNothing(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	good := settings(everythingTo("web"))
	w := start(t, gateway.Options{Set: setOf(pool("web", backend(t, "a"))), Settings: good})
	w.expect("/", 200, "a")
	dir := t.TempDir()
	for name, change := range map[string]func(*gateway.Settings){
		"route":         func(s *gateway.Settings) { s.Routes = []route.Rule{{Path: "no-slash", Upstream: "web"}} },
		"format":        func(s *gateway.Settings) { s.AccessLog = gateway.AccessLog{Path: dir + "/log", Format: "$nonsense"} },
		"log":           func(s *gateway.Settings) { s.AccessLog = gateway.AccessLog{Path: dir + "/no/log", Format: "common"} },
		"taken address": func(s *gateway.Settings) { s.Listen = append(s.Listen, taken.Addr().String()) },
	} {
		s := settings([]route.Rule{{Path: "/never/", Upstream: "web"}})
		change(&s)
		if err := w.gw.Reload(s); err == nil {
			t.Errorf("%s: no error", name)
		}
		w.expect("/", 200, "a")
	}
}

func TestReloadReplacesTheAccessLog(t *testing.T) {
	dir := t.TempDir()
	s := settings(everythingTo("web"))
	w := start(t, gateway.Options{Set: setOf(pool("web", backend(t, "a"))), Settings: s})
	logged := func(name, want string) {
		t.Helper()
		w.eventually(name+" "+want, func() bool {
			text, err := os.ReadFile(filepath.Join(dir, name))
			return err == nil && string(text) == want
		})
	}
	w.expect("/none", 200, "a")
	for _, name := range []string{"one", "two"} {
		s.AccessLog = gateway.AccessLog{Path: filepath.Join(dir, name), Format: "$request_uri"}
		if err := w.gw.Reload(s); err != nil {
			t.Fatal(err)
		}
		w.expect("/"+name, 200, "a")
	}
	logged("one", "/one\n")
	logged("two", "/two\n")
	s.AccessLog = gateway.AccessLog{}
	if err := w.gw.Reload(s); err != nil {
		t.Fatal(err)
	}
	w.expect("/off", 200, "a")
	logged("two", "/two\n")
}

func TestUnixSockets(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	s := gateway.Settings{Listen: []string{"unix:" + path}, Routes: everythingTo("web")}
	w := start(t, gateway.Options{Set: setOf(pool("web", backend(t, "a"))), Settings: s})
	w.listens()
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, "GET / HTTP/1.0\r\n\r\n")
	answer, err := io.ReadAll(c)
	if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 200 ") {
		t.Errorf("%q, %v", answer, err)
	}
	s.Listen = []string{"127.0.0.1:0"}
	if err := w.gw.Reload(s); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket's file stays: %v", err)
	}
}

func TestRunEndsWhenItCannotServe(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	lost := errors.New("the registry is gone")
	busy := gateway.Settings{Listen: []string{taken.Addr().String()}, Routes: everythingTo("web")}
	for name, c := range map[string]struct {
		o    gateway.Options
		want string
	}{
		"address": {gateway.Options{Settings: busy}, "address already in use"},
		"first":   {gateway.Options{Settings: settings(nil), First: func(context.Context) error { return lost }}, lost.Error()},
	} {
		c.o.Set = setOf()
		c.o.Admin = &admin.Options{Listen: "127.0.0.1:0"}
		w := prepare(t, c.o)
		if err := w.gw.Run(context.Background()); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
		if c, err := net.Dial("tcp", w.gw.AdminAddr().String()); err == nil {
			c.Close()
			t.Errorf("%s: the admin server still listens", name)
		}
	}
	admin := &admin.Options{Listen: taken.Addr().String()}
	if _, err := gateway.New(gateway.Options{Loops: 1, Set: setOf(), Admin: admin, Log: quiet()}); err == nil {
		t.Error("a taken admin address: no error")
	}
}

func TestTheStartCanBeCalledOff(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	w := prepare(t, gateway.Options{
		Set: setOf(), Settings: settings(nil),
		First: func(ctx context.Context) error { cancel(); <-ctx.Done(); return ctx.Err() },
	})
	if err := w.gw.Run(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Run: %v", err)
	}
	if cut := w.gw.Shutdown(context.Background()); cut != 0 {
		t.Errorf("%d connections cut", cut)
	}
	if err := w.gw.Reload(settings(nil)); err == nil {
		t.Error("a reload after the end: no error")
	}
	if err := w.gw.ReopenLogs(); err != nil {
		t.Errorf("reopening after the end: %v", err)
	}
}

func TestShutdownCutsWhatDoesNotFinish(t *testing.T) {
	asked := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(asked)
		<-r.Context().Done()
	}))
	t.Cleanup(s.Close)
	w := start(t, gateway.Options{Set: setOf(pool("web", s.Listener.Addr().String())), Settings: settings(everythingTo("web"))})
	at := w.listens()
	go w.client.Get("http://" + at.String())
	<-asked
	ctx, stop := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer stop()
	if cut := w.gw.Shutdown(ctx); cut != 1 {
		t.Errorf("%d connections cut, want 1", cut)
	}
}
