package scaler

import (
	"spillway/scaler/placement"
	"spillway/scaler/policy"
)

// think is a tick between observing and committing. It changes the view's book
// and its memory, and does no I/O:
//
//	adopt what has no record -> step every record -> decide sizes ->
//	un-drain, place, order or drain, release -> the effects of all of it
func (v *view) think(planner placement.Planner) map[string]policy.Decision {
	v.index()
	v.tidy()
	v.adopt()
	v.step()
	v.orders()
	v.bill()
	d := v.draft(planner)
	decisions := d.decide()
	d.resize(decisions)
	v.saveMemories()
	return decisions
}

// saveMemories writes what policies remember once a minute: a restart then
// knows the season and holds what it held.
func (v *view) saveMemories() {
	if v.now.Sub(v.mem.saved) < memoryEvery {
		return
	}
	v.mem.saved = v.now
	for app, m := range v.mem.policy {
		v.book.policy.put(app, *m)
	}
}
