package health

import (
	"hash/maphash"
	"time"

	"spillway/gateway/upstream"
)

// pace says when servers are probed. Gateways, and the servers of one
// gateway, are spread by a hash of the server and of the minute that each
// gateway seeds for itself: those that were started together do not probe
// together, and two that met once do not meet for ever.
type pace struct{ seed maphash.Seed }

func newPace() pace { return pace{maphash.MakeSeed()} }

// first is how long after it appeared a settled server is probed: anywhere in
// its interval. All others are probed at once.
func (p pace) first(c *upstream.Check, s state, addr string, now time.Time) time.Duration {
	if !s.settled() {
		return 0
	}
	return time.Duration(p.draw(addr, now) * float64(c.Interval))
}

// next is how long after its last probe a server is probed again.
func (p pace) next(c *upstream.Check, s state, addr string, now time.Time) time.Duration {
	d := c.FastInterval
	if s.settled() {
		d = c.Interval
	}
	return d + time.Duration((p.draw(addr, now)-0.5)*c.Jitter*float64(d))
}

// draw is a number from 0 to 1 that stays the same for a minute.
func (p pace) draw(addr string, now time.Time) float64 {
	type key struct {
		addr   string
		minute int64
	}
	return float64(maphash.Comparable(p.seed, key{addr, now.Unix() / 60})>>11) / (1 << 53)
}
