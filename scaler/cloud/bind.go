package cloud

import (
	"cmp"
	"slices"
)

// Bind gives each slot of a batch its machine. What bound (slot to id) says
// stays, whether the machine is listed or not: a list that lags unbinds
// nothing. Then a machine that bears the name of a free slot gets that one, and
// the others fill the free slots in the order of their ids, so that the same
// machines bind alike whoever asks and in whatever order they are listed.
//
// The answer is a new map. Surplus are the machines without a slot, by id:
// doubles, which are to be deleted. Machines that are Deleted are left out, and
// slots without a machine are missing from the map.
func Bind(slots []string, machines []Machine, bound map[string]string) (slot map[string]string, surplus []Machine) {
	b := binder{slot: make(map[string]string, len(slots)), taken: map[string]bool{}}
	for _, s := range slots {
		if id := bound[s]; id != "" {
			b.bind(s, id)
		}
	}
	left := b.byName(slots, sorted(machines))
	free := slices.DeleteFunc(slices.Clone(slots), func(s string) bool { return b.slot[s] != "" })
	for i, m := range left {
		if i >= len(free) {
			return b.slot, left[i:]
		}
		b.bind(free[i], m.ID)
	}
	return b.slot, nil
}

type binder struct {
	slot  map[string]string
	taken map[string]bool // ids
}

func (b *binder) bind(slot, id string) {
	b.slot[slot] = id
	b.taken[id] = true
}

// byName binds the machines that are named like a free slot and returns those
// that are bound to none.
func (b *binder) byName(slots []string, machines []Machine) (left []Machine) {
	ours := make(map[string]bool, len(slots))
	for _, s := range slots {
		ours[s] = true
	}
	for _, m := range machines {
		switch {
		case b.taken[m.ID] || m.State == Deleted:
		case ours[m.Name] && b.slot[m.Name] == "":
			b.bind(m.Name, m.ID)
		default:
			left = append(left, m)
		}
	}
	return left
}

// sorted returns the machines by id, each id once.
func sorted(machines []Machine) []Machine {
	s := slices.Clone(machines)
	slices.SortStableFunc(s, func(a, b Machine) int { return cmp.Compare(a.ID, b.ID) })
	return slices.CompactFunc(s, func(a, b Machine) bool { return a.ID == b.ID })
}
