package consul

import (
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var webKV = Query{Kind: KV, Name: "up/web/"}

// queries are the parameters of each read that matter to a test.
func queries(s *script, names ...string) []string {
	var out []string
	for _, r := range s.requests() {
		var parts []string
		for _, n := range names {
			parts = append(parts, n+"="+r.URL.Query().Get(n))
		}
		out = append(out, strings.Join(parts, " "))
	}
	return out
}

func TestIndexRules(t *testing.T) {
	one, two := kv("up/web/10.0.0.1:80"), kv("up/web/10.0.0.1:80", "up/web/10.0.0.2:80")
	tests := []struct {
		name   string
		steps  []http.HandlerFunc
		events []string
		// index of each read, the one that blocks at the end included
		index []string
	}{
		{"block on the index received", []http.HandlerFunc{answer("7", one)}, []string{"apply"}, []string{"", "7"}},
		{
			"a lower index starts over",
			[]http.HandlerFunc{answer("70", one), answer("9", two), answer("9", two)},
			[]string{"apply", "apply", "same"},
			[]string{"", "70", "", "9"},
		},
		{
			"a missing index counts as 1",
			[]http.HandlerFunc{answer("", one), answer("", two)},
			[]string{"apply", "apply"},
			[]string{"", "1", "1"},
		},
		{"index 0 counts as 1", []http.HandlerFunc{answer("0", one)}, []string{"apply"}, []string{"", "1"}},
		{"no number counts as 1", []http.HandlerFunc{answer("abc", one)}, []string{"apply"}, []string{"", "1"}},
		{"huge counts as 1", []http.HandlerFunc{answer("18446744073709551615", one)}, []string{"apply"}, []string{"", "1"}},
		{
			"same content is no change",
			[]http.HandlerFunc{answer("7", one), answer("8", one)},
			[]string{"apply", "same"},
			[]string{"", "7", "8"},
		},
		{
			"same index, other content is one",
			[]http.HandlerFunc{answer("7", one), answer("7", two)},
			[]string{"apply", "apply"},
			[]string{"", "7", "7"},
		},
		{
			"404 is an empty prefix with an index",
			[]http.HandlerFunc{answer("7", one), status(404, "", "X-Consul-Index: 9")},
			[]string{"apply", "apply"},
			[]string{"", "7", "9"},
		},
		{
			"404 without an index is not Consul's",
			[]http.HandlerFunc{answer("7", one), status(404, ""), answer("7", one)},
			[]string{"apply", "status", "same"},
			[]string{"", "7", "", "7"},
		},
		{
			"half an answer has no effect",
			[]http.HandlerFunc{answer("7", one), answer("8", two[:len(two)-9]), answer("8", two)},
			[]string{"apply", "decode", "apply"},
			[]string{"", "7", "", "8"},
		},
		{
			"html is not Consul's",
			[]http.HandlerFunc{answer("7", "<html>", "Content-Type: text/html"), answer("7", one)},
			[]string{"decode", "apply"},
			[]string{"", "", "7"},
		},
		{
			"500 keeps the index",
			[]http.HandlerFunc{answer("7", one), status(500, "rpc error: EOF"), answer("8", two)},
			[]string{"apply", "server_error", "apply"},
			[]string{"", "7", "", "8"},
		},
		{
			"429 is honoured",
			[]http.HandlerFunc{answer("7", one), status(429, "slow down"), answer("8", two)},
			[]string{"apply", "rate_limited", "apply"},
			[]string{"", "7", "", "8"},
		},
		{
			"403 is no empty set",
			[]http.HandlerFunc{answer("7", one), status(403, "ACL not found"), answer("8", two)},
			[]string{"apply", "forbidden", "apply"},
			[]string{"", "7", "", "8"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			srv := newScript(t, tt.steps...)
			_, got := watching(t, webKV, nil, srv.srv.URL)
			got.await(t, tt.events...)
			srv.awaitRequests(len(tt.index))
			var index []string
			for _, q := range queries(srv, "index") {
				index = append(index, strings.TrimPrefix(q, "index="))
			}
			if d := cmp.Diff(tt.index, index); d != "" {
				t.Errorf("indexes sent (-want +got):\n%s", d)
			}
		})
	}
}

func TestIndexIsKeptUntilTheSetIsApplied(t *testing.T) {
	body := kv("up/web/10.0.0.1:80")
	srv := newScript(t, answer("7", body), answer("7", body))
	c, err := New(Config{Addresses: []string{srv.srv.URL}}, Env{Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	c.timing = fastTiming()
	got := &seen{refuse: 1}
	h := got.handler()
	ctx, cancel := testContext(t)
	defer cancel()
	done := make(chan struct{})
	go func() { c.Run(ctx); close(done) }()
	watched := make(chan struct{})
	go func() { c.Watch(ctx, webKV, h); close(watched) }()
	got.await(t, "refused", "apply", "apply")
	cancel()
	<-done
	<-watched
}

func TestSuspiciousHeadersAreReported(t *testing.T) {
	body := kv("up/web/10.0.0.1:80")
	tests := []struct {
		name   string
		header []string
		want   Observation
	}{
		{"no leader", []string{"X-Consul-KnownLeader: false"}, Observation{NoLeader: true}},
		{
			"no leader of the streaming backend is a false alarm",
			[]string{"X-Consul-KnownLeader: false", "X-Consul-Query-Backend: streaming"},
			Observation{},
		},
		{"old", []string{"X-Consul-LastContact: 60000"}, Observation{TooStale: true, LastContact: time.Minute}},
		{"fresh", []string{"X-Consul-LastContact: 50"}, Observation{LastContact: 50 * time.Millisecond}},
		{"filtered", []string{"X-Consul-Results-Filtered-By-ACLs: true"}, Observation{Filtered: true}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			srv := newScript(t, answer("7", body, tt.header...))
			_, got := watching(t, webKV, nil, srv.srv.URL)
			got.await(t, "apply")
			obs := got.last().Observation
			obs.At, obs.Address, obs.Index, obs.Reconnected = time.Time{}, "", 0, false
			if d := cmp.Diff(tt.want, obs); d != "" {
				t.Errorf("observation (-want +got):\n%s", d)
			}
		})
	}
}

func TestStaleAnswerIsReadAgainFromTheLeaderOnce(t *testing.T) {
	body := kv("up/web/10.0.0.1:80")
	old := answer("7", body, "X-Consul-LastContact: 60000")
	srv := newScript(t, old, old, old)
	_, got := watching(t, webKV, nil, srv.srv.URL)
	got.await(t, "apply", "same", "same")
	srv.awaitRequests(4)
	var stale []bool
	for _, r := range srv.requests() {
		stale = append(stale, r.URL.Query().Has("stale"))
	}
	if d := cmp.Diff([]bool{true, false, true, true}, stale); d != "" {
		t.Errorf("stale (-want +got):\n%s", d)
	}
}

func TestReadsAfterAFailureAreMarked(t *testing.T) {
	one, two := kv("up/web/10.0.0.1:80"), kv("up/web/10.0.0.2:80")
	srv := newScript(t, answer("7", one), status(500, "x"), answer("8", two), answer("9", one))
	_, got := watching(t, webKV, nil, srv.srv.URL)
	got.await(t, "apply", "server_error", "apply", "apply")
	var marks []bool
	for _, a := range got.answers {
		marks = append(marks, a.Reconnected)
	}
	if d := cmp.Diff([]bool{true, true, false}, marks); d != "" {
		t.Errorf("reconnected (-want +got):\n%s", d)
	}
}

func TestFailover(t *testing.T) {
	body := kv("up/web/10.0.0.1:80")
	second := newScript(t, answer("7", body))
	_, got := watching(t, webKV, nil, "127.0.0.1:1", second.srv.URL)
	got.await(t, "unreachable", "apply")
	if got.last().Address != second.srv.URL {
		t.Errorf("address %q, want %q", got.last().Address, second.srv.URL)
	}
}

func TestOutageIsProbedByOneAndReleasesAll(t *testing.T) {
	body := kv("up/web/10.0.0.1:80")
	// net/http itself tries a read once more on a new connection.
	srv := newScript(t, answer("7", body), hangUp, hangUp)
	down := make(chan struct{})
	probes := make(chan struct{}, 1000)
	srv.setProbe(func(w http.ResponseWriter, r *http.Request) {
		probes <- struct{}{}
		select {
		case <-down:
			io.WriteString(w, `"127.0.0.1:8300"`)
		default:
			hangUp(w, r)
		}
	})
	c, got := watching(t, webKV, nil, srv.srv.URL)
	got.await(t, "apply", "unreachable")
	for range 3 {
		<-probes
	}
	if n := len(srv.requests()); n != 3 {
		t.Errorf("%d reads while Consul is away, want 3", n)
	}
	if st := c.Addresses()[0]; st.Up || st.Error == "" {
		t.Errorf("state %+v, want down with an error", st)
	}
	srv.then(answer("7", body))
	got.await(t, "unreachable") // why it goes on
	close(down)
	got.await(t, "same")
}

func TestLostLeaderIsWaitedFor(t *testing.T) {
	body := kv("up/web/10.0.0.1:80")
	srv := newScript(t, answer("7", body), status(500, "No cluster leader"))
	probed := make(chan struct{}, 1000)
	srv.setProbe(func(w http.ResponseWriter, _ *http.Request) {
		probed <- struct{}{}
		io.WriteString(w, `""`)
	})
	_, got := watching(t, webKV, nil, srv.srv.URL)
	got.await(t, "apply", "server_error")
	for range 4 {
		<-probed
	}
	if n := len(srv.requests()); n != 2 {
		t.Errorf("%d reads without a leader, want 2", n)
	}
	srv.then(answer("8", body))
	got.await(t, "unreachable") // why it goes on
	srv.setProbe(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `"10.0.0.1:8300"`) })
	got.await(t, "same")
}

