package scaler

import (
	"cmp"
	"slices"
	"time"

	"spillway/scaler/fleet"
)

// shrink drains instances of an app until no more than want units are kept.
// Nothing is drained that would leave less.
func (d *draft) shrink(a *App, want float64) {
	t := d.tallies[a.Name]
	if t.have() <= want+tiny {
		return
	}
	for _, id := range d.leavers(a, t) {
		i, _ := d.book.instances.get(id)
		units := d.units(&i)
		if t.have()-units < want-tiny {
			continue
		}
		ap := a.pool(i.Pool)
		if ap != nil && (ap.Stateful || t.byPool[ap.Name] <= ap.Min) {
			continue
		}
		d.drain(a, &i, "load fell")
		if i.State == fleet.InstanceServing {
			t.ready -= units
		} else {
			t.booting -= units
		}
		t.byPool[i.Pool]--
	}
}

func (d *draft) drain(a *App, i *fleet.Instance, why string) {
	i.Want, i.Reason = fleet.WantDrain, why
	d.book.instances.put(i.ID, *i)
	d.stepInstance(i.ID)
	d.note(action{Kind: "drain", App: a.Name, Pool: i.Pool, Target: i.ID, Count: 1, Why: why})
}

// pool returns the app's pool of that name, nil if it has none.
func (a *App) pool(name string) *AppPool {
	for n := range a.Pools {
		if a.Pools[n].Name == name {
			return &a.Pools[n]
		}
	}
	return nil
}

// leavers are the kept instances of an app in the order in which they are
// spared least: those of the last pool first, then what does not serve yet,
// what stands on the emptiest machines (so that machines become free), on the
// dearest, on those whose paid time ends soonest, in the fullest zone, and the
// youngest.
func (d *draft) leavers(a *App, t *tally) []string {
	zones := map[string]int{}
	type leaver struct {
		id                           string
		pool, serving, company, zone int
		price                        float64
		left                         time.Duration
		since                        time.Time
	}
	all := make([]leaver, 0, len(t.kept))
	for _, id := range t.kept {
		i, _ := d.book.instances.get(id)
		m, _ := d.book.machines.get(i.Machine)
		zones[m.Zone]++
		l := leaver{id: id, pool: a.rank(i.Pool), company: len(d.on[m.ID]), price: m.Price, left: paidFor(&m, d.now), since: i.Since}
		if i.State == fleet.InstanceServing {
			l.serving = 1
		}
		all = append(all, l)
	}
	for n := range all {
		i, _ := d.book.instances.get(all[n].id)
		m, _ := d.book.machines.get(i.Machine)
		all[n].zone = zones[m.Zone]
	}
	slices.SortFunc(all, func(x, y leaver) int {
		return cmp.Or(
			cmp.Compare(y.pool, x.pool), cmp.Compare(x.serving, y.serving), cmp.Compare(x.company, y.company),
			cmp.Compare(y.price, x.price), cmp.Compare(x.left, y.left), cmp.Compare(y.zone, x.zone),
			y.since.Compare(x.since), cmp.Compare(y.id, x.id))
	})
	ids := make([]string, len(all))
	for n := range all {
		ids[n] = all[n].id
	}
	return ids
}

// rank is the place of a pool in the app's order; what is unknown leaves first.
func (a *App) rank(pool string) int {
	for n := range a.Pools {
		if a.Pools[n].Name == pool {
			return n
		}
	}
	return len(a.Pools)
}

// paidFor is how much of the current billing quantum of a machine is left.
func paidFor(m *fleet.Machine, now time.Time) time.Duration {
	if m.Quantum <= 0 || m.Billed.IsZero() {
		return 0
	}
	return m.Quantum - now.Sub(m.Billed)%m.Quantum
}

// move drains instances from machines that are to be emptied, as far as what
// serves elsewhere carries the app.
func (d *draft) move(a *App, want float64) {
	t := d.tallies[a.Name]
	serving := t.ready + t.moving
	for _, id := range t.movingIDs {
		i, _ := d.book.instances.get(id)
		units := d.units(&i)
		if i.State == fleet.InstanceServing {
			if serving-units < min(want, t.have()+t.moving-units)-tiny {
				continue
			}
			serving -= units
		}
		d.drain(a, &i, "its machine is to be emptied")
	}
}

