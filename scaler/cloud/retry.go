package cloud

import (
	"context"
	"errors"
	"math"
	"time"
)

// RetryOptions say how patient Retry is.
type RetryOptions struct {
	// Attempts in all; 0 is 4, 1 is no retry.
	Attempts int
	// Base and Most bound the wait before attempt n, which is drawn evenly
	// from 0 to Base<<n or Most (full jitter, as in "Exponential Backoff And
	// Jitter", AWS Architecture Blog, 2015). 0: 200 ms and 10 s.
	Base, Most time.Duration
	// Within is the time in which the last attempt must begin; 0: one minute.
	// The context's deadline counts too.
	Within time.Duration
}

func (o RetryOptions) orDefault() RetryOptions {
	if o.Attempts == 0 {
		o.Attempts = 4
	}
	if o.Base == 0 {
		o.Base = 200 * time.Millisecond
	}
	if o.Most == 0 {
		o.Most = 10 * time.Second
	}
	if o.Within == 0 {
		o.Within = time.Minute
	}
	return o
}

// Retry repeats what may succeed unchanged: Transient, RateLimited (after the
// time that was asked for), and Ambiguous calls other than Create, all of which
// can be repeated. An Ambiguous Create is never repeated here: that is
// Resolve's, which knows when a repetition buys twice. The other kinds are
// answers, not accidents. random gives numbers from 0 to 1.
func Retry(d Driver, clock Clock, random func() float64, o RetryOptions) Driver {
	o = o.orDefault()
	return Intercept(d, func(ctx context.Context, c *Call, next func(context.Context) error) error {
		until := clock.Now().Add(o.Within)
		if deadline, ok := ctx.Deadline(); ok && deadline.Before(until) {
			until = deadline
		}
		for attempt := 1; ; attempt++ {
			err := next(ctx)
			if err == nil || attempt >= o.Attempts || !repeatable(c, err) || ctx.Err() != nil {
				return err
			}
			wait := retryAfter(err) + backoff(o, attempt, random)
			if clock.Now().Add(wait).After(until) || clock.Sleep(ctx, wait) != nil {
				return err
			}
		}
	})
}

func repeatable(c *Call, err error) bool {
	switch KindOf(err) {
	case Transient, RateLimited:
		return true
	case Ambiguous:
		return c.Op != OpCreate
	}
	return false
}

// retryAfter is how long the provider asked us to wait.
func retryAfter(err error) time.Duration {
	var e *Error
	if errors.As(err, &e) {
		return e.After
	}
	return 0
}

func backoff(o RetryOptions, attempt int, random func() float64) time.Duration {
	most := math.Min(float64(o.Most), float64(o.Base)*math.Pow(2, float64(attempt)))
	return time.Duration(random() * most)
}
