package balance

import (
	"math"
	"testing"
	"time"

	"spillway/gateway/upstream"
)

// Servers that are equally fast get equal parts, and those that weigh more get
// what they weigh, on one loop and on many.
func TestPeakEWMAShares(t *testing.T) {
	for _, loops := range []int{1, 4} {
		s := simulate(t, PeakEWMA, upstream.Tuning{}, loops, equals(10)...)
		s.run(20 * time.Second)
		for i := range byte(10) {
			if got := s.share('a' + i); math.Abs(got-0.1) > 0.03 {
				t.Errorf("%d loops: %c of ten equals got %.3f", loops, 'a'+i, got)
			}
		}
		s = simulate(t, PeakEWMA, upstream.Tuning{}, loops, server('a', 1), server('b', 1), server('c', 2), server('d', 4))
		s.workers = 64
		s.run(20 * time.Second)
		for name, want := range map[byte]float64{'a': 0.125, 'b': 0.125, 'c': 0.25, 'd': 0.5} {
			if got := s.share(name); math.Abs(got-want) > 0.3*want {
				t.Errorf("%d loops: %c got %.3f, its weight says %.3f", loops, name, got, want)
			}
		}
	}
}

// One of ten servers becomes ten times slower: its part falls at once, the
// tail of all latencies stays near where it was, and when the server is well
// again, its part comes back within a few times the decay.
func TestPeakEWMAKeepsOffASlowServer(t *testing.T) {
	for _, loops := range []int{1, 4} {
		s := simulate(t, PeakEWMA, upstream.Tuning{Decay: time.Second}, loops, equals(10)...)
		s.run(10 * time.Second)
		p99 := s.quantile(0.99)
		s.took[server('c', 1).Addr] = 100 * time.Millisecond
		s.run(time.Second)
		s.run(10 * time.Second)
		if got := s.share('c'); got > 0.02 || got == 0 {
			t.Errorf("%d loops: the slow one got %.4f, want little but not nothing", loops, got)
		}
		if got := s.quantile(0.99); got > 2*p99 {
			t.Errorf("%d loops: p99 of %v rose to %v", loops, p99, got)
		}
		delete(s.took, server('c', 1).Addr)
		s.run(4 * time.Second)
		s.run(10 * time.Second)
		if got := s.share('c'); got < 0.06 {
			t.Errorf("%d loops: well again, it got %.4f", loops, got)
		}
	}
}

// Round robin beside it, so that the test above is known to tell something.
func TestRoundRobinDoesNotKeepOffASlowServer(t *testing.T) {
	s := simulate(t, RoundRobin, upstream.Tuning{}, 1, equals(10)...)
	s.took[server('c', 1).Addr] = 100 * time.Millisecond
	s.run(10 * time.Second)
	if got := s.share('c'); math.Abs(got-0.1) > 0.001 {
		t.Errorf("%.4f", got)
	}
	if got := s.quantile(0.99); got < 100*time.Millisecond {
		t.Errorf("p99 %v", got)
	}
}

// A server that has not answered yet gets one request until it has.
func TestPeakEWMATriesANewServerOnce(t *testing.T) {
	f := newFixture(t, PeakEWMA, server('a', 1), server('b', 1))
	a := &f.pool.Load().Entries[0]
	f.picker.(Observer).Observe(a, int64(10*time.Millisecond), second)
	count := map[string]int{}
	for range 100 {
		e := f.picker.Pick(&Request{Now: second})
		e.Inflight.Add(1)
		count[hostOf(e)]++
	}
	if count["b"] != 1 {
		t.Errorf("100 requests at once: %v", count)
	}
}

// What is known of a server survives snapshots and is seen by all loops; only
// pickers that ask are told.
func TestObserver(t *testing.T) {
	pool := newPool(PeakEWMA, server('a', 1), server('b', 1))
	p, q := newPicker(t, PeakEWMA, 0, 2), newPicker(t, PeakEWMA, 1, 2)
	p.Update(pool.Load())
	for i := range pool.Load().Entries {
		took := int64(i+1) * int64(100*time.Millisecond)
		p.(Observer).Observe(&pool.Load().Entries[i], took, second)
	}
	pool.Apply([]upstream.Spec{server('b', 1), server('a', 1)}, upstream.Meta{})
	q.Update(pool.Load())
	if got := picks(q, 4); got != "a a a a" {
		t.Errorf("the other loop picks %s", got)
	}
	for _, policy := range Policies() {
		if _, ok := newPicker(t, policy, 0, 1).(Observer); ok != (policy == PeakEWMA) {
			t.Errorf("%s is an Observer: %v", policy, ok)
		}
	}
}
