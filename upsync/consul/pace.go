package consul

import (
	"context"
	"math"
	"sync"
	"time"
)

// pace limits how often one watch reads: as many in a burst as a second allows
// (ten by default), so that an isolated change is never delayed and churn is
// coalesced by the registry. Time spent decoding is limited too, to a twentieth of a core over
// ten seconds, which only answers of megabytes reach.
type pace struct {
	rate   float64 // reads a second, and in a burst
	last   time.Time
	reads  float64       // reads that may start at once
	decode time.Duration // decoding that may be spent at once
}

const (
	decodeCap  = 500 * time.Millisecond
	decodePart = 20 // one of so many seconds
)

// take claims a read at now and returns how long to wait before it starts.
func (p *pace) take(now time.Time) time.Duration {
	if p.last.IsZero() {
		p.reads, p.decode = p.rate, decodeCap
	} else if d := now.Sub(p.last); d > 0 {
		p.reads = math.Min(p.rate, p.reads+d.Seconds()*p.rate)
		p.decode = min(decodeCap, p.decode+d/decodePart)
	}
	p.last = now
	p.reads--
	var wait time.Duration
	if p.reads < 0 {
		wait = time.Duration(-p.reads / p.rate * float64(time.Second))
	}
	if p.decode < 0 {
		wait = max(wait, -p.decode*decodePart)
	}
	return wait
}

// spent records what decoding an answer took. The debt is bounded, so that no
// answer, however large or on however slow a machine, makes the watch deaf for
// more than ten seconds.
func (p *pace) spent(d time.Duration) { p.decode = max(p.decode-d, -decodeCap) }

// backoff is the delay before try n (from 1) of a watch whose reads fail: full
// jitter below a bound that doubles.
func (t *timing) backoff(n int, rnd float64) time.Duration {
	bound := t.backoffMax
	if n < 16 {
		bound = min(bound, t.backoffMin<<(n-1))
	}
	return t.backoffMin/5 + time.Duration(rnd*float64(bound-t.backoffMin/5))
}

// sockets shares out the requests in flight. Blocking queries hold one each
// for minutes; a few are kept for reads that end at once: first reads, polls
// of watches that found no room, confirmations.
type sockets struct {
	mu       sync.Mutex
	blocking int // in flight
	limit    int // of blocking; lowered when the agent says there are too many
	most     int
	raised   time.Time
	polls    chan struct{}
	polling  int // watches that find no room
}

const (
	pollSockets  = 16
	fewestBlocks = 4
	pollRate     = 100 // polls a second, all watches together
)

func newSockets(n int) *sockets {
	polls := min(pollSockets, max(1, n/4))
	most := max(1, n-polls)
	return &sockets{limit: most, most: most, polls: make(chan struct{}, polls)}
}

// block claims a socket for a blocking query and reports whether there is
// one.
func (s *sockets) block(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.limit < s.most && now.Sub(s.raised) > time.Minute {
		s.limit, s.raised = s.limit+1, now
	}
	if s.blocking >= s.limit {
		return false
	}
	s.blocking++
	return true
}

func (s *sockets) unblock() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.blocking--
}

// lower gives up a quarter of the blocking queries after a 429.
func (s *sockets) lower(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Sub(s.raised) < time.Second && !s.raised.IsZero() {
		return // one burst of refusals counts once
	}
	s.limit, s.raised = max(min(fewestBlocks, s.most), s.limit*3/4), now
}

// poll waits for a socket of those kept for short reads.
func (s *sockets) poll(ctx context.Context) bool {
	select {
	case s.polls <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func (s *sockets) unpoll() { <-s.polls }

// pollers counts the watches that poll, by delta, and returns how many there
// are.
func (s *sockets) pollers(delta int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.polling += delta
	return s.polling
}
