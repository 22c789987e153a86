package upstream

import (
	"math"
	"sync/atomic"
	"time"
)

// Latency is a moving average of how long a server takes to answer that jumps
// to every peak at once and comes down slowly, the "peak EWMA" of Finagle
// (com.twitter.finagle.loadbalancer.PeakEwma): one slow answer is reason to
// be careful, and one fast answer no reason not to be. Weights of old answers
// fall with time, not with the number of answers, and so does the average of
// a server that gets none: some day it is tried again.
//
// It is one word, which loops update without a lock: the average in
// nanoseconds as a float32 above, the time of the last answer below, in ticks
// that wrap around after 19 hours. The zero value knows nothing.
type Latency struct{ word atomic.Uint64 }

const (
	tickShift = 14 // a tick is 2^14 ns, 16 us
	// behind is how far the clock of one loop may be behind another's.
	behind = uint32(int64(time.Second) >> tickShift)
)

// Observe tells of an answer at now (nanoseconds of the engine's clock) that
// took so many nanoseconds. decay is the time in which the weight of an
// answer falls to 1/e.
func (l *Latency) Observe(took, now int64, decay time.Duration) {
	sample := float64(max(took, 1000)) // clocks are read once a batch: 0 is "soon"
	for {
		old := l.word.Load()
		next := pack(sample, ticks(now))
		if old != 0 {
			avg, age := unpack(old, now)
			keep := math.Exp(-float64(age) / float64(decay))
			switch {
			case sample < avg && age == 0:
				return // at the same time, and no peak: it has no weight
			case sample < avg:
				next = pack(avg*keep+sample*(1-keep), ticks(now))
			}
		}
		if l.word.CompareAndSwap(old, next) {
			return
		}
	}
}

// At is the average at now in nanoseconds, 0 if nothing is known, or not any
// more.
func (l *Latency) At(now int64, decay time.Duration) float64 {
	w := l.word.Load()
	if w == 0 {
		return 0
	}
	avg, age := unpack(w, now)
	if age > 0 {
		avg *= math.Exp(-float64(age) / float64(decay))
	}
	if avg < 1 {
		return 0
	}
	return avg
}

func ticks(now int64) uint32 { return uint32(now >> tickShift) }

func pack(avg float64, at uint32) uint64 {
	return uint64(math.Float32bits(float32(avg)))<<32 | uint64(at)
}

// unpack returns the average of w and its age at now in nanoseconds.
func unpack(w uint64, now int64) (avg float64, age int64) {
	d := ticks(now) - uint32(w)
	if -d <= behind {
		d = 0 // it is another loop's answer, from a moment ahead
	}
	return float64(math.Float32frombits(uint32(w >> 32))), int64(d) << tickShift
}
