// Package leader elects one scaler among many.
//
// Consul holds a lock by a session without checks, so that a hiccup of gossip
// costs no lead. A lease in Consul is advisory: a leader that was frozen may
// wake up and act before it notices. What makes that harmless is the Fence that
// every write of the ledger carries, and Verify before each destructive call.
// Beside, a leader steps down by its own clocks before Consul can have given its
// session away.
//
// Always leads by itself (a single scaler without Consul); Memory elects in a
// test as it is told.
//
// Goroutines: Run uses its caller's and one that waits for the lock's changes.
// Everything else may be called from any goroutine.
package leader

import (
	"context"
	"fmt"
	"time"

	"spillway/scaler/ledger"
)

// Elector tells one scaler whether it leads.
type Elector interface {
	// Run takes part in the election until ctx ends, then gives the lead back.
	Run(ctx context.Context) error
	// State answers from memory and by the clock.
	State() State
	// Fence is State's, and whether it leads.
	Fence() (ledger.Fence, bool)
	// Verify asks whoever keeps the lead whether it is still ours. The error
	// wraps ledger.ErrFenced if it is not, and does not if that is unknown; in
	// neither case may anything be destroyed.
	Verify(ctx context.Context) error
}

// State of the election as one candidate sees it.
type State struct {
	Leading bool
	// Fence proves the lead; zero while not leading.
	Fence ledger.Fence
	// Leader is the address at which the leader published that its API answers;
	// "" while nobody leads or it is unknown.
	Leader string
	// Since is when this state began.
	Since time.Time
}

// Always leads. Its fence is the zero one, which a ledger.Memory takes.
type Always struct {
	Address string
	Begun   time.Time
}

// Run waits for ctx to end.
func (a Always) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// State implements Elector.
func (a Always) State() State { return State{Leading: true, Leader: a.Address, Since: a.Begun} }

// Fence implements Elector.
func (a Always) Fence() (ledger.Fence, bool) { return ledger.Fence{}, true }

// Verify implements Elector.
func (a Always) Verify(context.Context) error { return nil }

// fenced is the error of a lead that is known to be lost.
func fenced(why string) error {
	return fmt.Errorf("cannot act as leader: %w: %s", ledger.ErrFenced, why)
}

var (
	_ Elector = Always{}
	_ Elector = (*Consul)(nil)
	_ Elector = (*Candidate)(nil)
)
