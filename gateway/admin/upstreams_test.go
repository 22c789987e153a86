package admin

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"spillway/gateway/upstream"
)

func pool(name string, specs ...upstream.Spec) *upstream.Pool {
	p := upstream.NewPool(name, &upstream.Settings{Balance: "round_robin"})
	p.Apply(specs, upstream.Meta{Source: "consul-kv", Index: 41, At: time.Date(2025, 1, 2, 3, 4, 5, 0, time.UTC)})
	return p
}

func with(pools ...*upstream.Pool) Views {
	return Views{Pools: func() []*upstream.Pool { return pools }}
}

func TestUpstreamShowIsThatOfNginxUpsync(t *testing.T) {
	test := pool("test",
		upstream.Spec{Addr: "127.0.0.1:8089", Weight: 20, MaxFails: 0, FailTimeout: 30 * time.Second},
		upstream.Spec{Addr: "127.0.0.1:8088", Weight: 10, MaxFails: 3, FailTimeout: 10 * time.Second, Down: true})
	const testText = "Upstream name: test; Backend server count: 2\n" +
		"        server 127.0.0.1:8089 weight=20 max_fails=0 fail_timeout=30s;\n" +
		"        server 127.0.0.1:8088 weight=10 max_fails=3 fail_timeout=10s down;\n"
	two := pool("Two", upstream.Spec{Addr: "[::1]:80", Weight: 1, MaxFails: 2, FailTimeout: time.Minute, Backup: true})
	const twoText = "Upstream name: Two; Backend server count: 1\n" +
		"        server [::1]:80 weight=1 max_fails=2 fail_timeout=60s;\n"
	empty := upstream.NewPool("empty", &upstream.Settings{})
	const emptyText = "Upstream name: empty; Backend server count: 0\n"
	const unknown = "The upstream you requested does not exist. Please double-check the name"

	all := serve(t, Options{Views: with(test, two, empty)})
	none := serve(t, Options{})
	tests := []struct {
		s           *Server
		query, want string
	}{
		{all, "", testText + "\n" + twoText + "\n" + emptyText + "\n"},
		{all, "?", testText + "\n" + twoText + "\n" + emptyText + "\n"},
		{all, "?test", testText},
		{all, "?TEST", testText},
		{all, "?two", twoText},
		{all, "?empty", emptyText},
		{all, "?tes", unknown},
		{all, "?test&a=b", unknown},
		{all, "?name=test", unknown},
		{all, "?%74est", unknown}, // the raw query is the name
		{none, "", "No upstreams defined"},
		{none, "?test", "No upstreams defined"},
	}
	for _, tc := range tests {
		for _, path := range []string{"/upstream_show", "/upstream_list"} {
			a := do(t, tc.s, "GET", path+tc.query)
			if a.status != 200 || a.header.Get("Content-Type") != "text/plain" {
				t.Errorf("%s%s: %d %s", path, tc.query, a.status, a.header.Get("Content-Type"))
			}
			if diff := cmp.Diff(tc.want, a.body); diff != "" {
				t.Errorf("%s%s: -want +got\n%s", path, tc.query, diff)
			}
		}
	}
	a := do(t, all, "HEAD", "/upstream_show?test")
	if a.status != 200 || a.body != "" || a.header.Get("Content-Type") != "text/plain" {
		t.Errorf("HEAD: %+v", a)
	}
}

