//go:build !race

package main_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"
)

// What a hundred changes a second may cost in CPU per request, beside quiet.
const (
	churnBudget      = 0.03
	churnConnections = 64
	churnServers     = 10
)

// TestFigureChurn alternates quiet windows and windows of a hundred changes a
// second, under load. A change gives a server another weight, takes it out or
// puts it back.
func TestFigureChurn(t *testing.T) {
	consul := startFigureConsul(t)
	var keys []string
	for range churnServers {
		keys = append(keys, "upstreams/web/"+startServer(t, "server"))
	}
	consul.putAll(keys, `{"weight":10}`)
	g := startGateway(t, 2, fmt.Sprintf("consul:\n  address: %q\nupstreams:\n  web:\n    source: consul-kv\n    key: upstreams/web/\n    dump: %q\nroutes:\n  - upstream: web\n",
		consul.addr, t.TempDir()+"/web.conf"))
	traffic := startLoad(t, g.addr, "web.test", churnConnections, 0)
	length := sized(1500*time.Millisecond, time.Second)
	pause(2 * length) // connections are made, threads started

	var ratios []float64
	changes := 0
	t.Log("| window | quiet, us of CPU a request | churn | churn/quiet | changes |")
	before := g.costPerRequest(traffic, length)
	for i := range sized(20, 5) {
		churner := startChurn(func(i int) error { return churnOne(consul, keys, i) })
		during := g.costPerRequest(traffic, length)
		n := churner.stop(t)
		after := g.costPerRequest(traffic, length)
		quiet := (before + after) / 2
		ratios, changes, before = append(ratios, during/quiet), changes+n, after
		t.Logf("| %d | %.2f | %.2f | %.3f | %d |", i+1, quiet, during, during/quiet, n)
	}
	failed, why := traffic.stop()
	more := median(ratios) - 1
	t.Logf("%d connections, %d changes, %d requests, %d failed: CPU per request %+.1f %% (median of windows)",
		churnConnections, changes, traffic.served.Load(), failed, 100*more)
	if failed > 0 {
		t.Errorf("%d requests failed, the first: %v", failed, why)
	}
	if more > bound(churnBudget) {
		t.Errorf("CPU per request is %.1f %% above that of quiet windows, want at most %.1f %%", 100*more, 100*bound(churnBudget))
	}
}

// costPerRequest is the gateway's CPU time for each request of a window, in
// microseconds.
func (g *figureGateway) costPerRequest(traffic *load, length time.Duration) float64 {
	g.t.Helper()
	used, served := g.cpu(), traffic.served.Load()
	pause(length)
	cost := g.cpuSince(used)
	served = traffic.served.Load() - served
	if served == 0 {
		g.t.Fatal("no request was served in a window")
	}
	return float64(cost.Microseconds()) / float64(served)
}

// churnOne is change i.
func churnOne(consul *figureConsul, keys []string, i int) error {
	key := "/v1/kv/" + keys[i/4%len(keys)]
	method, value := http.MethodPut, ""
	switch i % 4 {
	case 0:
		value = `{"weight":5}`
	case 1:
		value = `{"weight":20}`
	case 2:
		method = http.MethodDelete
	case 3:
		value = `{"weight":10}`
	}
	_, err := consul.write(method, key, value)
	return err
}

// churn makes changes at a steady rate.
type churn struct {
	over  chan struct{}
	wait  sync.WaitGroup
	began time.Time
	made  int
	err   error
}

// startChurn calls change for each in turn, from 0.
func startChurn(change func(i int) error) *churn {
	c := &churn{over: make(chan struct{}), began: time.Now()}
	c.wait.Go(func() {
		for c.err == nil {
			due := c.began.Add(time.Duration(c.made) * churnPeriod) // late ones catch up
			select {
			case <-c.over:
				return
			case <-time.After(time.Until(due)):
				c.err = change(c.made)
				c.made++
			}
		}
	})
	return c
}

// stop returns how many changes were made; it fails the test if that is far
// from the rate, for then nothing was measured.
func (c *churn) stop(t *testing.T) int {
	t.Helper()
	close(c.over)
	c.wait.Wait()
	if c.err != nil {
		t.Fatal(c.err)
	}
	if want := int(time.Since(c.began) / churnPeriod); c.made < want*8/10 {
		t.Errorf("only %d changes of %d were made: the machine is too busy", c.made, want)
	}
	return c.made
}
