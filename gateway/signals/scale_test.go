package signals

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"testing"
	"time"

	"spillway/gateway/upstream"
)

// many is a recorder of a gateway with that many upstreams of 45 servers, of
// which two loops tell.
func many(tb testing.TB, upstreams int) (r *Recorder, busy []Tally) {
	tb.Helper()
	var adopted []Adoption
	names := make([]string, upstreams)
	for i := range names {
		names[i] = fmt.Sprintf("upstream-%d", i)
		var servers []upstream.Spec
		for k := range 45 {
			servers = append(servers, spec(fmt.Sprintf("10.%d.%d.%d:8080", i>>8, i&255, k)))
		}
		p := newPool(names[i], servers...)
		for range 2 {
			adopted = append(adopted, Adoption{p, p.Load()})
		}
	}
	r = New(Options{
		Gateway: "g", Log: slog.New(slog.DiscardHandler),
		Adopted: func(context.Context, func(string) bool) ([]Adoption, error) { return adopted, nil },
	})
	for _, a := range adopted {
		r.Note(a.Pool)
	}
	return r, []Tally{tally(100, 1, names...), tally(100, 1, names...)}
}

// heap is what is in use.
func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// An upstream without traffic costs next to nothing, one with traffic two
// minutes of seconds.
func TestMemoryIsBoundedByTraffic(t *testing.T) {
	const upstreams = 1000
	r, busy := many(t, upstreams)
	before := heap()
	now := time.Now().Unix()
	r.record(now, []Tally{tally(0, 0, "upstream-1")})
	idle := int64(heap()) - int64(before)
	for i := range int64(2 * Window) {
		r.record(now+1+i, busy)
	}
	each := (int64(heap()) - int64(before)) / upstreams
	t.Logf("%d bytes for %d upstreams without traffic, %d bytes for one with", idle, upstreams, each)
	if idle > 64<<10 || each > 20<<10 {
		t.Errorf("%d bytes idle, %d bytes each with traffic; want at most 64 KiB and 20 KiB", idle, each)
	}
	runtime.KeepAlive(r)
}

func BenchmarkSecondOfAThousandUpstreams(b *testing.B) {
	r, busy := many(b, 1000)
	now := time.Now().Unix()
	for i := range int64(b.N) {
		r.record(now+i, busy)
	}
}

func BenchmarkReportOfAThousandUpstreams(b *testing.B) {
	r, busy := many(b, 1000)
	now := time.Now().Unix()
	for i := range int64(Window) {
		r.record(now+i, busy)
	}
	b.ReportAllocs()
	for b.Loop() {
		text, err := r.Report(b.Context(), Query{Since: (now + Window - 2) * 1000})
		if err != nil {
			b.Fatal(err)
		}
		b.SetBytes(int64(len(text)))
	}
}
