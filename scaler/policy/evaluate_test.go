package policy

import (
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

// steadily is a minute of the same load, as far as gateways told.
func steadily(now time.Time, rate float64, edit ...func(*Second)) Observation {
	o := Observation{Coverage: 1, QuotaUnits: -1}
	for s := range 60 {
		sec := Second{At: now.Add(time.Duration(s-59) * time.Second), Arrivals: rate, Completions: rate, InFlight: rate / 20, P95: 50 * time.Millisecond, Coverage: 1}
		for _, e := range edit {
			e(&sec)
		}
		o.Seconds = append(o.Seconds, sec)
	}
	return o
}

// settled is the memory of a policy that has seen a rate for two windows with
// the size have.
func settled(p *Policy, rate, have float64, now time.Time) Memory {
	var m Memory
	for at := now.Add(-2 * p.window(&Observation{})); at.Before(now); at = at.Add(10 * time.Second) {
		o := steadily(at, rate)
		o.Ready = have
		_, m = Evaluate(p, o, m, at)
	}
	return m
}

func flagged(d Decision, flag string) bool { return slices.Contains(d.Flags, flag) }

func limits(d Decision) string {
	var names []string
	for _, c := range d.Clamps {
		names = append(names, c.Limit)
	}
	return strings.Join(names, " ")
}

func near(a, b float64) bool { return math.Abs(a-b) <= 0.005*max(1, b) }

// A unit of the default policy serves 80 requests/s and is used for 56.
func TestSizes(t *testing.T) {
	p := service(t)
	for _, tt := range []struct {
		rate, linear, staffed float64
	}{{0, 0, 0}, {80, 1.4286, 2}, {800, 14.286, 13.162}, {8000, 142.86, 110}} {
		load := p.offered(tt.rate)
		if l, s := p.linear(load), p.staffed(load); !near(l, tt.linear) || !near(s, tt.staffed) {
			t.Errorf("%g/s: linear %.3f and staffed %.3f, want %.3f and %.3f", tt.rate, l, s, tt.linear, tt.staffed)
		}
	}
}

// The table of Halfin and Whitt.
func TestWaitProbability(t *testing.T) {
	for beta, want := range map[float64]float64{-1: 1, 0: 1, 0.5: 0.505, 1: 0.223, 1.5: 0.084, 2: 0.027} {
		if got := WaitProbability(beta); math.Abs(got-want) > 0.002 {
			t.Errorf("beta %g: %.4f wait, want %.4f", beta, got, want)
		}
	}
}

func TestDecisions(t *testing.T) {
	now := epoch()
	slow := func(s *Second) { s.P95 = 300 * time.Millisecond }
	tests := []struct {
		name   string
		policy func(p *Policy)
		rate   float64 // now
		before float64 // for two windows, with the size
		have   float64
		edit   func(o *Observation)
		want   float64
		winner string
		limits string
	}{
		{name: "as much as the load needs", rate: 800, before: 800, have: 2, want: 14.286, winner: RuleReactive},
		{name: "staffing rules small sizes", rate: 80, before: 80, have: 1.5, want: 2, winner: RuleStaffing},
		{name: "a little more is no reason", rate: 800, before: 800, have: 13.8, want: 13.8, winner: RuleReactive, limits: LimitDeadBand},
		{name: "a little less is none either", rate: 800, before: 800, have: 17, want: 17, winner: RuleReactive, limits: LimitDeadBand},
		{name: "much less is given back in steps", rate: 800, before: 800, have: 40, want: 32, winner: RuleReactive, limits: LimitStepDown},
		{name: "not below what the window needed", rate: 800, before: 2000, have: 60, want: 48, winner: RuleReactive, limits: "window step_down"},
		{name: "booting counts", rate: 800, before: 800, have: 2, edit: func(o *Observation) { o.Booting = 12.3 }, want: 14.3, winner: RuleReactive, limits: LimitDeadBand},
		{name: "draining does not", rate: 800, before: 800, have: 10, edit: func(o *Observation) { o.Draining = 10 }, want: 14.286, winner: RuleReactive},
		{name: "never above max", policy: func(p *Policy) { p.Max = 10 }, rate: 800, before: 800, have: 5, want: 10, winner: RuleReactive, limits: LimitMax},
		{name: "never below min", policy: func(p *Policy) { p.Min = 3 }, rate: 1, before: 1, have: 2.95, want: 3, winner: RuleStaffing, limits: LimitMin},
		{name: "above a lowered max in steps", policy: func(p *Policy) { p.Max = 10 }, rate: 800, before: 800, have: 40, want: 32, winner: RuleReactive, limits: "max step_down"},
		{name: "headroom as a share", policy: func(p *Policy) { p.SpareShare = 0.5 }, rate: 800, before: 800, have: 14.286, want: 21.43, winner: RuleSpare},
		{name: "headroom in units", policy: func(p *Policy) { p.SpareUnits = 4 }, rate: 800, before: 800, have: 14.286, want: 18.286, winner: RuleSpare},
		{name: "steps bound growing", policy: func(p *Policy) { p.Up = Step{Share: 0.5, Units: 1, Period: time.Minute} }, rate: 8000, before: 800, have: 20, want: 30, winner: RuleReactive, limits: LimitStepUp},
		{name: "half of the gateways: twice the load", rate: 400, before: 800, have: 10, edit: half, want: 14.286, winner: RuleReactive},
		{name: "half of the gateways: nothing is given back", rate: 80, before: 80, have: 40, edit: half, want: 40, winner: RuleStaffing, limits: LimitCoverage},
		{name: "old data are none", rate: 80, before: 80, have: 40, edit: func(o *Observation) { o.Age = 11 * time.Second }, want: 40, winner: RuleHold},
		{name: "without data a person may order", rate: 80, before: 80, have: 4, edit: func(o *Observation) {
			o.Coverage, o.Manual, o.ManualUntil = 0, 9, now.Add(time.Hour)
		}, want: 9, winner: RuleManual},
		{name: "without data min holds", rate: 80, before: 80, have: 0.5, edit: func(o *Observation) { o.Coverage = 0 }, want: 1, winner: RuleHold, limits: LimitMin},
		{name: "a person raises", rate: 80, before: 80, have: 4, edit: func(o *Observation) { o.Manual, o.ManualUntil = 9, now.Add(time.Hour) }, want: 9, winner: RuleManual},
		{name: "a person's order ends", rate: 80, before: 80, have: 2, edit: func(o *Observation) { o.Manual, o.ManualUntil = 9, now }, want: 2, winner: RuleStaffing},
		{name: "a person lowers without the window", rate: 80, before: 800, have: 14, edit: func(o *Observation) { o.Manual, o.ManualUntil = 12, now.Add(time.Hour) }, want: 12, winner: RuleManual},
		{name: "a person does not lower below the load", rate: 800, before: 800, have: 20, edit: func(o *Observation) { o.Manual, o.ManualUntil = 2, now.Add(time.Hour) }, want: 16, winner: RuleReactive, limits: LimitStepDown},
		{name: "unhealthy instances stop removals", rate: 80, before: 80, have: 40, edit: func(o *Observation) { o.Unhealthy = 0.31 }, want: 40, winner: RuleStaffing, limits: LimitCircuit},
		{name: "unhealthy instances do not stop growing", rate: 800, before: 800, have: 10, edit: func(o *Observation) { o.Unhealthy = 1 }, want: 14.286, winner: RuleReactive},
		{name: "paused", rate: 8000, before: 80, have: 4, edit: func(o *Observation) { o.Paused = true }, want: 4, winner: RuleReactive, limits: LimitPaused},
		{name: "money an hour", policy: func(p *Policy) { p.PerHour = 5 }, rate: 800, before: 800, have: 8, edit: func(o *Observation) { o.PriceUnit, o.Rate = 0.5, 4 }, want: 10, winner: RuleReactive, limits: LimitMoneyHour},
		{name: "money a day", policy: func(p *Policy) { p.PerDay = 100 }, rate: 800, before: 800, have: 8, edit: func(o *Observation) { o.PriceUnit, o.Rate, o.SpentDay = 0.5, 4, 30 }, want: 10, winner: RuleReactive, limits: LimitMoneyDay},
		{name: "money ends nothing", policy: func(p *Policy) { p.PerHour = 1 }, rate: 800, before: 800, have: 8, edit: func(o *Observation) { o.PriceUnit, o.Rate = 0.5, 4 }, want: 8, winner: RuleReactive, limits: LimitMoneyHour},
		{name: "quota", rate: 800, before: 800, have: 10, edit: func(o *Observation) { o.QuotaUnits = 2 }, want: 12, winner: RuleReactive, limits: LimitQuota},
		{name: "slow without load orders nothing", rate: 400, before: 400, have: 9, edit: each(slow), want: 9, winner: RuleStaffing, limits: LimitDeadBand},
		{name: "slow and full orders more", rate: 400, before: 400, have: 10, edit: each(slow, func(s *Second) { s.InFlight = 80 }), want: 14.286, winner: RuleLatency},
		{name: "slow and full orders no more than a half", rate: 400, before: 400, have: 10, edit: each(slow, func(s *Second) { s.InFlight = 8000 }), want: 15, winner: RuleLatency},
		{name: "full and quick is well used", rate: 400, before: 400, have: 9, edit: each(func(s *Second) { s.InFlight = 80 }), want: 9, winner: RuleStaffing, limits: LimitDeadBand},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := Default()
			p.Max = 1000
			if tt.policy != nil {
				tt.policy(&p)
			}
			if err := p.Validate(); err != nil {
				t.Fatal(err)
			}
			m := settled(&p, tt.before, tt.have, now)
			o := steadily(now, tt.rate)
			o.Ready = tt.have
			if tt.edit != nil {
				tt.edit(&o)
			}
			d, _ := Evaluate(&p, o, m, now)
			if !near(d.Want, tt.want) || d.Winner != tt.winner || limits(d) != tt.limits {
				t.Errorf("found %.3f by %s, clamps %q, want %.3f by %s, clamps %q\n%+v", d.Want, d.Winner, limits(d), tt.want, tt.winner, tt.limits, d.Candidates)
			}
		})
	}
}

