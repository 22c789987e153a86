package cloud

import (
	"context"
	"math"
	"sync"
	"time"
)

// RateLimit keeps the calls within Description.Limits, so that the provider has
// no cause to refuse them, and lets none through for as long as a RateLimited
// answer asked for. A call waits for its turn if that comes within most;
// otherwise it is refused at once with kind RateLimited and the time to wait.
func RateLimit(d Driver, clock Clock, most time.Duration) Driver {
	p := newPacer(d.Describe().Limits, clock.Now())
	return Intercept(d, func(ctx context.Context, c *Call, next func(context.Context) error) error {
		wait, ok := p.take(c, clock.Now(), most)
		if !ok {
			return &Error{Kind: RateLimited, Op: c.Op, After: wait, Err: errorText("our own pacing")}
		}
		if wait > 0 {
			if err := clock.Sleep(ctx, wait); err != nil {
				p.giveBack(c)
				return &Error{Kind: Transient, Op: c.Op, Err: err}
			}
		}
		err := next(ctx)
		if KindOf(err) == RateLimited {
			p.pause(c, clock.Now(), retryAfter(err))
		}
		return err
	})
}

// pacer holds the buckets of one driver.
type pacer struct {
	mu     sync.Mutex
	lanes  map[string]*lane
	limits map[string]Limit
}

// lane is one bucket and when the provider will hear of its calls again.
type lane struct {
	bucket *Bucket
	limit  Limit
	closed time.Time
}

func newPacer(limits map[string]Limit, now time.Time) *pacer {
	p := &pacer{lanes: map[string]*lane{}, limits: limits}
	for kind, l := range limits {
		p.lanes[kind] = &lane{bucket: NewBucket(l, now), limit: l}
	}
	if p.lanes[""] == nil {
		free := Limit{Rate: math.Inf(1), Burst: math.MaxInt32}
		p.lanes[""] = &lane{bucket: NewBucket(free, now), limit: free}
	}
	return p
}

// of returns the lanes that a call must pass.
func (p *pacer) of(op string) []*lane {
	first := p.lanes[op]
	if first == nil {
		first = p.lanes[""]
	}
	if second := p.lanes[op+"-machines"]; second != nil {
		return []*lane{first, second}
	}
	return []*lane{first}
}

// take reserves the call's tokens in all of its lanes, unless the wait would be
// longer than most: then it takes none.
func (p *pacer) take(c *Call, now time.Time, most time.Duration) (wait time.Duration, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	lanes := p.of(c.Op)
	for _, l := range lanes {
		wait = max(wait, l.bucket.Reserve(l.cost(c), now), l.closed.Sub(now))
	}
	if wait <= most {
		return wait, true
	}
	for _, l := range lanes {
		l.bucket.Return(l.cost(c))
	}
	return wait, false
}

func (p *pacer) giveBack(c *Call) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.of(c.Op) {
		l.bucket.Return(l.cost(c))
	}
}

// pause closes the lanes of a call that the provider turned away.
func (p *pacer) pause(c *Call, now time.Time, after time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.of(c.Op) {
		if until := now.Add(after); until.After(l.closed) {
			l.closed = until
		}
	}
}

func (l *lane) cost(c *Call) int {
	if l.limit.Machines {
		return c.machines()
	}
	return 1
}
