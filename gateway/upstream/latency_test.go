package upstream

import (
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

const ms = int64(time.Millisecond)

func near(got, want, part float64) bool { return math.Abs(got-want) <= part*want+1 }

func TestLatencyFollowsPeaksAtOnce(t *testing.T) {
	var l Latency
	if got := l.At(second, DefaultDecay); got != 0 {
		t.Fatalf("knows %v of nothing", got)
	}
	l.Observe(10*ms, second, DefaultDecay)
	l.Observe(100*ms, second+ms, DefaultDecay)
	if got := l.At(second+ms, DefaultDecay); !near(got, float64(100*ms), 1e-6) {
		t.Errorf("after a peak of 100 ms: %v", time.Duration(got))
	}
}

func TestLatencyDecays(t *testing.T) {
	var l Latency
	l.Observe(100*ms, second, DefaultDecay)
	for after, want := range map[time.Duration]float64{
		0: 1, 5 * time.Second: math.Exp(-0.5), 10 * time.Second: math.Exp(-1), time.Minute: math.Exp(-6), 10 * time.Minute: 0,
	} {
		if got := l.At(second+int64(after), DefaultDecay); !near(got, want*float64(100*ms), 1e-3) {
			t.Errorf("after %v: %v, want %.0f", after, got, want*float64(100*ms))
		}
	}
	// One fast answer ten seconds later has the weight that time gives it.
	l.Observe(10*ms, second+10*second, DefaultDecay)
	keep := math.Exp(-1)
	if got, want := l.At(11*second, DefaultDecay), (100*keep+10*(1-keep))*float64(ms); !near(got, want, 1e-3) {
		t.Errorf("%v after a fast answer, want %v", got, want)
	}
}

// A server whose answers take 8 to 12 ms has an average between the mean and
// the peak, whether it answers ten or ten thousand times a second.
func TestLatencyOfASteadyServer(t *testing.T) {
	for _, gap := range []int64{100 * ms, ms, 100_000} {
		var l Latency
		rnd := rand.New(rand.NewPCG(1, 2))
		now := second
		for range 200 * second / gap / 10 {
			now += gap
			l.Observe(8*ms+rnd.Int64N(4*ms), now, time.Second)
		}
		if got := l.At(now, time.Second); got < float64(9*ms) || got > float64(12*ms) {
			t.Errorf("every %v: %v", time.Duration(gap), time.Duration(got))
		}
	}
}

func TestLatencyOfClocksThatDiffer(t *testing.T) {
	var l Latency
	l.Observe(10*ms, 100*second, DefaultDecay)
	l.Observe(5*ms, 100*second-50*ms, DefaultDecay) // a loop whose clock is behind
	if got := l.At(100*second-20*ms, DefaultDecay); !near(got, float64(10*ms), 1e-6) {
		t.Errorf("%v", time.Duration(got))
	}
	// Ticks wrap around after 19 hours; an hour later all is forgotten.
	if got := l.At(100*second+3600*second, DefaultDecay); got != 0 {
		t.Errorf("after an hour: %v", got)
	}
	if got := l.At(100*second+12*3600*second, DefaultDecay); got != 0 {
		t.Errorf("after half a day: %v", got)
	}
}

// The average never leaves the range of what was seen, but for decay.
func TestLatencyStaysInRange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var l Latency
		now, most := second, int64(0)
		for range rapid.IntRange(1, 50).Draw(t, "answers") {
			now += rapid.Int64Range(0, 3*second).Draw(t, "gap")
			took := rapid.Int64Range(1000, 60*second).Draw(t, "took")
			most = max(most, took)
			l.Observe(took, now, DefaultDecay)
			if got := l.At(now, DefaultDecay); got < 0.999*1000 || got > 1.001*float64(most) {
				t.Fatalf("%v, seen at most %v", got, most)
			}
		}
	})
}

func TestLatencyOfManyLoops(t *testing.T) {
	var l Latency
	var loops sync.WaitGroup
	for i := range int64(4) {
		loops.Go(func() {
			for n := range int64(5000) {
				l.Observe((i+1)*ms, second+n*ms, DefaultDecay)
			}
		})
	}
	loops.Wait()
	if got := l.At(6*second, DefaultDecay); got < float64(ms) || got > 4.01*float64(ms) {
		t.Errorf("%v", time.Duration(got))
	}
}