func TestSilentPeerIsNoticed(t *testing.T) {
	body := kv("up/web/10.0.0.1:80")
	srv := newScript(t, answer("7", body))
	stop := srv.stop
	c, got := watching(t, webKV, nil, srv.srv.URL)
	got.await(t, "apply")
	srv.setProbe(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-stop:
		case <-r.Context().Done():
		}
	})
	got.await(t, "unreachable")
	if c.Addresses()[0].Up {
		t.Error("a peer that answers nothing is up")
	}
	srv.then(answer("9", body))
	srv.setProbe(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `"10.0.0.1:8300"`) })
	got.await(t, "same")
}

func TestHangingAnswerEndsAtTheDeadline(t *testing.T) {
	body := kv("up/web/10.0.0.1:80")
	srv := newScript(t, answer("7", body))
	start := time.Now()
	_, got := watching(t, webKV, func(c *Config) { c.Wait = 50 * time.Millisecond }, srv.srv.URL)
	got.await(t, "apply", "unreachable")
	if d := time.Since(start); d < 200*time.Millisecond || d > 3*time.Second {
		t.Errorf("gave up after %v, want wait + wait/16 + slack", d)
	}
}

func TestAnswersAreBounded(t *testing.T) {
	var keys []string
	for i := range 2000 {
		keys = append(keys, "up/web/10.0.0.1:"+strconv.Itoa(i+1))
	}
	srv := newScript(t, answer("7", kv(keys...)), answer("8", kv(keys[:1]...)))
	_, got := watching(t, webKV, func(c *Config) { c.MaxBytes = 10_000 }, srv.srv.URL)
	got.await(t, "too_large", "apply")

	srv = newScript(t, answer("7", kv(keys...)), answer("8", kv(keys[:1]...)))
	_, got = watching(t, webKV, func(c *Config) { c.MaxEntries = 100 }, srv.srv.URL)
	got.await(t, "decode", "apply")
}

