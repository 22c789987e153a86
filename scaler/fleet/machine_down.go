package fleet

import "time"

// draining waits until the instances have left; each has its own deadlines.
func (m *Machine) draining(obs MachineObs, now time.Time) {
	switch {
	case m.Want == WantCordon:
		m.enter(MachineCordoned, "as asked", now)
	case !m.unwanted():
		m.enter(MachineReady, "wanted again", now)
	case obs.Instances == 0:
		m.enter(MachineEmptied, "", now)
	}
}

// emptied keeps the machine for as long as it is paid anyway: wanted again, it
// is capacity at once.
func (m *Machine) emptied(obs MachineObs, t Timings, now time.Time) {
	_, wasReady := m.Stage("ready")
	switch {
	case !m.unwanted() && wasReady:
		m.enter(MachineReady, "wanted again", now)
	case !m.unwanted():
		m.enter(MachineBooting, "wanted again", now)
	case obs.Instances > 0:
		m.enter(MachineDraining, "not empty", now)
	case m.Want == WantStop && obs.Warm && wasReady:
		m.enter(MachineWarmStopped, "", now)
	case !now.Before(ReleaseAt(*m, t.Release, now)):
		m.enter(MachineDeleting, "", now)
	}
}

func (m *Machine) warmStopped(obs MachineObs, t Timings, now time.Time) {
	if obs.CloudState == cloudStopped && m.Unbilled.IsZero() {
		m.Unbilled = now
	}
	if m.fresh(obs.Last, StopMachine, m.Since) {
		if obs.Last.ErrKind == errInvalid && obs.Instances == 0 {
			m.enter(MachineDeleting, "cannot be stopped: "+obs.Last.Err, now)
			return
		}
		m.count(obs.Last, t.Backoff, m.ID)
	}
	switch {
	case m.Want == WantDrain && obs.Instances == 0:
		m.enter(MachineDeleting, "no longer wanted", now)
	case (m.Want == "" || m.Want == WantKeep) && m.due(now):
		m.enter(MachineStarting, "wanted again", now)
	}
}

// deleting repeats Delete for as long as it takes. Gone needs two witnesses: a
// Delete that was answered and a list, or lists over a long time: the answers of
// a scaler that dies at each Delete are never heard.
func (m *Machine) deleting(obs MachineObs, t Timings, now time.Time) {
	if m.fresh(obs.Last, DeleteMachine, m.Since) {
		if m.refused(obs, t, now) {
			return
		}
		m.deleted(obs.Last, t)
	}
	answered := !m.Deleted.IsZero()
	switch {
	case answered && obs.Listed && obs.CloudState == cloudDeleted:
		m.enter(MachineGone, "the cloud says so", now)
	case obs.Listed:
	case answered && obs.ListedAt.After(m.Deleted.Add(obs.ListLag)):
		m.enter(MachineGone, "the cloud no longer lists it", now)
	case !m.Missing.IsZero() && obs.ListedAt.After(later(m.Since, m.Missing).Add(obs.ListLag+t.Lost)):
		m.enter(MachineGone, "the cloud has not listed it for long", now)
	}
}

// refused gives a machine that can serve, and that its cloud will not end, back
// to service for a while. Then it is tried again.
func (m *Machine) refused(obs MachineObs, t Timings, now time.Time) bool {
	_, wasReady := m.Stage("ready")
	if obs.Last.ErrKind != errInvalid || !wasReady || !obs.answers() || obs.CloudState != cloudRunning {
		return false
	}
	m.enter(MachineCordoned, "the cloud refuses to end it: "+obs.Last.Err, now)
	m.Retry = now.Add(t.Refused)
	return true
}

// deleted notes an answer to Delete. After a good one the list is waited for;
// asking again every second would use up the cloud's limit of requests.
func (m *Machine) deleted(last Outcome, t Timings) {
	m.count(last, t.Backoff, m.ID)
	if !last.OK && last.ErrKind != errNotFound {
		return
	}
	m.Retry = last.At.Add(t.Backoff.Most)
	if m.Deleted.IsZero() {
		m.Deleted = last.At
	}
	if m.Unbilled.IsZero() {
		m.Unbilled = last.At
	}
}

// gone is not believed against a list that began later than one could still
// show what has ended.
func (m *Machine) gone(obs MachineObs, now time.Time) {
	if !obs.alive() || m.CloudID == "" || !obs.ListedAt.After(m.Since.Add(obs.ListLag)) {
		return
	}
	switch {
	case m.Unbilled.IsZero():
		m.enter(MachineFailed, "made, though its order said not", now)
	case obs.Instances == 0:
		m.Unbilled = time.Time{}
		m.enter(MachineDeleting, "still there", now)
	}
}

// lost waits whether the list shows the machine again. If it stays away it is
// deleted, to make sure, unless gateways still have traffic for it: then the
// list is wrong.
func (m *Machine) lost(obs MachineObs, t Timings, now time.Time) {
	served := later(m.LastTraffic, obs.Traffic).After(m.Since) && !m.spared(obs, t, now)
	switch {
	case obs.alive():
		m.enter(MachineJoining, "listed again", now)
	case m.Missing.IsZero() || obs.Instances > 0 || served:
	case !obs.ListedAt.Before(m.Missing.Add(obs.ListLag + t.Lost)):
		m.enter(MachineDeleting, "to make sure", now)
	}
}

// failed decides what becomes of a machine that failed or is quarantined: taken
// back if it came up late and is wanted, else kept for a person, else deleted.
func (m *Machine) failed(obs MachineObs, t Timings, now time.Time) {
	_, wasReady := m.Stage("ready")
	quarantined := m.State == MachineQuarantined
	switch {
	case m.CloudID == "":
		if obs.ListedAt.After(m.Since.Add(obs.ListLag)) {
			m.enter(MachineGone, "never made", now)
		}
	case m.Want == WantKeep && m.initDone(obs) && obs.answers() && obs.CloudState == cloudRunning:
		m.enter(MachineJoining, "up late", now)
	case quarantined && !m.unwanted() && !past(m.Since, t.Quarantine, now):
	case obs.Instances > 0 || !m.spared(obs, t, now):
	case !quarantined && obs.Quarantine && obs.alive() && !wasReady && !m.unwanted():
		m.enter(MachineQuarantined, m.Reason, now)
	default:
		m.enter(MachineDeleting, m.Reason, now)
	}
}