// half of the gateways tell; their sums are half of the whole.
func half(o *Observation) {
	o.Coverage = 0.5
	each(func(s *Second) { s.Coverage = 0.5 })(o)
}

func each(edits ...func(s *Second)) func(o *Observation) {
	return func(o *Observation) {
		for i := range o.Seconds {
			for _, e := range edits {
				e(&o.Seconds[i])
			}
		}
	}
}

// A number that is none must not become a size.
func TestBrokenNumbersAreNoData(t *testing.T) {
	p := service(t)
	for _, bad := range []float64{math.NaN(), math.Inf(1), -1} {
		o := steadily(epoch(), 100, func(s *Second) { s.Arrivals = bad })
		o.Ready = 7
		if d, _ := Evaluate(p, o, Memory{}, epoch()); d.Want != 7 || !flagged(d, FlagNoData) {
			t.Errorf("%g arrivals: %g wanted, flags %v, want 7 and no data", bad, d.Want, d.Flags)
		}
	}
}

// Complaint: the size of a panic was given back before it was there.
func TestPanicKeepsItsSizeUntilItsMachinesAreThere(t *testing.T) {
	p := service(t)
	now := epoch()
	m := settled(p, 80, 2, now)
	const lead = 4 * time.Minute
	var d Decision
	for s := range 480 {
		o := steadily(now, 80)
		if s < 5 {
			o = steadily(now, 8000)
		}
		o.Ready, o.Lead = 2, lead
		if s > 0 {
			o.Booting = 140
		}
		d, m = Evaluate(p, o, m, now)
		if s == 0 && (!d.Urgent || !flagged(d, FlagPanic)) {
			t.Fatalf("urgent %v, flags %v at the beginning", d.Urgent, d.Flags)
		}
		if s > 0 && d.Want < 142-1e-9 {
			t.Fatalf("%d s after: %.1f wanted of 142 while machines boot for %v", s, d.Want, lead)
		}
		now = now.Add(time.Second)
	}
}

