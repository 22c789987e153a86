package health

import (
	"math"
	"time"

	"spillway/gateway/upstream"
)

// share is the part of its load that a server gets when it has served for age,
// as Envoy's slow start has it: linear with an aggression of 1, steeper at
// first with more.
// https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/load_balancing/slow_start
func share(r *upstream.SlowStart, age time.Duration) float64 {
	if age >= r.Window {
		return 1
	}
	part := math.Pow(max(0, age.Seconds())/r.Window.Seconds(), 1/r.Aggression)
	return min(1, max(r.Min, part))
}

// leastShare is what servers that start slowly get at least, so that those
// that serve fully bear at most overload times what they bear when all do.
// Weights are of the two groups, starting of starters servers.
//
// A starting server takes part in a share s of the picks. In those it competes
// with the full ones and with the others that take part, so it gets
// s*w/(full + s*(starting-w) + w) of all requests, w being its weight. All of
// them have to take q = 1 - overload*full/(full+starting) of the requests;
// solved for s.
func leastShare(full, starting float64, starters int, overload float64) float64 {
	if full <= 0 {
		return 1 // nobody else can bear more than his part
	}
	if starters == 0 || overload < 1 {
		return 0
	}
	w := starting / float64(starters)
	q := 1 - overload*full/(full+starting)
	if q <= 0 {
		return 0
	}
	return min(1, q*(full+w)/(starting-q*(starting-w)))
}

// ramp is the standing of a server that has served for age; done says that it
// serves fully from now on.
func ramp(r *upstream.SlowStart, age time.Duration, least float64) (parts int, done bool) {
	if age >= r.Window {
		return upstream.FullShare, true
	}
	return int(max(least, share(r, age)) * upstream.FullShare), false
}

// rampStep is how often shares are raised.
func rampStep(r *upstream.SlowStart) time.Duration {
	return min(time.Second, max(50*time.Millisecond, r.Window/100))
}
