package bench

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
)

// command runs `spillway bench ARGS`.
func command(args ...string) (code int, stdout, stderr string) {
	var out, err bytes.Buffer
	code = Command(args, &out, &err)
	return code, out.String(), err.String()
}

// serve runs a server until the test ends.
func serve(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

func hello(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") }

// TestJSONHasTheFixedNames holds the saved form against the names that others
// rely on.
func TestJSONHasTheFixedNames(t *testing.T) {
	url := serve(t, hello)
	file := filepath.Join(t.TempDir(), "report.json")
	code, out, errs := command("run", "--url", url, "--rate", "500", "--duration", "1s", "--connections", "8", "--pid", strconv.Itoa(os.Getpid()), "--json", file, "--max-lag", "1s")
	if !strings.Contains(out, "generator lag") {
		t.Fatalf("exit %d, %q, %q", code, out, errs)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var r map[string]any
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"corrected", "raw", "generator_lag"} {
		for _, q := range []string{"p50", "p90", "p99", "p99_9", "p99_99", "max"} {
			if _, ok := at(r, "latency_us", name, q).(float64); !ok {
				t.Errorf("latency_us.%s.%s is no number", name, q)
			}
		}
	}
	if got := at(r, "rate", "planned"); got != 500.0 {
		t.Errorf("rate.planned %v", got)
	}
	requests, _ := at(r, "requests").(float64)
	if achieved, _ := at(r, "rate", "achieved").(float64); achieved != requests || requests < 1 || requests > 500 {
		t.Errorf("rate.achieved %v, requests %v in a second", achieved, requests)
	}
	if valid, ok := at(r, "valid").(bool); !ok || valid != (code == 0) || at(r, "errors", "total") != 0.0 || at(r, "errors", "by_kind") == nil {
		t.Errorf("exit %d, valid %v, errors %v", code, at(r, "valid"), at(r, "errors"))
	}
	if cpu, _ := at(r, "server", "cpu_us_per_request").(float64); cpu <= 0 {
		t.Errorf("server %v", at(r, "server"))
	}
}

func at(v any, path ...string) any {
	for _, key := range path {
		m, _ := v.(map[string]any)
		v = m[key]
	}
	return v
}

func TestExitCodes(t *testing.T) {
	url := serve(t, hello)
	failing := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) })
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead := "http://" + ln.Addr().String()
	ln.Close()
	quick := []string{"--duration", "300ms", "--connections", "2", "--max-lag", "5s"}
	for _, tt := range []struct {
		code int
		args []string
		want string
	}{
		{0, []string{"run", "--url", url, "--expect", "p99<10s,errors=0,rate>1"}, ""},
		{2, []string{"run", "--url", url, "--expect", "p50<1us"}, "missed: p50<1us"},
		{2, []string{"run", "--url", failing, "--expect", "errors<0.1%"}, "missed: errors<0.1%"},
		{3, []string{"run", "--url", url, "--rate", "100", "--max-lag", "1ns", "--expect", "p50<1us"}, "invalid: generator lag"},
		{1, []string{"run", "--url", dead}, "connection refused"},
		{64, []string{"run"}, "--url"},
		{64, []string{"run", "--url", "ftp://127.0.0.1/"}, "is no URL"},
		{64, []string{"run", "--url", "http://192.0.2.1/"}, "--remote"},
		{64, []string{"run", "--url", "http://192.0.2.1/", "--remote"}, "must be bounded"},
		{64, []string{"run", "--url", url, "--rate", "fast"}, "is no rate"},
		{64, []string{"run", "--url", url, "--expect", "p98<1ms"}, "none of"},
		{64, []string{"run", "--url", url, "--duration", "2h"}, "--long"},
		{64, []string{"run", "--url", url, "--scenario", "/does/not/exist"}, "cannot read scenario"},
		{64, []string{"run", "--url", url, "stray"}, "follows --"},
		{64, []string{"run", "--no-such-flag"}, "no-such-flag"},
		{64, []string{"search", "--url", url}, "--slo"},
		{64, []string{"compare", "one.json"}, "two saved reports"},
		{1, []string{"compare", "/no/a.json", "/no/b.json"}, "cannot read report"},
		{64, []string{"dance"}, `"dance" is no verb`},
		{64, nil, "usage"},
		{0, []string{"run", "--help"}, "usage: spillway bench run"},
	} {
		args := tt.args
		if len(args) > 0 && args[0] == "run" && !strings.Contains(strings.Join(args, " "), "--duration") {
			args = append([]string{"run"}, append(append([]string{}, quick...), args[1:]...)...)
		}
		code, _, errs := command(args...)
		if code != tt.code || !strings.Contains(errs, tt.want) {
			t.Errorf("%v: exit %d, want %d; says %q, want %q", tt.args, code, tt.code, errs, tt.want)
		}
	}
}

