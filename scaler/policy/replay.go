package policy

import (
	"math"
	"time"
)

// Sample is one recorded second of an app.
type Sample struct {
	At       time.Time // its end
	Arrivals float64
}

// World is the model that a policy is replayed against.
type World struct {
	// Boot is the time from an order to the first request served, and what the
	// policy is told of it.
	Boot time.Duration
	// Quantum is the size of one instance in units: what is wanted is rounded
	// up to whole ones. 0 does not round.
	Quantum float64
	// Price of a unit an hour, from its order on.
	Price float64
	// Start is how many units are ready at the beginning; 0 is what the first
	// minute needs.
	Start float64
	// Patience is how long requests wait before they are refused (10 s if 0).
	Patience time.Duration
	// Alter may change what the policy gets to see, to replay faults. nil
	// changes nothing.
	Alter func(now time.Time, o *Observation)
	// Watch is called after each second. nil watches nothing.
	Watch func(d Decision, ready, booting float64, p95 time.Duration)
}

// Report is what came of a replay.
type Report struct {
	Seconds   int
	UnitHours float64 // bought, booting included
	Cost      float64
	// Violations is how many seconds had traffic whose 95th percentile was over
	// the target; Refused counts requests that waited too long.
	Violations int
	Refused    float64
	WorstP95   time.Duration
	Flaps      int     // growths after a shrinking and shrinkings after a growth
	Changes    int     // of size
	MaxStep    float64 // largest change at once, in units
	Peak       float64 // largest size, booting included
	Blocked    map[string]int
	Flagged    map[string]int // seconds by flag
}

// Replay runs a policy on a trace with a virtual clock: the code that decides
// is the one that runs in production, machines and requests are a model. A unit
// serves Concurrency/Target requests a second at most, what comes beyond waits
// in one queue, and latency grows with use so that the target is met exactly
// when capacity is used up. The samples are in order; seconds that are missing
// had no traffic. p must have been validated.
func Replay(p *Policy, trace []Sample, w World) Report {
	r := &replay{p: p, w: w, report: Report{Blocked: map[string]int{}, Flagged: map[string]int{}}}
	if len(trace) == 0 {
		return r.report
	}
	if r.w.Patience <= 0 {
		r.w.Patience = 10 * time.Second
	}
	r.ready = r.start(trace)
	i := 0
	for now := trace[0].At; !now.After(trace[len(trace)-1].At); now = now.Add(time.Second) {
		arrivals := 0.0
		for ; i < len(trace) && !trace[i].At.After(now); i++ {
			arrivals += trace[i].Arrivals
		}
		r.second(now, arrivals)
	}
	r.report.Cost = r.report.UnitHours * w.Price
	return r.report
}

// replay is the state of a replay.
type replay struct {
	p       *Policy
	w       World
	memory  Memory
	ready   float64
	booting []boot // in order
	queue   float64
	seen    []Second
	way     float64 // direction of the last change, 0 none yet
	p95     time.Duration
	report  Report
	// Money of this hour and day.
	hour, day           time.Time
	spentHour, spentDay float64
}

// boot is an order under way.
type boot struct {
	due   time.Time
	units float64
}

func (r *replay) start(trace []Sample) float64 {
	if r.w.Start > 0 {
		return r.w.Start
	}
	n, sum := 0.0, 0.0
	for ; int(n) < len(trace) && n < 60; n++ {
		sum += trace[int(n)].Arrivals
	}
	return min(max(r.whole(r.p.size(sum/n)), r.p.Min), r.p.Max)
}

// whole rounds up to instances; what is a hair above a whole number is one.
func (r *replay) whole(units float64) float64 {
	if r.w.Quantum <= 0 {
		return units
	}
	return math.Ceil(units/r.w.Quantum-1e-9) * r.w.Quantum
}

