package policy

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// The simulations run the policy against the model of Replay on shapes of load
// that are known, and bound what may go wrong: seconds over the target, changes
// of direction, capacity nobody needed.

// bootTime is the model's, and so the lead the policy is told.
const bootTime = 60 * time.Second

func epoch() time.Time { return time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC) }

// shape makes a trace of a rate.
func shape(seconds int, rate func(s int) float64) []Sample {
	trace := make([]Sample, seconds)
	for s := range trace {
		trace[s] = Sample{epoch().Add(time.Duration(s) * time.Second), rate(s)}
	}
	return trace
}

// noisy adds what independent requests bring along (Poisson, by the normal
// distribution).
func noisy(trace []Sample) []Sample {
	r := rand.New(rand.NewPCG(1, 2))
	for i := range trace {
		trace[i].Arrivals = max(0, math.Round(trace[i].Arrivals+r.NormFloat64()*math.Sqrt(trace[i].Arrivals)))
	}
	return trace
}

// service is a policy under which a unit serves 80 requests a second at most.
func service(t *testing.T) *Policy {
	t.Helper()
	p := Default()
	p.Max = 1000
	if err := p.Validate(); err != nil {
		t.Fatal(err)
	}
	return &p
}

func (r *Report) check(t *testing.T, violations, flaps int, peak float64) {
	t.Helper()
	if r.Violations > violations {
		t.Errorf("%d seconds over the target, want at most %d", r.Violations, violations)
	}
	if r.Flaps > flaps {
		t.Errorf("%d changes of direction, want at most %d", r.Flaps, flaps)
	}
	if r.Peak > peak {
		t.Errorf("peak %.1f units, want at most %.1f", r.Peak, peak)
	}
}

func TestStepTenfoldIsServedAfterTheBootTime(t *testing.T) {
	p := service(t)
	r := Replay(p, noisy(shape(1800, func(s int) float64 {
		if s < 300 {
			return 400
		}
		return 4000
	})), World{Boot: bootTime, Price: 1})
	// 4000 requests/s need 71 units. What waited has to be served on top, so
	// that the target is met again some seconds after the machines are there.
	r.check(t, 60+15, 1, 71*1.3)
	if r.Violations < 50 {
		t.Errorf("%d seconds over the target: no policy can do that with a boot of a minute", r.Violations)
	}
}

func TestStepDownIsGivenBackInStepsAfterTheWindow(t *testing.T) {
	p := service(t)
	var first time.Time
	biggest := 0.0
	before := math.Inf(1)
	r := Replay(p, noisy(shape(3600, func(s int) float64 {
		if s < 900 {
			return 4000
		}
		return 400
	})), World{Boot: bootTime, Price: 1, Watch: func(d Decision, ready, booting float64, _ time.Duration) {
		have := ready + booting
		if have < before-1e-9 && !math.IsInf(before, 1) {
			if first.IsZero() {
				first = d.At
			}
			biggest = max(biggest, (before-have)/before)
		}
		before = have
	}})
	r.check(t, 0, 1, 80)
	if after := first.Sub(epoch().Add(900 * time.Second)); after < p.Window-time.Second || after > p.Window+30*time.Second {
		t.Errorf("the first unit went %v after the fall, want the window, %v", after, p.Window)
	}
	if biggest > 0.2+1e-9 && before > 6 {
		t.Errorf("%.0f %% went at once, want at most 20 %%", 100*biggest)
	}
	if before > 400.0/80/p.Utilization*1.4 {
		t.Errorf("%.1f units are left for 400 requests/s", before)
	}
}

func TestRampIsFollowedAhead(t *testing.T) {
	p := service(t)
	r := Replay(p, noisy(shape(1800, func(s int) float64 {
		return 400 + 3600*min(1, max(0, float64(s-300))/600)
	})), World{Boot: bootTime, Price: 1})
	// What is ordered when the ramp begins arrives a minute later.
	r.check(t, 75, 1, 71*1.3)
}

func TestForecastServesARampThatReactionWouldNot(t *testing.T) {
	p := service(t)
	steep := noisy(shape(900, func(s int) float64 {
		return 400 + 3600*min(1, max(0, float64(s-300))/120)
	}))
	with := Replay(p, steep, World{Boot: bootTime, Price: 1})
	p.GrowthCap = 1
	without := Replay(p, steep, World{Boot: bootTime, Price: 1})
	if with.Violations*2 > without.Violations {
		t.Errorf("%d seconds over the target with a forecast and %d without, want half", with.Violations, without.Violations)
	}
	with.check(t, 90, 1, 71*1.9)
}

func TestSineDoesNotFlap(t *testing.T) {
	p := service(t)
	r := Replay(p, noisy(shape(2*3600, func(s int) float64 {
		return 2000 + 1500*math.Sin(2*math.Pi*float64(s)/3600)
	})), World{Boot: bootTime, Price: 1})
	r.check(t, 0, 4, 3500.0/56*1.25) // twice a period
}

func TestNoiseChangesNothing(t *testing.T) {
	for _, rate := range []float64{3, 30, 300, 3000} {
		p := service(t)
		r := Replay(p, noisy(shape(2400, func(int) float64 { return rate })), World{Boot: bootTime, Price: 1})
		if r.Flaps > 0 || r.Violations > 0 {
			t.Errorf("%g/s: %d changes of direction and %d seconds over the target, want none", rate, r.Flaps, r.Violations)
		}
		if need := max(1, p.size(rate)); r.Peak > need*1.35 {
			t.Errorf("%g/s: peak %.2f units, needed are %.2f", rate, r.Peak, need)
		}
	}
}

