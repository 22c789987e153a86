package policy

import (
	"fmt"
	"math"
	"time"
)

// Evaluate decides the size of one app. It returns the decision and the memory
// to be given to the next call, about a second later; several calls for the
// same instant are no harm. p must have been validated. A decision is computed
// from what is there and what is known, never from the last decision: losing
// the memory costs time (nothing is given back for a window), never capacity.
func Evaluate(p *Policy, o Observation, m Memory, now time.Time) (Decision, Memory) {
	e := evaluation{p: p, o: &o, m: &m, now: now, lead: p.lead(&o), window: p.window(&o)}
	m.advance(p, &o, now)
	e.d = Decision{At: now, Have: o.have()}
	e.look()
	e.gather()
	e.d.Inputs = e.inputs()
	e.decide()
	return e.d, m
}

// evaluation is one call of Evaluate.
type evaluation struct {
	p            *Policy
	o            *Observation
	m            *Memory
	now          time.Time
	lead, window time.Duration

	data, complete bool // there are data at all; they are the whole
	t              traffic
	need           float64 // what the load needs now, without headroom
	floor          float64 // what schedules, seasons and people ask for
	d              Decision
}

// look reads the signals and says how far they can be trusted.
func (e *evaluation) look() {
	recent := lately(e.o.Seconds, e.now, e.p.Fast)
	e.data = e.o.Coverage > 0 && e.o.Age <= e.p.MaxAge && len(recent) > 0
	e.complete = e.data && e.o.Coverage >= 1
	for _, s := range recent {
		e.complete = e.complete && s.Coverage >= 1
	}
	if e.data {
		e.t = readTraffic(e.p, e.o.Seconds, e.now)
	}
	switch {
	case !e.data:
		e.flag(FlagNoData)
	case !e.complete:
		e.flag(FlagPartial)
	}
}

func (e *evaluation) flag(name string) { e.d.Flags = append(e.d.Flags, name) }

// gather collects every size that some rule asks for.
func (e *evaluation) gather() {
	if e.data {
		e.gatherLoad()
	} else {
		e.add(Candidate{RuleHold, e.o.have(), "there are no signals: what there is stays"}, true)
		e.m.forget()
	}
	c, ok := e.p.seasonal(&e.m.Season, e.now, e.lead)
	e.addFloor(c, ok)
	c, ok = e.p.scheduled(e.now, e.lead)
	e.addFloor(c, ok)
	if e.manual() {
		e.addFloor(Candidate{RuleManual, e.o.Manual, "ordered by a person until " + e.o.ManualUntil.UTC().Format(time.RFC3339)}, true)
	}
}

// gatherLoad collects what the traffic asks for and remembers it.
func (e *evaluation) gatherLoad() {
	for _, c := range e.p.byLoad(e.t, e.lead) {
		e.add(c, true)
		e.need = max(e.need, c.Units)
	}
	e.m.Else.watch(e.p, e.t, e.o, e.now)
	c, ok := e.p.byLatency(e.t, e.o, e.m)
	e.add(c, ok)
	e.need = max(e.need, c.Units)
	demand := e.need
	if spare := e.p.headroom(e.need); spare > 0 {
		demand += spare
		e.add(Candidate{RuleSpare, demand, fmt.Sprintf("%.3g units of headroom", spare)}, true)
	}
	e.m.remember(demand, e.now, e.window)
	c, ok = e.m.frantic(e.p, e.t, e.o, e.now)
	e.add(c, ok)
	e.need = max(e.need, c.Units)
	if ok {
		e.flag(FlagPanic)
	}
	if !e.complete {
		e.m.forget()
	} else if e.p.SeasonDays > 0 {
		e.m.Season.add(e.t.fast, e.now, e.p.SeasonDays)
	}
}

func (e *evaluation) add(c Candidate, ok bool) {
	if ok {
		e.d.Candidates = append(e.d.Candidates, c)
	}
}

func (e *evaluation) addFloor(c Candidate, ok bool) {
	e.add(c, ok)
	if ok {
		e.floor = max(e.floor, c.Units)
	}
}

// manual reports whether a person's order holds.
func (e *evaluation) manual() bool { return e.o.Manual > 0 && e.now.Before(e.o.ManualUntil) }

// decide takes the largest candidate through the limiters.
func (e *evaluation) decide() {
	for _, c := range e.d.Candidates {
		if e.d.Winner == "" || c.Units > e.d.Want {
			e.d.Winner, e.d.Want = c.Rule, c.Units
		}
	}
	if e.o.Paused {
		e.flag(FlagPaused)
		e.clamp(LimitPaused, e.d.Have, "paused by a person")
		return
	}
	e.bounds()
	switch {
	case e.d.Want > e.d.Have:
		e.rise()
	case e.d.Want < e.d.Have:
		e.fall()
	}
	e.elsewhereFlag()
	if e.o.Unhealthy > e.p.UnhealthyMax {
		e.flag(FlagCircuit)
	}
}

// elsewhereFlag tells of slowness that more of this app would not cure.
func (e *evaluation) elsewhereFlag() {
	if e.m.Else.stopped(e.now) || e.data && e.p.slow(e.t) && !e.p.full(e.t, e.o.Ready) && e.o.Ready > 0 {
		e.flag(FlagElsewhere)
	}
}

// inputs are the numbers behind a decision, for whoever asks why.
func (e *evaluation) inputs() map[string]float64 {
	o, t := e.o, &e.t
	in := map[string]float64{
		"rate_fast": t.fast, "rate_slow": t.slow, "rate_panic": t.panic, "trend": t.trend,
		"completions": t.completions, "in_flight": t.inFlight, "p95_ms": float64(t.p95) / float64(time.Millisecond),
		"coverage": o.Coverage, "age_s": o.Age.Seconds(),
		"ready": o.Ready, "booting": o.Booting, "draining": o.Draining, "unhealthy": o.Unhealthy,
		"lead_s": e.lead.Seconds(), "window_s": e.window.Seconds(), "window_peak": e.m.peak(),
		"rate_money": o.Rate, "spent_hour": o.SpentHour, "spent_day": o.SpentDay, "price_unit": o.PriceUnit,
		"quota_units": o.QuotaUnits, "turnover": e.m.Flap.Spent,
	}
	if o.Ready > 0 {
		in["in_flight_unit"] = t.inFlight / o.Ready
	}
	return in
}

// times says how many times b a is.
func times(a, b float64) string {
	if b <= 0 {
		return fmt.Sprintf("%.3g units and not", a)
	}
	return fmt.Sprintf("%.2g times", a/b)
}

// finite reports whether a measured number can be calculated with.
func finite(values ...float64) bool {
	for _, v := range values {
		if !(v >= 0 && v <= math.MaxFloat32) { // NaN fails too
			return false
		}
	}
	return true
}