func TestRedirectsStayWithinTheAddresses(t *testing.T) {
	body := kv("up/web/10.0.0.1:80")
	other := newScript(t, answer("7", body), answer("7", body))
	to := func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.srv.URL+r.URL.RequestURI(), http.StatusTemporaryRedirect)
	}
	srv := newScript(t, to)
	_, got := watching(t, webKV, nil, srv.srv.URL)
	got.await(t, "redirect")
	if n := len(other.requests()); n != 0 {
		t.Errorf("%d requests followed a redirect to a stranger", n)
	}
	srv = newScript(t, to)
	_, got = watching(t, webKV, nil, srv.srv.URL, other.srv.URL)
	got.await(t, "apply")
}

func TestQueryParameters(t *testing.T) {
	srv := newScript(t, answer("7", "[]"))
	_, got := watching(t, Query{Kind: Health, Name: "a b"}, func(c *Config) {
		c.Datacenter, c.Namespace, c.Partition, c.Token = "dc2", "ns1", "p1", "secret"
	}, srv.srv.URL)
	got.await(t, "apply")
	r := srv.requests()[0]
	q := r.URL.Query()
	if r.URL.Path != "/v1/health/service/a b" || q.Get("dc") != "dc2" || q.Get("ns") != "ns1" ||
		q.Get("partition") != "p1" || !q.Has("stale") || q.Has("token") {
		t.Errorf("request %s", r.URL)
	}
	if r.Header.Get("X-Consul-Token") != "secret" {
		t.Error("the token was not sent as a header")
	}
}

func TestWaitVariesByATenth(t *testing.T) {
	var waits []time.Duration
	c := &Client{cfg: Config{Wait: time.Minute}}
	for _, r := range []float64{0, 0.5, 0.999} {
		c.env.Rand = func() float64 { return r }
		w := &watch{c: c}
		waits = append(waits, w.wait().Round(time.Second))
	}
	if want := []time.Duration{54 * time.Second, 60 * time.Second, 66 * time.Second}; !slices.Equal(waits, want) {
		t.Errorf("waits %v, want %v", waits, want)
	}
}

// hangUp closes the connection without an answer.
func hangUp(w http.ResponseWriter, _ *http.Request) {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err == nil {
		conn.Close()
	}
}
