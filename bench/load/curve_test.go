package load

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// anyCurve draws curves of all shapes, pauses included.
func anyCurve() *rapid.Generator[*Curve] {
	return rapid.Custom(func(t *rapid.T) *Curve {
		c := new(Curve)
		for range rapid.IntRange(1, 5).Draw(t, "pieces") {
			length := time.Duration(rapid.Int64Range(1, int64(3*time.Second)).Draw(t, "length"))
			rate := rapid.OneOf(rapid.Just(0.0), rapid.Float64Range(0, 1000))
			c.add(length, rate.Draw(t, "from"), rate.Draw(t, "to"))
		}
		return c
	})
}

func dues(p *Pacer) []time.Duration {
	all := []time.Duration{}
	for at, more := p.Due(); more; at, more = p.Due() {
		all = append(all, at)
		p.Advance()
	}
	return all
}

func TestPacerFollowsItsCurve(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := anyCurve().Draw(t, "curve")
		all := dues(c.Pacer(Even, 0, 1, 0))
		if want := c.Total(); math.Abs(float64(len(all))-math.Ceil(want-1e-9)) > 0 && math.Abs(float64(len(all))-want) > 1 {
			t.Fatalf("%d requests, the curve plans %g", len(all), want)
		}
		for i, at := range all {
			if at < 0 || at > c.Length() || (i > 0 && at < all[i-1]) {
				t.Fatalf("request %d is due at %v, after %v, of %v", i, at, all[max(i-1, 0)], c.Length())
			}
			// Times are rounded to nanoseconds: the rate says how much that is.
			if hits := c.Hits(at); math.Abs(hits-float64(i)) > 1e-5 {
				t.Fatalf("request %d is due at %v, when %g are planned", i, at, hits)
			}
		}
	})
}

func TestPacersShareACurve(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := anyCurve().Draw(t, "curve")
		count := rapid.IntRange(1, 4).Draw(t, "count")
		whole := dues(c.Pacer(Even, 0, 1, 0))
		shared := make([]time.Duration, len(whole))
		sum := 0
		for i := range count {
			for k, at := range dues(c.Pacer(Even, i, count, 0)) {
				shared[i+k*count] = at
				sum++
			}
		}
		if sum != len(whole) {
			t.Fatalf("%d requests from %d pacers, want %d", sum, count, len(whole))
		}
		if diff := cmp.Diff(whole, shared); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestCutAndLeadKeepWhatIsPlanned(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := anyCurve().Draw(t, "curve")
		at := time.Duration(rapid.Int64Range(0, int64(c.Length())).Draw(t, "at"))
		near := func(a, b float64) bool { return math.Abs(a-b) < 1e-5*(1+math.Abs(a)) }
		if cut := c.Until(at); !near(cut.Total(), c.Hits(at)) {
			t.Fatalf("cut at %v plans %g, want %g", at, cut.Total(), c.Hits(at))
		}
		then := c.Then(at, 100)
		if want := c.Hits(at) + 100*(c.Length()-at).Seconds(); !near(then.Total(), want) || then.Length() != c.Length() {
			t.Fatalf("changed at %v plans %g in %v, want %g in %v", at, then.Total(), then.Length(), want, c.Length())
		}
		lead := c.Lead(time.Second)
		if want := c.Total() + c.Rate(0); !near(lead.Total(), want) {
			t.Fatalf("with a lead it plans %g, want %g", lead.Total(), want)
		}
	})
}

// TestPoissonIsPoisson holds the distances between arrivals against what
// exponential ones have: mean and standard deviation 1/rate, no memory.
func TestPoissonIsPoisson(t *testing.T) {
	c := Constant(1000, 60*time.Second)
	all := dues(c.Pacer(Poisson, 0, 1, 42))
	if n := float64(len(all)); math.Abs(n-60_000) > 4*math.Sqrt(60_000) {
		t.Errorf("%g arrivals, want 60000 and a little", n)
	}
	var sum, squares, products, before float64
	for i := 1; i < len(all); i++ {
		d := (all[i] - all[i-1]).Seconds() * 1000
		sum, squares, products, before = sum+d, squares+d*d, products+d*before, d
	}
	n := float64(len(all) - 1)
	mean := sum / n
	deviation := math.Sqrt(squares/n - mean*mean)
	if math.Abs(mean-1) > 0.02 || math.Abs(deviation-1) > 0.02 || math.Abs(products/n-1) > 0.03 {
		t.Errorf("distances: mean %.3f, deviation %.3f, product of neighbours %.3f; want 1, 1, 1", mean, deviation, products/n)
	}
	again := dues(c.Pacer(Poisson, 0, 1, 42))
	if diff := cmp.Diff(all[:100], again[:100]); diff != "" {
		t.Errorf("the same seed gives other arrivals:\n%s", diff)
	}
}

