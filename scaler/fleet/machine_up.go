package fleet

import "time"

// unwanted tells that the planner wants the machine out of service.
func (m *Machine) unwanted() bool { return m.Want == WantDrain || m.Want == WantStop }

// ordered waits until the order says which machine the slot got, if any.
func (m *Machine) ordered(obs MachineObs, t Timings, now time.Time) {
	switch {
	case m.State == MachinePlanned && (obs.Order != "" || m.CloudID != ""):
		m.reached("decided", m.Since)
		m.enter(MachineRequested, "", now)
		m.reached("requested", now)
	case m.CloudID != "":
		m.enter(MachineBooting, "", now)
	case obs.Order == OrderRefused:
		m.enter(MachineFailed, "its order was refused", now)
	case obs.Order == OrderBound:
		m.enter(MachineFailed, "the cloud made fewer machines than ordered", now)
	case obs.Order == "" && past(later(m.Since, obs.Watched), t.Requested, now):
		m.enter(MachineFailed, "nobody knows its order", now)
	}
}

// comingUp follows a machine until it takes containers.
func (m *Machine) comingUp(obs MachineObs, t Timings, now time.Time) {
	if m.unwanted() {
		m.enter(MachineEmptied, "no longer wanted", now)
		return
	}
	switch m.State {
	case MachineBooting:
		m.booting(obs, t, now)
	case MachineJoining:
		m.joining(obs, t, now)
	default:
		m.settled(obs, t, now)
	}
}

func (m *Machine) booting(obs MachineObs, t Timings, now time.Time) {
	switch {
	case obs.alive() && obs.CloudState == cloudRunning && m.Address != "":
		m.enter(MachineJoining, "", now)
	case !past(later(m.Since, obs.Watched), t.Boot, now):
	case obs.CloudState == cloudRunning:
		m.enter(MachineFailed, "it got no address in time", now)
	default:
		m.enter(MachineFailed, "it did not run in time", now)
	}
}

func (m *Machine) joining(obs MachineObs, t Timings, now time.Time) {
	switch {
	case m.initDone(obs) && obs.answers():
		m.enter(MachineSettled, "", now)
	case !past(later(m.Since, obs.Watched), t.Join, now):
	case m.initDone(obs):
		m.enter(MachineFailed, "its engine did not answer in time", now)
	default:
		m.enter(MachineFailed, "its init was not done in time", now)
	}
}

// settled prepares the machine. Images that cannot be had now can be had when a
// container needs them: the deadline fails a machine only if its engine is
// silent too.
func (m *Machine) settled(obs MachineObs, t Timings, now time.Time) {
	if m.fresh(obs.Last, PrepareMachine, m.Since) {
		if obs.Last.OK {
			m.reached("images", obs.Last.At)
			m.enter(MachineReady, "", now)
			return
		}
		m.count(obs.Last, t.Backoff, m.ID)
	}
	switch {
	case !past(later(m.Since, obs.Watched), t.Prepare, now):
	case obs.EngineOK:
		m.enter(MachineReady, "not all is prepared: "+obs.Last.Err, now)
	default:
		m.enter(MachineFailed, "its engine stopped answering", now)
	}
}

// inService moves a machine between ready and cordoned. A silent engine cordons
// it and an answer takes it back, whoever cordoned it unless a person did.
func (m *Machine) inService(obs MachineObs, t Timings, now time.Time) {
	silent := !obs.EngineOK && !obs.EngineDown.IsZero() && past(obs.EngineDown, t.EngineSilent, now)
	cordoned := m.State == MachineCordoned
	switch {
	case m.unwanted() && m.due(now): // not due: the cloud refused to end it
		m.enter(MachineDraining, "no longer wanted", now)
	case m.unwanted():
	case m.Want == WantCordon && !cordoned:
		m.enter(MachineCordoned, "as asked", now)
	case m.Want == WantCordon:
	case silent && !cordoned:
		m.enter(MachineCordoned, "its engine is silent", now)
	case silent && m.dead(obs, t, now):
		m.enter(MachineFailed, "its engine is dead", now)
	case cordoned && obs.answers():
		m.enter(MachineReady, "in service again", now)
	}
}

// dead tells that the engine has been silent for long and nothing on the
// machine serves.
func (m *Machine) dead(obs MachineObs, t Timings, now time.Time) bool {
	return past(obs.EngineDown, t.EngineDead, now) && m.spared(obs, t, now)
}

// spared tells that the machine had no traffic lately.
func (m *Machine) spared(obs MachineObs, t Timings, now time.Time) bool {
	last := later(m.LastTraffic, obs.Traffic)
	return last.IsZero() || !now.Before(last.Add(t.Spare))
}

// starting brings a stopped machine back. What the cloud and the engine said
// before the start was taken is of the time before the stop.
func (m *Machine) starting(obs MachineObs, t Timings, now time.Time) {
	if m.fresh(obs.Last, StartMachine, m.Since) {
		switch {
		case obs.Last.ErrKind == errNoCapacity || obs.Last.ErrKind == errQuota:
			m.enter(MachineWarmStopped, "cannot be started: "+obs.Last.Err, now)
			m.Retry = now.Add(t.Stock)
			return
		case obs.Last.ErrKind == errInvalid || obs.Last.ErrKind == errNotFound:
			m.enter(MachineFailed, "cannot be started: "+obs.Last.Err, now)
			return
		}
		m.started(obs.Last, t)
	}
	ran := obs.alive() && obs.CloudState == cloudRunning && !m.Tried.IsZero() && obs.ListedAt.After(m.Tried)
	switch {
	case m.unwanted():
		m.enter(MachineEmptied, "no longer wanted", now)
	case ran && obs.EngineOK && obs.EngineAt.After(m.Since):
		m.enter(MachineSettled, "started", now)
	case past(later(m.Since, obs.Watched), t.Starting, now):
		m.enter(MachineFailed, "it did not start in time", now)
	}
}

func (m *Machine) started(last Outcome, t Timings) {
	m.count(last, t.Backoff, m.ID)
	if last.OK && !m.Unbilled.IsZero() {
		m.Billed, m.Unbilled = last.At, time.Time{}
	}
}
