package policy

import "time"

// Elsewhere watches whether capacity that was added served anything. Two
// additions in a row without effect, while requests wait, mean that something
// behind the app is the bottleneck: more of the app makes that worse.
//
//	          ready grew by a tenth,      Settle passed, throughput grew,
//	          requests wait               or nobody waits any more
//	idle ----------------------> measuring -------------------------> idle (Futile = 0)
//	 ^                               |
//	 |                               | Settle passed, no effect
//	 +--- Futile < 2 ----------------+---- Futile = 2 ----> stopped
//	 ^                                                        |
//	 +---- nobody waits, or throughput grew, or ElsewhereHold-+
type Elsewhere struct {
	// Since is when capacity came in whose effect is being measured, zero if
	// none is; Units and Rate are what was ready and served before it.
	Since time.Time `json:"since"`
	Units float64   `json:"units"`
	Rate  float64   `json:"rate"`
	// Ready and Served are those of the last evaluation in balance.
	Ready  float64 `json:"ready"`
	Served float64 `json:"served"`
	Futile int     `json:"futile"` // additions without effect in a row
	// Until is how long nothing is ordered; StopRate was served when it began.
	Until    time.Time `json:"until"`
	StopRate float64   `json:"stop_rate"`
}

// An addition is one of a tenth, and has an effect if each of its units serves
// at least a tenth of what the others do.
const (
	addition = 0.1
	effect   = 0.1
	futile   = 2
)

// watch takes one step of the picture above.
func (e *Elsewhere) watch(p *Policy, t traffic, o *Observation, now time.Time) {
	waiting := p.slow(t) && p.full(t, o.Ready)
	switch {
	case !waiting:
		*e = Elsewhere{Ready: o.Ready, Served: t.completions}
	case e.stopped(now):
		if t.completions > e.StopRate*(1+effect) {
			*e = Elsewhere{Ready: o.Ready, Served: t.completions}
		}
	case e.measuring():
		e.measure(p, t, o, now)
	case e.Ready > 0 && o.Ready >= e.Ready*(1+addition):
		e.Since, e.Units, e.Rate = now, e.Ready, e.Served
	case e.Ready == 0 || o.Ready < e.Ready:
		e.Ready, e.Served = o.Ready, t.completions
	default:
		e.Served = t.completions
	}
}

// measure compares the throughput of an added unit with that of the others,
// once the addition has had its time.
func (e *Elsewhere) measure(p *Policy, t traffic, o *Observation, now time.Time) {
	if now.Sub(e.Since) < p.Settle {
		return
	}
	if added := o.Ready - e.Units; added > 0 && e.Rate > 0 {
		marginal := (t.completions - e.Rate) / added
		if marginal < effect*e.Rate/e.Units {
			e.Futile++
		} else {
			e.Futile = 0
		}
	}
	e.Since, e.Ready, e.Served = time.Time{}, o.Ready, t.completions
	if e.Futile >= futile {
		// The next try may be futile only once.
		e.Until, e.StopRate, e.Futile = now.Add(p.ElsewhereHold), t.completions, futile-1
	}
}

// measuring reports whether an addition has yet to show what it is good for.
func (e *Elsewhere) measuring() bool { return !e.Since.IsZero() }

func (e *Elsewhere) stopped(now time.Time) bool { return now.Before(e.Until) }
