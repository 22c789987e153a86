package scaler

import (
	"time"

	"spillway/scaler/cloud"
	"spillway/scaler/fleet"
	"spillway/scaler/policy"
	"spillway/scaler/signal"
)

// view is all that one tick knows. What decides and plans are functions of it;
// they change the book in it and nothing else.
type view struct {
	now     time.Time
	set     *Settings
	book    *book
	seen    *facts
	mem     *memory
	signals map[string]signal.Snapshot // by app
	about   map[string]cloud.Description
	// told is what machines said of themselves, by machine.
	told func(fleet.Machine) []fleet.Stage
	// acks answers more exactly than a snapshot can; nil: the snapshot does.
	acks acker

	byOrder map[string][]cloud.Machine // listed machines
	on      map[string][]string        // instances by machine
	// quarantined machines by pool.
	quarantined map[string]int
	effects     map[string]fleet.Effect // by record
	rejects     map[string]*refusal     // by app: why something was not placed
	actions     []action
	arrived     []fleet.Machine // that became ready in this tick
}

// memory is what a controller knows beside the ledger. All of it may be lost:
// the worst of that is waiting anew.
type memory struct {
	policy  map[string]*policyMemory // by app
	last    map[string]policy.Decision
	pending map[string]float64 // by app: units that wait for booting machines
	// emptySince is by machine.
	emptySince map[string]time.Time
	stock      map[string]backoff   // by provider/type/zone
	wrote      map[string]bool      // orders written in this leadership
	buried     map[string]time.Time // cloud ids of machines that are gone
	orphans    map[string]time.Time // first seen, by kind/id
	swept      []time.Time          // sweeps of the last minute
	announced  map[string]announcement
	blamed     map[string]map[string]time.Time // by machine, by app: failures
	placedAt   map[string]time.Time            // by instance that does not serve yet
	saved      time.Time                       // policy memories were written
	fresh      bool                            // the ledger was empty when it was read
	watched    time.Time                       // since when the world is observed without a gap
}

func newMemory() *memory {
	return &memory{
		policy: map[string]*policyMemory{}, last: map[string]policy.Decision{}, pending: map[string]float64{},
		emptySince: map[string]time.Time{}, stock: map[string]backoff{}, wrote: map[string]bool{},
		buried: map[string]time.Time{}, orphans: map[string]time.Time{}, announced: map[string]announcement{},
		blamed: map[string]map[string]time.Time{}, placedAt: map[string]time.Time{},
	}
}

// action is a line of a plan, for people.
type action struct {
	Kind   string // undrain, start, place, order, drain, release, adopt
	App    string
	Pool   string
	Target string
	Count  int
	Why    string
}

// refusal says why instances found no machine.
type refusal struct {
	Counts  map[string]int
	Reasons []string
}

func (v *view) note(a action) { v.actions = append(v.actions, a) }

// index makes what is looked up by other keys than its own.
func (v *view) index() {
	v.byOrder = map[string][]cloud.Machine{}
	for _, l := range v.seen.listings {
		for _, m := range l.machines {
			if id := m.Tags[cloud.TagOrder]; id != "" {
				v.byOrder[id] = append(v.byOrder[id], m)
			}
		}
	}
	v.quarantined = map[string]int{}
	for _, m := range v.book.machines.all() {
		if m.State == fleet.MachineQuarantined {
			v.quarantined[m.Pool]++
		}
	}
	v.on = map[string][]string{}
	for id, i := range v.book.instances.all() {
		v.on[i.Machine] = append(v.on[i.Machine], id)
	}
}

// listed returns what a provider lists of a machine.
func (v *view) listed(m *fleet.Machine, id string) (cloud.Machine, bool) {
	c, ok := v.seen.listings[m.Provider].machines[id]
	return c, ok && c.State != cloud.Deleted
}

// settledFor reports whether enough complete rounds were observed since the
// start to take something of that provider away.
func (v *view) settledFor(provider string) bool {
	return v.seen.listings[provider].rounds >= v.set.Pace.Rounds
}

// settledService is the same of a registry service.
func (v *view) settledService(name string) bool {
	return v.seen.services[name].rounds >= v.set.Pace.Rounds
}

// timings are those of a pool's machines.
func (v *view) machineTimings(pool string) fleet.Timings {
	t := v.set.Timings
	p := v.set.pool(pool)
	if p == nil {
		return t
	}
	t.Boot = orDuration(p.Boot, t.Boot)
	t.Join = orDuration(p.Join, t.Join)
	t.Release = orDuration(p.ReleaseBefore, t.Release)
	return t
}

func (v *view) instanceTimings(app string) fleet.Timings {
	t := v.set.Timings
	if a := v.set.app(app); a != nil {
		t.Drain = orDuration(a.Drain, t.Drain)
	}
	return t
}