func TestFlapBudgetStopsRemovals(t *testing.T) {
	p := Default()
	p.Max, p.FlapBudget = 100, 2
	if err := p.Validate(); err != nil {
		t.Fatal(err)
	}
	now := epoch()
	m := settled(&p, 80, 20, now)
	o := steadily(now, 80)
	// Somebody, or something, changes the size again and again.
	for s := range 12 {
		now = now.Add(time.Second)
		o = steadily(now, 80)
		o.Ready = 20 + 10*float64(s%2)
		_, m = Evaluate(&p, o, m, now)
	}
	d, m := Evaluate(&p, o, m, now.Add(time.Second))
	if d.Want != o.Ready || limits(d) != "flap" || !flagged(d, FlagFlap) {
		t.Fatalf("found %.2f of %.2f, clamps %q, flags %v", d.Want, o.Ready, limits(d), d.Flags)
	}
	// The budget is refilled.
	for range 200 {
		now = now.Add(20 * time.Second)
		o = steadily(now, 80)
		o.Ready = 30
		d, m = Evaluate(&p, o, m, now)
	}
	if d.Want >= 30 {
		t.Errorf("%.2f wanted of 30 an hour later, turnover %.2f", d.Want, m.Flap.Spent)
	}
}

func TestSeasonIsAFloor(t *testing.T) {
	p := Default()
	p.Max = 1000
	if err := p.Validate(); err != nil {
		t.Fatal(err)
	}
	start := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	rate := func(at time.Time) float64 {
		if h := at.UTC().Hour(); h >= 20 && h < 22 {
			return 4000
		}
		return 400
	}
	var m Memory
	var d Decision
	// Once in 20 s for four days and until five minutes before eight.
	end := start.AddDate(0, 0, 4).Add(19*time.Hour + 55*time.Minute)
	for at := start; !at.After(end); at = at.Add(20 * time.Second) {
		o := Observation{Seconds: []Second{{At: at, Arrivals: rate(at), Completions: rate(at), Coverage: 1}}, Coverage: 1, Ready: 8, QuotaUnits: -1, Lead: 6 * time.Minute}
		d, m = Evaluate(&p, o, m, at)
		if floor := candidate(d, RuleSeasonal); floor != nil && at.Before(start.AddDate(0, 0, 2)) {
			t.Fatalf("%v: the season counts before the third day is over: %+v", at, floor)
		}
	}
	if d.Winner != RuleSeasonal || !near(d.Want, 4000.0/56) {
		t.Errorf("found %.1f by %s before the usual rush, want %.1f by the season:\n%+v", d.Want, d.Winner, 4000.0/56, d.Candidates)
	}
	text, err := json.Marshal(m)
	if err != nil || len(m.Season.Days) > p.SeasonDays+1 || len(text) > 3000*len(m.Season.Days) {
		t.Errorf("%d days are remembered in %d bytes (%v)", len(m.Season.Days), len(text), err)
	}
}

