package signals

import (
	"sync"
	"time"
)

// capacityGrace is how long an announcement is shown past its ETA: by then
// the capacity is there and shows in the servers, or it is not to be counted
// on.
const capacityGrace = time.Minute

// Capacity is what a scaler said it ordered for an upstream.
type Capacity struct {
	// Ordered is how many units are to come, ETA when.
	Ordered float64
	ETA     time.Time
}

// Announced is the capacity announced for each upstream. It is safe for use by
// several goroutines.
type Announced struct {
	now func() time.Time
	mu  sync.Mutex
	m   map[string]Capacity
}

// NewAnnounced returns an empty one; now is the clock it expires by.
func NewAnnounced(now func() time.Time) *Announced {
	return &Announced{now: now, m: map[string]Capacity{}}
}

// Set replaces what was announced for the upstream; nothing ordered takes it
// back.
func (a *Announced) Set(upstream string, c Capacity) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.expire()
	if c.Ordered <= 0 {
		delete(a.m, upstream)
		return
	}
	a.m[upstream] = c
}

// Get returns what is announced for the upstream.
func (a *Announced) Get(upstream string) (c Capacity, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.expire()
	c, ok = a.m[upstream]
	return c, ok
}

// Each calls yield for every upstream something is announced for.
func (a *Announced) Each(yield func(upstream string, c Capacity)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.expire()
	for name, c := range a.m {
		yield(name, c)
	}
}

func (a *Announced) expire() {
	now := a.now()
	for name, c := range a.m {
		if now.Sub(c.ETA) > capacityGrace {
			delete(a.m, name)
		}
	}
}
