package health

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"

	"spillway/gateway/upstream"
)

func policy() *upstream.Outlier {
	return &upstream.Outlier{
		Enabled: true, SuccessFactor: 1.9, SuccessVolume: 100, SuccessHosts: 5, Window: 10 * time.Second,
		LatencyFactor: 3, LatencyMin: 20 * time.Millisecond, Interval: time.Second,
		BaseTime: 30 * time.Second, MaxTime: 5 * time.Minute, MaxShare: 0.3,
	}
}

// fleet is a simulated set of servers with known distributions.
type fleet struct {
	rand  *rand.Rand
	stats []stats
	tally []upstream.Counts
}

func newFleet(n int, seed uint64) *fleet {
	return &fleet{rand: rand.New(rand.NewPCG(seed, 1)), stats: make([]stats, n), tally: make([]upstream.Counts, n)}
}

// second serves rps requests at each server and judges them.
func (f *fleet) second(o *upstream.Outlier, rps int, failing func(i int) float64, took func(i int) time.Duration) []judgement {
	samples := make([]sample, len(f.stats))
	for i := range f.stats {
		c := &f.tally[i]
		for range rps {
			c.Answers++
			c.Took += uint64(took(i))
			if f.rand.Float64() < failing(i) {
				c.Errors++
			}
		}
		f.stats[i].advance(o, *c, 1, o.Interval)
		samples[i] = f.stats[i].sample(1)
	}
	return outliers(o, samples)
}

func (f *fleet) exponential(mean time.Duration) time.Duration {
	return time.Duration(f.rand.ExpFloat64() * float64(mean))
}

// lognormal has the heavy tail of real services: of sigma 1 the 99th
// percentile is ten times the median.
func (f *fleet) lognormal(median time.Duration) time.Duration {
	return time.Duration(math.Exp(f.rand.NormFloat64()) * float64(median))
}

func none0(int) float64 { return 0 }

// TestEqualsAreLeftAlone: servers that draw from one distribution are not
// found to differ in latency.
func TestEqualsAreLeftAlone(t *testing.T) {
	o := policy()
	o.SuccessFactor = 0
	for name, draw := range map[string]func(f *fleet) time.Duration{
		"exponential": func(f *fleet) time.Duration { return f.exponential(50 * time.Millisecond) },
		"lognormal":   func(f *fleet) time.Duration { return f.lognormal(50 * time.Millisecond) },
		"constant":    func(*fleet) time.Duration { return 50 * time.Millisecond },
	} {
		f, found := newFleet(10, 7), 0
		for range 500 {
			for _, v := range f.second(o, 20, none0, func(int) time.Duration { return draw(f) }) {
				if v.reason != none {
					found++
				}
			}
		}
		if found > 2 {
			t.Errorf("%s: %d of 5000 judgements are wrong", name, found)
		}
	}
}

func TestASlowServerIsFoundSoon(t *testing.T) {
	o := policy()
	for seed := range uint64(50) {
		f := newFleet(10, seed)
		median := func(i int) time.Duration {
			if i == 4 {
				return f.lognormal(300 * time.Millisecond)
			}
			return f.lognormal(30 * time.Millisecond)
		}
		for range 5 {
			f.second(o, 20, none0, func(int) time.Duration { return f.lognormal(30 * time.Millisecond) })
		}
		found := 0
		for n := 1; n <= 3 && found == 0; n++ {
			if f.second(o, 20, none0, median)[4].reason == latency {
				found = n
			}
		}
		if found == 0 {
			t.Errorf("seed %d: not found within three intervals", seed)
		}
	}
}

// TestAFailingServerIsFound: 20 % errors among servers with 1 %.
func TestAFailingServerIsFound(t *testing.T) {
	o := policy()
	found, wrong := 0, 0
	for seed := range uint64(50) {
		f := newFleet(10, seed)
		failing := func(i int) float64 {
			if i == 3 {
				return 0.2
			}
			return 0.01
		}
		var last []judgement
		for range 5 {
			last = f.second(o, 100, failing, func(int) time.Duration { return time.Millisecond })
		}
		for i, v := range last {
			switch {
			case v.reason == successRate && i == 3:
				found++
			case v.reason != none:
				wrong++
			}
		}
	}
	if found != 50 || wrong != 0 {
		t.Errorf("found %d of 50, and %d wrong", found, wrong)
	}
}

