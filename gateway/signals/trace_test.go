package signals

import (
	"encoding/json"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// traced is a line as its reader sees it.
type traced struct {
	T   int64   `json:"t"`
	U   string  `json:"u"`
	A   uint64  `json:"a"`
	C   uint64  `json:"c"`
	E   uint64  `json:"e"`
	R   uint64  `json:"r"`
	L   float64 `json:"l"`
	P50 int64   `json:"p50_us"`
	P95 int64   `json:"p95_us"`
	P99 int64   `json:"p99_us"`
}

func openTrace(t *testing.T, size int64) (tr *Trace, path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "trace.jsonl")
	tr, err := OpenTrace(path, size, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tr.Close() })
	return tr, path
}

func readTrace(t *testing.T, path string) (all []traced) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var l traced
		dec := json.NewDecoder(strings.NewReader(line))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&l); err != nil {
			t.Fatalf("%v: %q", err, line)
		}
		all = append(all, l)
	}
	return all
}

func TestEachSecondWithTrafficIsTraced(t *testing.T) {
	b := newBench(t)
	tr, path := openTrace(t, 1<<20)
	b.opt.Trace = tr
	b.after(1, tally(100, 2.5, "web", "api"), tally(0, 0, "silent"))
	b.after(1, tally(0, 0, "api"))
	b.after(2, tally(10, 2, "web"))
	if err := tr.Close(); err != nil {
		t.Fatal(err)
	}
	want := []traced{
		{T: start + 1, U: "api", A: 100, C: 100, L: 2.5, P50: 300, P95: 390, P99: 398},
		{T: start + 1, U: "web", A: 100, C: 100, L: 2.5, P50: 300, P95: 390, P99: 398},
		{T: start + 3, U: "web", A: 5, C: 5, L: 1, P50: 300, P95: 390, P99: 398},
		{T: start + 4, U: "web", A: 5, C: 5, L: 1, P50: 300, P95: 390, P99: 398},
	}
	if diff := cmp.Diff(want, readTrace(t, path)); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	st, err := os.Stat(path)
	if err != nil || st.Size() > 130*int64(len(want)) {
		t.Errorf("%d bytes, %v", st.Size(), err)
	}
}

func TestATraceIsRotatedBySize(t *testing.T) {
	tr, path := openTrace(t, 500)
	for i := range int64(40) {
		tr.add("web", &Second{T: start + i, Arrivals: 1})
		b := tr.pending
		tr.pending = nil
		tr.lines <- b // none may be lost here
	}
	if err := tr.Close(); err != nil {
		t.Fatal(err)
	}
	last := readTrace(t, path)
	before := readTrace(t, path+".1")
	if len(last) == 0 || last[len(last)-1].T != start+39 || before[len(before)-1].T != last[0].T-1 {
		t.Errorf("%+v follow %+v", last, before)
	}
	for _, p := range []string{path, path + ".1"} {
		if st, err := os.Stat(p); err != nil || st.Size() > 500 {
			t.Errorf("%s: %d bytes, %v", p, st.Size(), err)
		}
	}
}

// What cannot be renamed is written on.
func TestATraceThatCannotBeRotatedGoesOn(t *testing.T) {
	tr, path := openTrace(t, 100)
	if err := os.MkdirAll(filepath.Join(path+".1", "in the way"), 0o755); err != nil {
		t.Fatal(err)
	}
	for i := range int64(5) {
		tr.add("web", &Second{T: start + i})
		tr.lines <- tr.pending
		tr.pending = nil
	}
	if err := tr.Close(); err != nil {
		t.Fatal(err)
	}
	if got := readTrace(t, path); len(got) != 5 || tr.Lost() != 0 {
		t.Errorf("%d lines, %d lost", len(got), tr.Lost())
	}
}

func TestATraceIsAppendedTo(t *testing.T) {
	tr, path := openTrace(t, 1<<20)
	tr.add("web", &Second{T: 1})
	tr.flush()
	tr.Close()
	again, err := OpenTrace(path, 1<<20, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	again.add("web", &Second{T: 2})
	again.flush()
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
	if got := readTrace(t, path); len(got) != 2 || got[1].T != 2 {
		t.Errorf("%+v", got)
	}
}

func TestATraceThatCannotBeOpenedIsAnError(t *testing.T) {
	_, err := OpenTrace(filepath.Join(t.TempDir(), "no", "such"), 1, slog.Default())
	if err == nil || !strings.HasPrefix(err.Error(), "cannot open trace: ") {
		t.Errorf("got %v", err)
	}
}

// A writer that does not keep up loses seconds and holds nobody up.
func TestASlowDiskLosesSeconds(t *testing.T) {
	tr := &Trace{lines: make(chan []byte, 2)}
	for range 5 {
		tr.add("web", &Second{T: 1})
		tr.flush()
	}
	tr.flush()
	if tr.Lost() != 3 || len(tr.lines) != 2 {
		t.Errorf("%d lost, %d wait", tr.Lost(), len(tr.lines))
	}
}

func TestQuantiles(t *testing.T) {
	var none, one, spread Second
	one.Latency[0] = 1
	spread.Latency[1], spread.Latency[Buckets-1] = 98, 2
	for _, tc := range []struct {
		s       *Second
		q, want float64
	}{
		{&none, 0.5, 0},
		{&one, 0.5, 25},
		{&one, 1, 50},
		{&spread, 0.49, 75},
		{&spread, 0.98, 100},
		{&spread, 0.99, 50 * (1 << (Buckets - 2))},
	} {
		if got := tc.s.Quantile(tc.q); math.Abs(got-tc.want) > 1e-6 {
			t.Errorf("quantile %v of %v: %v, want %v", tc.q, tc.s.Latency, got, tc.want)
		}
	}
}

// The quantile of what was counted is within the bucket of the true one.
func TestQuantileIsInTheRightBucket(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var f Flow
		ns := rapid.SliceOfN(rapid.Int64Range(1, 10e9), 1, 200).Draw(t, "latencies")
		for _, n := range ns {
			f.Took(n)
		}
		s := Second{}
		for k, n := range f.Latency {
			s.Latency[k] = uint32(n)
		}
		q := rapid.Float64Range(0.01, 1).Draw(t, "q")
		got, rank := s.Quantile(q), q*float64(len(ns))
		below, atMost := 0, 0
		for _, n := range ns {
			var one Flow
			one.Took(n)
			for k, c := range one.Latency {
				low, high := bounds(k)
				if c == 1 && high < got {
					below++
				}
				if c == 1 && low <= got {
					atMost++
				}
			}
		}
		if float64(below) > rank+1e-9 || float64(atMost) < rank-1e-9 {
			t.Fatalf("quantile %v is %v: %d of %d below, %d at most", q, got, below, len(ns), atMost)
		}
	})
}
