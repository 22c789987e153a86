package fleet

import "time"

func (i *Instance) planned(obs InstanceObs, now time.Time) {
	switch {
	case obs.broken():
		i.enter(InstanceGone, "its machine is "+string(obs.Machine), now)
	case i.unwanted(obs):
		i.enter(InstanceGone, "no longer wanted", now)
	case obs.Machine == MachineCordoned:
		i.enter(InstanceGone, "its machine takes no new ones", now)
	case obs.Machine == MachineReady:
		i.enter(InstanceStarting, "", now)
	}
}

// starting calls for the container until it runs. After a restart the container
// may be brought back by its engine before our turn comes.
func (i *Instance) starting(obs InstanceObs, t Timings, now time.Time) {
	fresh := i.fresh(obs.Last, EnsureContainer, i.Since)
	switch {
	case obs.broken():
		i.fail("its machine is "+string(obs.Machine), false, now)
	case i.unwanted(obs):
		i.leave(obs, now)
	case fresh && obs.Last.OK, i.running(obs):
		i.enter(InstanceRegistering, "", now)
	case fresh && obs.Last.ErrKind == errInvalid:
		i.fail("its container cannot be made: "+obs.Last.Err, false, now)
	default:
		if fresh {
			i.count(obs.Last, t.Backoff, i.ID)
		}
		if i.Tries >= t.Restarts || past(later(i.Since, obs.Watched), t.Start, now) {
			i.fail("its container did not start: "+obs.Last.Err, true, now)
		}
	}
}

// up follows an instance whose container runs, up to serving. Registering again
// is harmless, so that a restarted one takes the same way.
func (i *Instance) up(obs InstanceObs, t Timings, now time.Time) {
	switch {
	case obs.broken():
		i.fail("its machine is "+string(obs.Machine), false, now)
	case i.ended(obs):
		i.restart(obs, t, now)
	case i.unwanted(obs):
		i.leave(obs, now)
	case i.State == InstanceRegistering:
		i.registering(obs, t, now)
	case i.State == InstanceChecking:
		i.repaired(obs, t)
		i.checking(obs, t, now)
	default:
		i.repaired(obs, t)
		if obs.Requests > 0 && i.FirstRequest.IsZero() {
			i.FirstRequest = now
		}
	}
}

// leave takes an instance out. One that gateways may know of is drained: a
// restarted one is still registered, and one that is being registered may be.
func (i *Instance) leave(obs InstanceObs, now time.Time) {
	absent := i.State == InstanceRegistering && obs.told(i.Since) && !obs.Registered
	if i.Healthy.IsZero() && (i.State == InstanceStarting || absent) {
		i.enter(InstanceLeaving, "no longer wanted", now)
		return
	}
	i.DrainFrom = time.Time{}
	i.enter(InstanceDraining, "no longer wanted", now)
}

// restart has the container started again, later each time, until it is one
// time too many.
func (i *Instance) restart(obs InstanceObs, t Timings, now time.Time) {
	if i.State == InstanceServing && past(i.Since, t.Stable, now) {
		i.Restarts = 0
	}
	i.Restarts++
	if i.Restarts > t.Restarts {
		i.fail("its container keeps ending", true, now)
		return
	}
	i.enter(InstanceStarting, "its container is "+obs.Container, now)
	i.Retry = now.Add(t.Backoff.After(i.ID, i.Restarts))
}

// registering has a deadline only against a registry that answers and refuses:
// one that is away is no fault of the instance. What it shows is as good as its
// answer, which may have been lost with a former leader.
func (i *Instance) registering(obs InstanceObs, t Timings, now time.Time) {
	if obs.told(i.Since) && obs.Registered {
		i.enter(InstanceChecking, "", now)
		return
	}
	if i.fresh(obs.Last, Register, i.Since) {
		switch {
		case obs.Last.OK:
			i.enter(InstanceChecking, "", now)
			return
		case obs.Last.ErrKind == errInvalid:
			i.fail("the registry refuses it: "+obs.Last.Err, false, now)
			return
		}
		i.count(obs.Last, t.Backoff, i.ID)
	}
	if obs.told(i.Since) && past(later(i.Since, obs.Watched), t.Register, now) {
		i.fail("the registry does not take it: "+obs.Last.Err, false, now)
	}
}

// checking judges by what the registry said since it was entered.
func (i *Instance) checking(obs InstanceObs, t Timings, now time.Time) {
	switch {
	case !obs.told(i.Since):
	case obs.Registered && obs.Passing && !obs.Draining && !i.Undrain:
		i.enter(InstanceServing, "", now)
		if i.Healthy.IsZero() {
			i.Healthy = now
		}
	case past(later(i.Since, obs.Watched), t.Check, now):
		i.fail("its check did not pass in time", true, now)
	}
}

// repaired notes answers to what repair called for, and that all is well.
func (i *Instance) repaired(obs InstanceObs, t Timings) {
	last := obs.Last
	if i.fresh(last, Register, i.Since) {
		i.count(last, t.Backoff, i.ID)
	}
	if i.fresh(last, UndrainService, i.Since) {
		i.count(last, t.Backoff, i.ID)
		i.Undrain = i.Undrain && !last.OK
	}
	if i.Tries > 0 && obs.told(i.Since) && obs.told(i.Tried) && i.repair(obs) == "" {
		i.Tries, i.Retry = 0, time.Time{}
	}
}
