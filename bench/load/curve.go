package load

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// Curve is the rate of an open loop over time: pieces in which the rate goes
// straight from one value to another. It does not change once made.
type Curve struct {
	pieces []piece
}

// piece covers [start, end) in seconds.
type piece struct {
	start, end float64
	from, to   float64 // requests a second
	before     float64 // requests planned before start
}

func (p *piece) hits() float64 { return (p.from + p.to) / 2 * (p.end - p.start) }

func (p *piece) slope() float64 { return (p.to - p.from) / (p.end - p.start) }

// Point is a rate at a time.
type Point struct {
	At   time.Duration
	Rate float64 // requests a second
}

// Constant plans the same rate throughout.
func Constant(rate float64, length time.Duration) *Curve {
	return new(Curve).add(length, rate, rate)
}

// Ramp goes straight from one rate to another.
func Ramp(from, to float64, length time.Duration) *Curve {
	return new(Curve).add(length, from, to)
}

// Steps holds each rate for an equal part of the length.
func Steps(rates []float64, length time.Duration) *Curve {
	c := new(Curve)
	for i, rate := range rates {
		end := length * time.Duration(i+1) / time.Duration(len(rates))
		c.add(end-c.Length(), rate, rate)
	}
	return c
}

// sineParts is how many straight pieces stand for one period of a sine: the
// rate is within 0.13 % of the amplitude, the planned total exact.
const sineParts = 64

// Sine swings around mean by amplitude, starting at mean and rising.
func Sine(mean, amplitude float64, period, length time.Duration) *Curve {
	c := new(Curve)
	rate := func(at time.Duration) float64 {
		return mean + amplitude*math.Sin(2*math.Pi*at.Seconds()/period.Seconds())
	}
	part := max(period/sineParts, time.Millisecond)
	for at := time.Duration(0); at < length; at += part {
		end := min(at+part, length)
		c.add(end-at, rate(at), rate(end))
	}
	return c
}

// Spike plans base, but peak from at on for width.
func Spike(base, peak float64, at, width, length time.Duration) *Curve {
	at = min(at, length)
	width = min(width, length-at)
	return new(Curve).add(at, base, base).add(width, peak, peak).add(length-at-width, base, base)
}

// Trace replays recorded rates: each holds until the time of the next, the last
// to the end. A first point after 0 holds from the start. Points may come in any
// order.
func Trace(points []Point, length time.Duration) *Curve {
	points = slices.Clone(points)
	slices.SortStableFunc(points, func(a, b Point) int { return int(a.At - b.At) })
	c := new(Curve)
	for i, p := range points {
		end := length
		if i+1 < len(points) {
			end = min(points[i+1].At, length)
		}
		c.add(end-c.Length(), p.Rate, p.Rate)
	}
	return c
}

// add appends a piece; an empty one changes nothing. Rates below 0 count as 0.
func (c *Curve) add(length time.Duration, from, to float64) *Curve {
	if length <= 0 {
		return c
	}
	start := c.end()
	c.pieces = append(c.pieces, piece{
		start: start, end: start + length.Seconds(),
		from: max(from, 0), to: max(to, 0), before: c.Total(),
	})
	return c
}

func (c *Curve) end() float64 {
	if len(c.pieces) == 0 {
		return 0
	}
	return c.pieces[len(c.pieces)-1].end
}

// Length is when the curve ends.
func (c *Curve) Length() time.Duration { return seconds(c.end()) }

// Total is how many requests the whole curve plans.
func (c *Curve) Total() float64 {
	if len(c.pieces) == 0 {
		return 0
	}
	last := &c.pieces[len(c.pieces)-1]
	return last.before + last.hits()
}

// Rate is the planned rate at a time, 0 outside the curve.
func (c *Curve) Rate(at time.Duration) float64 {
	t := at.Seconds()
	for i := range c.pieces {
		if p := &c.pieces[i]; t >= p.start && t < p.end {
			return p.from + p.slope()*(t-p.start)
		}
	}
	return 0
}

// Hits is how many requests are planned before a time.
func (c *Curve) Hits(at time.Duration) float64 {
	t := at.Seconds()
	for i := range c.pieces {
		if p := &c.pieces[i]; t >= p.start && t < p.end {
			x := t - p.start
			return p.before + p.from*x + p.slope()*x*x/2
		}
	}
	if t < 0 {
		return 0
	}
	return c.Total()
}

// due inverts Hits: the time at which hits requests are planned before it. from
// is a piece at or before the one wanted; the piece found is returned for the
// next call.
func (c *Curve) due(hits float64, from int) (at time.Duration, found int, ok bool) {
	for i := from; i < len(c.pieces); i++ {
		p := &c.pieces[i]
		if hits >= p.before+p.hits() {
			continue
		}
		// from*x + slope/2*x^2 = h, in the form that stays exact for slope 0.
		h := max(hits-p.before, 0)
		x := 0.0
		if h > 0 {
			x = 2 * h / (p.from + math.Sqrt(max(p.from*p.from+2*p.slope()*h, 0)))
		}
		return seconds(min(p.start+x, p.end)), i, true
	}
	return 0, len(c.pieces), false
}

// Then returns the curve as it is until at, and a constant rate from there to
// the same end.
func (c *Curve) Then(at time.Duration, rate float64) *Curve {
	cut := c.Until(at)
	return cut.add(c.Length()-cut.Length(), rate, rate)
}

// Until returns the curve cut off at a time.
func (c *Curve) Until(at time.Duration) *Curve {
	cut := new(Curve)
	for i := range c.pieces {
		p := c.pieces[i]
		if p.start >= at.Seconds() {
			break
		}
		if p.end > at.Seconds() {
			p.to, p.end = c.Rate(at), at.Seconds()
		}
		cut.pieces = append(cut.pieces, p)
	}
	return cut
}

// check refuses curves that plan nothing or too much.
func (c *Curve) check() error {
	for i := range c.pieces {
		p := &c.pieces[i]
		if math.IsNaN(p.from+p.to) || max(p.from, p.to) > MaxRate {
			return fmt.Errorf("cannot plan %g requests a second: at most %d", max(p.from, p.to), MaxRate)
		}
	}
	if c.Total() <= 0 {
		return fmt.Errorf("cannot run a schedule without requests")
	}
	return nil
}

func seconds(s float64) time.Duration { return time.Duration(math.Round(s * 1e9)) }

// Lead returns the curve preceded by its first rate, for warming up.
func (c *Curve) Lead(length time.Duration) *Curve {
	out := new(Curve).add(length, c.Rate(0), c.Rate(0))
	for i := range c.pieces {
		p := &c.pieces[i]
		out.add(seconds(p.end)-seconds(p.start), p.from, p.to)
	}
	return out
}
