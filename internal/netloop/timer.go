package netloop

// The wheel: 1024 slots of 32 ms, one turn is 32.8 s. A deadline further away
// stays in its slot for another turn. Varghese and Lauck, "Hashed and
// Hierarchical Timing Wheels", scheme 6.
const (
	tickShift  = 25 // 2^25 ns = 33.6 ms
	wheelSlots = 1024
)

// wheel holds the sources that have a deadline. Moving a deadline later, by
// far the most frequent operation, only stores it: the source is found in its
// old slot, seen to be early, and linked anew.
type wheel struct {
	slots   [wheelSlots]*Source
	pending *Source // the rest of the slot that is being walked
	tick    int64   // the last tick that was handled
	count   int
}

func (w *wheel) link(s *Source, tick int64) {
	tick = max(tick, w.tick+1)
	s.timerTick = tick
	head := &w.slots[tick&(wheelSlots-1)]
	s.timerPrev, s.timerNext = nil, *head
	if *head != nil {
		(*head).timerPrev = s
	}
	*head = s
	w.count++
}

func (w *wheel) unlink(s *Source) {
	if s.timerTick == 0 {
		return
	}
	switch {
	case s.timerPrev != nil:
		s.timerPrev.timerNext = s.timerNext
	case w.pending == s:
		w.pending = s.timerNext
	default:
		w.slots[s.timerTick&(wheelSlots-1)] = s.timerNext
	}
	if s.timerNext != nil {
		s.timerNext.timerPrev = s.timerPrev
	}
	s.timerPrev, s.timerNext, s.timerTick = nil, nil, 0
	w.count--
}

// tickOf is the first tick at which a deadline has surely passed.
func tickOf(deadline int64) int64 { return deadline>>tickShift + 1 }

// arm sets the deadline (nanoseconds of the loop's clock) of a source.
func (w *wheel) arm(s *Source, deadline int64) {
	s.deadline = deadline
	tick := tickOf(deadline)
	if s.timerTick != 0 {
		if s.timerTick <= tick {
			return // Fast path: later than where it is linked.
		}
		w.unlink(s)
	}
	w.link(s, tick)
}

// advance calls fire for each source whose deadline is not after now. fire
// may arm, unlink and close any source.
func (w *wheel) advance(now int64, fire func(*Source)) {
	target := now >> tickShift
	if w.count == 0 {
		w.tick = target
		return
	}
	if target-w.tick > wheelSlots {
		w.tick = target - wheelSlots // slept for more than a turn: one turn sees all
	}
	for {
		for w.pending != nil {
			w.visit(w.pending, now, fire)
		}
		if w.tick >= target {
			return
		}
		w.tick++
		// The list is taken off whole: what is linked anew while it is
		// walked stands in a slot again, never in what is walked.
		slot := &w.slots[w.tick&(wheelSlots-1)]
		w.pending, *slot = *slot, nil
	}
}

func (w *wheel) visit(s *Source, now int64, fire func(*Source)) {
	w.unlink(s)
	switch {
	case s.deadline == 0: // cleared meanwhile
	case s.deadline > now:
		w.link(s, tickOf(s.deadline))
	default:
		s.deadline = 0
		fire(s)
	}
}
