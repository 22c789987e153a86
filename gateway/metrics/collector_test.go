package metrics

import (
	"io"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"spillway/gateway/upstream"
)

// world is a gateway as far as the collector sees it, with something of
// everything.
type world struct {
	loops []*Loop
	webs  []*Upstream
	pool  *upstream.Pool
	sync  SyncStatus
}

func newWorld() *world {
	w := &world{
		loops: []*Loop{{}, {}},
		webs:  []*Upstream{{}, nil, {}},
		pool:  upstream.NewPool("web", &upstream.Settings{}),
		sync: SyncStatus{
			Upstream: "web", State: "consul", Index: 42, LastSuccess: time.Unix(1700000000, 500e6), Convergence: &Histogram{}, Apply: &Histogram{},
			Errors: map[string]uint64{"timeout": 3}, Decisions: map[string]uint64{"applied": 9}, Rejected: 2, Overrides: 3, Flapping: 1, Frozen: true,
		},
	}
	w.pool.Apply([]upstream.Spec{
		{Addr: "10.0.0.1:80", Weight: 5, MaxFails: 1, FailTimeout: time.Second},
		{Addr: "10.0.0.2:80", Weight: 1, Down: true},
		{Addr: "10.0.0.3:80", Weight: 1, MaxConns: 1},
	}, upstream.Meta{})
	w.pool.Load().Entries[1].Amend(func(upstream.Standing) upstream.Standing {
		return upstream.Ejected.WithShare(upstream.FullShare / 4)
	})
	for i, l := range w.loops {
		l.Accepted.Add(uint64(10 + i))
		l.Active.Set(int64(1 + i))
		l.Timeouts[TimeoutLinger].Inc()
		l.Refused[RefusedPerAddress].Inc()
		l.BadRequests.Inc(431)
		l.Responses.Inc(431)
	}
	w.pool.Load().Entries[0].Latency.Observe(int64(250*time.Millisecond), 0, upstream.DefaultDecay)
	for _, u := range w.webs {
		if u == nil {
			continue
		}
		u.Requests.Inc(200)
		u.Retries[RetryStale].Inc()
		u.ConnectErrors.Inc()
		u.Idle.Set(4)
		u.Duration.Observe(60_000)
	}
	w.webs[2].Requests.Inc(502)
	w.webs[2].Duration.Observe(20e9)
	w.sync.Convergence.Observe(2e6)
	w.sync.Apply.Observe(3e5)
	return w
}

func (w *world) sources() Sources {
	return Sources{
		Loops:     func() []*Loop { return w.loops },
		Upstreams: func(yield func(string, []*Upstream)) { yield("web", w.webs) },
		Pools:     func() []*upstream.Pool { return []*upstream.Pool{w.pool} },
		Now:       func() int64 { return 0 },
		Sync:      func() []SyncStatus { return []SyncStatus{w.sync} },
		Health: func(yield func(string, HealthStatus)) {
			yield("web", HealthStatus{Panic: true, ProbesGood: 5, ProbesBad: 2, Ejections: map[string]uint64{"latency": 3}})
		},
		Announced: func(yield func(string, float64, time.Time)) { yield("web", 12.5, time.Unix(1700000060, 0)) },
		Config:    func() ConfigStatus { return ConfigStatus{OK: true, LastSuccess: time.Unix(1700000001, 0)} },
		AccessLog: func() AccessLogStatus { return AccessLogStatus{Dropped: 7, WriteErrors: 2} },
		Version:   "v1", Revision: "abc",
	}
}

func register(t *testing.T, src Sources) *prometheus.Registry {
	t.Helper()
	reg := prometheus.NewPedanticRegistry()
	if _, err := New(reg, src); err != nil {
		t.Fatal(err)
	}
	return reg
}

func expect(t *testing.T, reg *prometheus.Registry, text string) {
	t.Helper()
	var names []string
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) > 2 && f[1] == "HELP" {
			names = append(names, f[2])
		}
	}
	if len(names) == 0 {
		t.Fatal("the expectation names no metric")
	}
	if err := testutil.GatherAndCompare(reg, strings.NewReader(text), names...); err != nil {
		t.Error(err)
	}
}

