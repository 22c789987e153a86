package metrics

import (
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"
)

func TestCountersAndGauges(t *testing.T) {
	var c Counter
	c.Inc()
	c.Add(41)
	if c.Load() != 42 {
		t.Errorf("counter: got %d, want 42", c.Load())
	}
	var g Gauge
	g.Inc()
	g.Dec()
	g.Dec()
	g.Add(-2)
	if g.Load() != -3 {
		t.Errorf("gauge: got %d, want -3", g.Load())
	}
	g.Set(7)
	if g.Load() != 7 {
		t.Errorf("gauge: got %d, want 7", g.Load())
	}
}

func TestCodesAreCountedExactly(t *testing.T) {
	var c CodeCounts
	for code := 200; code < 210; code++ {
		for range code - 199 {
			c.Inc(code)
		}
	}
	for code := 200; code < 210; code++ {
		if got, want := c.Load(code), uint64(code-199); got != want {
			t.Errorf("%d: got %d, want %d", code, got, want)
		}
	}
	if c.Load(404) != 0 {
		t.Errorf("404: got %d, want 0", c.Load(404))
	}
}

func TestCodesWithoutSlotAreCountedTogether(t *testing.T) {
	var c CodeCounts
	for code := 100; code < 1000; code++ {
		c.Inc(code)
		c.Inc(code)
	}
	got := map[int]uint64{}
	var total uint64
	c.Each(func(code int, n uint64) { got[code] = n; total += n })
	want := map[int]uint64{0: 2 * (900 - codeSlots)}
	for code := 100; code < 100+codeSlots; code++ {
		want[code] = 2
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if total != 1800 || c.Load(0) != want[0] {
		t.Errorf("%d in all, %d without slot", total, c.Load(0))
	}
}

func TestHistogramBounds(t *testing.T) {
	tests := []struct {
		ns     int64
		bucket int
	}{
		{-5, 0},
		{0, 0},
		{1, 0},
		{50_000, 0}, // a bound belongs below it
		{50_001, 1},
		{100_000, 1},
		{100_001, 2},
		{200_000, 2},
		{FirstBound << 18, 18},
		{FirstBound<<18 + 1, 19},
		{1 << 62, 19},
	}
	for _, tc := range tests {
		var h Histogram
		h.Observe(tc.ns)
		for k := range h.buckets {
			want := uint64(0)
			if k == tc.bucket {
				want = 1
			}
			if got := h.buckets[k].Load(); got != want {
				t.Errorf("%d ns: bucket %d has %d, want %d", tc.ns, k, got, want)
			}
		}
		if got, want := h.Sum(), uint64(max(tc.ns, 0)); got != want {
			t.Errorf("%d ns: sum is %d, want %d", tc.ns, got, want)
		}
		if h.Count() != 1 {
			t.Errorf("%d ns: count is %d", tc.ns, h.Count())
		}
	}
}

// TestEveryDurationIsBelowItsBound checks Observe against the bounds that are
// reported.
func TestEveryDurationIsBelowItsBound(t *testing.T) {
	for ns := int64(1); ns < 20e9; ns += ns/7 + 1 {
		var h Histogram
		h.Observe(ns)
		k := 0
		for k < Buckets && float64(ns)/1e9 > Bound(k) {
			k++
		}
		if h.buckets[k].Load() != 1 {
			t.Fatalf("%d ns is not in bucket %d", ns, k)
		}
	}
}

// TestLoopsShareNoCacheLine: what a loop writes is at least a pair of lines
// away from both ends of its struct, wherever the allocator puts it.
func TestLoopsShareNoCacheLine(t *testing.T) {
	const pair = 128
	var l Loop
	if first := unsafe.Offsetof(l.Accepted); first < pair {
		t.Errorf("Loop: first counter at %d", first)
	}
	if last := unsafe.Offsetof(l.Events) + unsafe.Sizeof(l.Events); unsafe.Sizeof(l)-last < pair {
		t.Errorf("Loop: last counter ends %d before the end", unsafe.Sizeof(l)-last)
	}
	var u Upstream
	if first := unsafe.Offsetof(u.Requests); first < pair {
		t.Errorf("Upstream: first counter at %d", first)
	}
	if last := unsafe.Offsetof(u.Overhead) + unsafe.Sizeof(u.Overhead); unsafe.Sizeof(u)-last < pair {
		t.Errorf("Upstream: last counter ends %d before the end", unsafe.Sizeof(u)-last)
	}
}
