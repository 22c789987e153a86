package cloud_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"spillway/scaler/cloud"
)

func TestBind(t *testing.T) {
	m := func(id, name string) cloud.Machine { return cloud.Machine{ID: id, Name: name, State: cloud.Pending} }
	ended := cloud.Machine{ID: "i-0", State: cloud.Deleted}
	slots := []string{"web-1", "web-2", "web-3"}
	tests := map[string]struct {
		machines []cloud.Machine
		bound    map[string]string
		want     map[string]string
		surplus  []string
	}{
		"in the order of ids":         {machines: []cloud.Machine{m("i-3", ""), m("i-1", ""), m("i-2", "")}, want: map[string]string{"web-1": "i-1", "web-2": "i-2", "web-3": "i-3"}},
		"part of the batch":           {machines: []cloud.Machine{m("i-9", "")}, want: map[string]string{"web-1": "i-9"}},
		"none":                        {want: map[string]string{}},
		"by name":                     {machines: []cloud.Machine{m("i-1", "web-3"), m("i-2", "")}, want: map[string]string{"web-3": "i-1", "web-1": "i-2"}},
		"bound ones stay":             {machines: []cloud.Machine{m("i-1", ""), m("i-2", "")}, bound: map[string]string{"web-1": "i-2"}, want: map[string]string{"web-1": "i-2", "web-2": "i-1"}},
		"bound ones stay unlisted":    {bound: map[string]string{"web-2": "i-7"}, want: map[string]string{"web-2": "i-7"}},
		"a name that is bound":        {machines: []cloud.Machine{m("i-1", "web-1"), m("i-2", "web-1")}, want: map[string]string{"web-1": "i-1", "web-2": "i-2"}},
		"doubles are surplus":         {machines: []cloud.Machine{m("i-4", ""), m("i-1", ""), m("i-3", ""), m("i-2", "")}, want: map[string]string{"web-1": "i-1", "web-2": "i-2", "web-3": "i-3"}, surplus: []string{"i-4"}},
		"an id listed twice is one":   {machines: []cloud.Machine{m("i-1", ""), m("i-1", "")}, want: map[string]string{"web-1": "i-1"}},
		"one that has ended is none":  {machines: []cloud.Machine{ended, m("i-1", "")}, want: map[string]string{"web-1": "i-1"}},
		"bound elsewhere in the past": {machines: []cloud.Machine{m("i-1", "")}, bound: map[string]string{"old": "i-5"}, want: map[string]string{"web-1": "i-1"}},
	}
	for name, c := range tests {
		t.Run(name, func(t *testing.T) {
			got, surplus := cloud.Bind(slots, c.machines, c.bound)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("slots (-want +got):\n%s", diff)
			}
			var over []string
			for _, m := range surplus {
				over = append(over, m.ID)
			}
			if diff := cmp.Diff(c.surplus, over); diff != "" {
				t.Errorf("surplus (-want +got):\n%s", diff)
			}
		})
	}
}

// However machines come to light, in whatever order and portions, every slot
// keeps the first machine it got, no machine has two slots, and nothing that is
// alive is left out of both answers.
func TestBindIsStable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := request(rapid.IntRange(1, 8).Draw(t, "slots"))
		machines := made(rapid.IntRange(0, 10).Draw(t, "machines"))
		shuffled := slices.Clone(machines)
		seed := rapid.Uint64().Draw(t, "seed")
		rand.New(rand.NewPCG(seed, 1)).Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })

		once, _ := cloud.Bind(r.Names, machines, nil)
		other, _ := cloud.Bind(r.Names, shuffled, nil)
		if diff := cmp.Diff(once, other); diff != "" {
			t.Fatalf("the order of the list matters:\n%s", diff)
		}
		part, _ := cloud.Bind(r.Names, shuffled[:len(shuffled)/2], nil)
		whole, surplus := cloud.Bind(r.Names, shuffled, part)
		for slot, id := range part {
			if whole[slot] != id {
				t.Fatalf("slot %s went from %s to %s", slot, id, whole[slot])
			}
		}
		seen := map[string]bool{}
		for _, id := range whole {
			seen[id] = true
		}
		if len(seen) != len(whole) || len(whole)+len(surplus) != len(machines) {
			t.Fatalf("%d machines: slots %v, surplus %v", len(machines), whole, surplus)
		}
	})
}
