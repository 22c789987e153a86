package health

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"spillway/gateway/upstream"
)

func TestShareGrowsAsEnvoysDoes(t *testing.T) {
	for _, c := range []struct {
		aggression float64
		age        time.Duration
		want       float64
	}{
		{1, 0, 0.1},
		{1, 3 * time.Second, 0.1},
		{1, 15 * time.Second, 0.5},
		{1, 30 * time.Second, 1},
		{1, time.Hour, 1},
		{2, 7500 * time.Millisecond, 0.5},    // the root of a quarter
		{0.5, 15 * time.Second, 0.25},        // the square of a half
		{1, -time.Second, 0.1},               // a clock that went back
		{1.5, 15 * time.Second, 0.629960525}, // 0.5^(2/3)
	} {
		r := &upstream.SlowStart{Window: 30 * time.Second, Aggression: c.aggression, Min: 0.1}
		if got := share(r, c.age); math.Abs(got-c.want) > 1e-6 {
			t.Errorf("aggression %v, age %s: %v, want %v", c.aggression, c.age, got, c.want)
		}
	}
}

func TestShareOnlyGrows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := &upstream.SlowStart{
			Window:     time.Duration(rapid.Int64Range(1, int64(time.Hour)).Draw(t, "window")),
			Aggression: rapid.Float64Range(0.1, 10).Draw(t, "aggression"), Min: rapid.Float64Range(0.01, 1).Draw(t, "min"),
		}
		a := time.Duration(rapid.Int64Range(0, 2*int64(r.Window)).Draw(t, "a"))
		b := a + time.Duration(rapid.Int64Range(0, int64(r.Window)).Draw(t, "more"))
		if x, y := share(r, a), share(r, b); x > y || x < r.Min || y > 1 {
			t.Fatalf("share %v at %s, %v at %s", x, a, y, b)
		}
	})
}

// TestOthersAreNotOverloaded simulates picks as package balance makes them:
// each new server takes part in a share of them, and each pick goes to one of
// those that take part.
func TestOthersAreNotOverloaded(t *testing.T) {
	for _, c := range []struct{ full, starting int }{{2, 8}, {1, 9}, {5, 5}, {9, 1}, {1, 1}, {3, 30}} {
		least := leastShare(float64(c.full), float64(c.starting), c.starting, 2)
		s := max(least, 0.1)
		// The mean of 1/(full+k) over the binomial k of new ones that take part.
		mean := 0.0
		for k := range c.starting + 1 {
			mean += binomial(c.starting, k) * math.Pow(s, float64(k)) * math.Pow(1-s, float64(c.starting-k)) / float64(c.full+k)
		}
		overload := mean * float64(c.full+c.starting)
		if overload > 2.15 {
			t.Errorf("%d full, %d new with a share of %.2f: the full ones bear %.2f times their part", c.full, c.starting, s, overload)
		}
		if least > 0.1 && overload < 1.6 {
			t.Errorf("%d full, %d new: a share of %.2f is more than needed, %.2f", c.full, c.starting, s, overload)
		}
	}
}

func binomial(n, k int) float64 {
	x := 1.0
	for i := range k {
		x = x * float64(n-i) / float64(i+1)
	}
	return x
}

func TestLeastShareOfEdges(t *testing.T) {
	for _, c := range []struct {
		full, starting float64
		starters       int
		overload, want float64
	}{
		{0, 5, 5, 2, 1},
		{5, 0, 0, 2, 0},
		{9, 1, 1, 2, 0},
		{1, 99, 99, 1, 1},
		{5, 5, 5, 0, 0},
	} {
		if got := leastShare(c.full, c.starting, c.starters, c.overload); math.Abs(got-c.want) > 1e-9 {
			t.Errorf("%+v: %v", c, got)
		}
	}
}
