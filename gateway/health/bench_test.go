package health

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"spillway/gateway/upstream"
)

// BenchmarkThousandsOfServers: what the monitor's goroutine does for an
// upstream of 5,000 servers, a change of the list, a comparison and a probe.
func BenchmarkThousandsOfServers(b *testing.B) {
	set := judging()
	set.Check = probing().Check
	p := upstream.NewPool("web", &set)
	var specs []upstream.Spec
	for i := range 5000 {
		specs = append(specs, upstream.Spec{Addr: fmt.Sprintf("10.0.%d.%d:80", i/250, i%250), Weight: 1})
	}
	p.Apply(specs, upstream.Meta{})
	m := New(Options{Log: slog.New(slog.DiscardHandler)})
	m.ctx = context.Background()
	now := time.Now()
	m.follow(p, true, now)
	wp := m.pools[p]
	b.Run("list", func(b *testing.B) {
		for b.Loop() {
			m.follow(p, true, now)
		}
	})
	b.Run("comparison", func(b *testing.B) {
		for _, w := range wp.servers {
			for range 20 {
				w.server.Observe(upstream.Answered, 200, int64(30*time.Millisecond))
			}
		}
		for b.Loop() {
			now = now.Add(time.Millisecond)
			wp.comparing(now)
		}
	})
	b.Run("probe", func(b *testing.B) {
		w := wp.servers[0]
		for b.Loop() {
			w.probed(Result{Good: true, What: "fine"}, now)
		}
	})
}

// BenchmarkProbe: one probe of a server on this machine, its answer included.
func BenchmarkProbe(b *testing.B) {
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer srv.Close()
	for _, kind := range []string{upstream.CheckTCP, upstream.CheckHTTP} {
		c := httpCheck()
		c.Kind = kind
		b.Run(kind, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if r := Probe(b.Context(), &c, srv.Listener.Addr().String()); !r.Good {
					b.Fatal(r.What)
				}
			}
		})
	}
}
