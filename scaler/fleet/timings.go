package fleet

import (
	"hash/fnv"
	"strconv"
	"time"
)

// Timings are the deadlines and waits of all steps. The controller may pass
// different ones for each pool and app. A zero deadline never passes.
type Timings struct {
	// Order is how long an order may meet with errors that say "later" before
	// it counts as refused. 3 min.
	Order time.Duration
	// Call is the longest a Create can be under way, also one sent by a leader
	// that has been deposed since. 90 s.
	Call time.Duration
	// Requested is how long a slot waits whose order is not known. 10 min.
	Requested time.Duration
	// Boot ends when the machine runs and has an address. 5 min.
	Boot time.Duration
	// Join ends when init is done and the engine answers. 5 min.
	Join time.Duration
	// Prepare ends when images are there; a machine whose engine answers is
	// ready then anyway. 2 min.
	Prepare time.Duration
	// Starting ends when a stopped machine's engine answers. 3 min.
	Starting time.Duration
	// EngineSilent without an answer to a ping: no new containers. 30 s.
	EngineSilent time.Duration
	// EngineDead without an answer, and without traffic for Spare: failed.
	// 10 min.
	EngineDead time.Duration
	// Lost is how long a machine must stay unlisted until it is deleted to make
	// sure. 2 min.
	Lost time.Duration
	// Spare: a machine that had traffic this lately is not deleted unless it
	// was drained or lost. 1 h.
	Spare time.Duration
	// Quarantine ends a person's time to look. 24 h.
	Quarantine time.Duration
	// Refused is the pause after a cloud refused for good to end a machine; it
	// can serve meanwhile. 10 min.
	Refused time.Duration
	// Stock is the pause after a stopped machine could not be started for want
	// of stock or quota. 1 min.
	Stock time.Duration
	// Release is how long before the end of a paid quantum an emptied machine
	// is given back; deleting must be done by then. 1 min.
	Release time.Duration

	// Start ends when the container runs, pulling its image included. 3 min.
	Start time.Duration
	// Register is how long a registry that answers may refuse. 2 min.
	Register time.Duration
	// Check ends with the first passing check. 2 min.
	Check time.Duration
	// Drain ends the wait for acknowledgements and requests in flight. 60 s.
	Drain time.Duration
	// Remove is how long the container of a machine that is being given back
	// may resist; then it is left to end with its machine. 1 min.
	Remove time.Duration
	// Stable is how long an instance serves until its earlier restarts are
	// forgotten. 10 min.
	Stable time.Duration
	// Restarts of a container that ends by itself, and in a row the errors with
	// which an engine does not start it, before the instance counts as failed. 5.
	Restarts int

	// Backoff between attempts of one effect: First (1 s) doubled up to Most
	// (1 min), each with up to a fifth more, fixed by record and attempt.
	Backoff Backoff
}

// Defaults are the timings for machines that boot in minutes and apps that
// start in seconds.
func Defaults() Timings {
	return Timings{
		Order: 3 * time.Minute, Call: 90 * time.Second, Requested: 10 * time.Minute,
		Boot: 5 * time.Minute, Join: 5 * time.Minute, Prepare: 2 * time.Minute, Starting: 3 * time.Minute,
		EngineSilent: 30 * time.Second, EngineDead: 10 * time.Minute,
		Lost: 2 * time.Minute, Spare: time.Hour, Quarantine: 24 * time.Hour,
		Refused: 10 * time.Minute, Stock: time.Minute, Release: time.Minute,
		Start: 3 * time.Minute, Register: 2 * time.Minute, Check: 2 * time.Minute,
		Drain: time.Minute, Remove: time.Minute, Stable: 10 * time.Minute, Restarts: 5,
		Backoff: Backoff{First: time.Second, Most: time.Minute},
	}
}

// Backoff is how long to wait between attempts.
type Backoff struct{ First, Most time.Duration }

// After returns the wait after that many attempts (1 or more) on record id.
// The jitter depends on both alone, so that a step can be repeated and a
// thousand records do not call at once.
func (b Backoff) After(id string, tries int) time.Duration {
	wait := b.First
	for n := 1; n < tries && wait < b.Most; n++ {
		wait *= 2
	}
	wait = min(wait, b.Most)
	h := fnv.New32a()
	h.Write([]byte(id + " " + strconv.Itoa(tries)))
	return wait + wait/5*time.Duration(h.Sum32()%1024)/1024
}

// later is the later of two instants.
func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// past tells whether a deadline of d after since is over.
func past(since time.Time, d time.Duration, now time.Time) bool {
	return d > 0 && !now.Before(since.Add(d))
}

// fresh tells whether an outcome is of the effect that a state entered at since
// calls for, and has not been counted.
func (a *Attempts) fresh(last Outcome, kind Kind, since time.Time) bool {
	return last.Kind == kind && !last.At.Before(since) && last.At.After(a.Tried)
}

// count notes an answer after which the effect is to be repeated.
func (a *Attempts) count(last Outcome, b Backoff, id string) {
	a.Tries++
	a.Tried = last.At
	a.Retry = last.At.Add(max(b.After(id, a.Tries), last.Retry))
}

// due tells whether the effect may be called for again.
func (a *Attempts) due(now time.Time) bool { return !now.Before(a.Retry) }
