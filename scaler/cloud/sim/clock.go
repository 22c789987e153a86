package sim

import (
	"context"
	"sync"
	"time"

	"spillway/scaler/cloud"
)

// Clock stands still until it is told to move. It is safe for concurrent use.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock returns a clock that stands at start.
func NewClock(start time.Time) *Clock { return &Clock{now: start} }

// Now is the time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves the clock on.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(max(d, 0))
}

// Sleep advances by d at once, unless the context has ended; a deadline of the
// context is real time and not looked at.
func (c *Clock) Sleep(ctx context.Context, d time.Duration) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c.Advance(d)
	return nil
}

// Moving is the clock for those whose waiting shall move it.
func (c *Clock) Moving() cloud.Clock {
	return cloud.Clock{Now: c.Now, Sleep: c.Sleep}
}

// Still is the clock for a Cloud whose calls shall take no time.
func (c *Clock) Still() cloud.Clock {
	return cloud.Clock{Now: c.Now}
}
