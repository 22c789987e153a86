//go:build !race

package main_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// How soon a change in Consul is in traffic.
const (
	syncMedian  = 2 * time.Millisecond
	syncP99     = 10 * time.Millisecond
	churnPeriod = 10 * time.Millisecond // a hundred changes a second
	// paceBurst and paceRate are how often one watch may read.
	paceBurst, paceRate = 10, 10
)

// The upstream has one server that stays, of weight 1. A change adds or
// removes one that gets nearly all requests, so the answer to the next
// request tells which set of servers it was routed by.
const preferred = 50_000

// TestFigureSync measures an isolated change: from the answer to the client
// that wrote it to Consul, until on every loop a request sent then or later
// was answered by the new server.
func TestFigureSync(t *testing.T) {
	consul := startFigureConsul(t)
	old, added := startServer(t, "old"), startServer(t, "new")
	config := fmt.Sprintf(`consul:
  address: %q
upstreams:
  web:
    source: consul-kv
    key: upstreams/web/
  api:
    source: consul-health
    service: api
routes:
  - host: api.test
    upstream: api
  - upstream: web
`, consul.addr)
	health := &healthWriter{consul}
	consul.put("upstreams/web/"+old, "")
	health.add("old", old, 1)
	g := startGateway(t, 2, config)

	lone := []struct {
		source, host string
		changes      int
		add, remove  func() time.Time
	}{
		{
			"consul-kv", "web.test", sized(200, 40),
			func() time.Time { return consul.put("upstreams/web/"+added, fmt.Sprintf(`{"weight":%d}`, preferred)) },
			func() time.Time { return consul.delete("upstreams/web/" + added) },
		},
		{
			"consul-health", "api.test", sized(60, 20),
			func() time.Time { return health.add("new", added, preferred) },
			func() time.Time { return health.remove("new") },
		},
	}
	for _, s := range lone {
		t.Run(s.source, func(t *testing.T) {
			probes := onePerLoop(t, g, s.host, 2)
			traffic := startLoad(t, g.addr, s.host, 8, 20*time.Millisecond)
			var took []time.Duration
			for i := range s.changes {
				pause(150*time.Millisecond + time.Duration(rand.IntN(100))*time.Millisecond)
				change, want := s.add, "new"
				if i%2 == 1 {
					change, want = s.remove, "old"
				}
				took = append(took, probes.served(t, change(), want))
			}
			failed, why := traffic.stop()
			report(t, s.source, took, traffic.served.Load(), failed)
			if failed > 0 {
				t.Errorf("%d requests failed, the first: %v", failed, why)
			}
		})
	}
}

// report prints the figure and judges it. A short run has too few changes for
// a p99 that means anything: there p90 is judged.
func report(t *testing.T, source string, took []time.Duration, served, failed int64) {
	slices.Sort(took)
	mid, high := quantile(took, 0.5), quantile(took, sized(0.99, 0.9))
	t.Logf("| source | changes | median | p90 | p99 | most | requests | failed |\n| %s | %d | %v | %v | %v | %v | %d | %d |",
		source, len(took), round(mid), round(quantile(took, 0.9)), round(quantile(took, 0.99)), round(took[len(took)-1]), served, failed)
	if mid > bound(syncMedian) || high > bound(syncP99) {
		t.Errorf("a change is routed after %v (median) and %v (p%v), want at most %v and %v", mid, high, sized(99, 90), bound(syncMedian), bound(syncP99))
	}
}

func round(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }

// probes are connections that lie on different loops.
type probes []*asker

// onePerLoop opens a connection on each loop.
func onePerLoop(t *testing.T, g *figureGateway, host string, loops int) probes {
	t.Helper()
	var all probes
	for range loops {
		a, err := newAsker(g.addr, host)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { a.c.Close() })
		if _, err := a.ask(); err != nil {
			t.Fatal(err)
		}
		all = append(all, a)
	}
	for i := range loops {
		if n, _ := g.metric(fmt.Sprintf(`spillway_loop_connections{loop="%d"}`, i)); n != 1 {
			t.Fatalf("loop %d has %v connections of %d, want 1", i, n, loops)
		}
	}
	return all
}

