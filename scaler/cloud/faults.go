package cloud

import (
	"context"
	"sync"
	"time"
)

// FaultKind is what Faults does to a call.
type FaultKind string

// The kinds of fault.
const (
	FaultRefuse      FaultKind = "refuse"       // the call is not made and ends with Fault.Err and After
	FaultLoseRequest FaultKind = "lose-request" // the call is not made and ends with Ambiguous
	FaultLoseAnswer  FaultKind = "lose-answer"  // the call is made and ends with Ambiguous
	FaultTwice       FaultKind = "twice"        // the call is made twice, as by a proxy that repeats it
	FaultPartial     FaultKind = "partial"      // Create is made for Count machines only
)

// Fault strikes the calls of kind Op from the Nth on (counted from 1; 0: 1),
// Times in a row (0: 1, below 0: all that follow).
type Fault struct {
	Kind       FaultKind
	Op         string
	Nth, Times int
	Err        Kind
	After      time.Duration
	Count      int
}

// Faults makes a driver fail as the script says, for tests of what stands above
// it. One fault at most strikes a call, the first of the script that fits.
func Faults(d Driver, script ...Fault) Driver {
	s := &faultScript{faults: script, seen: make([]int, len(script))}
	return Intercept(d, func(ctx context.Context, c *Call, next func(context.Context) error) error {
		f, ok := s.strike(c.Op)
		if !ok {
			return next(ctx)
		}
		return f.apply(ctx, c, next)
	})
}

type faultScript struct {
	faults []Fault

	mu   sync.Mutex
	seen []int // calls each fault could have struck
}

func (s *faultScript) strike(op string) (found Fault, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, f := range s.faults {
		if f.Op != op {
			continue
		}
		s.seen[i]++
		first, times := max(f.Nth, 1), f.Times
		if times == 0 {
			times = 1
		}
		if !ok && s.seen[i] >= first && (times < 0 || s.seen[i] < first+times) {
			found, ok = f, true
		}
	}
	return found, ok
}

func (f Fault) apply(ctx context.Context, c *Call, next func(context.Context) error) error {
	switch f.Kind {
	case FaultRefuse:
		return &Error{Kind: f.Err, Op: c.Op, After: f.After, Err: errorText("injected refusal")}
	case FaultLoseRequest:
		return &Error{Kind: Ambiguous, Op: c.Op, Err: errorText("injected loss of the request")}
	case FaultLoseAnswer:
		if err := next(ctx); err != nil {
			return err
		}
		c.Machines = nil
		return &Error{Kind: Ambiguous, Op: c.Op, Err: errorText("injected loss of the answer")}
	case FaultTwice:
		err := next(ctx)
		first := c.Machines
		_ = next(ctx)
		c.Machines = first
		return err
	case FaultPartial:
		if r := c.Request; r != nil && f.Count < r.Count {
			r.Count, r.Names = f.Count, r.Names[:f.Count]
		}
	}
	return next(ctx)
}
