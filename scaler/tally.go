package scaler

import (
	"spillway/scaler/fleet"
)

// tally is what an app has.
type tally struct {
	// Units by how soon they serve: ready do, booting will, draining could
	// again, moving serve on machines that are to be emptied.
	ready, booting, draining, moving float64
	// Instances by the same; kept is ready and booting, in the order of ids.
	kept, drainingIDs, movingIDs []string
	byPool                       map[string]int // kept, by AppPool.Name
	healthy, unhealthy           int            // of those that have served before
	states                       map[fleet.InstanceState]int
}

// have is the capacity that counts: what serves and what is coming.
func (t *tally) have() float64 { return t.ready + t.booting }

// count tallies every app.
func (v *view) count() map[string]*tally {
	all := map[string]*tally{}
	for n := range v.set.Apps {
		all[v.set.Apps[n].Name] = &tally{byPool: map[string]int{}, states: map[fleet.InstanceState]int{}}
	}
	for _, i := range v.book.instances.all() {
		if t := all[i.App]; t != nil {
			t.states[i.State]++
			v.countInstance(t, &i)
		}
	}
	return all
}

func (v *view) countInstance(t *tally, i *fleet.Instance) {
	units := v.units(i)
	switch {
	case i.Want == fleet.WantDrain:
		if i.State == fleet.InstanceDraining || i.State == fleet.InstanceServing {
			t.draining += units
			t.drainingIDs = append(t.drainingIDs, i.ID)
		}
		return
	case !alive(i.State):
		return
	}
	v.countHealth(t, i)
	switch {
	case v.leaves(i.Machine):
		t.moving += units
		t.movingIDs = append(t.movingIDs, i.ID)
		return
	case i.State == fleet.InstanceServing || i.State == fleet.InstanceDraining: // un-drained, not yet told
		t.ready += units
	default:
		t.booting += units
	}
	t.kept = append(t.kept, i.ID)
	t.byPool[i.Pool]++
}

// alive reports whether an instance serves or is on its way to.
func alive(s fleet.InstanceState) bool {
	switch s {
	case fleet.InstancePlanned, fleet.InstanceStarting, fleet.InstanceRegistering, fleet.InstanceChecking,
		fleet.InstanceServing, fleet.InstanceDraining:
		return true
	}
	return false
}

func (v *view) countHealth(t *tally, i *fleet.Instance) {
	if i.Healthy.IsZero() {
		return
	}
	s := v.seen.services[v.serviceOf(i.App)]
	if e, ok := s.entries[i.ID]; i.State == fleet.InstanceServing && (!ok || e.Passing || e.Draining) {
		t.healthy++
		return
	}
	t.unhealthy++
}

// leaves reports whether a machine is to be emptied, or is no more.
func (v *view) leaves(machine string) bool {
	m, ok := v.book.machines.get(machine)
	if !ok || m.Want == fleet.WantDrain || m.Want == fleet.WantStop {
		return true
	}
	switch m.State {
	case fleet.MachineDraining, fleet.MachineEmptied, fleet.MachineWarmStopped, fleet.MachineDeleting, fleet.MachineFailed,
		fleet.MachineGone, fleet.MachineQuarantined:
		return true
	}
	return false
}

// units is what an instance adds to its app.
func (v *view) units(i *fleet.Instance) float64 {
	m, _ := v.book.machines.get(i.Machine)
	return unitsOn(v.set.app(i.App), i.CPU, m.CPU, m.Units)
}

// unitsOn is the capacity of a container with that CPU on a machine: the app's
// own word, else its share of the machine.
func unitsOn(a *App, cpu, machineCPU, machineUnits float64) float64 {
	switch {
	case a != nil && a.Units > 0:
		return a.Units
	case cpu > 0 && machineCPU > 0 && machineUnits > 0:
		return cpu * machineUnits / machineCPU
	case cpu > 0:
		return cpu
	case machineUnits > 0:
		return machineUnits
	}
	return 1
}
