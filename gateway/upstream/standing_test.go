package upstream

import (
	"testing"

	"pgregory.net/rapid"
)

func TestStandingSaysWhatIsHeld(t *testing.T) {
	for _, c := range []struct {
		standing Standing
		text     string
		barred   bool
	}{
		{0, "", false},
		{Unproven, "unproven", true},
		{Unhealthy | Ejected, "unhealthy+ejected", true},
		{Unhealthy | Pardoned, "unhealthy", false},
		{Pardoned, "", false},
		{Standing(0).WithShare(10), "", false},
		{Ejected.WithShare(10), "ejected", true},
	} {
		if c.standing.String() != c.text || c.standing.Barred() != c.barred {
			t.Errorf("%b: %q, barred %v; want %q, %v", c.standing, c.standing, c.standing.Barred(), c.text, c.barred)
		}
	}
}

func TestShareIsKeptApartFromReasons(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		reasons := Standing(rapid.Uint32Range(0, 15).Draw(t, "reasons"))
		share := rapid.IntRange(-5, 300).Draw(t, "share")
		w := reasons.WithShare(77).WithShare(share)
		if w&15 != reasons || w.Share() != min(max(share, 1), FullShare) {
			t.Fatalf("%b with share %d: %b, share %d", reasons, share, w, w.Share())
		}
	})
}

// standings gives the servers of a new pool their standing.
func standings(change func(*Spec), all ...Standing) []Entry {
	var numbers []byte
	for i := range all {
		numbers = append(numbers, byte(i+1))
	}
	list := specs(numbers...)
	if len(list) > 0 {
		change(&list[len(list)-1])
	}
	p := NewPool("web", &Settings{})
	p.Apply(list, Meta{})
	entries := p.Load().Entries
	for i, w := range all {
		entries[i].Amend(func(Standing) Standing { return w })
	}
	return entries
}

func TestPardon(t *testing.T) {
	same := func(*Spec) {}
	backup := func(s *Spec) { s.Backup = true }
	down := func(s *Spec) { s.Down = true }
	for i, c := range []struct {
		threshold float64
		last      func(*Spec)
		servers   []Standing
		panics    bool
	}{
		{0.5, same, []Standing{0, 0, Ejected}, false},
		{0.5, same, []Standing{0, Unhealthy}, false},
		{0.5, same, []Standing{0, Unhealthy, Ejected}, true},
		{0.5, same, []Standing{Unproven}, true},
		{0, same, []Standing{Unhealthy, Unhealthy}, false},
		{0.5, down, []Standing{0, Unhealthy, 0}, false},
		{0.5, down, []Standing{0, Unhealthy, Unhealthy, 0}, true},
		{0.5, backup, []Standing{Unhealthy, Unhealthy, 0}, false},
		{0.5, backup, []Standing{Unhealthy, Unhealthy, Unhealthy}, true},
		{0.5, backup, []Standing{Unhealthy}, true},
		{0.5, same, nil, false},
	} {
		entries := standings(c.last, c.servers...)
		if got := Pardon(entries, c.threshold); got != c.panics {
			t.Errorf("case %d: panics %v", i, got)
		}
		for _, e := range entries {
			if w := e.Standing(); w.Held() != 0 && w.Barred() == c.panics {
				t.Errorf("case %d: %s is %b", i, e.Addr, w)
			}
		}
		if (&Snapshot{Entries: entries}).Panicking() != c.panics {
			t.Errorf("case %d: the snapshot does not say so", i)
		}
	}
}

func TestPardonIsTakenBack(t *testing.T) {
	entries := standings(func(*Spec) {}, Unhealthy, Unhealthy, 0)
	Pardon(entries, 0.5)
	entries[0].Amend(func(w Standing) Standing { return w &^ Unhealthy })
	if Pardon(entries, 0.5) || entries[0].Standing() != 0 || entries[1].Standing() != Unhealthy {
		t.Errorf("standings %b, %b", entries[0].Standing(), entries[1].Standing())
	}
}

func TestNewcomersAreGreeted(t *testing.T) {
	settings := &Settings{
		Check: Check{Kind: CheckTCP, ProbeFirst: true}, SlowStart: SlowStart{Window: 1, Min: 0.25}, PanicThreshold: 0.5,
	}
	p := NewPool("web", settings)
	p.Apply(specs(1, 2), Meta{})
	for _, e := range p.Load().Entries {
		if e.Standing() != 0 {
			t.Errorf("the first servers are held back: %b", e.Standing())
		}
	}
	p.Apply(specs(1, 2, 3), Meta{})
	if w := p.Load().Entries[2].Standing(); w != Unproven.WithShare(FullShare/4) {
		t.Errorf("a newcomer is %b", w)
	}
	p.Apply(specs(4, 5), Meta{})
	for _, e := range p.Load().Entries {
		if e.Standing().Barred() {
			t.Errorf("all are new, and %s gets nothing: %b", e.Addr, e.Standing())
		}
	}
}

func TestTallyCountsAndSuspects(t *testing.T) {
	s := newServer("10.0.0.1:80")
	s.Observe(Refused, 0, 0) // nobody counts
	suspected := 0
	tally := &Tally{Gateway: 3, Errors: 5, Suspect: func(*Server) { suspected++ }}
	s.Watch(tally)
	for _, c := range []struct {
		what    Outcome
		status  int
		calls   int
		suspect Suspicion
	}{
		{Late, 0, 0, 0},
		{Broke, 0, 0, 0},
		{Answered, 500, 0, 0}, // no gateway failure
		{Answered, 503, 0, 0},
		{Answered, 200, 0, 0}, // starts over
		{Late, 0, 0, 0},
		{Late, 0, 0, 0},
		{Answered, 504, 1, GatewayFailures},
		{Refused, 0, 1, Unreachable},
		{Answered, 404, 0, 0},
		{Answered, 500, 0, 0},
		{Answered, 501, 0, 0},
		{Answered, 500, 0, 0},
		{Answered, 500, 0, 0},
		{Answered, 500, 1, ServerErrors},
	} {
		before := suspected
		s.Observe(c.what, c.status, 10)
		why := Suspicion(0)
		if suspected > before {
			why = tally.Take()
		}
		if suspected-before != c.calls || why != c.suspect {
			t.Errorf("%v %d: suspected %d times for %b, want %d for %b", c.what, c.status, suspected-before, why, c.calls, c.suspect)
		}
	}
	want := Counts{Answers: 10, Errors: 8, Failed: 5, Took: 100}
	if got := tally.Load(); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	s.Watch(nil)
	s.Observe(Refused, 0, 0)
	if suspected != 3 {
		t.Errorf("suspected %d times", suspected)
	}
}

func TestASuspicionIsToldOnceUntilTaken(t *testing.T) {
	s, told := newServer("10.0.0.1:80"), 0
	tally := &Tally{Suspect: func(*Server) { told++ }}
	s.Watch(tally)
	for range 5 {
		s.Observe(Refused, 0, 0)
	}
	if told != 1 || tally.Take() != Unreachable || tally.Take() != 0 {
		t.Errorf("told %d times", told)
	}
	s.Observe(Refused, 0, 0)
	if told != 2 {
		t.Errorf("told %d times", told)
	}
}
