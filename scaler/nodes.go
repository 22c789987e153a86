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
	v.heed()
	if v.ending() {
		v.end()
	}
}

// heed empties machines that their cloud will take away: others are ordered in
// their place while they still serve.
func (v *view) heed() {
	if len(v.seen.notices) == 0 {
		return
	}
	for id, m := range v.book.machines.all() {
		if n, ok := v.seen.notices[m.CloudID]; !ok || n.Kind != noticeReclaim || m.Want == fleet.WantDrain {
			continue
		}
		m.Want = fleet.WantDrain
		v.book.machines.put(id, m)
		v.stepMachine(id)
		v.note(action{Kind: "drain", Pool: m.Pool, Target: id, Count: 1, Why: "its cloud will take it away"})
	}
}

// noticeReclaim is the kind of notice of a machine that will be taken away.
const noticeReclaim = "reclaim"

func wanted(action string) string {
	if action == actionCordon {
		return fleet.WantCordon
	}
	return fleet.WantDrain
}

// Actions on machines, as package api has them, and on more than one.
const (
	actionCordon = "cordon"
	actionDown   = "down"
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
