//go:build !race

package main_test

import (
	"fmt"
	"testing"
	"time"
)

// What 1,000 upstreams of 45 servers may cost.
const (
	scaleUpstreams = 1000
	scaleServers   = 45
	scaleIdle      = 0.01 // of a core
	scaleTraffic   = 500 * time.Millisecond
	scaleApply     = time.Millisecond
)

// TestFigureScale holds what upstreams in large numbers cost when nothing
// happens, and how one change among 45,000 servers fares: one read of Consul,
// soon in traffic, at once on the last loop when it is decoded.
func TestFigureScale(t *testing.T) {
	consul := startFigureConsul(t)
	consul.putAll(scaleKeys(t), `{"weight":1}`)
	between := startRelay(t, consul.addr)
	g := startGateway(t, 2, fmt.Sprintf(`consul:
  address: %q
upstreams:
  discovered:
    source: consul-kv
    key: upstreams/*
routes:
  - host: "*.test"
    upstream: "{host.1}"
`, between.addr))
	scaleQuiet(t, g, between)

	probes := onePerLoop(t, g, "u500.test", 2)
	before := g.applies("u500")
	added := "upstreams/u500/" + startServer(t, "new")
	t.Log("| change | routed after | reads of Consul |")
	changes := sized(20, 3)
	for i := range changes {
		pause(2 * time.Second) // decoding is paced to a twentieth of a core
		scaleChange(t, consul, between, probes, added, i)
	}
	after := g.applies("u500")
	mean := (after.sum - before.sum) / time.Duration(changes)
	t.Logf("decoded set to last loop: %v on average, %.0f of %d within 800us", mean.Round(time.Microsecond), after.soon-before.soon, changes)
	if n := after.count - before.count; n != float64(changes) || mean > bound(scaleApply) {
		t.Errorf("%v changes of %d took %v on average from the decoded set to the last loop, want at most %v", n, changes, mean, bound(scaleApply))
	}
}

// scaleQuiet measures a gateway to which nothing happens.
func scaleQuiet(t *testing.T, g *figureGateway, between *relay) {
	t.Helper()
	length := sized(10*time.Second, 5*time.Second)
	pause(length / 2) // what the start leaves behind
	asked, used := between.kv.Load(), g.cpu()
	pause(length)
	idle := g.cpuSince(used).Seconds() / length.Seconds()
	t.Logf("%d upstreams x %d servers: idle CPU %.2f %% of a core over %v, RSS %d MiB, most %d MiB",
		scaleUpstreams, scaleServers, 100*idle, length, g.memory("status", "VmRSS")>>20, g.memory("status", "VmHWM")>>20)
	if n := between.kv.Load() - asked; n > 0 {
		t.Errorf("%d reads of the KV store in %v in which nothing changed", n, length)
	}
	if idle > bound(scaleIdle) {
		t.Errorf("idle CPU is %.2f %% of a core, want at most %.2f %%", 100*idle, 100*bound(scaleIdle))
	}
}

// scaleKeys are the keys of all servers. Those of one upstream answer, the
// others exist on paper.
func scaleKeys(t *testing.T) []string {
	t.Helper()
	var keys []string
	for u := range scaleUpstreams {
		for s := range scaleServers {
			addr := fmt.Sprintf("127.%d.%d.%d:80", 10+u/250, u%250, 1+s)
			if u == 500 {
				addr = startServer(t, "old")
			}
			keys = append(keys, fmt.Sprintf("upstreams/u%d/%s", u, addr))
		}
	}
	return keys
}

// scaleChange makes change i and judges what came of it.
func scaleChange(t *testing.T, consul *figureConsul, between *relay, probes probes, added string, i int) {
	t.Helper()
	asked := between.kv.Load()
	var answered time.Time
	what, want := "added", "new"
	if i%2 == 0 {
		answered = consul.put(added, fmt.Sprintf(`{"weight":%d}`, preferred))
	} else {
		answered = consul.delete(added)
		what, want = "removed", "old"
	}
	routed := probes.served(t, answered, want)
	pause(300 * time.Millisecond) // in which a second read would come
	reads := between.kv.Load() - asked
	t.Logf("| %s | %v | %d |", what, round(routed), reads)
	if routed > bound(scaleTraffic) {
		t.Errorf("change %d is routed after %v, want at most %v", i, routed, bound(scaleTraffic))
	}
	if reads != 1 {
		t.Errorf("change %d took %d reads of Consul, want 1", i, reads)
	}
}

// applies is what the gateway counted of changes from the decoded set to the
// last loop.
type applies struct {
	count, soon float64
	sum         time.Duration
}

func (g *figureGateway) applies(upstream string) applies {
	g.t.Helper()
	const name = "spillway_upsync_apply_seconds"
	count, _ := g.metric(fmt.Sprintf("%s_count{upstream=%q}", name, upstream))
	soon, _ := g.metric(fmt.Sprintf(`%s_bucket{upstream=%q,le="0.0008"}`, name, upstream))
	sum, _ := g.metric(fmt.Sprintf("%s_sum{upstream=%q}", name, upstream))
	return applies{count, soon, time.Duration(sum * float64(time.Second))}
}
