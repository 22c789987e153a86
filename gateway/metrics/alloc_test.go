//go:build !race

package metrics

import "testing"

func TestCountingAllocatesNothing(t *testing.T) {
	var l Loop
	var u Upstream
	n := testing.AllocsPerRun(1000, func() {
		l.Accepted.Inc()
		l.Timeouts[TimeoutIdle].Inc()
		l.BadRequests.Inc(400)
		u.Requests.Inc(200)
		u.Requests.Inc(502)
		u.Retries[RetryStale].Inc()
		u.BytesIn.Add(127)
		u.Active.Inc()
		u.Active.Dec()
		u.Duration.Observe(21_000)
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkRequest is what one request costs in counters.
func BenchmarkRequest(b *testing.B) {
	var u Upstream
	for b.Loop() {
		u.Requests.Inc(200)
		u.Reused.Inc()
		u.BytesIn.Add(300)
		u.BytesOut.Add(100)
		u.Active.Inc()
		u.Active.Dec()
		u.Duration.Observe(121_000)
		u.UpstreamDuration.Observe(100_000)
		u.Overhead.Observe(21_000)
	}
}
