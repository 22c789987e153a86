package fleet

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestCost(t *testing.T) {
	hourly := Machine{Price: 2, Quantum: time.Hour, Billed: begin}
	ended := hourly
	ended.Unbilled = begin.Add(90 * time.Minute)
	owned := hourly
	owned.Owned = true
	perSecond := Machine{Price: 3600, Billed: begin}
	at := func(d time.Duration) time.Time { return begin.Add(d) }
	for _, c := range []struct {
		name     string
		m        Machine
		from, to time.Duration
		want     float64
	}{
		{"begun hour", hourly, 0, time.Second, 2},
		{"whole hour", hourly, 0, time.Hour, 2},
		{"second hour begun", hourly, 0, time.Hour + 1, 4},
		{"inside a paid hour", hourly, time.Minute, time.Hour, 0},
		{"before it was bought", hourly, -time.Hour, 0, 0},
		{"from before it was bought", hourly, -time.Hour, time.Minute, 2},
		{"nothing", hourly, time.Minute, time.Minute, 0},
		{"ended in the second hour", ended, 0, 24 * time.Hour, 4},
		{"after its end", ended, 2 * time.Hour, 3 * time.Hour, 0},
		{"owned", owned, 0, time.Hour, 0},
		{"never bought", Machine{Price: 2}, 0, time.Hour, 0},
		{"by the second", perSecond, 10 * time.Second, 25 * time.Second, 15},
	} {
		if got := Cost(c.m, at(c.from), at(c.to)); math.Abs(got-c.want) > 1e-9 {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestCostsOfIntervalsAddUp(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		d := rapidDice{rt}
		m := Machine{Price: float64(1 + d.n(9)), Quantum: time.Duration(d.n(4)) * time.Minute, Billed: begin.Add(time.Duration(d.n(300)) * time.Second)}
		if chance(d, 50) {
			m.Unbilled = m.Billed.Add(time.Duration(d.n(600)) * time.Second)
		}
		from := begin
		var sum float64
		for range 10 {
			to := from.Add(time.Duration(d.n(90)) * time.Second)
			sum += Cost(m, from, to)
			from = to
		}
		if whole := Cost(m, begin, from); math.Abs(sum-whole) > 1e-9 {
			rt.Fatalf("%v in parts, %v as a whole: %+v", sum, whole, m)
		}
	})
}

func TestReleaseAtWastesNothing(t *testing.T) {
	hourly := Machine{Price: 1, Quantum: time.Hour, Billed: begin}
	perSecond, owned, unbilled := hourly, hourly, hourly
	perSecond.Quantum = 0
	owned.Owned = true
	unbilled.Unbilled = begin
	for _, c := range []struct {
		name string
		m    Machine
		now  time.Duration
		want time.Duration
	}{
		{"at once in the first minute", hourly, 0, 59 * time.Minute},
		{"shortly before", hourly, 58 * time.Minute, 59 * time.Minute},
		{"in the margin", hourly, 59*time.Minute + 30*time.Second, 59*time.Minute + 30*time.Second},
		{"a new hour has begun", hourly, time.Hour, 119 * time.Minute},
		{"by the second", perSecond, time.Minute, time.Minute},
		{"owned", owned, time.Minute, time.Minute},
		{"no longer billed", unbilled, time.Minute, time.Minute},
	} {
		if got := ReleaseAt(c.m, time.Minute, begin.Add(c.now)).Sub(begin); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestReleaseIsBeforeTheNextQuantumAndCostsNothing(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		d := rapidDice{rt}
		m := Machine{Price: 1, Quantum: time.Duration(1+d.n(90)) * time.Minute, Billed: begin}
		now := begin.Add(time.Duration(d.n(10000)) * time.Second)
		at := ReleaseAt(m, time.Minute, now)
		if at.Before(now) {
			rt.Fatalf("released at %v, before now", at)
		}
		// From the first instant after now: at now itself a quantum may begin.
		if cost := Cost(m, now.Add(1), at); cost != 0 {
			rt.Fatalf("waiting from %v to %v costs %v with a quantum of %v", now, at, cost, m.Quantum)
		}
	})
}

func TestSpendIsSharedByWhatRuns(t *testing.T) {
	machines := []Machine{
		{ID: "a", Pool: "public", Price: 4, Billed: begin},
		{ID: "b", Pool: "public", Price: 2, Billed: begin},
		{ID: "c", Pool: "private", Price: 9, Billed: begin, Owned: true},
	}
	instances := []Instance{
		{App: "shop", Machine: "a", CPU: 3},
		{App: "feed", Machine: "a", CPU: 1},
		{App: "feed", Machine: "b", State: InstanceGone, CPU: 1},
		{App: "shop", Machine: "c"},
	}
	before := Spend{Total: 1, Pools: map[string]float64{"public": 1}, Idle: 1}
	s := before.Add(machines, instances, begin, begin.Add(time.Hour))
	if s.Total != 7 || s.Pools["public"] != 7 || s.Pools["private"] != 0 || s.Apps["shop"] != 3 || s.Apps["feed"] != 1 || s.Idle != 3 {
		t.Errorf("%+v", s)
	}
	if before.Pools["public"] != 1 {
		t.Error("the spend that was added to has changed")
	}
	if shares := Shares([]Instance{{App: "x"}, {App: "y"}}); shares["x"] != 0.5 || shares["y"] != 0.5 {
		t.Errorf("without a size: %v", shares)
	}
	if r := Rate(machines[0], begin) + Rate(machines[2], begin) + Rate(machines[1], begin.Add(-1)); r != 4 {
		t.Errorf("rate %v", r)
	}
}

func TestBackoffGrowsToItsMostAndDiffersByRecord(t *testing.T) {
	b := Backoff{First: time.Second, Most: time.Minute}
	for n, least := range map[int]time.Duration{1: time.Second, 2: 2 * time.Second, 6: 32 * time.Second, 7: time.Minute, 500: time.Minute} {
		if got := b.After("x", n); got < least || got > least*6/5 {
			t.Errorf("after %d attempts %v", n, got)
		}
	}
	if b.After("x", 3) == b.After("y", 3) {
		t.Error("two records wait equally long")
	}
}
