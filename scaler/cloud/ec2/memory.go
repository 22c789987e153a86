package ec2

import (
	"sync"
	"time"
)

// memory holds the ids that were made within the last while.
type memory struct {
	while time.Duration
	now   func() time.Time

	mu    sync.Mutex
	since map[string]time.Time
}

func newMemory(while time.Duration, now func() time.Time) *memory {
	return &memory{while: while, now: now, since: map[string]time.Time{}}
}

func (m *memory) add(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	for old, at := range m.since {
		if now.Sub(at) >= m.while {
			delete(m.since, old)
		}
	}
	m.since[id] = now
}

func (m *memory) has(id string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	at, ok := m.since[id]
	return ok && m.now().Sub(at) < m.while
}
