package fleet

import (
	"slices"
	"time"
)

// The states of a machine as package cloud names them, as far as they matter.
const (
	cloudRunning  = "running"
	cloudStopping = "stopping"
	cloudStopped  = "stopped"
	cloudDeleting = "deleting"
	cloudDeleted  = "deleted"
	cloudFailed   = "failed"
)

// Step moves a machine on:
//
//	planned -> requested -> booting -> joining -> settled -> ready <--> cordoned
//	                           |          |          |        |  ^         |
//	                           |          |          |        |  | wanted  |
//	                           |          |          |        v  | again   |
//	                           | unwanted |          |      draining <-----'
//	                           |          |          |        | no instance is left
//	                           v          v          v        v
//	                            ---------------------------> emptied ---> ready, or booting if never
//	                                                          |   |       ready: wanted again
//	                                 paid time is nearly over |   | to be kept stopped
//	                                                          v   v
//	gone <-- Delete answered, and then unlisted -------- deleting warm-stopped <--> starting --> settled
//	 |                                                    ^  | ^         |             |
//	 `--- still listed -----------------------------------'  |  `--------'             v unwanted
//	                                                         | unwanted              emptied
//	         cordoned, to serve on <--- refused for good ----'
//
//	from each state with a machine:
//	  unlisted for longer than ListLag --> lost ---- listed again --> joining
//	                                        `------- stays away ----> deleting
//	  past a deadline, refused, broken --> failed -- up late, kept -> joining
//	                                        |`------ budget --------> quarantined
//	                                        |`------ never made ----> gone
//	                                        `------- no traffic ----> deleting
//
// A machine is deleted only when no instance is on it, and unless it was drained
// or lost, only when it had no traffic for Timings.Spare. It is gone when the
// cloud answered a Delete and a later complete List does not show it. What is
// not known (a cloud or an engine that does not answer) moves nothing.
func (m Machine) Step(obs MachineObs, t Timings, now time.Time) (Machine, []Effect) {
	m.Stages = slices.Clip(m.Stages) // appending must not write into the record we were given
	m.observe(obs, now)
	for {
		from := m.State
		m.hop(obs, t, now)
		if m.State == from {
			break
		}
	}
	if kind := m.effect(obs); kind != "" && m.due(now) {
		return m, one(kind, m.ID)
	}
	return m, nil
}

// Coming tells that the machine is on its way to ready: capacity that was
// ordered and has not failed.
func (m Machine) Coming() bool {
	switch m.State {
	case MachinePlanned, MachineRequested, MachineBooting, MachineJoining, MachineSettled, MachineStarting:
		return m.Want == "" || m.Want == WantKeep || m.Want == WantCordon
	default:
		return false
	}
}

// Stage returns when a stage was reached.
func (m Machine) Stage(name string) (at time.Time, ok bool) {
	for _, s := range m.Stages {
		if s.Name == name {
			return s.At, true
		}
	}
	return time.Time{}, false
}

func (m *Machine) reached(name string, at time.Time) {
	if _, ok := m.Stage(name); !ok {
		m.Stages = append(m.Stages, Stage{Name: name, At: at})
	}
}

func (m *Machine) enter(s MachineState, reason string, now time.Time) {
	m.State, m.Since, m.Reason, m.Attempts = s, now, reason, Attempts{}
	switch s {
	case MachineReady:
		m.reached("ready", now)
	case MachineDeleting:
		m.Deleted = time.Time{}
	case MachineGone:
		if m.Unbilled.IsZero() && m.CloudID != "" {
			m.Unbilled = now
		}
	}
}

// observe notes facts that do not depend on the state.
func (m *Machine) observe(obs MachineObs, now time.Time) {
	m.Owned = m.Owned || obs.LedgerOnly
	if m.CloudID == "" {
		if obs.CloudID == "" {
			return
		}
		m.CloudID, m.Billed = obs.CloudID, now
	}
	if obs.Address != "" {
		m.Address = obs.Address
	}
	if obs.Traffic.After(m.LastTraffic.Add(time.Minute)) {
		m.LastTraffic = obs.Traffic // to the minute: each change is a write
	}
	m.observeList(obs)
	m.observeStages(obs, now)
}

