package scaler

import (
	"strings"
	"time"

	"spillway/scaler/fleet"
)

// memoryEvery is the time between two writes of what policies remember.
const memoryEvery = time.Minute

// orders of persons about machines are carried out here: the record says what
// was ordered, the machine's Want what is being done about it. They stand until
// they are taken back, or until the machine is gone.
func (v *view) orders() {
	for id, n := range v.book.nodes.all() {
		m, ok := v.book.machines.get(id)
		switch {
		case strings.Contains(id, ":"):
			continue
		case !ok:
			v.book.nodes.drop(id)
			continue
		}
		if want := wanted(n.Action); m.Want != want {
			m.Want = want
			v.book.machines.put(id, m)
			v.stepMachine(id)
		}
	}
	if v.ending() {
		v.end()
	}
}

func wanted(action string) string {
	if action == actionCordon {
		return fleet.WantCordon
	}
	return fleet.WantDrain
}

// Actions on machines, as package api has them, and on more than one.
const (
	actionCordon   = "cordon"
	actionEvacuate = "evacuate"
	actionDown     = "down"
)

// end wants every machine away. They wait for their instances, which nobody
// wants either.
func (v *view) end() {
	for id, m := range v.book.machines.all() {
		if m.Want != fleet.WantDrain {
			m.Want = fleet.WantDrain
			v.book.machines.put(id, m)
			v.stepMachine(id)
		}
	}
}

// ended reports whether nothing is left of a cluster that was to end.
func (v *view) ended() bool {
	return v.ending() && v.book.machines.len() == 0 && v.book.instances.len() == 0 && v.allListed()
}