// served is how long after the answer to the writer all loops answered with
// want.
func (p probes) served(t *testing.T, answered time.Time, want string) time.Duration {
	t.Helper()
	type outcome struct {
		at  time.Time
		err error
	}
	done := make(chan outcome, len(p))
	for _, a := range p {
		go func() {
			for {
				body, err := a.ask()
				if err == nil && string(body) != want && time.Since(answered) < 5*time.Second {
					continue
				}
				if err == nil && string(body) != want {
					err = fmt.Errorf("still answered by %q", body)
				}
				done <- outcome{time.Now(), err}
				return
			}
		}()
	}
	var last time.Duration
	for range p {
		o := <-done
		if o.err != nil {
			t.Fatal(o.err)
		}
		last = max(last, o.at.Sub(answered))
	}
	return last
}

// healthWriter registers instances of the service api in the catalog, which
// answers when all that read health can see them.
type healthWriter struct{ consul *figureConsul }

func (h *healthWriter) add(id, addr string, weight int) time.Time {
	host, port, _ := strings.Cut(addr, ":")
	return h.consul.must(http.MethodPut, "/v1/catalog/register", fmt.Sprintf(
		`{"Node":"backends","Address":%q,"Service":{"ID":%q,"Service":"api","Address":%q,"Port":%s,"Weights":{"Passing":%d,"Warning":1}}}`,
		host, id, host, port, weight))
}

func (h *healthWriter) remove(id string) time.Time {
	return h.consul.must(http.MethodPut, "/v1/catalog/deregister", fmt.Sprintf(`{"Node":"backends","ServiceID":%q}`, id))
}

// TestFigureSyncUnderChurn holds what happens to a hundred changes a second:
// reads are coalesced and paced, no request fails, and the last state is the
// one that is routed.
func TestFigureSyncUnderChurn(t *testing.T) {
	consul := startFigureConsul(t)
	between := startRelay(t, consul.addr)
	old, added := startServer(t, "old"), startServer(t, "new")
	consul.put("upstreams/web/"+old, "")
	g := startGateway(t, 2, fmt.Sprintf("consul:\n  address: %q\nupstreams:\n  web:\n    source: consul-kv\n    key: upstreams/web/\nroutes:\n  - upstream: web\n", between.addr))
	last := onePerLoop(t, g, "web.test", 2)
	traffic := startLoad(t, g.addr, "web.test", 16, 5*time.Millisecond)

	length, before, began := sized(10*time.Second, 3*time.Second), between.kv.Load(), time.Now()
	churner := startChurn(func(i int) error {
		method, value := http.MethodPut, fmt.Sprintf(`{"weight":%d}`, 1+i%100)
		if i%2 == 1 {
			method = http.MethodDelete
		}
		_, err := consul.write(method, "/v1/kv/upstreams/web/"+added, value)
		return err
	})
	pause(length)
	changes := churner.stop(t)
	answered := consul.put("upstreams/web/"+startServer(t, "end"), fmt.Sprintf(`{"weight":%d}`, preferred))
	took, settled := answered.Sub(began), last.served(t, answered, "end")
	reads := between.kv.Load() - before
	failed, why := traffic.stop()
	t.Logf("| changes | in | reads of Consul | last change routed after | requests | failed |\n| %d | %v | %d | %v | %d | %d |",
		changes, took.Round(10*time.Millisecond), reads, round(settled), traffic.served.Load(), failed)

	allowed := int64(paceBurst + paceRate*(took+settled).Seconds() + 2)
	if reads > allowed || reads < allowed/4 {
		t.Errorf("%d reads of Consul for %d changes, want at most %d and not far fewer", reads, changes, allowed)
	}
	if settled > bound(time.Second) {
		t.Errorf("the last change is routed after %v, want at most %v", settled, bound(time.Second))
	}
	if failed > 0 {
		t.Errorf("%d requests failed, the first: %v", failed, why)
	}
}
