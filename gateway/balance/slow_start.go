package balance

import "spillway/gateway/upstream"

// slowStart lets a peer that starts slowly take part in so many picks that it
// gets that part of its load, whatever the policy: with half a share, in every
// second one.
// Policies choose among those that take part as if there were no others, and
// choose again among all if there are none.
type slowStart struct {
	credit int    // parts of upstream.FullShare it has saved up for a turn
	pick   uint64 // the pick it was last asked in, and the answer
	takes  bool
}

// newSlowStart begins at another point in each loop, so that loops do not take
// their turns together.
func newSlowStart(loop, loops int) slowStart {
	return slowStart{credit: loop * upstream.FullShare / loops}
}

// turn reports whether a peer with that share takes part in the pick. The
// answer holds for the whole pick.
func (s *slowStart) turn(share int, r *Request) bool {
	if share >= upstream.FullShare || r.spare {
		return true
	}
	if s.pick != r.pick {
		s.pick = r.pick
		s.credit += share
		s.takes = s.credit >= upstream.FullShare
		if s.takes {
			s.credit -= upstream.FullShare
		}
	}
	if !s.takes {
		r.waits = true
	}
	return s.takes
}
