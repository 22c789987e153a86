package upstream

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSetTellsWhoJoinsAndLeaves(t *testing.T) {
	s := &Set{}
	var told []string
	note := func(what string, findable bool) func(*Pool) {
		return func(p *Pool) {
			if (s.Lookup(p.Name) == p) != findable {
				t.Errorf("%s %s: Lookup finds it: %v", what, p.Name, !findable)
			}
			told = append(told, what+" "+p.Name)
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
	a, b := NewPool("a", &Settings{}), NewPool("b", &Settings{})
	s.Update([]*Pool{a}, nil)
	s.Notify(note("there", true), nil)
	expect("who is there already", "there a")

	s.Notify(func(*Pool) {}, nil)
	s.Notify(note("joined", true), nil)
	told = nil
	s.joined, s.left = note("joined", false), note("left", false)
	s.Update([]*Pool{a, b}, nil)
	expect("one joins, one stays", "joined b")
	s.Update([]*Pool{NewPool("b", &Settings{})}, nil)
	expect("one is replaced", "joined b", "left b")
	s.Update(nil, []string{"a", "nobody"})
	expect("one leaves", "left a")
}
