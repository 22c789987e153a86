package machine

import (
	"hash/fnv"
	"time"
)

// Lease decides when a machine ends itself.
//
//	ends  <=>  no request for Idle  and  no answer of the scaler for Idle
//
// Either alone keeps it: a machine that serves outlives any outage of the
// scaler, and one that the scaler knows of is the scaler's to judge.
type Lease struct {
	// Idle is the time of both; 0: the machine never ends itself.
	Idle time.Duration
}

// jitterPart is by how much of Idle machines differ, so that a batch that was
// forgotten does not end in one second.
const jitterPart = 4

// NewLease is the lease of a machine: idle, and up to a quarter more of it that
// depends on the machine's id.
func NewLease(idle time.Duration, id string) Lease {
	if idle <= 0 {
		return Lease{}
	}
	h := fnv.New32a()
	h.Write([]byte(id))
	return Lease{Idle: idle + time.Duration(float64(idle)/jitterPart*float64(h.Sum32())/(1<<32))}
}

// Ends reports whether the machine shall end at now. The times are when it
// last carried a request and last reached the scaler; both begin with its boot.
func (l Lease) Ends(now, lastTraffic, lastContact time.Time) bool {
	return l.Idle > 0 && now.Sub(lastTraffic) >= l.Idle && now.Sub(lastContact) >= l.Idle
}
