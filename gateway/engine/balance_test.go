package engine_test

import (
	"testing"
	"time"

	"spillway/gateway/upstream"
)

// The picker is told how long answers take: of a fast server and a slow one
// the slow one gets a request when nothing is known of it, and hardly more.
func TestPeakEWMALearnsFromAnswers(t *testing.T) {
	if differs(t, "it has no such policy") {
		return
	}
	slow := newBackend(t, serve(func(*message) string {
		<-time.After(60 * time.Millisecond)
		return ok("slow")
	}))
	fast := newBackend(t, always(ok("fast")))
	for loops := 1; loops <= 2; loops++ {
		p := startProxy(t, proxyConfig{Loops: loops, Pools: map[string]poolConfig{
			"web": {Specs: specs(slow.addr, fast.addr), Settings: upstream.Settings{Balance: "peak_ewma"}},
		}})
		count := map[string]int{}
		for range 4 {
			c := p.dial()
			for range 15 {
				c.send(get("/"))
				count[string(c.answer(200).Body)]++
			}
		}
		if count["slow"] < 1 || count["slow"] > 3 {
			t.Errorf("%d loops: %v", loops, count)
		}
	}
}