func TestWhatIsNotCompared(t *testing.T) {
	quick := func() sample {
		return sample{requests: 1000, good: 1000, answers: 50, pace: 10 * time.Millisecond, inflight: 1}
	}
	for name, c := range map[string]struct {
		n      int
		change func(*sample, *upstream.Outlier)
		want   Reason
	}{
		"slow":                     {5, func(s *sample, _ *upstream.Outlier) { s.pace = time.Second }, latency},
		"slow, off":                {5, func(s *sample, o *upstream.Outlier) { s.pace, o.LatencyFactor = time.Second, 0 }, none},
		"slow, few answers":        {5, func(s *sample, _ *upstream.Outlier) { s.pace, s.answers = time.Second, 9 }, none},
		"slow of two":              {2, func(s *sample, _ *upstream.Outlier) { s.pace = time.Second }, none},
		"slow by little":           {5, func(s *sample, _ *upstream.Outlier) { s.pace = 31 * time.Millisecond }, latency},
		"slow by too little":       {5, func(s *sample, _ *upstream.Outlier) { s.pace = 29 * time.Millisecond }, none},
		"slow below the least":     {5, func(s *sample, o *upstream.Outlier) { s.pace, o.LatencyMin = 40*time.Millisecond, 31*time.Millisecond }, none},
		"silent":                   {5, func(s *sample, _ *upstream.Outlier) { s.answers, s.stalled, s.inflight = 0, time.Second, 3 }, latency},
		"silent with a long poll":  {5, func(s *sample, _ *upstream.Outlier) { s.answers, s.stalled, s.inflight = 0, time.Second, 2 }, none},
		"failing":                  {10, func(s *sample, _ *upstream.Outlier) { s.good = 500 }, successRate},
		"failing, off":             {10, func(s *sample, o *upstream.Outlier) { s.good, o.SuccessFactor = 500, 0 }, none},
		"failing, few requests":    {10, func(s *sample, _ *upstream.Outlier) { s.good, s.requests = 50, 99 }, none},
		"failing, too few servers": {4, func(s *sample, _ *upstream.Outlier) { s.good = 500 }, none},
	} {
		o, peers := policy(), make([]sample, c.n)
		for i := range peers {
			peers[i] = quick()
		}
		c.change(&peers[1], o)
		for i, v := range outliers(o, peers) {
			want := none
			if i == 1 {
				want = c.want
			}
			if v.reason != want || (v.why == "") != (want == none) {
				t.Errorf("%s: server %d is judged %v (%s), want %v", name, i, v.reason, v.why, want)
			}
		}
	}
}

func TestMedianWithout(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(2, 9).Draw(t, "n")
		times := make([]time.Duration, n)
		for i := range times {
			times[i] = time.Duration(2 * i)
		}
		out := rapid.IntRange(0, n-1).Draw(t, "out")
		var rest []time.Duration
		for i, d := range times {
			if i != out {
				rest = append(rest, d)
			}
		}
		want := (rest[(len(rest)-1)/2] + rest[len(rest)/2]) / 2
		if got := medianWithout(times, times[out]); got != want {
			t.Fatalf("without %d of %v: %d, want %d", times[out], times, got, want)
		}
	})
}

func TestEjectionsBackOff(t *testing.T) {
	o, now := policy(), epoch
	var e ejection
	for i, want := range []time.Duration{30, 60, 90} {
		e = e.begin(o, latency, now)
		if d := e.until.Sub(now); d != want*time.Second || !e.out() {
			t.Errorf("ejection %d lasts %s", i+1, d)
		}
		now = e.until
		e = e.end(now)
		if e.out() {
			t.Error("still out")
		}
	}
	now = now.Add(60 * time.Second) // takes two back
	e = e.begin(o, latency, now)
	if e.count != 2 {
		t.Errorf("%d ejections after a time in service", e.count)
	}
	e.count = 50
	if e = e.end(now).begin(o, serverErrors, now); e.until.Sub(now) != o.MaxTime {
		t.Errorf("lasts %s", e.until.Sub(now))
	}
	if e = e.end(now).begin(o, unreachable, now); !e.until.IsZero() {
		t.Error("an unreachable server comes back by itself")
	}
}

func TestMayEject(t *testing.T) {
	for _, c := range []struct {
		n, out int
		share  float64
		want   bool
	}{
		{1, 0, 1, false}, {2, 0, 0, true}, {2, 1, 0.5, false}, {10, 2, 0.3, true}, {10, 3, 0.3, false}, {10, 0, 0, true}, {0, 0, 1, false},
	} {
		if got := mayEject(c.n, c.out, c.share); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

func TestReasonsHaveNames(t *testing.T) {
	seen := map[string]bool{}
	for r := none; r < reasons; r++ {
		if seen[r.String()] {
			t.Error(fmt.Sprint(r))
		}
		seen[r.String()] = true
	}
}

func TestSilenceAddsUp(t *testing.T) {
	o := policy()
	var s stats
	s.advance(o, upstream.Counts{Answers: 10, Took: 1000}, 5, time.Second)
	for range 3 {
		s.advance(o, upstream.Counts{Answers: 10, Took: 1000}, 5, time.Second)
	}
	if got := s.sample(5); got.stalled != 3*time.Second || got.answers != 1.25 || got.pace != 100 {
		t.Errorf("%+v", got)
	}
	s.advance(o, upstream.Counts{Answers: 10, Failed: 1, Took: 1000}, 5, time.Second)
	if s.stalled != 0 {
		t.Error("a failure is no silence")
	}
	s.advance(o, s.last, 0, time.Second)
	if s.stalled != 0 {
		t.Error("nothing waits, so nothing is silent")
	}
}
