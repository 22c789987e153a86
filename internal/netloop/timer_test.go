package netloop

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

const tick = int64(1) << tickShift

// model is what the wheel has to be equal to: deadlines in a plain list.
type model struct {
	t     *rapid.T
	w     wheel
	now   int64
	src   []*Source
	due   []int64 // 0: none
	sure  []int64 // the tick at which it has fired at the latest
	fired []int   // in this advance
	act   func(i int)
}

func newModel(t *rapid.T) *model {
	m := &model{t: t, now: 1}
	for range rapid.IntRange(1, 12).Draw(t, "sources") {
		m.src = append(m.src, &Source{})
		m.due, m.sure = append(m.due, 0), append(m.sure, 0)
	}
	return m
}

func (m *model) any() int { return rapid.IntRange(0, len(m.src)-1).Draw(m.t, "source") }

// soon draws a deadline: in the past, within a tick, a turn, or beyond it.
func (m *model) soon() int64 {
	span := rapid.SampledFrom([]int64{tick, 10 * tick, wheelSlots * tick, 3 * wheelSlots * tick}).Draw(m.t, "span")
	return max(1, m.now-tick+rapid.Int64Range(0, span).Draw(m.t, "offset"))
}

func (m *model) arm(i int, at int64) {
	m.w.arm(m.src[i], at)
	m.due[i], m.sure[i] = at, max(at, m.now)>>tickShift+1
}

func (m *model) clear(i int) {
	m.src[i].deadline = 0
	m.due[i] = 0
}

func (m *model) unlink(i int) {
	m.w.unlink(m.src[i])
	m.clear(i)
}

// advance checks that exactly the sources whose deadline has passed fire: at
// the latest a tick after the deadline or after it was set, never early.
func (m *model) advance(by int64) {
	m.now += by
	m.fired = m.fired[:0]
	m.w.advance(m.now, func(s *Source) {
		i := slices.Index(m.src, s)
		if m.due[i] == 0 || m.due[i] > m.now {
			m.t.Fatalf("source %d fired at %d, its deadline is %d", i, m.now, m.due[i])
		}
		if s.deadline != 0 {
			m.t.Fatalf("source %d fired and is still armed for %d", i, s.deadline)
		}
		m.due[i] = 0
		m.fired = append(m.fired, i)
		if m.act != nil {
			m.act(i)
		}
	})
	for i, at := range m.due {
		if at != 0 && m.sure[i] <= m.now>>tickShift {
			m.t.Fatalf("source %d did not fire at %d, its deadline was %d", i, m.now, at)
		}
	}
}

// check walks the lists: links match, and count is how many are linked.
func (m *model) check() {
	n := 0
	for slot := range m.w.slots {
		var prev *Source
		for s := m.w.slots[slot]; s != nil; prev, s = s, s.timerNext {
			if s.timerPrev != prev || s.timerTick&(wheelSlots-1) != int64(slot) {
				m.t.Fatalf("slot %d holds a source of tick %d, or is badly linked", slot, s.timerTick)
			}
			n++
		}
	}
	if n != m.w.count || m.w.pending != nil {
		m.t.Fatalf("%d sources linked, count is %d, pending %v", n, m.w.count, m.w.pending)
	}
	for i, at := range m.due {
		if at != 0 && m.src[i].timerTick == 0 {
			m.t.Fatalf("source %d is armed for %d and not linked", i, at)
		}
	}
}

func TestWheelAgainstAList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newModel(t)
		t.Repeat(map[string]func(*rapid.T){
			"arm":    func(t *rapid.T) { m.t = t; m.arm(m.any(), m.soon()) },
			"later":  func(t *rapid.T) { m.t = t; i := m.any(); m.arm(i, max(m.due[i], m.now)+tick*3) },
			"clear":  func(t *rapid.T) { m.t = t; m.clear(m.any()) },
			"unlink": func(t *rapid.T) { m.t = t; m.unlink(m.any()) },
			"advance": func(t *rapid.T) {
				m.t = t
				span := rapid.SampledFrom([]int64{tick / 4, 4 * tick, wheelSlots * tick, 5 * wheelSlots * tick}).Draw(t, "by")
				m.advance(rapid.Int64Range(0, span).Draw(t, "exact"))
			},
			"advance and act": func(t *rapid.T) {
				m.t = t
				m.act = m.during
				m.advance(rapid.Int64Range(0, 40*tick).Draw(t, "by"))
				m.act = nil
			},
			"": func(t *rapid.T) { m.t = t; m.check() },
		})
	})
}

// during does to other sources, and to the one that fires, what handlers do.
func (m *model) during(int) {
	for range rapid.IntRange(0, 2).Draw(m.t, "acts") {
		i := m.any()
		switch rapid.IntRange(0, 2).Draw(m.t, "act") {
		case 0:
			m.arm(i, m.now+rapid.Int64Range(1, 40*tick).Draw(m.t, "in"))
		case 1:
			m.clear(i)
		default:
			m.unlink(i)
		}
	}
}

// Moving a deadline later is a store: the source stays where it is linked.
func TestArmLaterIsLazy(t *testing.T) {
	var w wheel
	s := &Source{}
	w.arm(s, 2*tick)
	at := s.timerTick
	for i := range int64(100) {
		w.arm(s, (3+i)*tick)
	}
	if s.timerTick != at || w.count != 1 {
		t.Errorf("linked at tick %d, want %d; count %d", s.timerTick, at, w.count)
	}
	n := 0
	w.advance(102*tick-1, func(*Source) { n++ })
	if n != 0 {
		t.Error("fired early")
	}
	w.advance(104*tick, func(*Source) { n++ })
	if n != 1 || w.count != 0 {
		t.Errorf("fired %d times, count %d", n, w.count)
	}
}

// A panic in a handler does not lose the sources behind it in its slot.
func TestWheelSurvivesAPanic(t *testing.T) {
	var w wheel
	src := make([]Source, 5)
	for i := range src {
		w.arm(&src[i], tick)
	}
	fired := map[*Source]int{}
	fire := func(s *Source) {
		fired[s]++
		if len(fired) == 2 {
			panic("handler")
		}
	}
	func() {
		defer func() { _ = recover() }()
		w.advance(3*tick, fire)
	}()
	if len(fired) != 2 {
		t.Fatalf("%d fired before the panic, want 2", len(fired))
	}
	w.advance(3*tick, fire)
	if len(fired) != len(src) || w.count != 0 {
		t.Errorf("%d fired, want %d; count %d", len(fired), len(src), w.count)
	}
	for s, n := range fired {
		if n != 1 {
			t.Errorf("%p fired %d times", s, n)
		}
	}
}

// The loop's clock drives the wheel: deadlines fire in time and not early.
func TestDeadlinesOnALoop(t *testing.T) {
	l := start(t, Options{})
	type result struct{ want, got int64 }
	results := make(chan result, 10)
	l.Post(func() {
		for i := range 10 {
			p := &probe{}
			at := l.Now() + int64(i)*int64(15*time.Millisecond)
			p.expired = func(now int64) { results <- result{at, now} }
			l.After(&p.Source, p, at)
		}
	})
	for range 10 {
		r := get(t, results)
		if r.got < r.want || r.got > r.want+int64(5*time.Second) {
			t.Errorf("fired %v after the deadline", time.Duration(r.got-r.want))
		}
	}
}
