package report

import (
	"bytes"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// measured makes a report whose seconds (or trials) vary around a latency and a
// rate like real ones: some percent, now and then much more.
func measured(seed uint64, count int, slower float64, trials bool) *Report {
	random := rand.New(rand.NewPCG(seed, 7))
	vary := func(v, spread float64) float64 {
		v *= 1 + spread*random.NormFloat64()
		if random.IntN(15) == 0 {
			v *= 1.3
		}
		return v
	}
	r := &Report{Schema: Schema, Valid: true, Requests: 1000, Answered: 1000, Load: Load{Loop: "closed"}}
	for i := range count + 1 {
		p50, p99, rate := vary(200*slower, 0.02), vary(900*slower, 0.15), vary(50_000/slower, 0.02)
		if trials {
			r.Trials = append(r.Trials, Trial{Index: i + 1, P50: p50, P90: p50 * 1.5, P99: p99, Rate: rate, CPU: 20 * slower})
		}
		r.Timeline = append(r.Timeline, Second{At: float64(i), P50: p50, P90: p50 * 1.5, P99: p99, Answered: uint64(rate)})
	}
	return r
}

func TestTwoRunsOfOneThingAreTheSame(t *testing.T) {
	for _, trials := range []bool{false, true} {
		wrong := 0
		for seed := range uint64(15) {
			c := Compare(measured(2*seed, 10, 1, trials), measured(2*seed+1, 10, 1, trials), Rules{})
			if c.Verdict != Same {
				wrong++
			}
		}
		if wrong > 1 {
			t.Errorf("trials %v: %d of 15 pairs of equal runs are called different", trials, wrong)
		}
	}
}

func TestATenthSlowerIsARegression(t *testing.T) {
	for _, tt := range []struct {
		slower float64
		want   Verdict
	}{{1.1, Slower}, {1.3, Slower}, {1 / 1.1, Faster}, {1.02, Same}} {
		wrong := 0
		for seed := range uint64(10) {
			trials := seed%2 == 0
			c := Compare(measured(2*seed, 10, 1, trials), measured(2*seed+1, 10, tt.slower, trials), Rules{})
			if c.Verdict != tt.want {
				wrong++
			}
		}
		if wrong > 1 {
			t.Errorf("%.2f times as slow: %d of 10 are not called %s", tt.slower, wrong, tt.want)
		}
	}
}

func TestNewErrorsAreARegression(t *testing.T) {
	a, b := measured(1, 10, 1, false), measured(2, 10, 1, false)
	b.Errors.Total = 5
	if c := Compare(a, b, Rules{}); c.Verdict != Slower || !strings.Contains(strings.Join(c.Notes, "\n"), "errors rose") {
		t.Errorf("verdict %s, notes %q", c.Verdict, c.Notes)
	}
	if c := Compare(b, a, Rules{}); c.Verdict != Same {
		t.Errorf("fewer errors: %s", c.Verdict)
	}
}

func TestTooLittleToJudge(t *testing.T) {
	c := Compare(measured(1, 3, 1, true), measured(2, 10, 2, true), Rules{})
	if c.Verdict != Undecided || c.Unit != "seconds" {
		t.Errorf("verdict %s by %s, from three seconds", c.Verdict, c.Unit)
	}
	if c := Compare(&Report{}, &Report{}, Rules{}); c.Verdict != Undecided {
		t.Errorf("verdict %s of nothing", c.Verdict)
	}
}

func TestOpenLoopsAreNotComparedByRate(t *testing.T) {
	a, b := measured(1, 10, 1, false), measured(2, 10, 1, false)
	a.Load.Loop, b.Load.Loop = "open", "open"
	for i := range b.Timeline {
		b.Timeline[i].Answered /= 2
	}
	if c := Compare(a, b, Rules{}); c.Verdict != Same {
		t.Errorf("half the rate was asked for, and that is called %s", c.Verdict)
	}
}

func TestDifferentCircumstancesAreSaid(t *testing.T) {
	a, b := measured(1, 10, 1, false), measured(2, 10, 1, false)
	b.Environment.Kernel, b.Load.Connections, b.Valid = "9.9", 7, false
	notes := strings.Join(Compare(a, b, Rules{}).Notes, "\n")
	for _, want := range []string{"kernel", "not the same load", "B is an invalid run"} {
		if !strings.Contains(notes, want) {
			t.Errorf("notes do not say %q:\n%s", want, notes)
		}
	}
	var out bytes.Buffer
	if err := Compare(a, b, Rules{}).WriteText(&out); err != nil || !strings.Contains(out.String(), "B is not different from A") {
		t.Errorf("%v: %s", err, out.String())
	}
}

func TestStatistics(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	low, high := []float64{1, 2, 3, 4, 5}, []float64{11, 12, 13, 14, 15}
	// 2 of the 252 ways to divide ten values are as extreme.
	if p := permutationTest(low, high, random); p < 0.004 || p > 0.013 {
		t.Errorf("p %.4f, want about 0.008", p)
	}
	if p := permutationTest(low, low, random); p < 0.99 {
		t.Errorf("p %.4f of equal samples", p)
	}
	if d := cliff(low, high); d != 1 {
		t.Errorf("Cliff's delta %g of samples that do not overlap", d)
	}
	if d := cliff([]float64{1, 2, 3}, []float64{2}); d != 0 {
		t.Errorf("Cliff's delta %g around the middle", d)
	}
	if got := holm([]float64{0.04, 0.01, 0.03, 0.9}); !near(got, []float64{0.09, 0.04, 0.09, 0.9}) {
		t.Errorf("Holm %v", got)
	}
	if l, h := interval(low, high, random); l > 13.0/3 || h < 13.0/3 || l < 2 {
		t.Errorf("interval %.2f to %.2f of a ratio of %.2f", l, h, 13.0/3)
	}
	if m := median([]float64{4, 1, 3, 2}); m != 2.5 {
		t.Errorf("median %g", m)
	}
}

func near(a, b []float64) bool {
	for i := range a {
		if math.Abs(a[i]-b[i]) > 1e-9 {
			return false
		}
	}
	return len(a) == len(b)
}

func TestHolmNeverLowersAProbability(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := rapid.SliceOfN(rapid.Float64Range(0, 1), 1, 8).Draw(t, "p")
		for i, adjusted := range holm(p) {
			if adjusted < p[i] || adjusted > 1 {
				t.Fatalf("%v becomes %v", p, holm(p))
			}
			for k := range p {
				if p[k] < p[i] && holm(p)[k] > adjusted {
					t.Fatalf("the order changes: %v becomes %v", p, holm(p))
				}
			}
		}
	})
}