// release gives back machines that have stood empty for long enough, and keeps
// as many stopped as their pool wants.
func (d *draft) release() {
	for n := range d.set.Pools {
		p := &d.set.Pools[n]
		machines, _, _ := d.standing(p.Name, "")
		surplus := machines - p.Min
		for _, m := range d.idleMachines(p) {
			if surplus <= 0 || !d.mayRelease(p, &m) {
				continue
			}
			surplus--
			m.Want = d.farewell(p, &m)
			d.book.machines.put(m.ID, m)
			d.stepMachine(m.ID)
			d.note(action{Kind: "release", Pool: p.Name, Target: m.ID, Count: 1, Why: "empty"})
		}
	}
}

// idleMachines are the ready machines of a pool with nothing on them and
// nothing coming, the dearest first.
func (d *draft) idleMachines(p *Pool) []fleet.Machine {
	var idle []fleet.Machine
	for _, m := range d.book.machines.all() {
		if m.Pool != p.Name || d.leaves(m.ID) || (m.Owned && !d.ending()) {
			continue
		}
		if !(m.State == fleet.MachineReady || (m.State == fleet.MachineCordoned && !d.personal(m.ID))) || d.used(m.ID) {
			delete(d.mem.emptySince, m.ID)
			continue
		}
		idle = append(idle, m)
	}
	slices.SortStableFunc(idle, func(x, y fleet.Machine) int {
		return cmp.Or(cmp.Compare(y.Price, x.Price), cmp.Compare(paidFor(&x, d.now), paidFor(&y, d.now)))
	})
	return idle
}

// used reports whether anything of ours is on a machine, containers started by
// persons included.
func (d *draft) used(machine string) bool {
	return len(d.on[machine]) > 0 || len(d.seen.engines[machine].containers) > 0
}

// mayRelease reports whether an empty machine was empty for long enough, is
// not part of what the pool keeps free, and has used up what was paid for.
func (d *draft) mayRelease(p *Pool, m *fleet.Machine) bool {
	if d.ending() {
		return d.settledFor(m.Provider)
	}
	if d.idle(m.ID) < orDuration(p.Idle, 10*time.Second) || !d.settledFor(m.Provider) || d.waiting(p) {
		return false
	}
	if p.Spare > 0 && d.freeUnits(p)-m.Units < p.Spare-tiny {
		return false
	}
	return m.Quantum == 0 || p.ReleaseBefore == 0 || paidFor(m, d.now) <= p.ReleaseBefore
}

// waiting reports whether an app is short of what it wants and may use the
// pool: then an empty machine is not superfluous, whatever keeps it from being
// used.
func (d *draft) waiting(p *Pool) bool {
	for n := range d.set.Apps {
		a := &d.set.Apps[n]
		if a.uses(p.Name) && d.mem.pending[a.Name] > tiny {
			return true
		}
	}
	return false
}

func (d *draft) freeUnits(p *Pool) (free float64) {
	for _, m := range d.book.machines.all() {
		if m.Pool == p.Name && m.State == fleet.MachineReady && !d.leaves(m.ID) && m.CPU > 0 {
			h := d.host(&m)
			free += m.Units * max(0, h.CPU-h.UsedCPU) / h.CPU
		}
	}
	return free
}

// farewell is what becomes of an empty machine: kept stopped while the pool
// has fewer of those than it wants, else given back.
func (d *draft) farewell(p *Pool, m *fleet.Machine) string {
	if p.Warm == 0 || !d.about[m.Provider].StopFree {
		return fleet.WantDrain
	}
	stopped := 0
	for _, other := range d.book.machines.all() {
		if other.Pool == p.Name && other.Want == fleet.WantStop {
			stopped++
		}
	}
	if stopped < p.Warm {
		return fleet.WantStop
	}
	return fleet.WantDrain
}
