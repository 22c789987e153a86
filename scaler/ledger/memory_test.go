package ledger

import (
	"errors"
	"testing"
)

func TestFaultsOfMemory(t *testing.T) {
	for fault, c := range map[Fault]struct {
		done bool
		err  error
	}{
		NoFault:    {true, nil},
		Refuse:     {false, errInjected},
		LoseAnswer: {true, errInjected},
		Conflict:   {false, ErrConflict},
		Fenced:     {false, ErrFenced},
	} {
		m := NewMemory()
		m.Inject(func([]Op) Fault { return fault })
		_, err := m.Commit(t.Context(), Fence{}, []Op{set("a", "1", 0)})
		if !errors.Is(err, c.err) {
			t.Errorf("fault %d: %v", fault, err)
		}
		_, err = m.List(t.Context(), "")
		if (err != nil) != (fault != NoFault) {
			t.Errorf("fault %d: listed with %v", fault, err)
		}
		m.Inject(nil)
		if entries, err := m.List(t.Context(), ""); err != nil || (len(entries) == 1) != c.done {
			t.Errorf("fault %d: %v, %v", fault, entries, err)
		}
	}
}

func TestLeadMovesTheFence(t *testing.T) {
	m := NewMemory()
	f := Fence{Key: "k", Session: "s", Index: 3}
	m.Lead(f)
	if m.Holds(f) != nil || !errors.Is(m.Holds(Fence{}), ErrFenced) {
		t.Error("the wrong fence holds")
	}
}