func TestLoopsAreMerged(t *testing.T) {
	expect(t, register(t, newWorld().sources()), `
# HELP spillway_connections_accepted_total Client connections accepted.
# TYPE spillway_connections_accepted_total counter
spillway_connections_accepted_total 21
# HELP spillway_connections Client connections open now.
# TYPE spillway_connections gauge
spillway_connections 3
# HELP spillway_loop_connections Client connections each event loop owns now.
# TYPE spillway_loop_connections gauge
spillway_loop_connections{loop="0"} 1
spillway_loop_connections{loop="1"} 2
# HELP spillway_bad_requests_total Requests refused because they are no valid HTTP or exceed a limit, by the status answered.
# TYPE spillway_bad_requests_total counter
spillway_bad_requests_total{code="431"} 2
# HELP spillway_connections_refused_total Client connections closed unread, by the limit that was reached (max_connections, per_address).
# TYPE spillway_connections_refused_total counter
spillway_connections_refused_total{reason="max_connections"} 0
spillway_connections_refused_total{reason="per_address"} 2
# HELP spillway_client_timeouts_total Client connections or exchanges ended by a timer, by the timer (header, body, idle, send, tunnel, linger).
# TYPE spillway_client_timeouts_total counter
spillway_client_timeouts_total{kind="body"} 0
spillway_client_timeouts_total{kind="header"} 0
spillway_client_timeouts_total{kind="idle"} 0
spillway_client_timeouts_total{kind="linger"} 2
spillway_client_timeouts_total{kind="send"} 0
spillway_client_timeouts_total{kind="tunnel"} 0
`)
}

func TestUpstreamsAreMergedOverLoops(t *testing.T) {
	expect(t, register(t, newWorld().sources()), `
# HELP spillway_requests_total Requests routed to an upstream, by the status the client was answered (499: it left before).
# TYPE spillway_requests_total counter
spillway_requests_total{code="200",upstream="web"} 2
spillway_requests_total{code="502",upstream="web"} 1
# HELP spillway_upstream_connections Connections to servers open now, by state (active, idle).
# TYPE spillway_upstream_connections gauge
spillway_upstream_connections{state="active",upstream="web"} 0
spillway_upstream_connections{state="idle",upstream="web"} 8
# HELP spillway_upstream_retries_total Further attempts at a request, by what made them necessary (error, timeout, invalid, status, stale).
# TYPE spillway_upstream_retries_total counter
spillway_upstream_retries_total{reason="error",upstream="web"} 0
spillway_upstream_retries_total{reason="invalid",upstream="web"} 0
spillway_upstream_retries_total{reason="stale",upstream="web"} 2
spillway_upstream_retries_total{reason="status",upstream="web"} 0
spillway_upstream_retries_total{reason="timeout",upstream="web"} 0
# HELP spillway_request_duration_seconds Time from a request's first byte to the last byte of its answer.
# TYPE spillway_request_duration_seconds histogram
spillway_request_duration_seconds_bucket{upstream="web",le="5e-05"} 0
spillway_request_duration_seconds_bucket{upstream="web",le="0.0001"} 2
spillway_request_duration_seconds_bucket{upstream="web",le="0.0002"} 2
spillway_request_duration_seconds_bucket{upstream="web",le="0.0004"} 2
spillway_request_duration_seconds_bucket{upstream="web",le="0.0008"} 2
spillway_request_duration_seconds_bucket{upstream="web",le="0.0016"} 2
spillway_request_duration_seconds_bucket{upstream="web",le="0.0032"} 2
spillway_request_duration_seconds_bucket{upstream="web",le="0.0064"} 2
spillway_request_duration_seconds_bucket{upstream="web",le="0.0128"} 2
spillway_request_duration_seconds_bucket{upstream="web",le="0.0256"} 2
spillway_request_duration_seconds_bucket{upstream="web",le="0.0512"} 2
spillway_request_duration_seconds_bucket{upstream="web",le="0.1024"} 2
spillway_request_duration_seconds_bucket{upstream="web",le="0.2048"} 2
spillway_request_duration_seconds_bucket{upstream="web",le="0.4096"} 2
spillway_request_duration_seconds_bucket{upstream="web",le="0.8192"} 2
spillway_request_duration_seconds_bucket{upstream="web",le="1.6384"} 2
spillway_request_duration_seconds_bucket{upstream="web",le="3.2768"} 2
spillway_request_duration_seconds_bucket{upstream="web",le="6.5536"} 2
spillway_request_duration_seconds_bucket{upstream="web",le="13.1072"} 2
spillway_request_duration_seconds_bucket{upstream="web",le="+Inf"} 3
spillway_request_duration_seconds_sum{upstream="web"} 20.00012
spillway_request_duration_seconds_count{upstream="web"} 3
`)
}

