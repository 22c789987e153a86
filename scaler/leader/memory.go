package leader

import (
	"context"
	"fmt"
	"sync"
	"time"

	"spillway/scaler/ledger"
)

// Memory is an election that goes as a test says, over a ledger whose fence it
// moves.
type Memory struct {
	store *ledger.Memory

	mu     sync.Mutex
	term   uint64
	leader *Candidate
}

// NewMemory returns an election without a leader. Until there is one the store
// takes no writes.
func NewMemory(store *ledger.Memory) *Memory {
	m := &Memory{store: store}
	m.store.Lead(ledger.Fence{Key: "nobody"})
	return m
}

// Candidate takes part in the election under an address.
func (m *Memory) Candidate(address string) *Candidate { return &Candidate{of: m, address: address} }

// Elect makes c the leader, or nobody if it is nil. The former one believes in
// its lead on, as a frozen process does, until Notice.
func (m *Memory) Elect(c *Candidate, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.term++
	m.leader = c
	fence := ledger.Fence{Key: "leader", Session: fmt.Sprintf("term-%d", m.term), Index: m.term}
	if c == nil {
		fence.Key = "nobody"
	} else {
		c.fence, c.believes, c.since = fence, true, now
	}
	m.store.Lead(fence)
}

// Candidate is one scaler in a Memory election.
type Candidate struct {
	of       *Memory
	address  string
	fence    ledger.Fence
	believes bool
	since    time.Time
}

// Notice lets the candidate learn who leads.
func (c *Candidate) Notice(now time.Time) {
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	if c.of.leader != c && c.believes {
		c.believes, c.since = false, now
	}
}

// Run waits for ctx to end.
func (c *Candidate) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// State implements Elector.
func (c *Candidate) State() State {
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	s := State{Leading: c.believes, Since: c.since}
	if c.believes {
		s.Fence, s.Leader = c.fence, c.address
	} else if c.of.leader != nil {
		s.Leader = c.of.leader.address
	}
	return s
}

// Fence implements Elector.
func (c *Candidate) Fence() (ledger.Fence, bool) {
	s := c.State()
	return s.Fence, s.Leading
}

// Verify implements Elector.
func (c *Candidate) Verify(context.Context) error {
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	if c.of.leader != c {
		return fenced("somebody else was elected")
	}
	return nil
}
