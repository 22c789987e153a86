// Package sim is a cloud that exists in a test. It has the zones, prices,
// stock, quotas, request limits, tokens, names, boot times and list lag of a
// Provider (EC2, Aliyun, Hetzner and OpenStack come with it), and it throws
// the faults of a script.
//
// A Cloud never waits and runs no goroutine: what has become of a machine is
// worked out from the injected clock whenever somebody asks. The same seed,
// clock and calls give the same answers. It outlives the scaler that talks to
// it, as a cloud does: keep the value, and throw the scaler away.
//
// It implements cloud.Driver, Stopper and Watcher; what a test may know and a
// scaler may not is in inspect.go. It is safe for concurrent use.
package sim

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"spillway/scaler/cloud"
)

// Provider is how a cloud behaves.
type Provider struct {
	cloud.Description
	Offerings []cloud.Offering
	// Stock limits how many machines of an offering run at once; one that is
	// not in it has no limit.
	Stock map[Place]int
	// MaxMachines and MaxCPU are the account's quotas, 0 none.
	MaxMachines int
	MaxCPU      float64
	Boot        Boot
	// Latency of one call. It passes by Options.Clock.Sleep, and not at all
	// where there is none.
	Latency Dist
	// TokenLife is how long tokens are remembered, 0 for ever.
	TokenLife time.Duration
	// StockSpendsToken: a token that was refused for want of stock is refused
	// ever after (Aliyun).
	StockSpendsToken bool
	// ShowDeleted is how long List shows a machine after its end.
	ShowDeleted time.Duration
	// Page is how many machines List gets by one request, 0 all.
	Page int
	// Network is where addresses are counted from; 10.0.0.0 if it is zero.
	Network netip.Addr
}

// Place is one offering.
type Place struct {
	Type, Zone string
	Spot       bool
}

// Options are what differs from test to test. Clock.Now is required.
type Options struct {
	Clock  cloud.Clock
	Seed   uint64
	Faults []Fault
}

// Cloud is one account in one region.
type Cloud struct {
	clock cloud.Clock
	seed  uint64

	mu       sync.Mutex
	provider Provider
	random   *rand.Rand // of calls; every machine has its own
	machines []*machine // in the order in which they were made, ended ones too
	byID     map[string]*machine
	tokens   map[string]batch
	buckets  map[string]*cloud.Bucket
	script   []*armed
	calls    map[string]int
}

// New opens an account without machines.
func New(p Provider, o Options) *Cloud {
	c := &Cloud{
		clock: o.Clock, seed: o.Seed, provider: p,
		random:  rand.New(rand.NewPCG(o.Seed, 0)),
		byID:    map[string]*machine{},
		tokens:  map[string]batch{},
		buckets: map[string]*cloud.Bucket{},
		calls:   map[string]int{},
	}
	c.provider.Stock = map[Place]int{}
	for place, n := range p.Stock {
		c.provider.Stock[place] = n
	}
	for kind, limit := range p.Limits {
		c.buckets[kind] = cloud.NewBucket(limit, o.Clock.Now())
	}
	c.Inject(o.Faults...)
	return c
}

// Describe implements cloud.Driver.
func (c *Cloud) Describe() cloud.Description { return c.provider.Description }

// request is one call as the provider's front end sees it.
type request struct {
	op       string
	place    Place
	calls    int // requests it takes
	machines int // that it is about
}

// call is the way there, the work and the way back. A caller that gives up
// once the request is on its way stops nothing: it only never hears of it.
func (c *Cloud) call(ctx context.Context, r request, work func(now time.Time) error) error {
	if err := ctx.Err(); err != nil {
		return &cloud.Error{Kind: cloud.Transient, Op: r.op, Err: err}
	}
	gaveUp := c.travel(ctx)
	err := c.serve(r, work)
	if gaveUp == nil {
		gaveUp = c.travel(ctx)
	}
	if gaveUp != nil {
		return unheard(r.op, gaveUp)
	}
	return err
}

// unheard is the error of who does not know the answer.
func unheard(op string, why error) error {
	c := cloud.Call{Op: op}
	if c.Writes() {
		return &cloud.Error{Kind: cloud.Ambiguous, Op: op, Err: why}
	}
	return &cloud.Error{Kind: cloud.Transient, Op: op, Err: why}
}

// travel is half of the latency of a call.
func (c *Cloud) travel(ctx context.Context) error {
	if c.clock.Sleep == nil {
		return ctx.Err()
	}
	c.mu.Lock()
	d := c.provider.Latency.draw(c.random) / 2
	c.mu.Unlock()
	return c.clock.Sleep(ctx, d)
}

func (c *Cloud) serve(r request, work func(now time.Time) error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.clock.Now()
	c.calls[r.op]++
	if err := c.turnedAway(r, now); err != nil {
		return err
	}
	if _, ok := c.strikes(LostRequest, r, now); ok {
		return unheard(r.op, errReset)
	}
	_, again := c.strikes(Duplicate, r, now)
	err := work(now)
	if again && err == nil {
		_ = work(now) // the caller hears the first answer
	}
	if _, ok := c.strikes(LostAnswer, r, now); ok && err == nil {
		return unheard(r.op, errReset)
	}
	return err
}

var errReset = errors.New("the connection was reset")

// turnedAway is what comes before the provider looks at a request: outages,
// scripted refusals and limits.
func (c *Cloud) turnedAway(r request, now time.Time) error {
	if c.down(now) {
		return failure(cloud.Transient, r.op, "", "the API is down")
	}
	if f, ok := c.strikes(Throttled, r, now); ok {
		return &cloud.Error{Kind: cloud.RateLimited, Op: r.op, After: f.Delay, Err: errors.New("slow down")}
	}
	if wait, what := c.limited(r, now); wait > 0 {
		return &cloud.Error{Kind: cloud.RateLimited, Op: r.op, What: what, After: wait, Err: errors.New("slow down")}
	}
	if f, ok := c.strikes(Refused, r, now); ok {
		return failure(cloud.Transient, r.op, "", fmt.Sprintf("internal error %d", 500+f.Count))
	}
	return nil
}

// limited takes the request out of its buckets, or tells how long until it can
// be.
func (c *Cloud) limited(r request, now time.Time) (time.Duration, string) {
	kind := r.op
	if c.buckets[kind] == nil {
		kind = ""
	}
	if b := c.buckets[kind]; b != nil {
		if wait, ok := take(b, c.provider.Limits[kind], r, now); !ok {
			return wait, r.op
		}
	}
	kind = r.op + "-machines"
	if b := c.buckets[kind]; b != nil {
		if wait, ok := take(b, c.provider.Limits[kind], r, now); !ok {
			return wait, kind
		}
	}
	return 0, ""
}

func take(b *cloud.Bucket, l cloud.Limit, r request, now time.Time) (time.Duration, bool) {
	if l.Machines {
		return b.TryTake(r.machines, now)
	}
	return b.TryTake(max(1, r.calls), now)
}

func failure(kind cloud.Kind, op, what, text string) error {
	return &cloud.Error{Kind: kind, Op: op, What: what, Err: errors.New(text)}
}
