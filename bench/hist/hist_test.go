package hist

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"

	"pgregory.net/rapid"
)

// durations draws values of all magnitudes alike, some beyond the range.
func durations() *rapid.Generator[[]int64] {
	one := rapid.Custom(func(t *rapid.T) int64 {
		magnitude := rapid.IntRange(0, 43).Draw(t, "bits")
		return rapid.Int64Range(0, 1<<magnitude).Draw(t, "ns")
	})
	return rapid.SliceOfN(one, 1, 300)
}

func of(values []int64) *Histogram {
	h := new(Histogram)
	for _, v := range values {
		h.Record(v)
	}
	return h
}

func TestEveryBucketHoldsItsBounds(t *testing.T) {
	next := int64(0)
	for i := range buckets {
		low, high := bounds(i)
		if low != next || index(low) != i || (high <= Highest && index(high) != i) {
			t.Fatalf("bucket %d: bounds %d..%d, want low %d; index of them %d, %d", i, low, high, next, index(low), index(high))
		}
		if low >= 1000 && float64(high-low) > 0.001*float64(low) {
			t.Fatalf("bucket %d: %d..%d is wider than three digits", i, low, high)
		}
		next = high + 1
	}
	if i := index(Highest); i >= buckets {
		t.Fatalf("no bucket for 1 h: index %d of %d", i, buckets)
	}
}

func TestQuantilesAreWithinThreeDigits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := durations().Draw(t, "values")
		q := rapid.Float64Range(0, 1).Draw(t, "q")
		h := of(values)
		slices.Sort(values)
		exact := values[max(int(math.Ceil(q*float64(len(values))-1e-6)), 1)-1]
		got := h.Quantile(q)
		if exact > Highest {
			exact = values[len(values)-1] // all beyond the range are one
		}
		if got < exact || float64(got-exact) > max(0.001*float64(exact), 1) {
			t.Fatalf("quantile %v of %v: %d, want %d", q, values, got, exact)
		}
	})
}

func TestMergedIsWhatOneWouldHaveBeen(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := durations().Draw(t, "a"), durations().Draw(t, "b")
		merged, whole := of(a), of(append(slices.Clone(a), b...))
		merged.Merge(of(b))
		merged.Merge(new(Histogram))
		if merged.counts != whole.counts || merged.total != whole.total || merged.min != whole.min ||
			merged.max != whole.max || merged.clipped != whole.clipped || math.Abs(merged.Mean()-whole.Mean()) > 1e-6*whole.Mean() {
			t.Fatalf("merged %v, whole %v", merged.Quantile(0.5), whole.Quantile(0.5))
		}
	})
}

func TestCountsAddUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := durations().Draw(t, "values")
		limit := rapid.Int64Range(-1, 2*Highest).Draw(t, "limit")
		h := of(values)
		var sum, above uint64
		_, edge := bounds(index(min(max(limit, 0), Highest)))
		for b := range h.Buckets {
			sum += b.Count
			if limit < 0 || b.Low > edge {
				above += b.Count
			}
		}
		if sum != uint64(len(values)) || h.Count() != sum || h.Above(limit) != above {
			t.Fatalf("buckets %d, count %d of %d; above %d: %d, want %d", sum, h.Count(), len(values), limit, h.Above(limit), above)
		}
		if h.Max() != slices.Max(values) || h.Min() != slices.Min(values) {
			t.Fatalf("min %d max %d of %v", h.Min(), h.Max(), values)
		}
	})
}

// TestAgreesWithHdrHistogram holds quantiles against those that
// github.com/HdrHistogram/hdrhistogram-go v1.4.0 gave, made with
// New(1, 3_600_000_000_000, 3), for the same values.
func TestAgreesWithHdrHistogram(t *testing.T) {
	text, err := os.ReadFile("testdata/hdrhistogram.json")
	if err != nil {
		t.Fatal(err)
	}
	var recorded []struct {
		Seed      uint64
		Shape     string
		Count     int
		Quantiles map[string]int64
	}
	if err := json.Unmarshal(text, &recorded); err != nil {
		t.Fatal(err)
	}
	for _, want := range recorded {
		r := rand.New(rand.NewPCG(want.Seed, 1))
		h := new(Histogram)
		for range want.Count {
			h.Record(value(r, want.Shape))
		}
		for q, ns := range want.Quantiles {
			share, err := strconv.ParseFloat(q, 64)
			if err != nil {
				t.Fatal(err)
			}
			ns = min(ns, h.Max()) // it reports a bucket's edge even beyond the longest
			if got := h.Quantile(share); got != ns {
				t.Errorf("%s: quantile %s is %d, HdrHistogram says %d", want.Shape, q, got, ns)
			}
		}
	}
}

func value(r *rand.Rand, shape string) int64 {
	switch shape {
	case "exponential":
		return int64(r.ExpFloat64()*300_000) + 20_000
	case "lognormal":
		return min(int64(math.Exp(r.NormFloat64()*2+13)), Highest)
	}
	return 1000 + r.Int64N(Highest-1000)
}

func TestEmptyAndOutOfRange(t *testing.T) {
	h := new(Histogram)
	if h.Quantile(0.5) != 0 || h.Max() != 0 || h.Min() != 0 || h.Mean() != 0 || h.Above(0) != 0 {
		t.Error("an empty histogram knows values")
	}
	h.Record(-5)
	h.RecordN(2*Highest, 2)
	h.RecordN(7, 0)
	if h.Min() != 0 || h.Max() != 2*Highest || h.Clipped() != 2 || h.Count() != 3 {
		t.Errorf("min %d max %d clipped %d count %d", h.Min(), h.Max(), h.Clipped(), h.Count())
	}
	if got := h.Quantile(1); got != 2*Highest {
		t.Errorf("the longest is reported as %d, want what was measured", got)
	}
	if got := h.Quantile(math.Inf(-1)); got != 0 {
		t.Errorf("quantile below all: %d", got)
	}
	h.Reset()
	if h.Count() != 0 || h.Max() != 0 {
		t.Error("reset leaves something")
	}
}
