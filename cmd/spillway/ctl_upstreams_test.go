package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
)

// askCtl runs ctl against a gateway and returns what it said.
func askCtl(t *testing.T, g *sut, args ...string) (code int, out, err string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	env := map[string]string{"SPILLWAY_CTL_GATEWAY": g.admin, "SPILLWAY_CTL_TOKEN": "t0k", "USER": "ann"}
	term := &terminal{out: &stdout, err: &stderr, env: func(name string) (string, bool) { v, ok := env[name]; return v, ok }}
	code = term.ctl(args)
	return code, stdout.String(), stderr.String()
}

// wantCtl checks that ctl succeeds and says all of these.
func wantCtl(t *testing.T, g *sut, line string, says ...string) {
	t.Helper()
	code, out, errs := askCtl(t, g, strings.Fields(line)...)
	if code != 0 {
		t.Errorf("ctl %s: code %d: %s", line, code, errs)
	}
	for _, part := range says {
		if !strings.Contains(out, part) {
			t.Errorf("ctl %s: no %q in\n%s", line, part, out)
		}
	}
}

func TestCtlOperatesAGateway(t *testing.T) {
	t.Parallel()
	c := startConsul(t)
	a, b := namedBackend(t, "a"), namedBackend(t, "b")
	c.put("upstreams/web/"+a, `{"weight":2}`)
	c.put("upstreams/web/"+b, "")
	g := serveConfig(t, followConsul(c.addr, operatedKV), "--loops", "1")
	g.served("", "/", "a", "b")

	wantCtl(t, g, "upstreams", "UPSTREAM", "web", "consul-kv")
	wantCtl(t, g, "upstreams web", a, b, "up", "kv")
	wantCtl(t, g, "drain web "+a+" --ttl 5m --reason deploy", a+": drain until ", "; 1 servers get requests", "or a restart of the gateway")
	wantCtl(t, g, "explain web", a, "no ", "down; drained by ann@", "(deploy)", "yes", "last decision at ", "overridden")
	wantCtl(t, g, "maint web "+b, "WARNING: no server is left")
	wantCtl(t, g, "ready web "+b, "ready; 1 servers get requests")
	wantCtl(t, g, "ready web "+a, "2 servers")
	wantCtl(t, g, "weight web "+a+" 7")
	wantCtl(t, g, "explain web", "override by ann@")
	wantCtl(t, g, "freeze web --reason friday", "freeze until ")
	c.delete("upstreams/web/" + b)
	eventually(t, "an update that waits", func() error {
		if _, out, _ := askCtl(t, g, "upstreams", "web"); !strings.Contains(out, "FROZEN by ann@") || !strings.Contains(out, "(friday); a newer list waits") {
			return fmt.Errorf("%s", out)
		}
		return nil
	})
	wantCtl(t, g, "unfreeze web", "unfreeze; 1 servers")
	wantCtl(t, g, "rollback web", "rollback until ", "2 servers")
	wantCtl(t, g, "upstreams web", "ROLLED BACK by ann@")
	wantCtl(t, g, "history web", "VERDICT", "overridden", "postponed", "rolled back by ann@", b)
	wantCtl(t, g, "history web --output json", `"verdict": "postponed"`)
	wantCtl(t, g, "top", "REQUESTS/S", "web", "2 of 2")
}

func TestCtlExplainAndTopForPrograms(t *testing.T) {
	t.Parallel()
	a := namedBackend(t, "a")
	g := serveConfig(t, fmt.Sprintf("admin: {token: t0k}\nupstreams:\n  web: {servers: [%q]}\nroutes:\n  - upstream: web\n", a))
	g.served("", "/", "a")
	_, out, _ := askCtl(t, g, "explain", "web", "--output", "json")
	var e struct {
		Servers []explanation `json:"servers"`
	}
	if err := json.Unmarshal([]byte(out), &e); err != nil || len(e.Servers) != 1 || !e.Servers[0].Gets || e.Servers[0].WeightFrom != "default" {
		t.Errorf("%v: %s", err, out)
	}
	eventually(t, "rate in top", func() error {
		_, out, _ := askCtl(t, g, "top", "--output", "json")
		var rows []topRow
		if err := json.Unmarshal([]byte(out), &rows); err != nil {
			return err
		}
		if len(rows) != 1 || rows[0].Rate == 0 || rows[0].P99 == nil || *rows[0].P99 <= 0 {
			return fmt.Errorf("%s", out)
		}
		return nil
	})
}

func TestCtlRefusesAndIsRefused(t *testing.T) {
	t.Parallel()
	a := namedBackend(t, "a")
	g := serveConfig(t, fmt.Sprintf("admin: {token: t0k}\nupstreams:\n  web: {servers: [%q]}\nroutes:\n  - upstream: web\n", a))
	wrong := t.TempDir() + "/token"
	writeFile(t, wrong, "wrong\n")
	if err := os.Chmod(wrong, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		line string
		code int
		says string
	}{
		{"drain web", exitCtlUsage, "SERVER is missing"},
		{"weight web " + a + " heavy", exitCtlUsage, "1 to 65535"},
		{"freeze web --ttl 10ms", exitCtlUsage, "less than 1s"},
		{"freeze web --ttl 9000h", 1, "422 invalid_order"},
		{"top all", exitCtlUsage, "unexpected argument"},
		{"explain nope", 1, "404 unknown_upstream"},
		{"drain web 10.9.9.9:1", 1, "404 unknown_server"},
		{"rollback web", 1, "409 no_earlier_set"},
		{"freeze web --token-file " + wrong, 1, "401 unauthorized"},
		{"upstreams --address 127.0.0.1:1", 1, "cannot ask the gateway at 127.0.0.1:1"},
		{"upstreams --gateway ftp://x", 1, "is neither host:port"},
	} {
		code, _, errs := askCtl(t, g, strings.Fields(tc.line)...)
		if code != tc.code || !strings.Contains(errs, tc.says) {
			t.Errorf("ctl %s: %d %q, want %d and %q", tc.line, code, errs, tc.code, tc.says)
		}
	}
	if a := g.ops("/api/v1/upstreams/web"); a.status != http.StatusOK || strings.Contains(a.body, `"frozen"`) {
		t.Error(a.body)
	}
}

func TestLatencyAt(t *testing.T) {
	h := make([]uint64, 20)
	if latencyAt(h, 0.5) != nil {
		t.Error("nothing was answered")
	}
	h[0], h[2], h[10] = 50, 49, 1
	for q, want := range map[float64]float64{0.5: 0.05, 0.51: 0.2, 0.99: 0.2, 1: 51.2} {
		if got := latencyAt(h, q); got == nil || *got != want {
			t.Errorf("%v: %v, want %v", q, *got, want)
		}
	}
}
