package scaler

import (
	"maps"
	"slices"
	"time"

	"spillway/scaler/cloud"
	"spillway/scaler/fleet"
)

// orderKept is how long an order that is done stays in the ledger: so long a
// late machine finds its slot, and a person what became of it.
const orderKept = 15 * time.Minute

// step brings every record up to what was seen, orders first: machines depend
// on their order, instances on their machine.
func (v *view) step() {
	for id := range v.book.orders.all() {
		v.stepOrder(id)
	}
	for id := range v.book.machines.all() {
		v.stepMachine(id)
	}
	for id := range v.book.instances.all() {
		v.stepInstance(id)
	}
}

// call notes the effect a record's state calls for, in place of an earlier one
// of the same tick.
func (v *view) call(id string, effects []fleet.Effect) {
	delete(v.effects, id)
	for _, e := range effects {
		v.effects[id] = e
	}
}

func (v *view) stepOrder(id string) {
	o, _ := v.book.orders.get(id)
	next, effects := o.Step(v.seeOrder(&o), v.set.Timings, v.now)
	if next.State == fleet.OrderRefused && o.State != fleet.OrderRefused {
		v.backOff(&next)
	}
	if next.State == fleet.OrderBound && o.State != fleet.OrderBound {
		v.inStock(&next)
	}
	v.book.orders.put(id, next)
	v.call(id, effects)
	if v.orderDone(&next) {
		v.book.orders.drop(id)
	}
}

// orderDone reports whether an order has told all it knows.
func (v *view) orderDone(o *fleet.Order) bool {
	if o.State != fleet.OrderBound && o.State != fleet.OrderRefused {
		return false
	}
	if v.now.Sub(o.Since) < orderKept {
		return false
	}
	return !slices.ContainsFunc(o.Slots, func(slot string) bool {
		m, ok := v.book.machines.get(slot)
		return ok && (m.State == fleet.MachinePlanned || m.State == fleet.MachineRequested)
	})
}

func (v *view) stepMachine(id string) {
	m, _ := v.book.machines.get(id)
	next, effects := m.Step(v.seeMachine(&m), v.machineTimings(m.Pool), v.now)
	if next.State == fleet.MachineReady && m.State != fleet.MachineReady {
		v.noteBoot(&next)
		v.arrived = append(v.arrived, next)
	}
	if next.State == fleet.MachineGone {
		v.buryMachine(&next)
		return
	}
	v.book.machines.put(id, next)
	v.call(id, effects)
}

func (v *view) buryMachine(m *fleet.Machine) {
	v.accrue(m)
	v.book.machines.drop(m.ID)
	delete(v.effects, m.ID)
	if m.CloudID != "" {
		v.mem.buried[m.CloudID] = v.now
	}
}

func (v *view) stepInstance(id string) {
	i, _ := v.book.instances.get(id)
	next, effects := i.Step(v.seeInstance(&i), v.instanceTimings(i.App), v.now)
	if next.State == fleet.InstanceServing && i.Healthy.IsZero() && !next.Healthy.IsZero() {
		v.noteStart(&next)
	}
	if next.State == fleet.InstanceFailed && next.Blamed && i.State != fleet.InstanceFailed {
		v.blame(&next)
	}
	if next.State == fleet.InstanceGone {
		v.book.instances.drop(id)
		delete(v.effects, id)
		v.leave(next.Machine, id)
		return
	}
	v.book.instances.put(id, next)
	v.call(id, effects)
}

// leave takes an instance off its machine.
func (v *view) leave(machine, id string) {
	v.on[machine] = slices.DeleteFunc(slices.Clone(v.on[machine]), func(o string) bool { return o == id })
}

// blame notes that an app failed on a machine, so that others are preferred.
func (v *view) blame(i *fleet.Instance) {
	if v.mem.blamed[i.Machine] == nil {
		v.mem.blamed[i.Machine] = map[string]time.Time{}
	}
	v.mem.blamed[i.Machine][i.App] = v.now
}

// jobs are the effects that may be dispatched now, in the order of their ids,
// with their records as they were committed.
func (v *view) jobs() []job {
	var all []job
	for _, id := range slices.Sorted(maps.Keys(v.effects)) {
		j := job{effect: v.effects[id]}
		j.machine, _ = v.book.machines.get(id)
		if o, ok := v.book.orders.get(id); ok {
			j.order = o
			j.machine, _ = v.book.machines.get(o.Slots[0])
		}
		if i, ok := v.book.instances.get(id); ok {
			j.instance = i
			j.machine, _ = v.book.machines.get(i.Machine)
		}
		if v.allowed(&j) {
			all = append(all, j)
		}
	}
	return all
}

// allowed holds back what destroys until enough was seen since the start.
func (v *view) allowed(j *job) bool {
	switch j.effect.Kind {
	case fleet.DeleteMachine, fleet.StopMachine:
		return v.settledFor(j.machine.Provider)
	case fleet.RemoveContainer, fleet.Deregister:
		return v.settledService(v.serviceOf(j.instance.App)) || v.set.app(j.instance.App) == nil
	case fleet.CreateMachines:
		return !v.seen.listings[j.order.Provider].begun.IsZero()
	}
	return true
}

// backOff keeps an offering that was refused from being asked for again at
// once; the pause doubles with each refusal in a row. A quota is everybody's in
// the region, so it holds for the type in every zone.
func (v *view) backOff(o *fleet.Order) {
	key := stockKey(o.Provider, o.Type, o.Zone)
	if o.Refused == cloud.Quota.String() {
		key = stockKey(o.Provider, o.Type, "")
	}
	b := v.mem.stock[key]
	b.Fails++
	pause := min(v.set.Pace.Backoff<<min(b.Fails-1, 10), v.set.Pace.BackoffMost)
	b.Until, b.Why = v.now.Add(pause), o.Refused
	v.mem.stock[key] = b
}

// inStock forgets refusals: the offering was just had.
func (v *view) inStock(o *fleet.Order) {
	delete(v.mem.stock, stockKey(o.Provider, o.Type, o.Zone))
	delete(v.mem.stock, stockKey(o.Provider, o.Type, ""))
}

// backoff of an offering. After it one machine is asked for as a probe, and
// more only when that was had.
type backoff struct {
	Fails int
	Until time.Time
	Why   string
}

func stockKey(provider, typ, zone string) string { return provider + "/" + typ + "/" + zone }
