package cloud

import (
	"math/rand/v2"
	"time"
)

// Options are what Wrap puts around a driver. The zero value is the standard
// stack on the system's clock, without budget, audit and metrics.
type Options struct {
	Clock  Clock
	Random func() float64 // from 0 to 1, safe for concurrent use
	// DryRun refuses every write.
	DryRun bool
	// Audit gets a line of JSON for every write.
	Audit func(line []byte)
	// Count gets every call that reaches the provider.
	Count func(op, kind string, took time.Duration)
	// MoneyPerHour, if above 0, is the most that everything may cost, and
	// Committed what all but the given request costs already; nil: nothing.
	MoneyPerHour float64
	Committed    func(r CreateRequest) float64
	Resolve      ResolveOptions
	Retry        RetryOptions
	// MaxWait is how long a call waits for its turn under the provider's
	// limits before it is refused as RateLimited.
	MaxWait time.Duration
	// Faults are thrown between the provider and everything else.
	Faults []Fault
}

// Wrap puts the standard stack around a driver. From the caller to the
// provider:
//
//	Audit        every write that was asked for, and what came of it
//	RefuseWrites a dry run ends here
//	Budget       money
//	Resolve      no Create ends in doubt that can be settled
//	Retry        what may succeed unchanged
//	RateLimit    the provider's limits
//	Count        every call that reaches the provider
//	Faults       tests
//	Typed        no error without a kind
//
// The result has the optional interfaces that d has.
func Wrap(d Driver, o Options) Driver {
	if o.Clock.Now == nil {
		o.Clock = SystemClock()
	}
	if o.Committed == nil {
		o.Committed = func(CreateRequest) float64 { return 0 }
	}
	if o.Random == nil {
		o.Random = rand.Float64
	}
	d = Typed(d)
	if len(o.Faults) > 0 {
		d = Faults(d, o.Faults...)
	}
	if o.Count != nil {
		d = Count(d, o.Clock.Now, o.Count)
	}
	d = RateLimit(d, o.Clock, o.MaxWait)
	d = Retry(d, o.Clock, o.Random, o.Retry)
	d = Resolve(d, o.Clock, o.Resolve)
	if o.MoneyPerHour > 0 {
		d = Budget(d, o.MoneyPerHour, o.Committed)
	}
	d = RefuseWrites(d, o.DryRun)
	if o.Audit != nil {
		d = Audit(d, o.Clock.Now, o.Audit)
	}
	return d
}