func TestShortSpikesDoNotFlap(t *testing.T) {
	p := service(t)
	r := Replay(p, noisy(shape(3600, func(s int) float64 {
		if s%120 < 20 {
			return 3000
		}
		return 400
	})), World{Boot: bootTime, Price: 1})
	// The last seconds of a spike may pass for growth.
	r.check(t, 2*20+20, 4, 3000.0/56*1.5)
}

func TestOutageOfMetricsKeepsTheSize(t *testing.T) {
	p := service(t)
	from, until := epoch().Add(15*time.Minute), epoch().Add(45*time.Minute)
	blind := func(now time.Time) bool { return now.After(from) && now.Before(until) }
	r := Replay(p, noisy(shape(3600, func(s int) float64 {
		if s < 900 {
			return 4000
		}
		return 100 // nobody sees it
	})), World{
		Boot: bootTime, Price: 1,
		Alter: func(now time.Time, o *Observation) {
			if blind(now) {
				o.Seconds, o.Coverage, o.Age = nil, 0, now.Sub(from)
			}
		},
		Watch: func(d Decision, _, _ float64, _ time.Duration) {
			if d.Want < d.Have && d.At.Before(until.Add(p.Window)) {
				t.Fatalf("%v: %.1f wanted of %.1f, want nothing given back before the window of good data is full", d.At, d.Want, d.Have)
			}
		},
	})
	if r.Flagged[FlagNoData] < 1700 {
		t.Errorf("%d seconds without data are flagged", r.Flagged[FlagNoData])
	}
	r.check(t, 0, 1, 80)
}

func TestPendingCapacityIsNotOrderedTwice(t *testing.T) {
	p := service(t)
	for _, boot := range []time.Duration{10 * time.Second, time.Minute, 5 * time.Minute} {
		ordered, last := 0.0, 0.0
		r := Replay(p, shape(1200, func(s int) float64 {
			if s < 60 {
				return 400
			}
			return 4000
		}), World{Boot: boot, Price: 1, Watch: func(d Decision, ready, booting float64, _ time.Duration) {
			if have := ready + booting; have > last {
				ordered, last = ordered+have-last, have
			}
		}})
		if ordered > 71*1.35 {
			t.Errorf("boot %v: %.1f units ordered in all, want about 71", boot, ordered)
		}
		if r.Violations > int(boot/time.Second)*5/4+15 {
			t.Errorf("boot %v: %d seconds over the target", boot, r.Violations)
		}
	}
}

func TestMoneyIsNeverOverspent(t *testing.T) {
	p := service(t)
	p.PerHour, p.PerDay = 40, 90
	spent := map[string]float64{}
	evening := shape(5*3600, func(s int) float64 {
		return 3000 + 3000*math.Sin(2*math.Pi*float64(s)/3600)
	})
	for i := range evening {
		evening[i].At = evening[i].At.Add(10 * time.Hour) // 20:00 to 01:00
	}
	Replay(p, evening, World{Boot: bootTime, Price: 1, Start: 4, Watch: func(d Decision, ready, booting float64, _ time.Duration) {
		if rate := ready + booting; rate > 40+1e-6 {
			t.Fatalf("%v: %.2f an hour, want at most 40", d.At, rate)
		}
		spent[d.At.UTC().Format(time.DateOnly)] += (ready + booting) / 3600
	}})
	if first := spent["2026-03-02"]; first > 90*1.001 || first < 45 {
		t.Errorf("%.1f spent on the first day, want most of 90 and no more", first)
	}
}

func TestBottleneckElsewhereStopsBuying(t *testing.T) {
	p := service(t)
	// A database that serves 400 requests/s, whatever stands before it: requests
	// pile up in the app, latency is far over the target.
	slow := func(_ time.Time, o *Observation) {
		o.Seconds = append([]Second(nil), o.Seconds...)
		for i := range o.Seconds {
			s := &o.Seconds[i]
			if s.At.After(epoch().Add(5 * time.Minute)) {
				s.P95, s.Completions, s.InFlight = 900*time.Millisecond, 300, o.Ready*p.Concurrency*2
			}
		}
	}
	r := Replay(p, shape(1800, func(int) float64 { return 400 }), World{Boot: 20 * time.Second, Price: 1, Start: 8, Alter: slow})
	if r.Flagged[FlagElsewhere] < 600 {
		t.Errorf("flagged for %d seconds, want most of the outage", r.Flagged[FlagElsewhere])
	}
	if r.Peak > 8*1.5*1.12*1.12*1.12*1.05 {
		t.Errorf("peak %.1f units, want two futile additions to 8 and two small tries", r.Peak)
	}
}

func TestQuantumRoundsUp(t *testing.T) {
	p := service(t)
	r := Replay(p, shape(600, func(int) float64 { return 100 }), World{Boot: bootTime, Quantum: 2, Price: 2})
	if r.Peak != 4 || r.Changes != 0 {
		t.Errorf("peak %.2f and %d changes, want 4 units all the time (2.9 are needed)", r.Peak, r.Changes)
	}
	if want := 4 * 600.0 / 3600; math.Abs(r.UnitHours-want) > 1e-6 || math.Abs(r.Cost-2*want) > 1e-6 {
		t.Errorf("%.3f unit hours for %.3f, want %.3f for %.3f", r.UnitHours, r.Cost, want, 2*want)
	}
}
