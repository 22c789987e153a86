//go:build !race

package engine_test

import (
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"spillway/gateway/upstream"
)

// The budgets of the data plane. Those of time and memory are gated with
// slack, because machines that run tests are noisy; the log has the figures.
const (
	slack          = 3
	idleBudget     = 512      // bytes of an idle connection
	bodyRSSBudget  = 32 << 20 // bytes, for bodies of any size
	spreadBudget   = 1.1
	idleConns      = 8000
	allocRequests  = 100_000
	allocPerThread = 0.005 // the runtime's own, per request
)

// childProxy is a gateway alone in this process, with as many processors as
// it has in production: one more than loops.
func childProxy(t *testing.T, loops int) (*child, *proxy) {
	t.Helper()
	was := runtime.GOMAXPROCS(loops + 1)
	t.Cleanup(func() { runtime.GOMAXPROCS(was) })
	c := startChild(t)
	return c, startProxy(t, proxyConfig{Backends: []string{c.addr}, Loops: loops})
}

func TestRequestsAllocateNothing(t *testing.T) {
	for loops := 1; loops <= 2; loops++ {
		c, p := childProxy(t, loops)
		allocateNothing(t, c, p, loops)
	}
}

// Nor do they where the picker is told of each answer, and each answer names
// its server in a cookie.
func TestObservedRequestsAllocateNothing(t *testing.T) {
	if differs(t, "it has no such policy") {
		return
	}
	was := runtime.GOMAXPROCS(2)
	t.Cleanup(func() { runtime.GOMAXPROCS(was) })
	c := startChild(t)
	allocateNothing(t, c, startProxy(t, proxyConfig{Loops: 1, Pools: map[string]poolConfig{
		"web": {Specs: specs(c.addr), Settings: upstream.Settings{
			Balance: "peak_ewma", Keepalive: 64, Sticky: upstream.Sticky{Cookie: "srv", Key: "secret"},
		}},
	}}), 1)
}

func allocateNothing(t *testing.T, c *child, p *proxy, loops int) {
	t.Helper()
	const conns = 16
	c.do("run %s %d %d", p.Addr, 200, conns) // warm up
	runtime.GC()
	before := mallocs()
	c.do("run %s %d %d", p.Addr, allocRequests/conns, conns)
	per := float64(mallocs()-before) / allocRequests
	t.Logf("loops=%d: %.4f allocations a request", loops, per)
	if per > allocPerThread {
		t.Errorf("loops=%d: %.4f allocations a request, want 0", loops, per)
	}
}

func mallocs() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.Mallocs
}

func TestIdleConnectionIsSmall(t *testing.T) {
	c, p := childProxy(t, 2)
	c.do("hold %s %d", p.Addr, 100) // warm up
	before := pss(t)
	c.do("hold %s %d", p.Addr, idleConns)
	per := float64(pss(t)-before) / idleConns
	t.Logf("an idle connection adds %.0f bytes (PSS), budget %d", per, idleBudget)
	if per > slack*idleBudget {
		t.Errorf("an idle connection adds %.0f bytes, want at most %d", per, slack*idleBudget)
	}
}

// pss is what this process holds of memory, garbage aside.
func pss(t *testing.T) int64 {
	t.Helper()
	debug.FreeOSMemory()
	return procKB(t, "/proc/self/smaps_rollup", "Pss:") << 10
}

// procKB reads one line in kB of a file in /proc.
func procKB(t *testing.T, file, name string) int64 {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(raw)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == name {
			n, err := strconv.ParseInt(f[1], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("no %s in %s", name, file)
	return 0
}

func TestConnectionsSpreadOverLoops(t *testing.T) {
	c, p := childProxy(t, 2)
	c.do("hold %s %d", p.Addr, 64)
	n := p.active()
	if n == nil && differs(t, "its workers do not tell") {
		return
	}
	most, sum := int64(0), int64(0)
	for _, k := range n {
		most, sum = max(most, k), sum+k
	}
	spread := float64(most) * float64(len(n)) / float64(sum)
	t.Logf("64 connections on loops: %d, busiest/mean %.2f", n, spread)
	if sum != 64 || spread > spreadBudget {
		t.Errorf("64 connections on loops: %d, busiest/mean %.2f, want at most %.1f", n, spread, spreadBudget)
	}
}

// Bodies of any size go through a bounded memory, also when nobody reads
// them.
func TestBodiesTakeBoundedMemory(t *testing.T) {
	c, p := childProxy(t, 2)
	c.do("run %s %d %d", p.Addr, 1000, 16)
	size := int64(2) << 30
	if os.Getenv("FIGURES") == "full" {
		size = 10 << 30
	}
	for _, r := range []struct {
		name string
		do   func()
	}{
		{"upload", func() { c.do("upload %s %d", p.Addr, size) }},
		{"download", func() { c.do("download %s %d", p.Addr, size) }},
		{"64 that nobody reads", func() {
			c.do("stall %s %d %d", p.Addr, 64, size)
			timer := time.NewTimer(300 * time.Millisecond)
			<-timer.C
			c.do("drop")
		}},
	} {
		debug.FreeOSMemory()
		if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil { // resets VmHWM
			t.Fatal(err)
		}
		began, before := time.Now(), procKB(t, "/proc/self/status", "VmRSS:")
		r.do()
		grown := (procKB(t, "/proc/self/status", "VmHWM:") - before) << 10
		t.Logf("%s: RSS grew by %d KiB at most, in %v", r.name, grown>>10, time.Since(began))
		if grown > bodyRSSBudget {
			t.Errorf("%s: RSS grew by %d bytes, want at most %d", r.name, grown, bodyRSSBudget)
		}
	}
}
