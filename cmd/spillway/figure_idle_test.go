//go:build !race

package main_test

import (
	"fmt"
	"testing"
)

const (
	idleConnections = 8000
	idleBudget      = 512.0 // bytes
)

// TestFigureIdle measures what a keep-alive connection costs that has served
// a request and waits for the next: the share of memory that is the process's
// own (PSS), garbage collected before.
func TestFigureIdle(t *testing.T) {
	g := startGateway(t, 2, fmt.Sprintf("upstreams:\n  web:\n    servers: [%q]\nroutes:\n  - upstream: web\n", startServer(t, "server")))
	hold := func(n int) {
		for range n {
			a, err := newAsker(g.addr, "web.test")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { a.c.Close() })
			if _, err := a.ask(); err != nil {
				t.Fatal(err)
			}
		}
	}
	hold(100) // what the first connections need once is no part of it
	g.collectGarbage()
	before := g.memory("smaps_rollup", "Pss")
	hold(idleConnections)
	g.collectGarbage()
	after := g.memory("smaps_rollup", "Pss")
	each := float64(after-before) / idleConnections
	t.Logf("| connections | PSS before | after | bytes each |\n| %d | %d KiB | %d KiB | %.0f |", idleConnections, before>>10, after>>10, each)
	if each > bound(idleBudget) {
		t.Errorf("an idle connection takes %.0f bytes, want at most %.0f", each, bound(idleBudget))
	}
}