func TestServersShowWhetherTheyServe(t *testing.T) {
	w := newWorld()
	entries := w.pool.Load().Entries
	entries[0].Failed(&entries[0].Spec, 0)
	entries[2].Inflight.Add(1) // at max_conns: busy, yet up
	expect(t, register(t, w.sources()), `
# HELP spillway_upstream_server_up 1 if the server may get requests, 0 if it is down, failed, unproven, unhealthy or ejected.
# TYPE spillway_upstream_server_up gauge
spillway_upstream_server_up{server="10.0.0.1:80",upstream="web"} 0
spillway_upstream_server_up{server="10.0.0.2:80",upstream="web"} 0
spillway_upstream_server_up{server="10.0.0.3:80",upstream="web"} 1
# HELP spillway_upstream_server_fails Failures of the server counted and not yet forgiven.
# TYPE spillway_upstream_server_fails gauge
spillway_upstream_server_fails{server="10.0.0.1:80",upstream="web"} 1
spillway_upstream_server_fails{server="10.0.0.2:80",upstream="web"} 0
spillway_upstream_server_fails{server="10.0.0.3:80",upstream="web"} 0
# HELP spillway_upstream_server_inflight Exchanges now at the server.
# TYPE spillway_upstream_server_inflight gauge
spillway_upstream_server_inflight{server="10.0.0.1:80",upstream="web"} 0
spillway_upstream_server_inflight{server="10.0.0.2:80",upstream="web"} 0
spillway_upstream_server_inflight{server="10.0.0.3:80",upstream="web"} 1
`)
}

func TestSeriesGoWithTheirServer(t *testing.T) {
	w := newWorld()
	reg := register(t, w.sources())
	if n, err := testutil.GatherAndCount(reg, "spillway_upstream_server_weight"); n != 3 || err != nil {
		t.Fatalf("%d series (%v), want 3", n, err)
	}
	w.pool.Apply([]upstream.Spec{{Addr: "10.0.0.3:80", Weight: 7}}, upstream.Meta{})
	expect(t, reg, `
# HELP spillway_upstream_server_weight Weight of the server.
# TYPE spillway_upstream_server_weight gauge
spillway_upstream_server_weight{server="10.0.0.3:80",upstream="web"} 7
`)
}

func TestSync(t *testing.T) {
	w := newWorld()
	reg := register(t, w.sources())
	expect(t, reg, `
# HELP spillway_upsync_index Index of the registry the current servers were read at.
# TYPE spillway_upsync_index gauge
spillway_upsync_index{upstream="web"} 42
# HELP spillway_upsync_last_success_timestamp_seconds When the source of the servers last answered.
# TYPE spillway_upsync_last_success_timestamp_seconds gauge
spillway_upsync_last_success_timestamp_seconds{upstream="web"} 1.7000000005e+09
# HELP spillway_upsync_errors_total Failed reads of the source, by reason.
# TYPE spillway_upsync_errors_total counter
spillway_upsync_errors_total{reason="timeout",upstream="web"} 3
# HELP spillway_upsync_decisions_total Server lists judged, by verdict.
# TYPE spillway_upsync_decisions_total counter
spillway_upsync_decisions_total{upstream="web",verdict="applied"} 9
# HELP spillway_upsync_rejected_total Entries of server lists that were not used, or not wholly.
# TYPE spillway_upsync_rejected_total counter
spillway_upsync_rejected_total{upstream="web"} 2
# HELP spillway_upsync_overrides Orders of operators about servers that hold.
# TYPE spillway_upsync_overrides gauge
spillway_upsync_overrides{upstream="web"} 3
# HELP spillway_upsync_frozen 1 while an operator keeps the set of servers as it is.
# TYPE spillway_upsync_frozen gauge
spillway_upsync_frozen{upstream="web"} 1
# HELP spillway_upsync_flapping Servers left out because they come and go.
# TYPE spillway_upsync_flapping gauge
spillway_upsync_flapping{upstream="web"} 1
# HELP spillway_upsync_source 1 for where the current servers come from; state="dump" is a last-known-good file.
# TYPE spillway_upsync_source gauge
spillway_upsync_source{state="consul",upstream="web"} 1
spillway_upsync_source{state="dump",upstream="web"} 0
`)
	w.sync.State = "dump"
	expect(t, reg, `
# HELP spillway_upsync_source 1 for where the current servers come from; state="dump" is a last-known-good file.
# TYPE spillway_upsync_source gauge
spillway_upsync_source{state="dump",upstream="web"} 1
`)
}

func TestLatencyIsReported(t *testing.T) {
	expect(t, register(t, newWorld().sources()), `
# HELP spillway_upstream_server_latency_seconds Time to the head of an answer by which peak_ewma judges a server. No series: nothing is known.
# TYPE spillway_upstream_server_latency_seconds gauge
spillway_upstream_server_latency_seconds{server="10.0.0.1:80",upstream="web"} 0.25
`)
}

