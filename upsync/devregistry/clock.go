package devregistry

import (
	"sync"
	"time"
)

// Clock is the time a registry lives by.
type Clock struct {
	// Now returns the current time.
	Now func() time.Time
	// AfterFunc calls f once d has passed, on a goroutine of its own, unless
	// stop was called before; stop reports whether it was in time.
	AfterFunc func(d time.Duration, f func()) (stop func() bool)
}

// WallClock is the time of the machine.
func WallClock() Clock {
	return Clock{
		Now: time.Now,
		AfterFunc: func(d time.Duration, f func()) func() bool {
			return time.AfterFunc(d, f).Stop
		},
	}
}

// ManualClock is a clock that moves only when told, for tests. Its functions
// run on the goroutine that calls Advance, in the order of their times.
type ManualClock struct {
	mu     sync.Mutex
	now    time.Time
	timers []*manualTimer
}

type manualTimer struct {
	at time.Time
	f  func()
}

// NewManualClock returns a clock that stands at start.
func NewManualClock(start time.Time) *ManualClock { return &ManualClock{now: start} }

// Clock is the view of the clock a Registry takes.
func (m *ManualClock) Clock() Clock { return Clock{Now: m.Now, AfterFunc: m.afterFunc} }

// Now returns the time the clock stands at.
func (m *ManualClock) Now() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.now
}

func (m *ManualClock) afterFunc(d time.Duration, f func()) func() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	t := &manualTimer{at: m.now.Add(d), f: f}
	m.timers = append(m.timers, t)
	return func() bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		return m.remove(t)
	}
}

func (m *ManualClock) remove(t *manualTimer) bool {
	for i, other := range m.timers {
		if other == t {
			m.timers = append(m.timers[:i], m.timers[i+1:]...)
			return true
		}
	}
	return false
}

// Advance moves the clock by d and runs what became due on the way.
func (m *ManualClock) Advance(d time.Duration) {
	m.mu.Lock()
	end := m.now.Add(d)
	for {
		t := m.earliest(end)
		if t == nil {
			break
		}
		m.remove(t)
		if t.at.After(m.now) {
			m.now = t.at
		}
		m.mu.Unlock()
		t.f()
		m.mu.Lock()
	}
	m.now = end
	m.mu.Unlock()
}

func (m *ManualClock) earliest(end time.Time) *manualTimer {
	var first *manualTimer
	for _, t := range m.timers {
		if !t.at.After(end) && (first == nil || t.at.Before(first.at)) {
			first = t
		}
	}
	return first
}
