package metrics

import "math/bits"

// Buckets is the number of finite buckets of a Histogram, and FirstBound the
// upper bound of the first in nanoseconds; each bound is twice the one
// before: 50 µs, 100 µs, ... 13.1 s.
const (
	Buckets    = 19
	FirstBound = 50_000
)

// Histogram counts durations in buckets whose bounds double. One goroutine
// writes it, any may read.
type Histogram struct {
	buckets [Buckets + 1]Counter // the last one has no upper bound
	sum     Counter              // nanoseconds
}

// Observe counts a duration in nanoseconds; one below zero (a clock that
// stepped back) counts as zero. A duration equal to a bound belongs below it,
// as Prometheus has it.
func (h *Histogram) Observe(ns int64) {
	if ns <= 0 {
		h.buckets[0].Inc()
		return
	}
	k := bits.Len64(uint64(ns-1) / FirstBound)
	h.buckets[min(k, Buckets)].Inc()
	h.sum.Add(uint64(ns))
}

// Count returns the number of observations.
func (h *Histogram) Count() uint64 {
	var n uint64
	for i := range h.buckets {
		n += h.buckets[i].Load()
	}
	return n
}

// Sum returns the total of all observations in nanoseconds.
func (h *Histogram) Sum() uint64 { return h.sum.Load() }

// Bound returns the upper bound of bucket k in seconds.
func Bound(k int) float64 { return float64(uint64(FirstBound)<<k) / 1e9 }
