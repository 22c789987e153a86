package admin

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"spillway/gateway/upstream"
)

// serve starts a server and returns it; it ends with the test.
func serve(t *testing.T, o Options) *Server {
	t.Helper()
	if o.Listen == "" {
		o.Listen = "127.0.0.1:0"
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve() }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return s
}

// answer is what a client got.
type answer struct {
	status int
	header http.Header
	body   string
}

// do sends one request; edits change it first.
func do(t *testing.T, s *Server, method, path string, edits ...func(*http.Request)) answer {
	t.Helper()
	req, err := http.NewRequest(method, "http://"+s.Addr().String()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, edit := range edits {
		edit(req)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{res.StatusCode, res.Header, string(body)}
}

func authorization(value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("Authorization", value) }
}

func hostName(name string) func(*http.Request) {
	return func(r *http.Request) { r.Host = name }
}

// wantFailure checks that an answer is an error of that status and word.
func wantFailure(t *testing.T, a answer, status int, word string) {
	t.Helper()
	var f failure
	if err := json.Unmarshal([]byte(a.body), &f); err != nil {
		t.Errorf("%v: %q", err, a.body)
		return
	}
	if a.status != status || f.Code != status || f.Error != word || f.Detail == "" {
		t.Errorf("got %d %+v, want %d %s", a.status, f, status, word)
	}
	if got := a.header.Get("Content-Type"); got != "application/json" {
		t.Errorf("Content-Type: %s", got)
	}
}

func TestHealthyAndPing(t *testing.T) {
	s := serve(t, Options{ReadToken: "secret"})
	for path, want := range map[string]string{"/-/healthy": "healthy\n", "/ping": "OK"} {
		if a := do(t, s, "GET", path); a.status != 200 || a.body != want {
			t.Errorf("%s: got %d %q", path, a.status, a.body)
		}
	}
}

func TestReady(t *testing.T) {
	tests := []struct {
		name   string
		view   func() (bool, string, string)
		status int
		want   readiness
	}{
		{"not said", nil, 503, readiness{false, "", "starting"}},
		{"ready", func() (bool, string, string) { return true, "", "" }, 200, readiness{Ready: true}},
		{"degraded", func() (bool, string, string) { return true, "web: from dump", "since 12:00" }, 200, readiness{true, "web: from dump", "since 12:00"}},
		{"draining", func() (bool, string, string) { return false, "", "draining" }, 503, readiness{false, "", "draining"}},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			a := do(t, serve(t, Options{Views: Views{Ready: tc.view}}), "GET", "/-/ready")
			var got readiness
			if err := json.Unmarshal([]byte(a.body), &got); err != nil || a.status != tc.status || got != tc.want {
				t.Errorf("got %d %+v (%v), want %d %+v", a.status, got, err, tc.status, tc.want)
			}
		})
	}
}

func TestReloadNeedsTheToken(t *testing.T) {
	reloads := 0
	views := Views{Reload: func() error { reloads++; return nil }}
	s := serve(t, Options{Token: "s3cret", ReadToken: "look", Views: views})
	for _, value := range []string{"", "s3cret", "Bearer", "Bearer ", "Bearer s3cre", "Bearer s3crets", "Bearer look", "Basic s3cret"} {
		a := do(t, s, "POST", "/-/reload", authorization(value))
		wantFailure(t, a, 401, "unauthorized")
		if a.header.Get("WWW-Authenticate") != "Bearer" {
			t.Errorf("%q: no WWW-Authenticate", value)
		}
	}
	if reloads != 0 {
		t.Fatalf("reloaded %d times without the token", reloads)
	}
	for _, value := range []string{"Bearer s3cret", "bearer  s3cret "} {
		if a := do(t, s, "POST", "/-/reload", authorization(value)); a.status != 200 {
			t.Errorf("%q: got %d %s", value, a.status, a.body)
		}
	}
	if reloads != 2 {
		t.Errorf("reloaded %d times, want 2", reloads)
	}
}

