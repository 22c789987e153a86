package policy

import (
	"encoding/json"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// drawPolicy makes a valid policy.
func drawPolicy(t *rapid.T) *Policy {
	p := Default()
	p.Min = rapid.Float64Range(0, 20).Draw(t, "min")
	p.Max = p.Min + rapid.Float64Range(0.1, 200).Draw(t, "above min")
	p.Concurrency = rapid.Float64Range(0.5, 100).Draw(t, "concurrency")
	p.Utilization = rapid.Float64Range(0.05, 1).Draw(t, "utilization")
	p.Beta = rapid.Float64Range(0, 4).Draw(t, "beta")
	p.UpBand = rapid.Float64Range(0, 0.3).Draw(t, "up band")
	p.DownBand = rapid.Float64Range(0, 0.9).Draw(t, "down band")
	p.SpareShare = rapid.Float64Range(0, 1).Draw(t, "spare")
	p.PanicRatio = rapid.SampledFrom([]float64{0, 1.1, 2, 10}).Draw(t, "panic ratio")
	p.Window = time.Duration(rapid.IntRange(0, 600).Draw(t, "window")) * time.Second
	p.PerHour = rapid.SampledFrom([]float64{0, 1, 30}).Draw(t, "per hour")
	p.PerDay = rapid.SampledFrom([]float64{0, 10, 300}).Draw(t, "per day")
	if rapid.Bool().Draw(t, "scheduled") {
		p.Schedules = []Schedule{{Cron: "*/20 * * * *", Duration: 10 * time.Minute, Units: rapid.Float64Range(0, 300).Draw(t, "floor")}}
	}
	if err := p.Validate(); err != nil {
		t.Fatal(err)
	}
	return &p
}

func drawObservation(t *rapid.T, now time.Time) Observation {
	unit := rapid.Float64Range(0, 300)
	o := Observation{
		Coverage:   rapid.SampledFrom([]float64{0, 0.3, 0.99, 1, 1, 1, 1}).Draw(t, "coverage"),
		Age:        time.Duration(rapid.IntRange(0, 15).Draw(t, "age")) * time.Second,
		Ready:      unit.Draw(t, "ready"),
		Booting:    rapid.SampledFrom([]float64{0, 0, 1, 50}).Draw(t, "booting"),
		Unhealthy:  rapid.Float64Range(0, 1).Draw(t, "unhealthy"),
		Lead:       time.Duration(rapid.IntRange(0, 300).Draw(t, "lead")) * time.Second,
		PriceUnit:  rapid.SampledFrom([]float64{0, 0.1, 5}).Draw(t, "price"),
		QuotaUnits: rapid.SampledFrom([]float64{-1, 0, 3, 1000}).Draw(t, "quota"),
		SpentHour:  rapid.Float64Range(0, 50).Draw(t, "spent hour"),
		SpentDay:   rapid.Float64Range(0, 400).Draw(t, "spent day"),
		Paused:     rapid.IntRange(0, 9).Draw(t, "paused") == 0,
	}
	o.Rate = o.have() * o.PriceUnit
	if rapid.IntRange(0, 4).Draw(t, "manual") == 0 {
		o.Manual, o.ManualUntil = unit.Draw(t, "manual units"), now.Add(time.Minute)
	}
	rate := rapid.Float64Range(0, 20000).Draw(t, "rate")
	for s := range rapid.IntRange(0, 90).Draw(t, "seconds") {
		o.Seconds = append(o.Seconds, drawSecond(t, now.Add(time.Duration(s-90)*time.Second), rate))
	}
	return o
}

func drawSecond(t *rapid.T, at time.Time, rate float64) Second {
	// One draw a second keeps the shrinking of failures quick.
	x := rapid.Float64Range(0, 2).Draw(t, "second")
	s := Second{At: at, Arrivals: rate * x, Completions: rate, InFlight: rate * x * x / 10, P95: time.Duration(x * float64(200*time.Millisecond)), Coverage: 1}
	if x > 1.9 {
		s.Coverage = 0.5
	}
	return s
}

// life runs a policy on observations that follow each other and checks every
// decision.
func life(t *rapid.T, check func(p *Policy, o Observation, before Memory, d Decision)) {
	p, now := drawPolicy(t), epoch()
	var m Memory
	for range rapid.IntRange(1, 12).Draw(t, "ticks") {
		now = now.Add(time.Duration(rapid.SampledFrom([]int{1, 1, 1, 25, 25, 31, 400}).Draw(t, "pause")) * time.Second)
		o := drawObservation(t, now)
		before := m
		var d Decision
		d, m = Evaluate(p, o, m, now)
		check(p, o, before, d)
	}
}

func TestWantStaysWithinBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		life(t, func(p *Policy, o Observation, _ Memory, d Decision) {
			have := o.have()
			if math.IsNaN(d.Want) || d.Want < 0 {
				t.Fatalf("want is %g", d.Want)
			}
			if o.Paused {
				return
			}
			if d.Want > max(p.Max, have)+1e-9 {
				t.Fatalf("%g wanted with %g there, max is %g: %+v", d.Want, have, p.Max, d.Clamps)
			}
			if d.Want < min(p.Min, have)-1e-9 || d.Want < p.Min-1e-9 && !clamped(d, LimitMoneyHour, LimitMoneyDay, LimitQuota) {
				t.Fatalf("%g wanted with %g there, min is %g: %+v", d.Want, have, p.Min, d.Clamps)
			}
		})
	})
}

