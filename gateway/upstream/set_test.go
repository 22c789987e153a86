package upstream

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSetTellsWhoJoinsAndLeaves(t *testing.T) {
	s := &Set{}
	a, b := NewPool("a", &Settings{}), NewPool("b", &Settings{})
	s.Update([]*Pool{a}, nil)
	var told []string
	note := func(what string) func(*Pool) {
		return func(p *Pool) {
			told = append(told, what+" "+p.Name)
			if s.Lookup(p.Name) == p && p != a {
				t.Errorf("%s %s, and Lookup finds it", what, p.Name)
			}
		}
	}
	expect := func(step string, want ...string) {
		t.Helper()
		slices.Sort(told)
		if diff := cmp.Diff(want, told); diff != "" {
			t.Errorf("%s: %s", step, diff)
		}
		told = nil
	}
	s.Notify(note("joined"), note("left"))
	expect("who is there already", "joined a")
	s.Update([]*Pool{a, b}, nil)
	expect("one joins, one stays", "joined b")
	s.Update([]*Pool{NewPool("b", &Settings{})}, nil)
	expect("one is replaced", "joined b", "left b")
	s.Update(nil, []string{"a", "nobody"})
	expect("one leaves", "left a")
	s.Update([]*Pool{a}, nil)
	told = nil
	s.Drop(NewPool("a", &Settings{}), NewPool("nobody", &Settings{}))
	expect("another of that name")
	s.Drop(a)
	expect("dropped", "left a")
	s.Notify(nil, nil)
	s.Update([]*Pool{a}, []string{"b"})
	expect("nobody asks any more")
}
