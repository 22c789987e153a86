package fleet

import "time"

// draining ends by acknowledgement, or at the deadline, which runs from when the
// registry took the drain: what gateways were never told of they do not heed,
// and ending it would fail their requests.
func (i *Instance) draining(obs InstanceObs, t Timings, now time.Time) {
	switch {
	case obs.broken():
		i.fail("its machine is "+string(obs.Machine), false, now)
		return
	case i.ended(obs):
		i.enter(InstanceLeaving, "its container is "+obs.Container, now)
		return
	case !i.unwanted(obs):
		i.undrain(now)
		return
	}
	i.drained(obs, t, now)
	switch {
	case i.fresh(obs.Last, DrainService, i.Since) && obs.Last.ErrKind == errNotFound:
		i.enter(InstanceLeaving, "not registered", now)
	case i.DrainFrom.IsZero():
	case obs.Acked && obs.InFlight == 0 && now.After(i.DrainFrom):
		i.enter(InstanceLeaving, "drained", now)
	case past(i.DrainFrom, t.Drain, now):
		i.enter(InstanceLeaving, "drain deadline", now)
	}
}

// drained notes whether the registry took the drain, and whether it kept it.
// That it shows the drain is as good as its answer.
func (i *Instance) drained(obs InstanceObs, t Timings, now time.Time) {
	if i.fresh(obs.Last, DrainService, i.Since) && obs.Last.ErrKind != errNotFound {
		i.count(obs.Last, t.Backoff, i.ID)
		if obs.Last.OK {
			i.DrainFrom = obs.Last.At
		}
	}
	switch {
	case i.DrainFrom.IsZero() && obs.told(i.Since) && obs.Registered && obs.Draining:
		i.DrainFrom = now
	case !i.DrainFrom.IsZero() && obs.told(i.DrainFrom) && obs.Registered && !obs.Draining:
		i.DrainFrom = time.Time{} // somebody took it back
	}
}

// undrain puts the instance back to where it was. The drain may have reached
// the registry even if no answer came back.
func (i *Instance) undrain(now time.Time) {
	i.DrainFrom = time.Time{}
	i.Undrain = true
	if i.Healthy.IsZero() {
		i.enter(InstanceChecking, "wanted again", now)
	} else {
		i.enter(InstanceServing, "wanted again", now)
	}
}

// failed lasts until it was seen. An instance that may have traffic all the same
// is drained: its container may be well and only news of it lost.
func (i *Instance) failed(obs InstanceObs, now time.Time) {
	told := obs.told(i.Since)
	switch {
	case !now.After(i.Since):
	case obs.broken(), i.ended(obs), told && !obs.Registered:
		i.enter(InstanceLeaving, i.Reason, now)
	case !i.Healthy.IsZero(), told && obs.Passing:
		i.DrainFrom = time.Time{}
		i.enter(InstanceDraining, i.Reason, now)
	default:
		i.enter(InstanceLeaving, i.Reason, now)
	}
}

// leaving removes the instance from the registry. Until that has answered, the
// container stays: gateways may still send to it.
func (i *Instance) leaving(obs InstanceObs, t Timings, now time.Time) {
	fresh := i.fresh(obs.Last, Deregister, i.Since)
	switch {
	case fresh && (obs.Last.OK || obs.Last.ErrKind == errNotFound):
		i.enter(InstanceStopping, i.Reason, now)
	case obs.told(i.Since) && !obs.Registered:
		i.enter(InstanceStopping, i.Reason, now)
	case fresh:
		i.count(obs.Last, t.Backoff, i.ID)
	}
}

// stopping removes the container, or leaves it to end with its machine.
func (i *Instance) stopping(obs InstanceObs, t Timings, now time.Time) {
	fresh := i.fresh(obs.Last, RemoveContainer, i.Since)
	switch {
	case obs.broken():
		i.enter(InstanceGone, "its machine is "+string(obs.Machine), now)
	case fresh && (obs.Last.OK || obs.Last.ErrKind == errNotFound):
		i.enter(InstanceGone, i.Reason, now)
	case obs.Container == ContainerMissing && obs.ContainerAt.After(i.Since):
		i.enter(InstanceGone, i.Reason, now)
	case obs.departing() && past(i.Since, t.Remove, now):
		i.enter(InstanceGone, "left to its machine", now)
	case fresh:
		i.count(obs.Last, t.Backoff, i.ID)
	}
}
