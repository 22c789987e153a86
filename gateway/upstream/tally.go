package upstream

import "sync/atomic"

// Outcome is how an attempt at a server ended.
type Outcome uint8

const (
	// Answered attempts have an answer, of whatever status.
	Answered Outcome = iota
	// Refused attempts found nobody to connect to.
	Refused
	// Broke attempts were reset, or answered by what is no HTTP.
	Broke
	// Late attempts ran into a timeout.
	Late
)

// Suspicion is why a server should be looked at before the next comparison.
type Suspicion uint32

const (
	// Unreachable: a connection was refused or not established in time.
	Unreachable Suspicion = 1 << iota
	// GatewayFailures, ServerErrors: so many in a row as the tally allows.
	GatewayFailures
	ServerErrors
)

// Tally counts how the attempts at one server end, for whoever judges it.
// Loops write it, on a few cache lines of its own.
type Tally struct {
	// Gateway and Errors are how many gateway failures, and how many failures
	// including every 5xx, in a row are suspicious; 0 is never.
	Gateway, Errors int32
	// Suspect is called, on the loop that saw it, when a suspicion arises that
	// was not taken yet. It must not block.
	Suspect func(*Server)

	gateway, errors atomic.Int32
	suspicions      atomic.Uint32

	answers, serverErrors, failed atomic.Uint64
	took                          atomic.Uint64

	_ [64]byte
}

// Counts are what a tally has counted since it began.
type Counts struct {
	// Answers is how many attempts were answered, Errors how many of those by
	// a 5xx, Failed how many were not. Took is the sum of the times to the
	// heads of the answers, in nanoseconds.
	Answers, Errors, Failed, Took uint64
}

// Watch has the attempts at the server counted by t from now on; nil ends it.
func (s *Server) Watch(t *Tally) { s.tally.Store(t) }

// Tally returns the server's tally, nil if there is none.
func (s *Server) Tally() *Tally { return s.tally.Load() }

// Observe tells how an attempt at the server ended: the status of its answer,
// 0 without one, and how long its head took in nanoseconds. It costs one load
// while nobody counts.
func (s *Server) Observe(o Outcome, status int, took int64) {
	if t := s.tally.Load(); t != nil {
		t.observe(s, o, status, took)
	}
}

func (t *Tally) observe(s *Server, o Outcome, status int, took int64) {
	if o == Answered && took >= 0 { // a tunnel has no head that was timed
		t.answers.Add(1)
		t.took.Add(uint64(took))
	}
	gateway := o != Answered || status >= 502 && status <= 504
	if !gateway && status < 500 {
		reset(&t.gateway)
		reset(&t.errors)
		return
	}
	if o == Answered {
		t.serverErrors.Add(1)
	} else {
		t.failed.Add(1)
	}
	var why Suspicion
	if o == Refused {
		why |= Unreachable
	}
	if !gateway {
		reset(&t.gateway)
	} else if n := t.gateway.Add(1); t.Gateway > 0 && n >= t.Gateway {
		why |= GatewayFailures
	}
	if n := t.errors.Add(1); t.Errors > 0 && n >= t.Errors {
		why |= ServerErrors
	}
	if why&^Suspicion(t.suspicions.Or(uint32(why))) != 0 {
		t.Suspect(s)
	}
}

// reset leaves the cache line alone where there is nothing to do.
func reset(n *atomic.Int32) {
	if n.Load() != 0 {
		n.Store(0)
	}
}

// Take returns the suspicions that arose since it was last called, and starts
// the counts in a row over if there were any.
func (t *Tally) Take() Suspicion {
	why := Suspicion(t.suspicions.Swap(0))
	if why != 0 {
		t.gateway.Store(0)
		t.errors.Store(0)
	}
	return why
}

// Load returns what was counted.
func (t *Tally) Load() Counts {
	return Counts{Answers: t.answers.Load(), Errors: t.serverErrors.Load(), Failed: t.failed.Load(), Took: t.took.Load()}
}