// observeList notes since when complete lists do not show the machine. A list
// from before it was bound says nothing of it.
func (m *Machine) observeList(obs MachineObs) {
	switch {
	case obs.alive():
		m.Missing = time.Time{}
	case obs.ListedAt.IsZero() || !m.Missing.IsZero():
	case obs.ListedAt.After(m.Billed):
		m.Missing = obs.ListedAt
	}
}

func (m *Machine) observeStages(obs MachineObs, now time.Time) {
	if obs.CloudState == cloudRunning {
		m.reached("running", now)
	}
	if obs.Address != "" {
		m.reached("address", now)
	}
	for _, s := range obs.Stages {
		m.reached(s.Name, s.At)
	}
	if obs.Settled {
		m.reached("settled", now)
	}
	if obs.EngineOK {
		m.reached("engine", now)
	}
}

// alive tells that the cloud lists the machine and is not ending it.
func (obs *MachineObs) alive() bool {
	return obs.Listed && obs.CloudState != cloudDeleting && obs.CloudState != cloudDeleted
}

// answers tells that the machine can be worked with.
func (obs *MachineObs) answers() bool { return obs.alive() && obs.EngineOK }

// initDone tells that the machine's init has ended. A machine adopted without a
// record cannot tell again; that its engine answers is the best there is.
func (m *Machine) initDone(obs MachineObs) bool {
	_, settled := m.Stage("settled")
	return settled || (m.Adopted && obs.EngineOK)
}

func (m *Machine) hop(obs MachineObs, t Timings, now time.Time) {
	if m.fault(obs, now) {
		return
	}
	switch m.State {
	case MachinePlanned, MachineRequested:
		m.ordered(obs, t, now)
	case MachineBooting, MachineJoining, MachineSettled:
		m.comingUp(obs, t, now)
	case MachineReady, MachineCordoned:
		m.inService(obs, t, now)
	case MachineDraining:
		m.draining(obs, now)
	case MachineEmptied:
		m.emptied(obs, t, now)
	case MachineWarmStopped:
		m.warmStopped(obs, t, now)
	case MachineStarting:
		m.starting(obs, t, now)
	case MachineDeleting:
		m.deleting(obs, t, now)
	case MachineGone:
		m.gone(obs, now)
	case MachineLost:
		m.lost(obs, t, now)
	case MachineFailed, MachineQuarantined:
		m.failed(obs, t, now)
	}
}

// effect is what the state calls for; "" for nothing.
func (m *Machine) effect(obs MachineObs) Kind {
	switch m.State {
	case MachineSettled:
		if obs.EngineOK {
			return PrepareMachine
		}
	case MachineWarmStopped:
		if obs.CloudState != cloudStopped && obs.CloudState != cloudStopping {
			return StopMachine
		}
	case MachineStarting:
		if m.Tried.IsZero() || obs.CloudState != cloudRunning {
			return StartMachine
		}
	case MachineDeleting:
		if obs.Instances == 0 {
			return DeleteMachine
		}
	}
	return ""
}

// fault takes a machine out of the states in which it must exist and run when
// the cloud says otherwise.
func (m *Machine) fault(obs MachineObs, now time.Time) bool {
	if !m.exists() {
		return false
	}
	switch {
	case obs.Listed && !obs.alive():
		m.enter(MachineLost, "the cloud is ending it", now)
	case !m.Missing.IsZero() && obs.ListedAt.After(m.Missing) && !obs.ListedAt.Before(m.Missing.Add(obs.ListLag)):
		m.enter(MachineLost, "the cloud no longer lists it", now)
	case obs.CloudState == cloudFailed && m.runs():
		m.enter(MachineFailed, "the cloud says it failed", now)
	case (obs.CloudState == cloudStopped || obs.CloudState == cloudStopping) && m.runs() && m.State != MachineBooting:
		m.enter(MachineFailed, "somebody stopped it", now)
	default:
		return false
	}
	return true
}

// exists tells that the state takes the cloud's listing the machine for granted.
func (m *Machine) exists() bool {
	switch m.State {
	case MachineEmptied, MachineWarmStopped, MachineStarting, MachineQuarantined:
		return true
	default:
		return m.runs()
	}
}

// runs tells that the state takes the machine's running for granted (or, while
// it boots, that it will run by itself).
func (m *Machine) runs() bool {
	switch m.State {
	case MachineBooting, MachineJoining, MachineSettled, MachineReady, MachineCordoned, MachineDraining:
		return true
	default:
		return false
	}
}
