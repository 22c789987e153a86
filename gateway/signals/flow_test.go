package signals

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"spillway/gateway/metrics"
)

func TestLatencyBucketsAreThoseOfTheMetrics(t *testing.T) {
	if Buckets != metrics.Buckets+1 || FirstBound != metrics.FirstBound {
		t.Fatalf("%d buckets from %d ns, the metrics have %d from %d", Buckets, FirstBound, metrics.Buckets+1, metrics.FirstBound)
	}
	for _, tc := range []struct {
		ns int64
		k  int
	}{
		{math.MinInt64, 0},
		{-1, 0},
		{0, 0},
		{1, 0},
		{50_000, 0},
		{50_001, 1},
		{100_000, 1},
		{100_001, 2},
		{13_107_200_000, 18},
		{13_107_200_001, 19},
		{math.MaxInt64, 19},
	} {
		var f Flow
		f.Took(tc.ns)
		if f.Latency[tc.k] != 1 {
			t.Errorf("%d ns: %v, want bucket %d", tc.ns, f.Latency, tc.k)
		}
	}
}

// request is one that a property test makes up.
type request struct {
	begin, end int64
	refused    bool
}

// A flow's area between two times is what adding up each request's time
// between them gives, whatever the order of events.
func TestAreaIsTheTimeInFlight(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const limit = 1000
		offset := rapid.Int64Range(1, math.MaxInt64-2*limit).Draw(t, "uptime") // sums wrap around
		n := rapid.IntRange(0, 40).Draw(t, "requests")
		all := make([]request, n)
		for i := range all {
			b := rapid.Int64Range(0, limit).Draw(t, "begin")
			all[i] = request{b, rapid.Int64Range(b, 2*limit).Draw(t, "end"), rapid.Bool().Draw(t, "refused")}
		}
		from := rapid.Int64Range(0, limit).Draw(t, "from")
		to := rapid.Int64Range(from, limit).Draw(t, "to")
		before, after := replay(all, from, offset), replay(all, to, offset)
		want := int64(0)
		for _, r := range all {
			want += max(0, min(r.end, to)-max(r.begin, from))
		}
		if got := after.Area(offset+to) - before.Area(offset+from); got != uint64(want) {
			t.Fatalf("area %d, want %d", got, want)
		}
		checkDifference(t, &before, &after)
	})
}

// replay counts what happened up to now.
func replay(all []request, now, offset int64) (f Flow) {
	for _, r := range all {
		if r.begin <= now {
			f.Begin(offset + r.begin)
		}
		switch {
		case r.end > now:
		case r.refused:
			f.Refuse(offset + r.end)
		default:
			f.Complete(offset+r.end, false)
			f.Took(r.end - r.begin)
		}
	}
	return f
}

func checkDifference(t *rapid.T, before, after *Flow) {
	d := after.Since(before)
	total := uint64(0)
	for _, n := range d.Latency {
		total += n
	}
	if total != d.Completions {
		t.Fatalf("%d latencies of %d completions", total, d.Completions)
	}
	if d.Arrivals+before.InFlight() != d.Completions+d.Refused+after.InFlight() {
		t.Fatalf("%d arrived with %d in flight before, %d completed, %d refused, %d in flight",
			d.Arrivals, before.InFlight(), d.Completions, d.Refused, after.InFlight())
	}
}

func TestFlowAllocatesNothing(t *testing.T) {
	var f Flow
	n := testing.AllocsPerRun(100, func() {
		f.Begin(1)
		f.Complete(2, true)
		f.Took(1)
		f.Begin(1)
		f.Refuse(3)
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkFlow(b *testing.B) {
	var f Flow
	for i := range int64(b.N) {
		f.Begin(i)
		f.Complete(i+100_000, false)
		f.Took(100_000)
	}
}
