package leader

import (
	"time"

	"spillway/scaler/ledger"
)

// lease is what a candidate knows of its own lead.
//
//	              lock acquired
//	candidate ------------------> holding
//	 ^  ^  ^                      |  | ^
//	 |  |  `--- somebody else's --'  | | renewed, and the lock
//	 |  |       session in the lock  | | is still ours
//	 |  |                            v |
//	 |  `----- session gone ------ overdue
//	 |                               |
//	 `--------- resigned ------------'
//
// Only holding leads. Overdue is not a state that anything enters: it is what
// holding is once the clock has passed until.
type lease struct {
	fence ledger.Fence // zero: not held
	until time.Time    // of the last renewal's request: + TTL - margin
}

// leads decides whether the lease is a lead at now. Both of Go's clocks must
// agree: the monotonic one stands still while a machine is suspended, and the
// other can be set back.
func (l lease) leads(now time.Time) bool {
	return l.fence.Session != "" && now.Before(l.until) && now.Round(0).Before(l.until.Round(0))
}

// renewed is the lease after a renewal that was asked for at asked and taken.
// Consul ends a session no earlier than TTL after it took the renewal, which was
// no earlier than it was asked for.
func (l lease) renewed(asked time.Time, ttl, margin time.Duration) lease {
	l.until = asked.Add(ttl - margin)
	return l
}
