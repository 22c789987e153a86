package health

import (
	"math"
	"time"

	"spillway/gateway/upstream"
)

// stats turn a tally into a sample: sums that fade, so that a server with few
// requests is judged by more of its past and one with many by less.
type stats struct {
	last           upstream.Counts
	requests, good float64 // fade over Outlier.Window
	answers, took  float64 // halve in paceHalfLife; took in nanoseconds
	stalled        time.Duration
}

// paceHalfLife is how quickly latency is forgotten: a server that becomes ten
// times slower is three times slower by its mean after half a second.
const paceHalfLife = time.Second

// advance takes in what was counted in the last elapsed.
func (s *stats) advance(o *upstream.Outlier, c upstream.Counts, inflight int64, elapsed time.Duration) {
	answers := float64(c.Answers - s.last.Answers)
	failed := float64(c.Failed - s.last.Failed)
	keep := math.Exp(-elapsed.Seconds() / max(o.Window, time.Millisecond).Seconds())
	s.requests = s.requests*keep + answers + failed
	s.good = s.good*keep + answers - float64(c.Errors-s.last.Errors)
	keep = math.Exp2(-elapsed.Seconds() / paceHalfLife.Seconds())
	s.answers = s.answers*keep + answers
	s.took = s.took*keep + float64(c.Took-s.last.Took)
	switch {
	case answers+failed > 0 || inflight == 0:
		s.stalled = 0
	default:
		s.stalled += elapsed
	}
	s.last = c
}

// sample is what the sums say.
func (s *stats) sample(inflight int64) sample {
	out := sample{requests: s.requests, good: s.good, answers: s.answers, stalled: s.stalled, inflight: inflight}
	if s.answers > 0 {
		out.pace = time.Duration(s.took / s.answers)
	}
	return out
}