func TestShapes(t *testing.T) {
	const length = 10 * time.Second
	for _, tt := range []struct {
		text  string
		total float64
		rates map[time.Duration]float64
	}{
		{"500", 5000, map[time.Duration]float64{0: 500, 9 * time.Second: 500, length: 0}},
		{"500/s", 5000, nil},
		{"ramp:0,1000", 5000, map[time.Duration]float64{0: 0, 5 * time.Second: 500}},
		{"steps:100,200", 1500, map[time.Duration]float64{4 * time.Second: 100, 6 * time.Second: 200}},
		{"sine:100,50,4s", 1000, map[time.Duration]float64{0: 100, time.Second: 150, 3 * time.Second: 50}},
		{"spike:10,100,2s,1s", 190, map[time.Duration]float64{time.Second: 10, 2500 * time.Millisecond: 100, 4 * time.Second: 10}},
		{"spike:10,100,9500ms,1s", 145, nil},
	} {
		c, err := ParseCurve(tt.text, length)
		if err != nil {
			t.Errorf("%s: %v", tt.text, err)
			continue
		}
		// A sine of two and a half periods has half a wave too many.
		if extra := c.Total() - tt.total; math.Abs(extra) > 1e-3 && !strings.HasPrefix(tt.text, "sine") {
			t.Errorf("%s plans %g, want %g", tt.text, c.Total(), tt.total)
		}
		for at, want := range tt.rates {
			if got := c.Rate(at); math.Abs(got-want) > 0.01*want {
				t.Errorf("%s: rate %g at %v, want %g", tt.text, got, at, want)
			}
		}
	}
}

func TestSchedulesThatCannotBeRead(t *testing.T) {
	for text, want := range map[string]string{
		"":                "is no rate",
		"many":            `"many" is no rate`,
		"-1":              "is no rate",
		"1e9":             "is no rate",
		"NaN":             "is no rate",
		"0":               "without requests",
		"ramp:1":          "a value is missing",
		"ramp:1,2,3":      `"3" is one value too many`,
		"sine:1,2,3s":     "above the mean",
		"sine:2,1,0s":     "is no duration",
		"wave:1":          `"wave" is none of`,
		"spike:1,2,3":     "is no duration",
		"steps:1,,2":      `"" is no rate`,
		"spike:1,2,-1s,x": "is no duration",
	} {
		if _, err := ParseCurve(text, time.Second); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", text, err, want)
		}
	}
}

func TestTraces(t *testing.T) {
	points, err := ReadTrace(strings.NewReader("seconds,rate\n# quiet\n0, 10\n1m, 30\n2.5,20\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := []Point{{0, 10}, {time.Minute, 30}, {2500 * time.Millisecond, 20}}
	if diff := cmp.Diff(want, points); diff != "" {
		t.Error(diff)
	}
	if total := Trace(points, 2*time.Minute).Total(); total != 25+57.5*20+60*30 {
		t.Errorf("the trace plans %g", total)
	}
	if total := Trace(points, time.Second).Total(); total != 10 {
		t.Errorf("the trace, cut off, plans %g", total)
	}
	for _, text := range []string{"0,1\nx,2", "0,1\n1", "0,1\n2,-3", "a,b\nc,d"} {
		if _, err := ReadTrace(strings.NewReader(text)); err == nil {
			t.Errorf("%q was read", text)
		}
	}
}

func FuzzParseCurve(f *testing.F) {
	f.Add("ramp:1,2")
	f.Add("spike:1,2,3s,4s")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := ParseCurve(text, time.Second)
		if err == nil && (c.Total() <= 0 || math.IsNaN(c.Total())) {
			t.Errorf("%q plans %g", text, c.Total())
		}
	})
}
