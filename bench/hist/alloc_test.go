//go:build !race

package hist

import "testing"

func TestRecordingAllocatesNothing(t *testing.T) {
	h, other := new(Histogram), new(Histogram)
	other.Record(5)
	v := int64(1)
	n := testing.AllocsPerRun(1000, func() {
		h.Record(v)
		v = v*3%Highest + 1
	})
	if n != 0 {
		t.Errorf("recording allocates %v times", n)
	}
	if n := testing.AllocsPerRun(10, func() { h.Merge(other); h.Quantile(0.99) }); n != 0 {
		t.Errorf("merging and reading allocates %v times", n)
	}
}

func BenchmarkRecord(b *testing.B) {
	h := new(Histogram)
	b.ReportAllocs()
	for i := range b.N {
		h.Record(int64(i & 0xfffff))
	}
}