func clamped(d Decision, limits ...string) bool {
	for _, c := range d.Clamps {
		for _, l := range limits {
			if c.Limit == l {
				return true
			}
		}
	}
	return false
}

func TestNothingIsGivenBackWithoutCompleteData(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		life(t, func(p *Policy, o Observation, _ Memory, d Decision) {
			if d.Want < o.have()-1e-9 && (o.Coverage < 1 || o.Age > p.MaxAge || len(o.Seconds) == 0) {
				t.Fatalf("%g wanted of %g with coverage %g, age %v, %d seconds", d.Want, o.have(), o.Coverage, o.Age, len(o.Seconds))
			}
		})
	})
}

// A start without a past gives nothing back, and neither does one whose past
// has a hole.
func TestNothingIsGivenBackBeforeTheWindowIsFull(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var began, last time.Time
		life(t, func(p *Policy, o Observation, before Memory, d Decision) {
			if last.IsZero() || d.At.Sub(last) > maxPause {
				began = d.At
			}
			last = d.At
			person := o.Manual > 0 && o.Manual < o.have()
			if d.Want < o.have()-1e-9 && o.have() <= p.Max && !person && d.At.Sub(began) < max(p.Window, 2*p.lead(&o)) {
				t.Fatalf("%g wanted of %g %v after the start: %+v", d.Want, o.have(), d.At.Sub(began), d)
			}
		})
	})
}

func TestPausedNeverChanges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		life(t, func(_ *Policy, o Observation, _ Memory, d Decision) {
			if o.Paused && d.Want != o.have() {
				t.Fatalf("%g wanted of %g while paused", d.Want, o.have())
			}
		})
	})
}

func TestMoneyAndQuotaBoundWhatIsBought(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		life(t, func(p *Policy, o Observation, _ Memory, d Decision) {
			more := d.Want - o.have()
			if more <= 1e-9 {
				return
			}
			if p.PerHour > 0 && o.PriceUnit > 0 && (o.Rate+more*o.PriceUnit > p.PerHour+1e-6 || o.SpentHour >= p.PerHour) {
				t.Fatalf("%g more units at %g, the rate is %g of %g", more, o.PriceUnit, o.Rate, p.PerHour)
			}
			if p.PerDay > 0 && o.PriceUnit > 0 && o.SpentDay+(o.Rate+more*o.PriceUnit)*untilNext(d.At, 24*time.Hour) > p.PerDay+1e-6 {
				t.Fatalf("%g more units at %g until midnight, %g of %g are spent", more, o.PriceUnit, o.SpentDay, p.PerDay)
			}
			if o.QuotaUnits >= 0 && more > o.QuotaUnits+1e-9 {
				t.Fatalf("%g more units, the quota allows %g", more, o.QuotaUnits)
			}
		})
	})
}

