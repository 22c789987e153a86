// Package hist counts durations in a log-linear histogram of fixed size.
//
// Values are nanoseconds. Between 1 us and 1 h every value is kept to three
// significant digits (the error is below 0.1 %), shorter ones to the nanosecond;
// longer ones are counted as 1 h, while Max still knows them exactly. The layout
// is that of HdrHistogram with three digits, so that quantiles of both agree:
//
//	0 ... 2047        one bucket a nanosecond
//	2048 ... 4095     1024 buckets of 2 ns
//	4096 ... 8191     1024 buckets of 4 ns
//	...
//	2^41 ... 2^42-1   1024 buckets of 2^31 ns
//
// Recording allocates nothing and takes a few nanoseconds. Histograms merge
// without loss: the merged one is what a single one would have been.
//
// The package owns no goroutine and locks nothing. A Histogram belongs to one
// goroutine at a time.
package hist

import (
	"math"
	"math/bits"
)

const (
	subBits    = 11 // 2^11 linear buckets are what three digits take
	subBuckets = 1 << subBits
	half       = subBuckets / 2

	// Highest is the longest duration that has a bucket: 1 h in nanoseconds.
	Highest = int64(3_600_000_000_000)

	buckets = subBuckets + (42-subBits)*half // Highest has 42 bits
)

// Histogram is a set of counted durations. The zero value is empty and ready.
// It takes about 270 kB; do not copy it.
type Histogram struct {
	counts  [buckets]uint64
	total   uint64
	sum     float64
	min     int64 // of recorded values; meaningless while total is 0
	max     int64
	clipped uint64
}

// index is the bucket of a value between 0 and Highest.
func index(ns int64) int {
	if ns < subBuckets {
		return int(ns)
	}
	shift := bits.Len64(uint64(ns)) - subBits
	return shift*half + int(ns>>shift)
}

// bounds are the lowest and the highest value of a bucket.
func bounds(at int) (low, high int64) {
	if at < subBuckets {
		return int64(at), int64(at)
	}
	shift := at/half - 1
	low = int64(at-shift*half) << shift
	return low, low + 1<<shift - 1
}

// Record counts one duration in nanoseconds. A negative one counts as 0.
func (h *Histogram) Record(ns int64) { h.RecordN(ns, 1) }

// RecordN counts a duration n times.
func (h *Histogram) RecordN(ns int64, n uint64) {
	if n == 0 {
		return
	}
	ns = max(ns, 0)
	if h.total == 0 || ns < h.min {
		h.min = ns
	}
	h.max = max(h.max, ns)
	h.total += n
	h.sum += float64(ns) * float64(n)
	if ns > Highest {
		h.clipped += n
		ns = Highest
	}
	h.counts[index(ns)] += n
}

// Merge adds what other has counted. other does not change.
func (h *Histogram) Merge(other *Histogram) {
	if other.total == 0 {
		return
	}
	if h.total == 0 || other.min < h.min {
		h.min = other.min
	}
	h.max = max(h.max, other.max)
	h.total += other.total
	h.sum += other.sum
	h.clipped += other.clipped
	for i, n := range &other.counts {
		if n != 0 {
			h.counts[i] += n
		}
	}
}

// Reset forgets everything.
func (h *Histogram) Reset() { *h = Histogram{} }

// Count is how many durations were recorded.
func (h *Histogram) Count() uint64 { return h.total }

// Clipped is how many of them were longer than Highest.
func (h *Histogram) Clipped() uint64 { return h.clipped }

// Max is the longest duration, exactly; 0 if nothing was recorded.
func (h *Histogram) Max() int64 { return h.max }

// Min is the shortest duration, exactly; 0 if nothing was recorded.
func (h *Histogram) Min() int64 {
	if h.total == 0 {
		return 0
	}
	return h.min
}

// Mean is the arithmetic mean of what was recorded, 0 if that is nothing. It is
// taken from the values themselves, not from the buckets.
func (h *Histogram) Mean() float64 {
	if h.total == 0 {
		return 0
	}
	return h.sum / float64(h.total)
}

// Quantile returns the duration that a share q (0 to 1) of all recorded ones
// does not exceed: the highest value of the bucket that holds the one of rank
// ceil(q*Count), never above Max. It is 0 if nothing was recorded.
func (h *Histogram) Quantile(q float64) int64 {
	rank := rankOf(q, h.total)
	if rank == 0 {
		return 0
	}
	var seen uint64
	for i, n := range &h.counts {
		seen += n
		if seen >= rank {
			return h.highest(i)
		}
	}
	return h.max
}

// rankOf is the number, from 1, of the recorded value that a quantile is.
func rankOf(q float64, total uint64) uint64 {
	if total == 0 {
		return 0
	}
	// A product that should be whole may come out a hair above it.
	exact := min(max(q, 0), 1) * float64(total)
	rank := uint64(math.Ceil(exact - 1e-9*math.Max(1, exact)))
	return min(max(rank, 1), total)
}

// highest is what a bucket's values are reported as.
func (h *Histogram) highest(at int) int64 {
	if at == index(Highest) {
		return h.max // clipped values are in it
	}
	_, high := bounds(at)
	return min(high, h.max)
}

// Above counts the recorded durations that are longer than ns. Those in the
// bucket of ns itself count as not longer.
func (h *Histogram) Above(ns int64) uint64 {
	if ns < 0 {
		return h.total
	}
	var n uint64
	for _, c := range h.counts[index(min(ns, Highest))+1:] {
		n += c
	}
	return n
}

// Bucket is a run of equivalent durations and how many were recorded.
type Bucket struct {
	Low, High int64 // nanoseconds, both included
	Count     uint64
}

// Buckets calls yield for every bucket that holds something, in ascending
// order, until yield returns false. It can be ranged over.
func (h *Histogram) Buckets(yield func(Bucket) bool) {
	for i, n := range &h.counts {
		if n == 0 {
			continue
		}
		low, high := bounds(i)
		if !yield(Bucket{Low: low, High: high, Count: n}) {
			return
		}
	}
}