func candidate(d Decision, rule string) *Candidate {
	for i := range d.Candidates {
		if d.Candidates[i].Rule == rule {
			return &d.Candidates[i]
		}
	}
	return nil
}

func TestTrendIsOneOfGrowthOnly(t *testing.T) {
	for _, tt := range []struct {
		name      string
		rate      func(s int) float64
		low, high float64
	}{
		{"a ramp", func(s int) float64 { return 100 + 5*float64(s) }, 4.9, 5.1},
		{"level", func(int) float64 { return 100 }, 0, 0},
		{"falling", func(s int) float64 { return 500 - 5*float64(s) }, 0, 0},
		{"an early step", func(s int) float64 { return 100 + 900*float64(min(1, s/5)) }, 0, 0},
		{"a middle step", func(s int) float64 { return 100 + 900*float64(min(1, s/12)) }, 0, 0},
		{"a late step", func(s int) float64 { return 100 + 900*float64(min(1, s/20)) }, 0, 0},
		{"a spike", func(s int) float64 { return 100 + 900*float64(s/12%2) }, 0, 0},
		{"noise", func(s int) float64 { return 100 + 30*math.Sin(float64(s*s)) }, 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var seconds []Second
			for s := range 24 {
				seconds = append(seconds, Second{At: epoch().Add(time.Duration(s) * time.Second), Arrivals: tt.rate(s), Coverage: 1})
			}
			if got := trend(seconds); got < tt.low || got > tt.high {
				t.Errorf("found %g, want %g to %g", got, tt.low, tt.high)
			}
		})
	}
}

func TestSlopeIgnoresOutliers(t *testing.T) {
	var x, y []float64
	for s := range 24 {
		x, y = append(x, float64(s)), append(y, 100+5*float64(s))
		if s%8 == 3 {
			y[s] = 0
		}
	}
	if got := theilSen(x, y); math.Abs(got-5) > 0.5 {
		t.Errorf("found a slope of %g, want about 5", got)
	}
}

func TestPoliciesThatCannotBeMeantAreRefused(t *testing.T) {
	for want, edit := range map[string]func(p *Policy){
		"min is 11, allowed: from 0 to 10":          func(p *Policy) { p.Min = 11 },
		"max is 0":                                  func(p *Policy) { p.Min, p.Max = 0, 0 },
		"utilization is 1.1":                        func(p *Policy) { p.Utilization = 1.1 },
		"concurrency is NaN":                        func(p *Policy) { p.Concurrency = math.NaN() },
		"fast is 50s, allowed: at most slow":        func(p *Policy) { p.Fast, p.Slow = 50*time.Second, 40*time.Second },
		"panic_ratio is 1":                          func(p *Policy) { p.PanicRatio = 1 },
		"a step has neither share nor units":        func(p *Policy) { p.Down = Step{Period: time.Second} },
		"step_up.period is 0":                       func(p *Policy) { p.Up.Period = 0 },
		"season_min is 9":                           func(p *Policy) { p.SeasonMin = 9 },
		"down_band is 0.95, allowed: from 0 to 0.9": func(p *Policy) { p.DownBand = 0.95 },
	} {
		p := Default()
		edit(&p)
		if err := p.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("found %v, want %s", err, want)
		}
	}
}