func TestWritesAreRefusedWithoutAConfiguredToken(t *testing.T) {
	views := Views{Reload: func() error { t.Error("reloaded"); return nil }}
	s := serve(t, Options{Views: views})
	wantFailure(t, do(t, s, "POST", "/-/reload"), 403, "writes_disabled")
	wantFailure(t, do(t, s, "POST", "/-/reload", authorization("Bearer ")), 403, "writes_disabled")
}

func TestARefusedReloadSaysWhy(t *testing.T) {
	views := Views{Reload: func() error { return errors.New("gw.yaml:3:5: unknown key \"upstrem\"") }}
	s := serve(t, Options{Token: "x", Views: views})
	a := do(t, s, "POST", "/-/reload", authorization("Bearer x"))
	wantFailure(t, a, 422, "reload_failed")
	if !strings.Contains(a.body, "gw.yaml:3:5") {
		t.Errorf("got %s", a.body)
	}
}

func TestReadTokenGuardsAllButProbes(t *testing.T) {
	s := serve(t, Options{Token: "w", ReadToken: "r"})
	for _, path := range []string{"/", "/upstream_show", "/api/v1/upstreams", "/api/v1/config", "/debug/pprof/"} {
		wantFailure(t, do(t, s, "GET", path), 401, "unauthorized")
		for _, value := range []string{"Bearer r", "Bearer w"} {
			if a := do(t, s, "GET", path, authorization(value)); a.status == 401 {
				t.Errorf("%s with %s: 401", path, value)
			}
		}
	}
}

func TestMethods(t *testing.T) {
	views := Views{Reload: func() error { t.Error("reloaded"); return nil }}
	s := serve(t, Options{Token: "x", Views: views})
	for path := range s.routes {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"} {
			taken := method == "GET" || method == "HEAD"
			if s.routes[path].access == write {
				taken = method == "POST"
			}
			if taken {
				continue
			}
			a := do(t, s, method, path, authorization("Bearer x"))
			if method != "HEAD" { // which has no body
				wantFailure(t, a, 405, "method_not_allowed")
			}
			if a.status != 405 || a.header.Get("Allow") == "" {
				t.Errorf("%s %s: got %d, Allow %q", method, path, a.status, a.header.Get("Allow"))
			}
		}
	}
}

func TestForeignHostNamesAreRefusedOnLoopback(t *testing.T) {
	s := serve(t, Options{})
	for _, name := range []string{"127.0.0.1", "127.0.0.1:9901", "localhost", "LocalHost:80", "[::1]:9901", "[::1]", "10.1.2.3:80"} {
		if a := do(t, s, "GET", "/-/healthy", hostName(name)); a.status != 200 {
			t.Errorf("%s: got %d", name, a.status)
		}
	}
	for _, name := range []string{"evil.example", "evil.example:9901", "localhost.evil.example", "127.0.0.1.evil.example", "a.localhost"} {
		wantFailure(t, do(t, s, "GET", "/-/healthy", hostName(name)), 403, "foreign_host")
	}
}

func TestOtherAddressesTakeAnyHostName(t *testing.T) {
	s := serve(t, Options{Listen: "0.0.0.0:0"})
	if a := do(t, s, "GET", "/-/healthy", hostName("gateway.internal")); a.status != 200 {
		t.Errorf("got %d %s", a.status, a.body)
	}
}

func TestUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.sock")
	old, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(Options{Listen: "unix:" + path}); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("took a socket in use: %v", err)
	}
	old.(*net.UnixListener).SetUnlinkOnClose(false)
	old.Close() // what a killed process leaves behind

	serve(t, Options{Listen: "unix:" + path})
	if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != 0o660 {
		t.Errorf("mode %v, %v", fi.Mode(), err)
	}
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(context.Context, string, string) (net.Conn, error) { return net.Dial("unix", path) },
	}}
	res, err := client.Get("http://spillway/-/healthy")
	if err != nil || res.StatusCode != 200 {
		t.Fatalf("%v, %v", res, err)
	}
	res.Body.Close()
}

func TestAnAddressInUseIsAnError(t *testing.T) {
	s := serve(t, Options{})
	if _, err := New(Options{Listen: s.Addr().String()}); err == nil || !strings.HasPrefix(err.Error(), "cannot listen for admin on ") {
		t.Errorf("got %v", err)
	}
}

