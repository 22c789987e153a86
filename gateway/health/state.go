package health

import (
	"time"

	"spillway/gateway/upstream"
)

// phase is what probes say of a server.
type phase uint8

const (
	healthy phase = iota
	unproven
	unhealthy
)

// state is a server as its probes show it.
//
//	               a good one
//	unproven ------------------------> healthy <----------+
//	   |                                  |               |
//	   | fall bad ones in a row           | fall bad      | rise good
//	   |                                  v in a row      | in a row
//	   +----------------------------> unhealthy ----------+
//
// Servers of a pool's first list, and all when probing is switched on, begin
// as healthy: they serve already, and a probe that is wrong about all of them
// must not be what takes them out. Newcomers begin as unproven if the settings
// say so.
type state struct {
	phase phase
	run   int  // outcomes in a row that are alike
	good  bool // what those were
	since time.Time
}

// step takes the outcome of a probe in. changed says that the phase is
// another one now.
func (s state) step(c *upstream.Check, good bool, now time.Time) (next state, changed bool) {
	next = s
	next.run++
	if good != s.good || s.run == 0 {
		next.run, next.good = 1, good
	}
	switch {
	case good && s.phase == unproven:
		next.phase = healthy
	case good && s.phase == unhealthy && next.run >= c.Rise:
		next.phase = healthy
	case !good && s.phase != unhealthy && next.run >= c.Fall:
		next.phase = unhealthy
	}
	if changed = next.phase != s.phase; changed {
		next.since = now
	}
	return next, changed
}

// settled reports whether the next probe can wait: the server does well, and
// has for a while.
func (s state) settled() bool { return s.phase == healthy && (s.good || s.run == 0) }

// standing is what the phase has against the server.
func (s state) standing() upstream.Standing {
	switch s.phase {
	case unproven:
		return upstream.Unproven
	case unhealthy:
		return upstream.Unhealthy
	}
	return 0
}
