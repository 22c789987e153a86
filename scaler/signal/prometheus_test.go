package signal

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// prometheus answers queries by name; a missing one gets an empty vector.
func prometheus(t *testing.T, answers map[string]string) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/v1/query" || r.Header.Get("Authorization") != "Bearer secret" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		result := ""
		if v, ok := answers[r.URL.Query().Get("query")]; ok {
			result = fmt.Sprintf(`{"metric":{},"value":[1764000000.5,%q]}`, v)
		}
		fmt.Fprintf(w, `{"status":"success","data":{"resultType":"vector","result":[%s]}}`, result)
	}))
	t.Cleanup(s.Close)
	return s
}

func promSource(url string, now *time.Time) *Prometheus {
	return NewPrometheus(PrometheusOptions{
		URL: url + "/", Queries: map[string]Queries{"web": {Arrivals: "rate", InFlight: "busy", P95: "p95", Errors: "errors"}},
		Token: func() string { return "secret" }, Now: func() time.Time { return *now },
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
}

func TestPrometheusRatesFillTheSeconds(t *testing.T) {
	answers := map[string]string{"rate": "120.5", "busy": "9", "p95": "0.042", "errors": "0.5"}
	now := time.Unix(1764000000, 0)
	p := promSource(prometheus(t, answers).URL, &now)
	for range 4 {
		p.Poll(context.Background())
		now = now.Add(5 * time.Second)
	}
	s := p.Snapshot("web", time.Minute)
	if len(s.Seconds) != 20 || s.Coverage() != 1 || s.Age != 5*time.Second {
		t.Fatalf("%d seconds, coverage %g, age %v, want 20, 1, 5s", len(s.Seconds), s.Coverage(), s.Age)
	}
	for i, sec := range s.Seconds {
		want := Second{At: time.Unix(1764000015-19+int64(i), 0).UTC(), Arrivals: 120.5, Completions: 120.5, InFlight: 9, Errors: 0.5, P95: 42 * time.Millisecond, Reporting: 1, Expected: 1}
		if sec != want {
			t.Fatalf("found %+v, want %+v", sec, want)
		}
	}
}

func TestPrometheusWithoutAnswerReportsNothing(t *testing.T) {
	answers := map[string]string{"rate": "10", "busy": "1", "p95": "0.01", "errors": "0"}
	now := time.Unix(1764000000, 0)
	p := promSource(prometheus(t, answers).URL, &now)
	p.Poll(context.Background())
	answers["rate"] = "NaN"
	for range 6 {
		now = now.Add(5 * time.Second)
		p.Poll(context.Background())
	}
	if s := p.Snapshot("web", time.Minute); s.Coverage() != 0 || s.Age != 30*time.Second {
		t.Errorf("coverage %g, age %v, want 0 and 30s", s.Coverage(), s.Age)
	}
	answers["rate"] = "20"
	now = now.Add(5 * time.Second)
	p.Poll(context.Background())
	s := p.Snapshot("web", 20*time.Second)
	if first, last := s.Seconds[0], s.Seconds[19]; first.Coverage() != 0 || last.Coverage() != 1 || last.Arrivals != 20 {
		t.Errorf("the gap is %+v, what follows %+v", first, last)
	}
}

func TestPrometheusWithoutRequestsHasNoLatency(t *testing.T) {
	now := time.Unix(1764000000, 0)
	p := promSource(prometheus(t, map[string]string{"rate": "0", "busy": "0", "p95": "NaN", "errors": "0"}).URL, &now)
	p.Poll(context.Background())
	if s := p.Snapshot("web", time.Minute); s.Coverage() != 1 || s.Seconds[0].P95 != 0 {
		t.Errorf("found %+v", s)
	}
}

func TestQueriesWithoutOneNumberAreRefused(t *testing.T) {
	for _, body := range []string{
		``, `{}`, `{"status":"error","error":"query timed out"}`,
		`{"status":"success","data":{"resultType":"vector","result":[]}}`,
		`{"status":"success","data":{"resultType":"vector","result":[{"value":[1,"1"]},{"value":[1,"2"]}]}}`,
		`{"status":"success","data":{"resultType":"matrix","result":[{"values":[[1,"1"]]}]}}`,
		`{"status":"success","data":{"resultType":"scalar","result":[1,"NaN"]}}`,
		`{"status":"success","data":{"resultType":"scalar","result":[1,"-1"]}}`,
		`{"status":"success","data":{"resultType":"scalar","result":[1,2]}}`,
	} {
		if v, err := decodeQuery([]byte(body)); err == nil {
			t.Errorf("%s: found %g, want an error", body, v)
		}
	}
	v, err := decodeQuery([]byte(strings.TrimSpace(`{"status":"success","data":{"resultType":"scalar","result":[1,"2.5"]}}`)))
	if err != nil || v != 2.5 {
		t.Errorf("a scalar: found %g, %v", v, err)
	}
}