// TestHTTPS asks a server whose certificate nobody signed.
func TestHTTPS(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(hello))
	t.Cleanup(s.Close)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	quick := []string{"run", "--url", s.URL + "/x", "--duration", "500ms", "--connections", "4", "--max-lag", "5s", "--expect", "errors=0,rate>1"}
	if code, out, errs := command(append(quick, "--insecure")...); code != 0 {
		t.Errorf("exit %d: %s%s", code, out, errs)
	}
	if code, out, errs := command(quick...); code == 0 || !strings.Contains(out+errs, "certificate") {
		t.Errorf("exit %d though nobody vouches for the server: %s%s", code, out, errs)
	}
	if code, out, errs := command(append(quick, "--insecure", "--fresh")...); code != 0 {
		t.Errorf("a handshake for each request: exit %d: %s%s", code, out, errs)
	}
}

func TestScenario(t *testing.T) {
	var posts, gets atomic.Int64
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.Method == "POST" {
			posts.Add(1)
			w.WriteHeader(201)
		} else {
			gets.Add(1)
		}
		fmt.Fprintf(w, "%s %s %s %s", r.URL.Path, r.Header.Get("X-All"), r.Header.Get("X-Own"), body)
	})
	file := filepath.Join(t.TempDir(), "mix.yaml")
	text := `
url: ` + url + `
headers: {X-All: everywhere, X-Own: shadowed}
requests:
  - name: read
    weight: 3
    path: /items/{random:50}
    expect: {contains: "/items/{random:50} everywhere shadowed"}
  - name: write
    method: post
    path: /items
    headers: {x-own: mine}
    body: '{"id":"{id}"}'
    expect:
      status: [200, 201]
      equals: '/items everywhere mine {"id":"{id}"}'
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, errs := command("run", "--scenario", file, "--duration", "300ms", "--connections", "4", "--pipeline", "2", "--expect", "errors=0")
	if code != 0 || !strings.Contains(out, "requests: read, write") {
		t.Fatalf("exit %d: %s%s", code, out, errs)
	}
	if p, g := posts.Load(), gets.Load(); p < 1 || g < 3*p-12 || g > 3*p+12 {
		t.Errorf("%d posts, %d gets, want 1 to 3", p, g)
	}
}

func TestStartedServerIsAccountedForAndEnded(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	ln.Close()
	code, out, errs := command("run", "--url", "http://"+addr, "--duration", "300ms", "--connections", "4", "--repeat", "2", "--json", "-",
		"--", self, "bench", "peers", "serve", "backend", "--listen", addr)
	var r map[string]any
	if err := json.Unmarshal([]byte(out), &r); err != nil || code != 0 {
		t.Fatalf("exit %d, %v: %s", code, err, errs)
	}
	if cpu, _ := at(r, "server", "cpu_us_per_request").(float64); cpu < 0.5 || cpu > 500 {
		t.Errorf("server %v", at(r, "server"))
	}
	if trials, _ := at(r, "trials").([]any); len(trials) != 2 {
		t.Errorf("trials %v", trials)
	}
	if conn, err := net.Dial("tcp", addr); err == nil {
		conn.Close()
		t.Error("the server was left running")
	}
}
