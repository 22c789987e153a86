package balance

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"spillway/gateway/upstream"
)

// simulation is an open loop of requests, with arrivals of a Poisson process,
// on servers each of which works on a few requests at once and lets the others
// wait. It runs on a clock of its own.
type simulation struct {
	t       testing.TB
	pool    *upstream.Pool
	pickers []Picker
	rand    *rand.Rand
	now     int64
	rate    float64 // arrivals a second
	// took is the mean time to serve a request, by address; workers how many
	// a server serves at once.
	took    map[string]time.Duration
	workers int
	busy    map[*upstream.Server][]int64 // when each worker is done
	ends    endings
	keys    uint64 // how many keys there are
	// What came out.
	count   map[string]int
	latency []int64
	peak    map[string]int64 // most in flight
	failed  int
}

type ending struct {
	at     int64
	e      *upstream.Entry
	loop   int
	picked int64
}

type endings []ending

func (h endings) Len() int           { return len(h) }
func (h endings) Less(i, j int) bool { return h[i].at < h[j].at }
func (h endings) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *endings) Push(x any)        { *h = append(*h, x.(ending)) }
func (h *endings) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}

// simulate prepares a pool of that policy on so many loops.
func simulate(t testing.TB, policy string, tuning upstream.Tuning, loops int, specs ...upstream.Spec) *simulation {
	t.Helper()
	s := &simulation{
		t: t, pool: newPool(policy, specs...), rand: rand.New(rand.NewPCG(7, 11)), now: second, rate: 1000,
		took: map[string]time.Duration{}, workers: 8, busy: map[*upstream.Server][]int64{}, keys: 1 << 20,
		count: map[string]int{}, peak: map[string]int64{},
	}
	for loop := range loops {
		p, err := Tuned(policy, tuning, loop, loops)
		if err != nil {
			t.Fatal(err)
		}
		s.pickers = append(s.pickers, seeded(p))
	}
	s.update()
	return s
}

// seeded makes the draws of a picker the same in each run.
func seeded(p Picker) Picker {
	o, ok := p.(*observing)
	if !ok {
		return p
	}
	if c, ok := o.chooser.(*peakEWMA); ok {
		c.rand = rand.New(rand.NewPCG(3, 5))
	}
	return p
}

func (s *simulation) update() {
	for _, p := range s.pickers {
		p.Update(s.pool.Load())
	}
}

// run lets requests arrive for d, and counts them from then on.
func (s *simulation) run(d time.Duration) {
	clear(s.count)
	clear(s.peak)
	s.latency, s.failed = s.latency[:0], 0
	for end := s.now + int64(d); s.now < end; {
		s.now += int64(s.rand.ExpFloat64() / s.rate * float64(second))
		s.settle()
		s.arrive()
	}
}

// settle ends what is done by now.
func (s *simulation) settle() {
	for len(s.ends) > 0 && s.ends[0].at <= s.now {
		end := heap.Pop(&s.ends).(ending)
		end.e.Inflight.Add(-1)
		if o, ok := s.pickers[end.loop].(Observer); ok {
			o.Observe(end.e, end.at-end.picked, end.at)
		}
		s.pickers[end.loop].Report(end.e, false, end.at)
		s.latency = append(s.latency, end.at-end.picked)
	}
}

func (s *simulation) arrive() {
	loop := s.rand.IntN(len(s.pickers))
	key := fmt.Appendf(nil, "key-%d", s.rand.Uint64N(s.keys))
	e := s.pickers[loop].Pick(&Request{Now: s.now, Key: key})
	if e == nil {
		s.failed++
		return
	}
	s.count[e.Addr]++
	s.peak[e.Addr] = max(s.peak[e.Addr], e.Inflight.Add(1))
	heap.Push(&s.ends, ending{at: s.serve(e), e: e, loop: loop, picked: s.now})
}

// serve returns when the server is done with a request that comes now.
func (s *simulation) serve(e *upstream.Entry) int64 {
	took := s.took[e.Addr]
	if took == 0 {
		took = 10 * time.Millisecond
	}
	work := int64(s.rand.ExpFloat64() * float64(took))
	workers := s.busy[e.Server]
	if workers == nil {
		workers = make([]int64, s.workers)
		s.busy[e.Server] = workers
	}
	first := 0
	for i := range workers {
		if workers[i] < workers[first] {
			first = i
		}
	}
	workers[first] = max(s.now, workers[first]) + work
	return workers[first]
}

// share is the part of the requests that went to the server of that name.
func (s *simulation) share(name byte) float64 {
	all := 0
	for _, n := range s.count {
		all += n
	}
	return float64(s.count[server(name, 1).Addr]) / float64(all)
}

// quantile is that of the latencies.
func (s *simulation) quantile(q float64) time.Duration {
	slices.Sort(s.latency)
	return time.Duration(s.latency[int(q*float64(len(s.latency)-1))])
}

// equals are n servers of weight 1, named from 'a' on.
func equals(n int) []upstream.Spec {
	var specs []upstream.Spec
	for i := range n {
		specs = append(specs, server('a'+byte(i), 1))
	}
	return specs
}

// chiSquare is the statistic of counts against the shares that are expected.
func chiSquare(counts []int, shares []float64) float64 {
	n, weight := 0, 0.0
	for i := range counts {
		n += counts[i]
		weight += shares[i]
	}
	sum := 0.0
	for i, c := range counts {
		want := float64(n) * shares[i] / weight
		sum += (float64(c) - want) * (float64(c) - want) / want
	}
	return sum
}
