package policy

import (
	"math"
	"slices"
	"time"
)

// traffic is what the seconds of an observation say.
type traffic struct {
	fast, slow, panic float64 // arrivals a second
	trend             float64 // growth of that a second, 0 unless clear and steady
	completions       float64 // a second, over the fast window
	inFlight          float64 // over the fast window
	p95               time.Duration
}

// readTraffic averages the seconds before now. Sums of a second that not every
// gateway told of are scaled up to the whole: too much capacity for a moment
// costs less than too little.
func readTraffic(p *Policy, seconds []Second, now time.Time) traffic {
	fast := lately(seconds, now, p.Fast)
	t := traffic{
		fast:        mean(fast, Second.arrivals),
		slow:        mean(lately(seconds, now, p.Slow), Second.arrivals),
		panic:       mean(lately(seconds, now, p.PanicWindow), Second.arrivals),
		completions: mean(fast, Second.completions),
		inFlight:    mean(fast, Second.inFlight),
		p95:         medianP95(fast),
	}
	t.trend = trend(lately(seconds, now, p.Trend))
	return t
}

// usable reports whether a second has data. A number that is none, from a source
// out of order, must not become a size.
func (s Second) usable() bool {
	return s.Coverage > 0 && s.Coverage <= 1 && finite(s.Arrivals, s.Completions, s.InFlight)
}

func (s Second) arrivals() float64    { return s.Arrivals / s.Coverage }
func (s Second) completions() float64 { return s.Completions / s.Coverage }
func (s Second) inFlight() float64    { return s.InFlight / s.Coverage }

// lately are the usable seconds in the window that ends with the newest one:
// what a gateway tells is a second or two old.
func lately(seconds []Second, now time.Time, window time.Duration) []Second {
	for n := len(seconds); n > 0 && seconds[n-1].At.After(now); n = len(seconds) {
		seconds = seconds[:n-1]
	}
	n := len(seconds)
	if n == 0 {
		return nil
	}
	begin := seconds[n-1].At.Add(-window)
	first, good := n, true
	for first > 0 && seconds[first-1].At.After(begin) {
		first--
		good = good && seconds[first].usable()
	}
	if good {
		return seconds[first:]
	}
	return slices.DeleteFunc(slices.Clone(seconds[first:]), func(s Second) bool { return !s.usable() })
}

func mean(seconds []Second, of func(Second) float64) float64 {
	if len(seconds) == 0 {
		return 0
	}
	sum := 0.0
	for _, s := range seconds {
		sum += of(s)
	}
	return sum / float64(len(seconds))
}

// medianP95 is the 95th percentile of the middle one of the seconds that had
// any answers: one slow second is no slowness.
func medianP95(seconds []Second) time.Duration {
	var values []time.Duration
	for _, s := range seconds {
		if s.Completions > 0 {
			values = append(values, s.P95)
		}
	}
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// minTrend is the fewest seconds from which a slope is read.
const minTrend = 8

// trend is the growth of arrivals in 1/s², or 0 unless it is clear of the noise
// and steady.
//
// The slope is Theil and Sen's, the median of the slopes of all pairs (P. K.
// Sen, "Estimates of the Regression Coefficient Based on Kendall's Tau", JASA
// 63, 1968): single outliers do not move it. Four standard errors, from the
// median absolute deviation of what the line leaves over, are taken off. A step
// has a slope for as long as it is in the window, but no future: so every
// quarter of the window must have risen over the one before.
func trend(seconds []Second) float64 {
	n := len(seconds)
	if n < minTrend {
		return 0
	}
	x, y := make([]float64, n), make([]float64, n)
	for i, s := range seconds {
		x[i], y[i] = s.At.Sub(seconds[0].At).Seconds(), s.arrivals()
	}
	if !steady(y, 0) { // most of the time, and cheaper than what follows
		return 0
	}
	slope := theilSen(x, y)
	slope -= 4 * slopeError(x, y, slope)
	if slope <= 0 || !steady(y, slope*(x[n-1]-x[0])/4) {
		return 0
	}
	return slope
}

func theilSen(x, y []float64) float64 {
	slopes := make([]float64, 0, len(x)*(len(x)-1)/2)
	for i := range x {
		for j := i + 1; j < len(x); j++ {
			if dx := x[j] - x[i]; dx > 0 {
				slopes = append(slopes, (y[j]-y[i])/dx)
			}
		}
	}
	return median(slopes)
}

// slopeError is the standard error of a slope through equally spaced points
// with noise sigma: sigma * sqrt(12/n) / span.
func slopeError(x, y []float64, slope float64) float64 {
	rest := make([]float64, len(x))
	for i := range x {
		rest[i] = y[i] - slope*x[i]
	}
	middle := median(rest)
	for i := range rest {
		rest[i] = math.Abs(rest[i] - middle)
	}
	const madToSigma = 1.4826 // of the normal distribution
	n := float64(len(x))
	span := x[len(x)-1] - x[0]
	return madToSigma * median(rest) * math.Sqrt(12/n) / span
}

// steady reports whether each quarter of the values is above the one before by
// half of what the slope promises.
func steady(y []float64, rise float64) bool {
	n := len(y)
	for q := 1; q < 4; q++ {
		before, after := y[(q-1)*n/4:q*n/4], y[q*n/4:(q+1)*n/4]
		if average(after)-average(before) < rise/2 {
			return false
		}
	}
	return true
}

func average(values []float64) float64 {
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	return sum / float64(len(values))
}

// median sorts values. It is 0 without any.
func median(values []float64) float64 {
	n := len(values)
	if n == 0 {
		return 0
	}
	slices.Sort(values)
	return (values[(n-1)/2] + values[n/2]) / 2
}
