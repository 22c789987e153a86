package load

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// Arrivals is how requests are spread around a curve.
type Arrivals uint8

// The kinds of arrivals.
const (
	// Even sends at equal distances in planned requests: what a metronome does.
	Even Arrivals = iota
	// Poisson sends at random, independently: what many clients that know
	// nothing of each other do. The total varies by about its square root.
	Poisson
)

// ParseArrivals reads "even" or "poisson".
func ParseArrivals(text string) (Arrivals, error) {
	switch text {
	case "even":
		return Even, nil
	case "poisson":
		return Poisson, nil
	}
	return Even, fmt.Errorf("%q is no kind of arrivals: even or poisson", text)
}

// Pacer yields planned send times, pure arithmetic on a curve. Several pacers
// share one curve: together they yield what a single one would (Even) or
// something with the same distribution (Poisson).
//
// Both kinds walk in planned requests u and ask the curve when u requests are
// due. For Poisson the steps are exponential; mapping them through the curve
// gives the inhomogeneous process of that rate (time-rescaling theorem).
type Pacer struct {
	curve  *Curve
	u      float64
	step   float64
	random *rand.Rand // nil: Even
	at     int        // piece of the curve that u is in
	next   time.Duration
	more   bool
}

// Pacer returns the index-th of count pacers that share the curve.
func (c *Curve) Pacer(kind Arrivals, index, count int, seed uint64) *Pacer {
	p := &Pacer{curve: c, u: float64(index), step: float64(count)}
	if kind == Poisson {
		p.random = rand.New(rand.NewPCG(seed, uint64(index)))
		p.u = p.random.ExpFloat64() * p.step
	}
	p.locate()
	return p
}

// Due is the planned time of the current request, counted from the start; false
// when the schedule has ended.
func (p *Pacer) Due() (time.Duration, bool) { return p.next, p.more }

// Advance goes on to the next request.
func (p *Pacer) Advance() {
	step := p.step
	if p.random != nil {
		step *= p.random.ExpFloat64()
	}
	p.u += step
	p.locate()
}

// Follow replaces the curve; both must agree up to the present.
func (p *Pacer) Follow(c *Curve) {
	p.curve, p.at = c, 0
	p.locate()
}

func (p *Pacer) locate() { p.next, p.at, p.more = p.curve.due(p.u, p.at) }
