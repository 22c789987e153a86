package admin

import (
	"strings"
	"testing"
	"time"

	"spillway/gateway/upstream"
)

func TestHealthIsExplained(t *testing.T) {
	at := time.Date(2025, 1, 2, 3, 4, 5, 0, time.UTC)
	for name, c := range map[string]struct {
		standing   upstream.Standing
		health     upstream.Health
		state, why string
		share      float64
	}{
		"new": {
			upstream.Unproven,
			upstream.Health{Probe: "connection refused"},
			"unproven", "new, waits for its first good probe; probe: connection refused", 1,
		},
		"sick":    {upstream.Unhealthy, upstream.Health{Probe: "status 500"}, "unhealthy", "probe: status 500", 1},
		"ejected": {upstream.Ejected, upstream.Health{Ejection: "too slow", Until: at}, "ejected", "too slow, until 2025-01-02T03:04:05Z", 1},
		"both": {
			upstream.Unhealthy | upstream.Ejected,
			upstream.Health{Probe: "connection refused", Ejection: "no connection"},
			"unhealthy+ejected", "probe: connection refused; no connection, until probes succeed", 1,
		},
		"pardoned": {upstream.Unhealthy | upstream.Pardoned, upstream.Health{Probe: "status 500"}, "up", "", 1},
		"starting": {upstream.Standing(0).WithShare(upstream.FullShare / 4), upstream.Health{}, "up", "", 0.25},
	} {
		p := pool("web", upstream.Spec{Addr: "10.0.0.1:80", Weight: 1})
		s := p.Load().Entries[0].Server
		s.Amend(func(upstream.Standing) upstream.Standing { return c.standing })
		s.SetHealth(c.health)
		var got detail
		decode(t, do(t, serve(t, Options{Views: with(p)}), "GET", "/api/v1/upstreams/web"), &got)
		one := got.Servers[0]
		if one.State != c.state || one.Why != c.why || one.Health == nil || one.Health.Share != c.share || one.Health.Held != c.standing.Held().String() {
			t.Errorf("%s: %+v, health %+v", name, one, one.Health)
		}
		if got.Panic != strings.Contains(name, "pardoned") {
			t.Errorf("%s: panic %v", name, got.Panic)
		}
	}
}

func TestUnwatchedServersHaveNoHealth(t *testing.T) {
	p := pool("web", upstream.Spec{Addr: "10.0.0.1:80", Weight: 1})
	a := do(t, serve(t, Options{Views: with(p)}), "GET", "/api/v1/upstreams/web")
	if strings.Contains(a.body, `"health"`) || strings.Contains(a.body, `"panic"`) {
		t.Error(a.body)
	}
}
