package health

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"spillway/gateway/upstream"
)

var epoch = time.Unix(1_700_000_000, 0)

func TestProbesInARowDecide(t *testing.T) {
	c := &upstream.Check{Rise: 2, Fall: 3}
	for _, f := range []struct {
		from  phase
		seen  string // + and -
		want  phase
		steps int // after which it is so, 0 never changes
	}{
		{healthy, "--+--", healthy, 0},
		{healthy, "---", unhealthy, 3},
		{healthy, "----", unhealthy, 3},
		{unhealthy, "+-+-+", unhealthy, 0},
		{unhealthy, "-++", healthy, 3},
		{unproven, "+", healthy, 1},
		{unproven, "--+", healthy, 3},
		{unproven, "---", unhealthy, 3},
		{unproven, "---+", unhealthy, 3},
		{unproven, "---+++", healthy, 5},
	} {
		s, last := state{phase: f.from}, 0
		for i, r := range f.seen {
			var changed bool
			s, changed = s.step(c, r == '+', epoch.Add(time.Duration(i)))
			if changed {
				last = i + 1
				if !s.since.Equal(epoch.Add(time.Duration(i))) {
					t.Errorf("%d %s: since %s", f.from, f.seen, s.since)
				}
			}
		}
		if s.phase != f.want || last != f.steps {
			t.Errorf("%d %s: phase %d after %d, want %d after %d", f.from, f.seen, s.phase, last, f.want, f.steps)
		}
	}
}

// TestNoChangeWithoutARow: whatever comes, a server that is out had fall bad
// ones in a row, and one that came back rise good ones.
func TestNoChangeWithoutARow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := &upstream.Check{Rise: rapid.IntRange(1, 5).Draw(t, "rise"), Fall: rapid.IntRange(1, 5).Draw(t, "fall")}
		s := state{phase: phase(rapid.IntRange(0, 2).Draw(t, "phase"))}
		run, before := 0, false
		for i, good := range rapid.SliceOf(rapid.Bool()).Draw(t, "seen") {
			if i > 0 && good == before {
				run++
			} else {
				run = 1
			}
			before = good
			was := s.phase
			next, changed := s.step(c, good, epoch)
			switch {
			case changed != (was != next.phase):
				t.Fatal("changed is wrong")
			case was == unhealthy && good && run >= c.Rise && next.phase != healthy,
				was == unproven && good && next.phase != healthy,
				!good && run >= c.Fall && next.phase != unhealthy:
				t.Fatalf("phase %d stays %d after a row of %d (%v)", was, next.phase, run, good)
			case changed && next.phase == unhealthy && (good || run < c.Fall),
				changed && next.phase == healthy && !good,
				changed && was == unhealthy && run < c.Rise,
				changed && next.phase == unproven:
				t.Fatalf("phase %d became %d after a row of %d (%v)", was, next.phase, run, good)
			}
			s = next
		}
	})
}

func TestPaceIsQuickWhileSomethingIsWrong(t *testing.T) {
	p := newPace()
	c := &upstream.Check{Interval: 10 * time.Second, FastInterval: time.Second, Jitter: 0.5}
	for name, f := range map[string]struct {
		s    state
		want time.Duration
	}{
		"well":       {state{good: true, run: 9}, 10 * time.Second},
		"new":        {state{}, 10 * time.Second},
		"one failed": {state{run: 1}, time.Second},
		"out":        {state{phase: unhealthy, good: true, run: 1}, time.Second},
		"unproven":   {state{phase: unproven}, time.Second},
	} {
		for i := range 100 {
			got := p.next(c, f.s, "10.0.0.1:80", epoch.Add(time.Duration(i)*time.Minute))
			if got < f.want*3/4 || got > f.want*5/4 {
				t.Errorf("%s: %s, want %s give or take a quarter", name, got, f.want)
			}
		}
	}
	if d := p.first(c, state{phase: unproven}, "a", epoch); d != 0 {
		t.Errorf("a new server waits %s for its probe", d)
	}
}

// TestProbesAreSpread: by server, by gateway and from minute to minute.
func TestProbesAreSpread(t *testing.T) {
	p, other := newPace(), newPace()
	c := &upstream.Check{Interval: 10 * time.Second}
	var buckets [10]int
	same := 0
	for i := range 1000 {
		addr := string(rune(i))
		d := p.first(c, state{}, addr, epoch)
		buckets[d/time.Second]++
		for _, e := range []time.Duration{other.first(c, state{}, addr, epoch), p.first(c, state{}, addr, epoch.Add(time.Minute))} {
			if (d - e).Abs() < 10*time.Millisecond {
				same++
			}
		}
		if d != p.first(c, state{}, addr, epoch.Add(time.Millisecond)) {
			t.Errorf("two draws within a minute differ")
		}
	}
	for i, n := range buckets {
		if n < 60 || n > 140 {
			t.Errorf("%d of 1000 servers in second %d", n, i)
		}
	}
	if same > 20 {
		t.Errorf("%d of 2000 meet again", same)
	}
}