func TestHealthIsReported(t *testing.T) {
	expect(t, register(t, newWorld().sources()), `
# HELP spillway_upstream_server_held 1 for what is held against a server (unproven, unhealthy, ejected), also while it is pardoned. No series: nothing.
# TYPE spillway_upstream_server_held gauge
spillway_upstream_server_held{reason="ejected",server="10.0.0.2:80",upstream="web"} 1
# HELP spillway_upstream_server_share Part of its weight that a server gets while it starts slowly. No series: all.
# TYPE spillway_upstream_server_share gauge
spillway_upstream_server_share{server="10.0.0.2:80",upstream="web"} 0.25
# HELP spillway_upstream_panic 1 while so few servers are admitted that all of them get requests.
# TYPE spillway_upstream_panic gauge
spillway_upstream_panic{upstream="web"} 1
# HELP spillway_health_probes_total Probes of servers, by outcome (good, bad).
# TYPE spillway_health_probes_total counter
spillway_health_probes_total{outcome="bad",upstream="web"} 2
spillway_health_probes_total{outcome="good",upstream="web"} 5
# HELP spillway_outlier_ejections_total Ejections of servers, by reason (unreachable, gateway_failures, server_errors, success_rate, latency).
# TYPE spillway_outlier_ejections_total counter
spillway_outlier_ejections_total{reason="latency",upstream="web"} 3
`)
}

func TestMetricsFollowPrometheusConventions(t *testing.T) {
	problems, err := testutil.GatherAndLint(register(t, newWorld().sources()), Names()...)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// TestNamesAreWhatIsReported: dashboards are checked against Names, so every
// name must appear when there is something of everything, and no other.
func TestNamesAreWhatIsReported(t *testing.T) {
	families, err := register(t, newWorld().sources()).Gather()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range families {
		if strings.HasPrefix(f.GetName(), "spillway_") {
			got = append(got, f.GetName())
		}
	}
	want := Names()
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-Names +reported\n%s", diff)
	}
}

func TestEmptySourcesStillSayWhatRuns(t *testing.T) {
	n, err := testutil.GatherAndCount(register(t, Sources{}), Names()...)
	if n != 1 || err != nil {
		t.Errorf("%d series, %v; want spillway_build_info alone", n, err)
	}
}

func TestNamesThatAreNoUTF8DoNotBreakAScrape(t *testing.T) {
	w := newWorld()
	src := w.sources()
	src.Upstreams = func(yield func(string, []*Upstream)) { yield("bad\xffname", w.webs) }
	n, err := testutil.GatherAndCount(register(t, src), "spillway_requests_total")
	if n != 2 || err != nil {
		t.Errorf("%d series, %v", n, err)
	}
}

func TestRegisteringTwiceIsAnError(t *testing.T) {
	reg := register(t, Sources{})
	if _, err := New(reg, Sources{}); err == nil || !strings.HasPrefix(err.Error(), "cannot register metrics: ") {
		t.Errorf("got %v", err)
	}
}

// TestScrapeWhileLoopsWrite is for the race detector, and checks that no
// counter is ever seen going back.
func TestScrapeWhileLoopsWrite(t *testing.T) {
	w := newWorld()
	reg := register(t, w.sources())
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for _, i := range []int{0, 2} {
		wg.Go(func() {
			for code := 200; ; code++ {
				select {
				case <-stop:
					return
				default:
				}
				w.webs[i].Requests.Inc(200 + code%400)
				w.webs[i].Duration.Observe(int64(code) * 1000)
				w.loops[i/2].Accepted.Inc()
				w.loops[i/2].Active.Inc()
				w.loops[i/2].Active.Dec()
			}
		})
	}
	last := 0.0
	for range 50 {
		families, err := reg.Gather()
		if err != nil {
			t.Error(err)
		}
		for _, f := range families {
			if f.GetName() == "spillway_connections_accepted_total" {
				now := f.GetMetric()[0].GetCounter().GetValue()
				if now < last {
					t.Errorf("%v after %v", now, last)
				}
				last = now
			}
		}
	}
	close(stop)
	wg.Wait()
}

func TestHandlerServesTheTextFormat(t *testing.T) {
	h, err := NewHandler(newWorld().sources())
	if err != nil {
		t.Fatal(err)
	}
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequest("GET", "/metrics", nil))
	body, _ := io.ReadAll(rec.Body)
	for _, want := range []string{
		`spillway_build_info{goversion="go`, `spillway_upstream_server_up{server="10.0.0.1:80",upstream="web"} 1`,
		"go_goroutines ", "process_open_fds ",
	} {
		if !strings.Contains(string(body), want) {
			t.Errorf("no %s in the answer", want)
		}
	}
	if got := rec.Header().Get("Content-Type"); !strings.HasPrefix(got, "text/plain; version=0.0.4") {
		t.Errorf("Content-Type: %s", got)
	}
}