// second runs the model and the policy for one second.
func (r *replay) second(now time.Time, arrivals float64) {
	for len(r.booting) > 0 && !r.booting[0].due.After(now) {
		r.ready += r.booting[0].units
		r.booting = r.booting[1:]
	}
	r.serve(now, arrivals)
	booting := r.onTheWay()
	r.pay(now, r.ready+booting)
	o := Observation{
		Seconds: r.seen, Coverage: 1, Ready: r.ready, Booting: booting, Lead: r.w.Boot,
		SpentHour: r.spentHour, SpentDay: r.spentDay, Rate: (r.ready + booting) * r.w.Price, PriceUnit: r.w.Price, QuotaUnits: -1,
	}
	if r.w.Alter != nil {
		r.w.Alter(now, &o)
	}
	var d Decision
	d, r.memory = Evaluate(r.p, o, r.memory, now)
	r.apply(d, now)
	r.note(d)
	if r.w.Watch != nil {
		r.w.Watch(d, r.ready, r.onTheWay(), r.p95)
	}
}

func (r *replay) onTheWay() float64 {
	sum := 0.0
	for _, b := range r.booting {
		sum += b.units
	}
	return sum
}

// serve is one second of the queue.
func (r *replay) serve(now time.Time, arrivals float64) {
	capacity := r.ready * r.p.Concurrency / r.p.Target.Seconds()
	served := min(r.queue+arrivals, capacity)
	r.queue += arrivals - served
	if most := capacity * r.w.Patience.Seconds(); r.queue > most {
		r.report.Refused += r.queue - most
		r.queue = most
	}
	latency := 0.0
	if arrivals > 0 || served > 0 {
		latency = r.w.Patience.Seconds()
		if capacity > 0 {
			latency = r.p.Target.Seconds()*(1+served/capacity)/2 + r.queue/capacity
		}
	}
	r.p95 = time.Duration(latency * float64(time.Second))
	if r.p95 > r.p.Target {
		r.report.Violations++
	}
	r.report.WorstP95 = max(r.report.WorstP95, r.p95)
	r.seen = append(r.seen, Second{
		At: now, Arrivals: arrivals, Completions: served,
		InFlight: min(served, capacity)*r.p.Target.Seconds() + r.queue, P95: r.p95, Coverage: 1,
	})
	if extra := len(r.seen) - int(r.p.Slow/time.Second) - 120; extra > 120 {
		r.seen = append([]Second(nil), r.seen[extra:]...)
	}
}

func (r *replay) pay(now time.Time, units float64) {
	if h := now.UTC().Truncate(time.Hour); !h.Equal(r.hour) {
		r.hour, r.spentHour = h, 0
	}
	if d := now.UTC().Truncate(24 * time.Hour); !d.Equal(r.day) {
		r.day, r.spentDay = d, 0
	}
	hours := units / 3600
	r.report.UnitHours += hours
	r.spentHour += hours * r.w.Price
	r.spentDay += hours * r.w.Price
}

// apply does what was decided: orders the difference, or gives back what boots
// and then what is ready.
func (r *replay) apply(d Decision, now time.Time) {
	change := r.whole(d.Want) - r.ready - r.onTheWay()
	if d.Want == d.Have || math.Abs(change) < 1e-9 {
		return
	}
	if d.Want < d.Have {
		change = min(change, 0) // rounded up it may be what there is
	}
	switch {
	case change > 0:
		r.booting = append(r.booting, boot{now.Add(r.w.Boot), change})
	case change < 0:
		r.giveBack(-change)
	default:
		return
	}
	r.report.Changes++
	r.report.MaxStep = max(r.report.MaxStep, math.Abs(change))
	if way := math.Copysign(1, change); way != r.way {
		if r.way != 0 {
			r.report.Flaps++
		}
		r.way = way
	}
}

func (r *replay) giveBack(units float64) {
	for len(r.booting) > 0 && units > 0 {
		last := &r.booting[len(r.booting)-1]
		part := min(last.units, units)
		last.units -= part
		units -= part
		if last.units <= 1e-9 {
			r.booting = r.booting[:len(r.booting)-1]
		}
	}
	r.ready = max(0, r.ready-units)
}

func (r *replay) note(d Decision) {
	r.report.Seconds++
	r.report.Peak = max(r.report.Peak, r.ready+r.onTheWay())
	for _, c := range d.Clamps {
		r.report.Blocked[c.Limit]++
	}
	for _, f := range d.Flags {
		r.report.Flagged[f]++
	}
}
