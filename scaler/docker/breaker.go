package docker

import (
	"sync"
	"time"
)

// breaker spares callers the wait for an engine that does not answer.
//
//	         trip failures in a row
//	closed ---------------------------> open
//	  ^                                  | its pause is over: one call may try
//	  |        the engine answered       v
//	  +----------------------------- half-open
//	                                     | it failed: open again, twice the pause
//	                                     | its caller went away: half-open still
//
// Only one call tries at a time while it is half-open.
type breaker struct {
	trip         int
	first, limit time.Duration // pauses

	mu       sync.Mutex
	failures int
	pause    time.Duration // 0: closed
	until    time.Time
	trying   bool
	last     error
}

// verdict is what the outcome of a call says about its engine.
type verdict int

const (
	silent verdict = iota // nothing: the caller went away
	alive                 // it answered, whatever it said
	dead
)

// allow says whether a call may be made: err is why it may not. When it may,
// done must be called with trial and what became of it.
func (b *breaker) allow(now time.Time) (trial bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.pause == 0 { // Fast path
		return false, nil
	}
	if b.trying || now.Before(b.until) {
		return false, b.last
	}
	b.trying = true
	return true, nil
}

func (b *breaker) done(now time.Time, trial bool, v verdict, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if trial {
		b.trying = false
	}
	switch v {
	case alive:
		b.failures, b.pause, b.last = 0, 0, nil
	case dead:
		b.fail(now, trial, err)
	}
}

// fail counts. Calls that were begun before the breaker opened and fail later
// do not prolong its pause.
func (b *breaker) fail(now time.Time, trial bool, err error) {
	b.failures++
	b.last = err
	switch {
	case trial:
		b.pause = min(2*b.pause, b.limit)
	case b.pause == 0 && b.failures >= b.trip:
		b.pause = b.first
	default:
		return
	}
	b.until = now.Add(b.pause)
}