// decode reads an answer into v and fails on fields v does not have.
func decode(t *testing.T, a answer, v any) {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(a.body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil || a.status != 200 {
		t.Fatalf("%d, %v: %s", a.status, err, a.body)
	}
}

func TestUpstreamsAreFilteredAndPaged(t *testing.T) {
	views := with(pool("api"), pool("web-a", upstream.Spec{Addr: "10.0.0.1:80"}, upstream.Spec{Addr: "10.0.0.2:80", Down: true}), pool("web-b"), pool("Web-c"))
	views.Sync = func(name string) SyncInfo {
		if name == "web-a" {
			return SyncInfo{Source: "consul-health", Degraded: "from dump"}
		}
		return SyncInfo{}
	}
	s := serve(t, Options{Views: views})
	tests := []struct {
		query string
		names []string
		total int
	}{
		{"", []string{"api", "web-a", "web-b", "Web-c"}, 4},
		{"?filter=web", []string{"web-a", "web-b", "Web-c"}, 3},
		{"?filter=web&limit=1&offset=1", []string{"web-b"}, 3},
		{"?offset=9", nil, 4},
		{"?limit=-1&offset=x", []string{"api", "web-a", "web-b", "Web-c"}, 4},
		{"?filter=zzz", nil, 0},
	}
	for _, tc := range tests {
		var got list
		decode(t, do(t, s, "GET", "/api/v1/upstreams"+tc.query), &got)
		var names []string
		for _, u := range got.Upstreams {
			names = append(names, u.Name)
			want := summary{Name: u.Name, Source: "consul-kv", Version: 1}
			if u.Name == "web-a" {
				want = summary{Name: u.Name, Source: "consul-health", Version: 1, Servers: 2, Up: 1, Degraded: "from dump"}
			}
			if u != want {
				t.Errorf("got %+v, want %+v", u, want)
			}
		}
		if diff := cmp.Diff(tc.names, names); diff != "" || got.Total != tc.total || got.Upstreams == nil {
			t.Errorf("%q: total %d, want %d; -want +got\n%s", tc.query, got.Total, tc.total, diff)
		}
	}
}

func TestEveryServerSaysItsStateAndWhy(t *testing.T) {
	sec := 10 * time.Second
	p := pool("web",
		upstream.Spec{Addr: "10.0.0.1:80", Host: "a.internal", Weight: 5, WeightFrom: "tag", MaxFails: 2, FailTimeout: sec},
		upstream.Spec{Addr: "10.0.0.2:80", Weight: 1, WeightFrom: "default", Down: true, DownWhy: "check disk is critical"},
		upstream.Spec{Addr: "10.0.0.3:80", Weight: 1, Down: true},
		upstream.Spec{Addr: "10.0.0.4:80", Weight: 1, MaxFails: 2, FailTimeout: sec},
		upstream.Spec{Addr: "10.0.0.5:80", Weight: 1, MaxConns: 1},
		upstream.Spec{Addr: "10.0.0.6:80", Weight: 1, Backup: true},
	)
	entries := p.Load().Entries
	entries[3].Failed(&entries[3].Spec, int64(time.Second))
	entries[3].Failed(&entries[3].Spec, int64(time.Second))
	entries[4].Inflight.Add(1)

	now := int64(5 * time.Second)
	views := with(p)
	views.Now = func() int64 { return now }
	s := serve(t, Options{Views: views})
	var got detail
	decode(t, do(t, s, "GET", "/api/v1/upstreams/web"), &got)
	want := []server{
		{Address: "10.0.0.1:80", Host: "a.internal", Weight: 5, WeightFrom: "tag", State: "up", MaxFails: 2, FailTimeoutSeconds: 10},
		{Address: "10.0.0.2:80", Weight: 1, WeightFrom: "default", State: "down", Why: "check disk is critical"},
		{Address: "10.0.0.3:80", Weight: 1, State: "down", Why: "marked down by its source"},
		{Address: "10.0.0.4:80", Weight: 1, State: "failed", Why: "2 failures, at most 1 within 10s allowed", Fails: 2, MaxFails: 2, FailTimeoutSeconds: 10},
		{Address: "10.0.0.5:80", Weight: 1, State: "max_conns", Why: "1 requests in flight, at most 1 allowed", Inflight: 1, MaxConns: 1},
		{Address: "10.0.0.6:80", Weight: 1, State: "backup", Why: "used only when no other server is available", Backup: true},
	}
	if diff := cmp.Diff(want, got.Servers); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}

	now = int64(20 * time.Second) // fail_timeout has passed
	decode(t, do(t, s, "GET", "/api/v1/upstreams/web"), &got)
	if got.Servers[3].State != "up" {
		t.Errorf("after fail_timeout: %+v", got.Servers[3])
	}
}

func TestAnUpstreamSaysHowItFollowsItsSource(t *testing.T) {
	at := time.Date(2025, 1, 2, 3, 4, 6, 0, time.UTC)
	held := Decision{At: at, Verdict: "held", Reason: "9 of 10 servers would go", Index: 42, Removed: 9}
	views := with(pool("web", upstream.Spec{Addr: "10.0.0.1:80"}))
	views.Sync = func(string) SyncInfo {
		return SyncInfo{
			Source: "consul-kv", Index: 42, WatchAge: 1500 * time.Millisecond, LastSuccess: at,
			LastError: "connection refused", LastErrorAt: at, LastDecision: held, Degraded: "change held",
			Rejects: []Reject{{Key: "upstreams/web/nonsense", Reason: "no address"}},
		}
	}
	views.Decisions = func(string) []Decision { return []Decision{held, {At: at, Verdict: "applied", Index: 41, Added: 1}} }
	s := serve(t, Options{Views: views})
	var got detail
	decode(t, do(t, s, "GET", "/api/v1/upstreams/web"), &got)
	applied := time.Date(2025, 1, 2, 3, 4, 5, 0, time.UTC)
	want := detail{
		Name: "web", Balance: "round_robin", Version: 1,
		SnapshotSource: "consul-kv", SnapshotIndex: 41, SnapshotAt: &applied, Degraded: "change held",
		Sync: syncDetail{
			Source: "consul-kv", Index: 42, WatchAgeSeconds: 1.5, LastSuccess: &at,
			LastError: "connection refused", LastErrorAt: &at, LastDecision: &held,
			Rejects: []Reject{{Key: "upstreams/web/nonsense", Reason: "no address"}},
		},
		Servers:   []server{{Address: "10.0.0.1:80", State: "up"}},
		Decisions: []Decision{held, {At: at, Verdict: "applied", Index: 41, Added: 1}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestAStaticUpstreamHasNoSync(t *testing.T) {
	s := serve(t, Options{Views: with(upstream.NewPool("fixed/1", &upstream.Settings{}))})
	a := do(t, s, "GET", "/api/v1/upstreams/fixed%2F1")
	for _, want := range []string{`"snapshot_at": null`, `"last_decision": null`, `"last_success": null`, `"servers": []`, `"decisions": []`} {
		if !strings.Contains(a.body, want) {
			t.Errorf("no %s in %s", want, a.body)
		}
	}
	wantFailure(t, do(t, s, "GET", "/api/v1/upstreams/web"), 404, "unknown_upstream")
}