// raw sends bytes and returns the status line of the answer.
func raw(t *testing.T, s *Server, text string) string {
	t.Helper()
	c, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	go func() { _, _ = io.WriteString(c, text) }() // the server may answer before it has read all
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(line)
}

func TestLimits(t *testing.T) {
	s := serve(t, Options{Token: "x"})
	head := "POST /-/reload HTTP/1.1\r\nHost: localhost\r\n"
	tests := []struct{ name, request, want string }{
		{"head", head + "X: " + strings.Repeat("x", maxHead) + "\r\n\r\n", "HTTP/1.1 431 Request Header Fields Too Large"},
		{"body", head + fmt.Sprintf("Content-Length: %d\r\n\r\n", maxBody+1), "HTTP/1.1 413 Request Entity Too Large"},
		{"garbage", "\x16\x03\x01\r\n\r\n", "HTTP/1.1 400 Bad Request"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			if got := raw(t, s, tc.request); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestAPanicIsOneRequests(t *testing.T) {
	var log strings.Builder
	views := Views{Pools: func() []*upstream.Pool { panic("boom") }}
	s := serve(t, Options{Views: views, Log: slog.New(slog.NewTextHandler(&log, nil))})
	wantFailure(t, do(t, s, "GET", "/api/v1/upstreams"), 500, "internal")
	if a := do(t, s, "GET", "/-/healthy"); a.status != 200 {
		t.Errorf("got %d afterwards", a.status)
	}
	if !strings.Contains(log.String(), "boom") {
		t.Error("the panic was not logged")
	}
}

func TestMetricsConfigProfilesAndIndex(t *testing.T) {
	s := serve(t, Options{Views: Views{
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "spillway_up 1\n") }),
		Config:  func() ([]byte, error) { return []byte("token: '***'\n"), nil },
	}})
	tests := []struct{ path, contentType, contains string }{
		{"/metrics", "text/plain; charset=utf-8", "spillway_up 1\n"},
		{"/api/v1/config", "application/yaml", "token: '***'\n"},
		{"/debug/pprof/", "text/html; charset=utf-8", "goroutine"},
		{"/debug/pprof/goroutine?debug=1", "text/plain; charset=utf-8", "goroutine profile:"},
		{"/debug/pprof/cmdline", "text/plain; charset=utf-8", "admin"},
		{"/", "text/html; charset=utf-8", `<a href="/upstream_show">`},
	}
	for _, tc := range tests {
		a := do(t, s, "GET", tc.path)
		if a.status != 200 || a.header.Get("Content-Type") != tc.contentType || !strings.Contains(a.body, tc.contains) {
			t.Errorf("%s: got %d %s %.200q", tc.path, a.status, a.header.Get("Content-Type"), a.body)
		}
		if a.header.Get("Cache-Control") != "no-store" || a.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %v", tc.path, a.header)
		}
	}
}

func TestUnknownPaths(t *testing.T) {
	s := serve(t, Options{})
	for _, path := range []string{"/nope", "/api/v1/", "/upstream_show/web", "/metrics", "/-/", "/debug/pprof"} {
		wantFailure(t, do(t, s, "GET", path), 404, "not_found")
	}
	wantFailure(t, do(t, s, "GET", "/api/v1/config"), 404, "no_config")
}

func TestShutdownWaitsForTheRequestInHand(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	s, err := New(Options{Listen: "127.0.0.1:0", Views: Views{Config: func() ([]byte, error) {
		close(entered)
		<-leave
		return []byte("late"), nil
	}}})
	if err != nil {
		t.Fatal(err)
	}
	served, down, got := make(chan error, 1), make(chan error, 1), make(chan answer, 1)
	go func() { served <- s.Serve() }()
	go func() { got <- do(t, s, "GET", "/api/v1/config") }()
	<-entered
	go func() { down <- s.Shutdown(context.Background()) }()
	if err := <-served; err != nil { // the listener is closed, the request is not
		t.Error(err)
	}
	select {
	case <-down:
		t.Error("Shutdown returned before the request ended")
	default:
	}
	close(leave)
	if a := <-got; a.body != "late" {
		t.Errorf("got %d %q", a.status, a.body)
	}
	if err := <-down; err != nil {
		t.Error(err)
	}
}
