package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
)

// order sends an order to the admin server.
func (s *sut) order(name, action, token, body string) answer {
	s.t.Helper()
	req, err := http.NewRequest(http.MethodPost, "http://"+s.admin+"/api/v1/upstreams/"+name+"/"+action, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := (&http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer{resp.StatusCode, string(text), resp.Header}
}

func (s *sut) ordered(name, action, body string) {
	s.t.Helper()
	if a := s.order(name, action, "t0k", body); a.status != http.StatusOK {
		s.t.Fatalf("%s %s: %d %s", action, body, a.status, a.body)
	}
}

const operatedKV = "admin: {token: t0k}\n" + webFromKV

func TestOrdersInTraffic(t *testing.T) {
	t.Parallel()
	c := startConsul(t)
	a, b := namedBackend(t, "a"), namedBackend(t, "b")
	c.put("upstreams/web/"+a, "")
	c.put("upstreams/web/"+b, "")
	g := serveConfig(t, followConsul(c.addr, operatedKV), "--loops", "1")
	g.served("", "/", "a", "b")
	tr := startTraffic(t, g.addr)

	g.ordered("web", "drain", fmt.Sprintf(`{"server":%q,"by":"ann","reason":"deploy"}`, a))
	g.served("", "/", "b")
	c.put("upstreams/web/"+a, `{"weight":7}`)
	tr.must(t, "drained", 50)
	eventually(t, "weight of a drained server", func() error {
		if text := g.ops("/api/v1/upstreams/web").body; !strings.Contains(text, `"weight": 7`) || !strings.Contains(text, `"why": "drained by ann until `) {
			return errors.New(text)
		}
		return nil
	})
	g.served("", "/", "b")
	g.ordered("web", "ready", fmt.Sprintf(`{"server":%q}`, a))
	g.ordered("web", "weight", fmt.Sprintf(`{"server":%q,"weight":3}`, a))
	eventually(t, "three to one", func() error { return g.share("a", "b", 3) })
	g.ordered("web", "ready", fmt.Sprintf(`{"server":%q}`, a))

	g.ordered("web", "freeze", `{"by":"ann"}`)
	c.delete("upstreams/web/" + b)
	eventually(t, "an update that waits", func() error {
		if text := g.ops("/api/v1/upstreams/web").body; !strings.Contains(text, `"update_waits": true`) {
			return errors.New(text)
		}
		return nil
	})
	g.served("", "/", "a", "b")
	g.ordered("web", "unfreeze", "")
	g.served("", "/", "a")
	g.ordered("web", "rollback", `{"reason":"too early"}`)
	g.served("", "/", "a", "b")
	g.ordered("web", "unfreeze", "")
	g.served("", "/", "a")
	tr.must(t, "at the end", 50)
	g.historyTells(t)
	if line := g.logged("order"); line["by"] != "ann" || line["action"] != "drain" || line["reason"] != "deploy" {
		t.Errorf("audit line %v", line)
	}
}

// historyTells checks what is told of the changes.
func (s *sut) historyTells(t *testing.T) {
	t.Helper()
	var h struct {
		Decisions []struct {
			Verdict   string
			Removed   []string
			LatencyMS *float64 `json:"latency_ms"`
		}
	}
	if err := json.Unmarshal([]byte(s.ops("/api/v1/upstreams/web/history").body), &h); err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	timed := 0
	for _, d := range h.Decisions {
		seen[d.Verdict]++
		if d.LatencyMS != nil && *d.LatencyMS >= 0 && *d.LatencyMS < 60_000 {
			timed++
		}
	}
	if seen["overridden"] < 6 || seen["postponed"] == 0 || seen["applied"] == 0 || timed == 0 {
		t.Errorf("history has %v, %d with a latency", seen, timed)
	}
}

func TestOrdersThatAreRefused(t *testing.T) {
	t.Parallel()
	a := namedBackend(t, "a")
	g := serveConfig(t, fmt.Sprintf("admin: {token: t0k}\nupstreams:\n  web: {servers: [%q]}\nroutes:\n  - upstream: web\n", a))
	g.served("", "/", "a")
	for _, tc := range []struct {
		action, token, body string
		status              int
		says                string
	}{
		{"drain", "wrong", "", 401, "Bearer TOKEN"},
		{"drain", "t0k", "{", 400, "IP:PORT"},
		{"drain", "t0k", "", 422, "server is missing"},
		{"drain", "t0k", `{"server":"127.0.0.1:1"}`, 404, a},
		{"weight", "t0k", fmt.Sprintf(`{"server":%q,"weight":0}`, a), 422, "1 to 65535"},
		{"weight", "t0k", fmt.Sprintf(`{"server":%q,"weight":70000}`, a), 422, "1 to 65535"},
		{"freeze", "t0k", `{"ttl":"9000h"}`, 422, "1s to 720h"},
		{"freeze", "t0k", `{"ttl":"0"}`, 400, "such as 30m"},
		{"rollback", "t0k", "", 409, "did not change"},
	} {
		if got := g.order("web", tc.action, tc.token, tc.body); got.status != tc.status || !strings.Contains(got.body, tc.says) {
			t.Errorf("%s %s: %d %s, want %d and %q", tc.action, tc.body, got.status, got.body, tc.status, tc.says)
		}
	}
	g.served("", "/", "a")
	g.logged("order refused")
	g.logged("write refused")
	none := serveConfig(t, fmt.Sprintf("upstreams:\n  web: {servers: [%q]}\nroutes:\n  - upstream: web\n", a))
	if got := none.order("web", "drain", "t0k", ""); got.status != http.StatusForbidden {
		t.Errorf("without a token: %d %s", got.status, got.body)
	}
}

func TestOrdersSurviveARestartBesideTheDump(t *testing.T) {
	t.Parallel()
	c := startConsul(t)
	a, b := namedBackend(t, "a"), namedBackend(t, "b")
	c.put("upstreams/web/"+a, "")
	c.put("upstreams/web/"+b, "")
	dump := t.TempDir() + "/web.conf"
	config := followConsul(c.addr, strings.Replace(operatedKV, "web/}", "web/, dump: "+dump+"}", 1))
	g := serveConfig(t, config)
	g.served("", "/", "a", "b")
	g.ordered("web", "drain", fmt.Sprintf(`{"server":%q}`, a))
	g.ordered("web", "freeze", "")
	eventually(t, "dump", func() error { _, err := os.Stat(dump + ".json"); return err })
	g.kill()
	c.delete("upstreams/web/" + b)
	g = serveConfig(t, config)
	g.served("", "/", "b")
	g.ordered("web", "unfreeze", "")
	g.ordered("web", "ready", fmt.Sprintf(`{"server":%q}`, a))
	g.served("", "/", "a")
}
