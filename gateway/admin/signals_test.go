package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/valyala/fasthttp"
)

func TestSignalsPassTheQueryOn(t *testing.T) {
	var since int64
	var names []string
	views := Views{Signals: func(s int64, u []string) ([]byte, error) {
		since, names = s, u
		return []byte(`{"gateway":"g"}`), nil
	}}
	s := serve(t, Options{Views: views})
	tests := []struct {
		query string
		since int64
		names []string
	}{
		{"", 0, nil},
		{"?since=1700000000123", 1700000000123, nil},
		{"?upstream=web", 0, []string{"web"}},
		{"?upstream=web&since=5&upstream=a%2Fb", 5, []string{"web", "a/b"}},
	}
	for _, tc := range tests {
		a := do(t, s, "GET", "/api/v1/signals"+tc.query)
		if a.status != 200 || a.body != `{"gateway":"g"}` || a.header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %+v", tc.query, a)
		}
		if diff := cmp.Diff(tc.names, names); since != tc.since || diff != "" {
			t.Errorf("%s: since %d, want %d; -want +got\n%s", tc.query, since, tc.since, diff)
		}
	}
}

func TestSignalsRefuseWhatTheyDoNotUnderstand(t *testing.T) {
	views := Views{Signals: func(int64, []string) ([]byte, error) { t.Error("asked"); return nil, nil }}
	s := serve(t, Options{Views: views})
	for _, query := range []string{
		"since=", "since=x", "since=-1", "since=1.5", "since=1&since=2", "since=99999999999999999999",
		"upstream=", "upstream", "upstreams=web", "since=1&x=y",
	} {
		wantFailure(t, do(t, s, "GET", "/api/v1/signals?"+query), 400, "bad_query")
	}
}

func TestSignalsMayBeMissing(t *testing.T) {
	wantFailure(t, do(t, serve(t, Options{}), "GET", "/api/v1/signals"), 404, "no_signals")
	busy := Views{Signals: func(int64, []string) ([]byte, error) { return nil, errors.New("loops are busy") }}
	wantFailure(t, do(t, serve(t, Options{Views: busy}), "GET", "/api/v1/signals"), 503, "unavailable")
}

func TestSignalsNeedTheReadToken(t *testing.T) {
	views := Views{Signals: func(int64, []string) ([]byte, error) { return []byte("{}"), nil }}
	s := serve(t, Options{Token: "w", ReadToken: "r", Views: views})
	wantFailure(t, do(t, s, "GET", "/api/v1/signals"), 401, "unauthorized")
	for _, token := range []string{"w", "r"} {
		if a := do(t, s, "GET", "/api/v1/signals", authorization("Bearer "+token)); a.status != 200 {
			t.Errorf("token %s: %+v", token, a)
		}
	}
}

func body(text string) func(*http.Request) {
	return func(r *http.Request) {
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(text)), int64(len(text))
	}
}

// announcing serves upstreams that take announcements; got is the last one.
func announcing(t *testing.T) (s *Server, got *string) {
	got = new(string)
	var at Capacity
	views := with(pool("web"), pool("a/b"))
	views.Announce = func(name string, ordered float64, eta time.Time) {
		at = Capacity{Ordered: ordered, ETA: eta, ETAms: eta.UnixMilli()}
		*got = fmt.Sprintf("%s %v %d", name, ordered, eta.UnixMilli())
	}
	views.Announced = func(string) *Capacity { return &at }
	return serve(t, Options{Token: "w", ReadToken: "r", Views: views}), got
}

