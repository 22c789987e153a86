package cloud

import (
	"context"
	"time"
)

// Clock is the time that wrappers live in. Sleep waits for d, or returns the
// context's error as soon as it ends; a virtual clock moves instead of waiting.
type Clock struct {
	Now   func() time.Time
	Sleep func(ctx context.Context, d time.Duration) error
}

// SystemClock is the time of this machine.
func SystemClock() Clock {
	return Clock{Now: time.Now, Sleep: sleep}
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