func TestUnhealthyInstancesStopRemovals(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		life(t, func(p *Policy, o Observation, _ Memory, d Decision) {
			if d.Want < o.have()-1e-9 && o.Unhealthy > p.UnhealthyMax {
				t.Fatalf("%g wanted of %g with %g unhealthy", d.Want, o.have(), o.Unhealthy)
			}
		})
	})
}

// More load never wants less, all else being equal.
func TestWantGrowsWithLoad(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, now := drawPolicy(t), epoch()
		o := drawObservation(t, now)
		less, _ := Evaluate(p, o, Memory{}, now)
		factor := rapid.Float64Range(1, 20).Draw(t, "factor")
		more := o
		more.Seconds = nil
		for _, s := range o.Seconds {
			s.Arrivals *= factor
			more.Seconds = append(more.Seconds, s)
		}
		if d, _ := Evaluate(p, more, Memory{}, now); d.Want < less.Want-1e-9 {
			t.Fatalf("%g wanted, with %g times the load %g:\n%+v\n%+v", less.Want, factor, d.Want, less, d)
		}
	})
}

// What boots counts: whether units are ready or on their way, as many are
// wanted, unless it is panic or missing latency that asks.
func TestBootingCounts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, now := drawPolicy(t), epoch()
		p.PanicRatio = 0
		o := drawObservation(t, now)
		for i := range o.Seconds {
			o.Seconds[i].P95 = 0
		}
		o.Booting = 0
		ready, _ := Evaluate(p, o, Memory{}, now)
		o.Booting, o.Ready = o.Ready/2, o.Ready/2
		booting, _ := Evaluate(p, o, Memory{}, now)
		if math.Abs(ready.Want-booting.Want) > 1e-6 {
			t.Fatalf("%g wanted with all ready, %g with half of it booting", ready.Want, booting.Want)
		}
	})
}

// The memory is a value: Evaluate leaves the one it was given alone, and one
// that went through JSON decides the same.
func TestMemoryIsAValue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, now := drawPolicy(t), epoch()
		var m, kept Memory
		for range rapid.IntRange(2, 6).Draw(t, "ticks") {
			now = now.Add(time.Duration(rapid.SampledFrom([]int{1, 20, 300}).Draw(t, "pause")) * time.Second)
			o := drawObservation(t, now)
			text, err := json.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			kept = Memory{}
			if err := json.Unmarshal(text, &kept); err != nil {
				t.Fatal(err)
			}
			d, next := Evaluate(p, o, m, now)
			again, _ := Evaluate(p, o, kept, now)
			if diff := cmp.Diff(d, again); diff != "" {
				t.Fatalf("with the memory through JSON (-without +with):\n%s", diff)
			}
			after, err := json.Marshal(m)
			if err != nil || string(after) != string(text) {
				t.Fatalf("Evaluate changed the memory it was given (%v)", err)
			}
			m = next
		}
	})
}

// Every decision says how it came about: the winner is the largest candidate,
// and the clamps lead from there to what is wanted.
func TestDecisionsExplainThemselves(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		life(t, func(_ *Policy, o Observation, _ Memory, d Decision) {
			at := 0.0
			for _, c := range d.Candidates {
				at = max(at, c.Units)
				if c.Why == "" || c.Rule == "" {
					t.Fatalf("candidate without a reason: %+v", c)
				}
			}
			for _, c := range d.Clamps {
				if c.From != at || c.From == c.To || c.Why == "" || c.Limit == "" {
					t.Fatalf("clamp %+v after %g", c, at)
				}
				at = c.To
			}
			if at != d.Want || d.Winner == "" || d.Have != o.have() || len(d.Inputs) < 15 {
				t.Fatalf("the clamps lead to %g: %+v", at, d)
			}
		})
	})
}
