package policy

import (
	"math"
	"time"
)

// Memory is what Evaluate must know of the past beside the observation. It is a
// plain value that survives JSON; the zero value is a start without any past,
// after which nothing is given back before the window has been filled.
// Evaluate never changes the slices of the one it is given.
type Memory struct {
	At   time.Time `json:"at"`   // of the last evaluation
	Full time.Time `json:"full"` // since when data have been complete without a break; zero: they are not
	// Booted is when the size grew last, or something was on its way.
	Booted time.Time `json:"booted"`
	// Window holds the highest demand of each piece of the window, oldest first.
	Window []Peak `json:"window,omitempty"`

	Panic Panic     `json:"panic"`
	Up    Period    `json:"up"`
	Down  Period    `json:"down"`
	Flap  Flap      `json:"flap"`
	Else  Elsewhere `json:"elsewhere"`

	Season Season `json:"season"`
}

// Peak is the highest demand of the time from At on.
type Peak struct {
	At    time.Time `json:"at"`
	Units float64   `json:"units"`
}

// Panic holds the size that a panic asked for.
type Panic struct {
	Until time.Time `json:"until"`
	Units float64   `json:"units"`
}

// Period is the beginning of a period of a Step, and the size then.
type Period struct {
	Since time.Time `json:"since"`
	Base  float64   `json:"base"`
}

// Flap counts turnover; it drains with time.
type Flap struct {
	Spent float64 `json:"spent"`
	Have  float64 `json:"have"` // at the last evaluation
}

// maxPause is the longest time between two evaluations after which what is
// remembered still counts as a window without a hole.
const maxPause = 30 * time.Second

// pieces of the window that are remembered one by one.
const pieces = 32

// advance makes the memory one of now: after a pause too long, or a clock set
// back, there is no complete window.
func (m *Memory) advance(p *Policy, o *Observation, now time.Time) {
	step := now.Sub(m.At)
	known := !m.At.IsZero()
	if !known || step < 0 || step > maxPause {
		m.Full, m.Window = time.Time{}, nil
	}
	if step < 0 {
		m.Panic, m.Up, m.Down = Panic{}, Period{}, Period{}
	}
	if o.Booting > 0 || !known || o.Ready > m.Flap.Have {
		m.Booted = now
	}
	m.turnover(p, o, step, known)
	m.At = now
}

// turnover adds the change of size since the last evaluation to the flap
// budget's account, and takes off what has been refilled.
func (m *Memory) turnover(p *Policy, o *Observation, step time.Duration, known bool) {
	have := o.have()
	if known {
		m.Flap.Spent = max(0, m.Flap.Spent-p.FlapBudget*max(0, step.Seconds())/p.FlapPeriod.Seconds())
		if larger := max(have, m.Flap.Have); larger > 0 {
			m.Flap.Spent += math.Abs(have-m.Flap.Have) / larger
		}
	}
	m.Flap.Have = have
}

// remember puts a demand into the window.
func (m *Memory) remember(units float64, now time.Time, window time.Duration) {
	if m.Full.IsZero() {
		m.Full = now
	}
	piece := window / pieces
	kept := make([]Peak, 0, len(m.Window)+1)
	for _, p := range m.Window {
		// A piece counts until its last moment has left the window.
		if !p.At.Add(piece).Before(now.Add(-window)) && !p.At.After(now) {
			kept = append(kept, p)
		}
	}
	if n := len(kept); n > 0 && now.Sub(kept[n-1].At) < piece {
		kept[n-1].Units = max(kept[n-1].Units, units)
	} else {
		kept = append(kept, Peak{now, units})
	}
	m.Window = kept
}

// peak is the highest demand of the window.
func (m *Memory) peak() float64 {
	highest := 0.0
	for _, p := range m.Window {
		highest = max(highest, p.Units)
	}
	return highest
}

// filled reports whether the window is one of complete data.
func (m *Memory) filled(now time.Time, window time.Duration) bool {
	return !m.Full.IsZero() && now.Sub(m.Full) >= window
}

// forget notes that data are missing: the window begins anew with the next
// complete ones. What it has seen is kept for as long as it would have been.
func (m *Memory) forget() { m.Full = time.Time{} }

// frantic keeps the size of a panic, and returns it while it lasts. As in
// Knative's autoscaler (https://knative.dev/docs/serving/autoscaling/kpa-specific)
// a panic begins at a multiple of what is ready and never shrinks; unlike there
// it counts what boots, since sizes are absolute, and lasts until what it has
// ordered can be there.
func (m *Memory) frantic(p *Policy, t traffic, o *Observation, now time.Time) (Candidate, bool) {
	need := p.size(t.panic)
	if p.PanicRatio > 0 && need >= p.PanicRatio*max(o.Ready, p.Min, 1e-6) {
		if now.After(m.Panic.Until) {
			m.Panic.Units = 0
		}
		m.Panic.Units = max(m.Panic.Units, need)
		m.Panic.Until = now.Add(max(p.PanicHold, 2*p.lead(o)))
	}
	if m.Panic.Units == 0 || now.After(m.Panic.Until) {
		return Candidate{}, false
	}
	return Candidate{RulePanic, m.Panic.Units, "the last seconds needed " + times(m.Panic.Units, o.Ready) + " what is ready; kept until " + m.Panic.Until.UTC().Format("15:04:05")}, true
}