func TestCapacityIsAnnounced(t *testing.T) {
	s, got := announcing(t)
	eta := time.Now().Add(time.Minute).UnixMilli()
	for _, tc := range []struct{ path, body, want string }{
		{"web", fmt.Sprintf(`{"ordered":2.5,"eta_ms":%d}`, eta), fmt.Sprintf("web 2.5 %d", eta)},
		{"a%2Fb", fmt.Sprintf(`{"ordered":1,"eta_ms":%d}`, eta), fmt.Sprintf("a/b 1 %d", eta)},
		{"web", `{"ordered":0}`, "web 0 0"},
	} {
		a := do(t, s, "POST", "/api/v1/upstreams/"+tc.path+"/capacity", authorization("Bearer w"), body(tc.body))
		if a.status != 204 || a.body != "" || *got != tc.want {
			t.Errorf("%s: got %d %q, announced %q, want %q", tc.body, a.status, a.body, *got, tc.want)
		}
	}
	var shown detail
	decode(t, do(t, s, "GET", "/api/v1/upstreams/web", authorization("Bearer r")), &shown)
	if shown.Capacity == nil || shown.Capacity.Ordered != 0 {
		t.Errorf("shown: %+v", shown.Capacity)
	}
}

func TestBadAnnouncementsAreRefused(t *testing.T) {
	s, got := announcing(t)
	late := time.Now().Add(25 * time.Hour).UnixMilli()
	for _, text := range []string{
		"", "x", "[]", `"web"`, `{}`, `{"ordered":1}`, `{"eta_ms":1}`, `{"ordered":-1,"eta_ms":1}`, `{"ordered":1,"eta_ms":-1}`,
		`{"ordered":"1","eta_ms":1}`, `{"ordered":1,"eta_ms":1.5}`, `{"ordered":1,"eta_ms":1,"x":1}`,
		`{"ordered":1,"eta_ms":1}{}`, `{"ordered":1e300,"eta_ms":1}`, fmt.Sprintf(`{"ordered":1,"eta_ms":%d}`, late),
	} {
		a := do(t, s, "POST", "/api/v1/upstreams/web/capacity", authorization("Bearer w"), body(text))
		wantFailure(t, a, 400, "bad_announcement")
	}
	good := fmt.Sprintf(`{"ordered":1,"eta_ms":%d}`, time.Now().UnixMilli())
	write := authorization("Bearer w")
	wantFailure(t, do(t, s, "POST", "/api/v1/upstreams/nobody/capacity", write, body(good)), 404, "unknown_upstream")
	wantFailure(t, do(t, s, "POST", "/api/v1/upstreams/web/capacity", body(good)), 401, "unauthorized")
	wantFailure(t, do(t, s, "POST", "/api/v1/upstreams/web/capacity", authorization("Bearer r"), body(good)), 401, "unauthorized")
	wantFailure(t, do(t, s, "POST", "/api/v1/upstreams/web", write, body(good)), 405, "method_not_allowed")
	if *got != "" {
		t.Errorf("announced %q", *got)
	}
}

func FuzzSignalsQuery(f *testing.F) {
	f.Add("since=1700000000123&upstream=web&upstream=a%2Fb")
	f.Add("since=-1")
	f.Add("upstream")
	f.Add("&&=;since=%31")
	f.Fuzz(func(t *testing.T, query string) {
		var args fasthttp.Args
		args.Parse(query)
		since, names, err := signalsQuery(&args)
		if err == nil && (since < 0 || slices.Contains(names, "")) {
			t.Errorf("%q was taken as since %d of %q", query, since, names)
		}
	})
}

func FuzzAnnouncement(f *testing.F) {
	f.Add([]byte(`{"ordered":3,"eta_ms":1700000000000}`))
	f.Add([]byte(`{"ordered":0}`))
	f.Add([]byte(`{"ordered":1e9,"eta_ms":-1} x`))
	now := time.UnixMilli(1700000000000)
	f.Fuzz(func(t *testing.T, b []byte) {
		ordered, eta, err := announcement(b, now)
		if err != nil {
			return
		}
		if !(ordered >= 0) || ordered > 0 && (eta.UnixMilli() <= 0 || eta.Sub(now) > maxAhead) || !json.Valid(b) {
			t.Errorf("%q was taken as %v at %v", b, ordered, eta)
		}
	})
}
