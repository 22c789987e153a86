package balance

import (
	"math"
	"testing"
	"time"

	"spillway/gateway/upstream"
)

// Nothing in flight: it is round robin, choice by choice.
func TestLeastRequestIdleIsRoundRobin(t *testing.T) {
	specs := []upstream.Spec{server('a', 5), server('b', 1), server('c', 1), down(server('d', 9)), server('e', 3)}
	got := newFixture(t, WeightedLeastRequest, specs...).picks(40)
	if want := newFixture(t, RoundRobin, specs...).picks(40); got != want {
		t.Errorf("%s\nround robin: %s", got, want)
	}
}

// With fixed requests in flight the parts are exactly the formula's.
func TestLeastRequestFormula(t *testing.T) {
	for _, c := range []struct {
		bias           float64
		weight, flying []int
		want           []float64
	}{
		{1, []int{2, 1}, []int{1, 0}, []float64{1, 1}},
		{1, []int{1, 1, 1}, []int{0, 1, 3}, []float64{4, 2, 1}},
		{2, []int{1, 1}, []int{0, 1}, []float64{4, 1}},
		{0.5, []int{1, 1, 4}, []int{0, 3, 0}, []float64{1, 0.5, 4}},
		{1, []int{1, 1}, []int{0, 999}, []float64{1000, 1}}, // beyond the table
	} {
		var specs []upstream.Spec
		for i, w := range c.weight {
			specs = append(specs, server('a'+byte(i), w))
		}
		s := simulate(t, WeightedLeastRequest, upstream.Tuning{Bias: c.bias}, 1, specs...)
		entries := s.pool.Load().Entries
		for i := range entries {
			entries[i].Inflight.Store(int64(c.flying[i]))
		}
		const n = 7007
		count, sum := make([]int, len(entries)), 0.0
		for range n {
			e := s.pickers[0].Pick(&Request{Now: second})
			count[hostOf(e)[0]-'a']++
		}
		for _, w := range c.want {
			sum += w
		}
		for i, w := range c.want {
			if want := n * w / sum; math.Abs(float64(count[i])-want) > 1+want/100 {
				t.Errorf("bias %v, weights %v, in flight %v: %v, want %.0f of %d", c.bias, c.weight, c.flying, count, want, i)
			}
		}
	}
}

// A slow server has more in flight and gets less, the more so the larger the
// bias.
func TestLeastRequestOfASlowServer(t *testing.T) {
	last := 1.0
	for _, bias := range []float64{0.25, 1, 3} {
		for _, loops := range []int{1, 4} {
			s := simulate(t, WeightedLeastRequest, upstream.Tuning{Bias: bias}, loops, equals(10)...)
			s.took[server('c', 1).Addr] = 100 * time.Millisecond
			s.run(2 * time.Second)
			s.run(10 * time.Second)
			got := s.share('c')
			if got >= 0.09 || got < 0.01 || got > last+0.005 {
				t.Errorf("bias %v, %d loops: the slow one got %.4f, with less bias %.4f", bias, loops, got, last)
			}
			if loops == 1 {
				last = got
			}
		}
	}
}

// In equilibrium a part x of T requests in flight goes as w/(xT+1): as weights
// when little is in flight, as their square roots when much is.
func TestLeastRequestShares(t *testing.T) {
	specs := []upstream.Spec{server('a', 1), server('b', 1), server('c', 2), server('d', 4)}
	roots := 2 + math.Sqrt2 + 2
	for _, loops := range []int{1, 4} {
		for _, rate := range []float64{5, 400, 10000} {
			s := simulate(t, WeightedLeastRequest, upstream.Tuning{}, loops, specs...)
			s.workers, s.rate = 64, rate
			s.run(time.Duration(10000 / rate * float64(time.Second)))
			for _, spec := range specs {
				w := float64(spec.Weight)
				low, high := min(w/8, math.Sqrt(w)/roots), max(w/8, math.Sqrt(w)/roots)
				switch rate {
				case 5:
					low, high = w/8, w/8
				case 10000:
					low, high = math.Sqrt(w)/roots, math.Sqrt(w)/roots
				}
				if got := s.share(spec.Host[0]); got < 0.92*low || got > 1.08*high {
					t.Errorf("%d loops, %v a second: weight %v got %.3f, want %.3f to %.3f", loops, rate, w, got, low, high)
				}
			}
		}
	}
}
