package admin

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"spillway/gateway/upstream"
)

// operated is a server with one upstream that keeps the orders it was given.
func operated(t *testing.T, log io.Writer, answer error) (*Server, *[]Order) {
	t.Helper()
	var orders []Order
	pool := upstream.NewPool("web", &upstream.Settings{})
	views := Views{
		Pools: func() []*upstream.Pool { return []*upstream.Pool{pool} },
		Operate: func(name string, o Order) (Done, error) {
			orders = append(orders, o)
			return Done{Upstream: name, Action: o.Action, Server: o.Server, Left: 3}, answer
		},
		History: func(string) []Event { return []Event{{Index: 7, Verdict: "applied", Added: []string{"10.0.0.1:80"}}} },
	}
	return serve(t, Options{Token: "secret", Views: views, Log: slog.New(slog.NewJSONHandler(log, nil))}), &orders
}

func TestOrdersAreReadAndAudited(t *testing.T) {
	var log bytes.Buffer
	s, orders := operated(t, &log, nil)
	auth := authorization("Bearer secret")
	a := do(t, s, "POST", "/api/v1/upstreams/web/weight", auth, body(`{"server":"10.0.0.1:80","weight":5,"ttl":"90s","by":"ann","reason":"hot"}`))
	want := []Order{{Action: "weight", Server: "10.0.0.1:80", Weight: 5, TTL: 90 * time.Second, By: "ann", Reason: "hot"}}
	if diff := cmp.Diff(want, *orders); a.status != 200 || diff != "" {
		t.Errorf("%d %s: -want +got\n%s", a.status, a.body, diff)
	}
	var done Done
	if err := json.Unmarshal([]byte(a.body), &done); err != nil || done.Left != 3 || done.Action != "weight" {
		t.Errorf("%v: %s", err, a.body)
	}
	for _, part := range []string{`"msg":"order"`, `"action":"weight"`, `"by":"ann"`, `"reason":"hot"`, `"from":"127.0.0.1:`, `"status":200`} {
		if !strings.Contains(log.String(), part) {
			t.Errorf("no %s in the audit line %s", part, log.String())
		}
	}
	for _, action := range actions {
		if a := do(t, s, "POST", "/api/v1/upstreams/web/"+action, auth); a.status != 200 {
			t.Errorf("%s without a body: %d", action, a.status)
		}
	}
}

func TestOrdersNeedTheToken(t *testing.T) {
	var log bytes.Buffer
	s, orders := operated(t, &log, nil)
	for _, action := range actions {
		path := "/api/v1/upstreams/web/" + action
		wantFailure(t, do(t, s, "POST", path), 401, "unauthorized")
		wantFailure(t, do(t, s, "POST", path, authorization("Bearer wrong")), 401, "unauthorized")
		if a := do(t, s, "GET", path, authorization("Bearer secret")); a.status == 200 {
			t.Errorf("GET %s: %d", path, a.status)
		}
	}
	wantFailure(t, do(t, serve(t, Options{}), "POST", "/api/v1/upstreams/web/drain", authorization("Bearer x")), 403, "writes_disabled")
	if len(*orders) > 0 || !strings.Contains(log.String(), `"msg":"write refused"`) {
		t.Errorf("orders %v, log %s", *orders, log.String())
	}
}

func TestOrdersThatCannotBeRead(t *testing.T) {
	s, orders := operated(t, io.Discard, nil)
	for _, text := range []string{`{`, `[]`, `{"weight":"5"}`, `{"servers":"x"}`, `{} {}`, `{"ttl":"soon"}`, `{"ttl":"-1s"}`, `{"ttl":5}`, `{"weight":1.5}`} {
		wantFailure(t, do(t, s, "POST", "/api/v1/upstreams/web/drain", authorization("Bearer secret"), body(text)), 400, "bad_order")
	}
	wantFailure(t, do(t, s, "POST", "/api/v1/upstreams/nope/drain", authorization("Bearer secret")), 404, "unknown_upstream")
	if len(*orders) > 0 {
		t.Errorf("orders %v", *orders)
	}
}

func TestRefusedOrders(t *testing.T) {
	s, _ := operated(t, io.Discard, &Refusal{Status: 422, Word: "invalid_order", Detail: "weight 0, want 1 to 65535"})
	a := do(t, s, "POST", "/api/v1/upstreams/web/weight", authorization("Bearer secret"))
	wantFailure(t, a, 422, "invalid_order")
	if !strings.Contains(a.body, "1 to 65535") {
		t.Error(a.body)
	}
	s, _ = operated(t, io.Discard, errors.New("disk"))
	wantFailure(t, do(t, s, "POST", "/api/v1/upstreams/web/drain", authorization("Bearer secret")), 500, "failed")
}

func TestHistory(t *testing.T) {
	s, _ := operated(t, io.Discard, nil)
	a := do(t, s, "GET", "/api/v1/upstreams/web/history")
	if a.status != 200 || !strings.Contains(a.body, `"10.0.0.1:80"`) || !strings.Contains(a.body, `"index": 7`) {
		t.Errorf("%d %s", a.status, a.body)
	}
	wantFailure(t, do(t, s, "GET", "/api/v1/upstreams/nope/history"), 404, "unknown_upstream")
}
