package scaler

import (
	"time"

	"spillway/scaler/cloud"
	"spillway/scaler/docker"
	"spillway/scaler/fleet"
	"spillway/scaler/signal"
)

// seeOrder is what is known of an order.
func (v *view) seeOrder(o *fleet.Order) fleet.OrderObs {
	about := v.about[o.Provider]
	obs := fleet.OrderObs{
		Last: v.seen.outcomes[o.ID], ListedAt: v.seen.listings[o.Provider].begun,
		ClientToken: about.ClientToken, UniqueNames: about.UniqueNames, ListLag: about.ListLag,
		Sender: v.mem.wrote[o.ID],
	}
	for _, m := range v.seen.made[o.ID] {
		obs.Machines = append(obs.Machines, bound(m))
	}
	for _, m := range v.byOrder[o.ID] {
		if m.State != cloud.Deleted {
			obs.Machines = append(obs.Machines, bound(m))
		}
	}
	return obs
}

func bound(m cloud.Machine) fleet.Bound {
	return fleet.Bound{CloudID: m.ID, Name: m.Name, Address: m.Address}
}

// seeMachine is what is known of a machine. Its order has been stepped before.
func (v *view) seeMachine(m *fleet.Machine) fleet.MachineObs {
	about := v.about[m.Provider]
	engine := v.seen.engines[m.ID]
	obs := fleet.MachineObs{
		CloudID: m.CloudID, ListedAt: v.seen.listings[m.Provider].begun, ListLag: about.ListLag,
		EngineOK: !engine.begun.IsZero() && engine.down.IsZero(), EngineAt: engine.begun, EngineDown: engine.down,
		Instances: len(v.on[m.ID]), Traffic: v.traffic(m.ID), Last: v.seen.outcomes[m.ID],
		Watched: v.mem.watched, LedgerOnly: about.Owned, Warm: about.StopFree, Quarantine: v.mayQuarantine(m),
	}
	if o, ok := v.book.orders.get(m.Order); ok {
		obs.Order = o.State
		if obs.CloudID == "" {
			obs.CloudID = o.Bound[m.ID].CloudID
			obs.Address = o.Bound[m.ID].Address
		}
	}
	if c, ok := v.listed(m, obs.CloudID); ok && obs.CloudID != "" {
		obs.Listed, obs.CloudState = true, string(c.State)
		obs.Address = c.Address
	}
	obs.Stages, obs.Settled = v.stages(m)
	return obs
}

func (v *view) stages(m *fleet.Machine) (told []fleet.Stage, settled bool) {
	if v.told != nil {
		told = v.told(*m)
	}
	for _, s := range told {
		settled = settled || s.Name == stageSettled
	}
	if p := v.set.pool(m.Pool); p != nil && !p.Init {
		e := v.seen.engines[m.ID]
		settled = settled || (!e.begun.IsZero() && e.down.IsZero())
	}
	return told, settled
}

const stageSettled = "settled"

// traffic is now if a gateway has requests for an instance of the machine.
func (v *view) traffic(machine string) time.Time {
	for _, id := range v.on[machine] {
		i, _ := v.book.instances.get(id)
		if s, ok := v.signals[i.App].Servers[i.Address]; ok && (s.Requests > 0 || s.InFlight > 0) {
			return v.now
		}
	}
	return time.Time{}
}

// mayQuarantine reports whether a person would look at one more failed machine
// of its pool.
func (v *view) mayQuarantine(m *fleet.Machine) bool {
	p := v.set.pool(m.Pool)
	return p != nil && v.quarantined[m.Pool] < p.Quarantine
}

// seeInstance is what is known of an instance. Its machine has been stepped
// before.
func (v *view) seeInstance(i *fleet.Instance) fleet.InstanceObs {
	obs := fleet.InstanceObs{Machine: fleet.MachineGone, Container: fleet.ContainerUnknown, InFlight: -1, Last: v.seen.outcomes[i.ID], Watched: v.mem.watched}
	if m, ok := v.book.machines.get(i.Machine); ok {
		obs.Machine = m.State
	}
	if e := v.seen.engines[i.Machine]; !e.begun.IsZero() {
		c, ok := e.containers[i.ID]
		obs.Container, obs.ContainerAt = containerState(c, ok), e.begun
	}
	v.seeRegistered(i, &obs)
	v.seeSignals(i, &obs)
	return obs
}

func containerState(c docker.Container, found bool) string {
	switch {
	case !found:
		return fleet.ContainerMissing
	case c.Running:
		return fleet.ContainerRunning
	}
	return fleet.ContainerExited
}

func (v *view) seeRegistered(i *fleet.Instance, obs *fleet.InstanceObs) {
	s, ok := v.seen.services[v.serviceOf(i.App)]
	if !ok || s.begun.IsZero() {
		return
	}
	e, found := s.entries[i.ID]
	obs.RegistryKnown, obs.RegistryAt = true, s.begun
	obs.Registered, obs.Passing, obs.Draining = found, e.Passing, e.Draining
}

func (v *view) serviceOf(app string) string {
	if a := v.set.app(app); a != nil {
		return a.Service
	}
	return app
}

func (v *view) seeSignals(i *fleet.Instance, obs *fleet.InstanceObs) {
	snap := v.signals[i.App]
	server, known := snap.Servers[i.Address]
	if known {
		obs.InFlight, obs.Requests = server.InFlight, server.Requests
	}
	obs.Acked = acked(snap, i, v.now)
	if obs.Acked && !known {
		obs.InFlight = 0 // no gateway remembers the server
	}
	a := v.set.app(i.App)
	if v.acks == nil || a == nil || i.DrainFrom.IsZero() {
		return
	}
	if ok, inFlight, told := v.acks.Acked(a.Upstream, i.Address, i.DrainFrom); told {
		obs.Acked, obs.InFlight = ok, inFlight
	}
}

// acker is a source of signals that knows when each gateway was asked.
type acker interface {
	// Acked reports whether no gateway sends the server anything new, as all of
	// them told after since, and what it has under way; known: all told.
	Acked(upstream, address string, since time.Time) (acked bool, inFlight float64, known bool)
}

// acked reports whether every registered gateway has told, after the drain
// began, that it sends the instance nothing new. Without a single gateway
// there may be clients that nobody knows of: then the deadline ends the drain.
func acked(s signal.Snapshot, i *fleet.Instance, now time.Time) bool {
	if i.DrainFrom.IsZero() || s.Expected == 0 || s.Reporting < s.Expected {
		return false
	}
	return now.Add(-s.Age).After(i.DrainFrom) && s.Servers[i.Address].Serving == 0
}