func TestConditions(t *testing.T) {
	r := &Report{Requests: 10_000, Answered: 9_999, Errors: Errors{Total: 1}, Rate: Rate{Achieved: 5000}}
	r.Latency.Corrected = Quantiles{Count: 1, Mean: 1, P50: 1000, P90: 2000, P95: 3000, P99: 5000, P999: 6000, P9999: 7000, Max: 8000}
	got := map[string]bool{}
	want := map[string]bool{
		"p99<5ms": false, "p99<=5ms": true, "p50<1.5ms": true, "p99.9<7ms": true, "p99.99>7ms": false, "max<8001us": true, "mean<1ms": true,
		"p90=2ms": true, "p95<3ms": false, "p95<=3ms": true, "errors<0.01%": false, "errors<=0.01%": true, "errors=0": false, "errors<0.1": true, "rate>=5000": true, "rate>5000/s": false,
	}
	for text := range want {
		c, err := ParseExpect(text)
		if err != nil {
			t.Fatal(err)
		}
		got[text] = c[0].Check(r).OK
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	all, err := ParseExpect(" p99 < 5ms , errors = 0")
	if err != nil || len(all) != 2 {
		t.Errorf("%d conditions, %v", len(all), err)
	}
	if c := all[0].Check(&Report{}); c.OK {
		t.Error("a run without an answer has a good p99")
	}
	for _, text := range []string{"", "p99", "p99<", "p99<5", "p98<5ms", "<5ms", "errors<x%", "rate>fast", "p99<-5ms", "p99<5ms,,"} {
		if _, err := ParseExpect(text); err == nil {
			t.Errorf("%q was read", text)
		}
	}
}

func FuzzParseExpect(f *testing.F) {
	f.Add("p99<5ms,errors<0.01%")
	f.Fuzz(func(t *testing.T, text string) {
		conditions, err := ParseExpect(text)
		if (err == nil) != (len(conditions) > 0) {
			t.Errorf("%q: %d conditions and error %v", text, len(conditions), err)
		}
		for i := range conditions {
			conditions[i].Check(&Report{})
		}
	})
}
