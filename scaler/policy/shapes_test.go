package policy

import (
	"flag"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var rewrite = flag.Bool("rewrite", false, "write testdata/shapes.txt anew")

// shapes are loads of an hour that a policy meets, in requests a second.
func shapes() []struct {
	name string
	rate func(s int) float64
} {
	between := func(s, from, to int) float64 { return min(1, max(0, float64(s-from)/float64(to-from))) }
	return []struct {
		name string
		rate func(s int) float64
	}{
		{"level", func(int) float64 { return 2000 }},
		{"step x10", func(s int) float64 { return 400 + 3600*between(s, 599, 600) }},
		{"step x10 and back", func(s int) float64 { return 400 + 3600*(between(s, 599, 600)-between(s, 1799, 1800)) }},
		{"step x20 in 3 min", func(s int) float64 { return 200 + 3800*between(s, 600, 780) }},
		{"ramp x10 in 10 min", func(s int) float64 { return 400 + 3600*between(s, 600, 1200) }},
		{"ramp x10 in 30 min", func(s int) float64 { return 400 + 3600*between(s, 600, 2400) }},
		{"sine of 20 min", func(s int) float64 { return 2000 + 1500*math.Sin(2*math.Pi*float64(s)/1200) }},
		{"spikes of 20 s", func(s int) float64 { return 400 + 2600*float64(max(0, 20-s%300)/max(1, 20-s%300)) }},
		{"half gone at once", func(s int) float64 { return 4000 - 2000*between(s, 599, 600) }},
	}
}

// The table is what the default policy makes of each shape, for the record:
// whoever changes a rule sees what it costs. "ideal" is what somebody would buy
// who knew the load and whose machines booted in no time.
func TestShapes(t *testing.T) {
	var b strings.Builder
	b.WriteString("# One hour each, a unit serves 80 requests/s, machines boot in 60 s. Written by\n# go test ./scaler/policy -run TestShapes -rewrite\n\n")
	fmt.Fprintf(&b, "%-20s %8s %8s %6s %8s %8s %8s\n", "shape", "seconds", "refused", "flaps", "changes", "peak", "cost of")
	fmt.Fprintf(&b, "%-20s %8s %8s %6s %8s %8s %8s\n", "", "over", "%", "", "", "units", "ideal, %")
	for _, l := range shapes() {
		p := service(t)
		trace := noisy(shape(3600, l.rate))
		r := Replay(p, trace, World{Boot: bootTime, Price: 1})
		sum, ideal := 0.0, 0.0
		for s, sample := range trace {
			sum += sample.Arrivals
			ideal += max(p.Min, p.size(l.rate(s))) / 3600
		}
		fmt.Fprintf(&b, "%-20s %8d %8.2f %6d %8d %8.0f %8.0f\n", l.name, r.Violations, 100*r.Refused/sum, r.Flaps, r.Changes, r.Peak, 100*r.UnitHours/ideal)
	}
	const path = "testdata/shapes.txt"
	if *rewrite {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("%s is out of date (-was +is): go test ./scaler/policy -run TestShapes -rewrite\n%s", path, diff)
	}
}

func BenchmarkEvaluate(b *testing.B) {
	p := Default()
	if err := p.Validate(); err != nil {
		b.Fatal(err)
	}
	now := epoch()
	o := Observation{Coverage: 1, Ready: 5, QuotaUnits: -1}
	for s := range 120 {
		o.Seconds = append(o.Seconds, Second{At: now.Add(time.Duration(s-120) * time.Second), Arrivals: 200 + float64(s%7), Completions: 200, Coverage: 1})
	}
	var m Memory
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(time.Millisecond)
		_, m = Evaluate(&p, o, m, now)
	}
}
