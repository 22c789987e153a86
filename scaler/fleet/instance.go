package fleet

import "time"

// Step moves an instance on:
//
//	                       container ended
//	            .--------------<----------------<---------------.
//	            v              |                |               |
//	planned -> starting -> registering ---> checking -------> serving
//	  |         |              |              |   ^            |   ^
//	  |         | unwanted,    |     unwanted |   | wanted     |   | wanted
//	  |         | never        |              v   | again      v   | again
//	  |         | served       |             ---- draining --------
//	  |         |              |                     |  all gateways told and none in
//	  |         v              v                     v  flight; deadline; container ended
//	  |          --------------------------------> leaving <-- a tick later --- failed, or
//	  | unwanted, or its                             |  deregistered      draining if it
//	  v machine takes none                           v                    may have traffic
//	 gone <--- removed, or ends with its machine -- stopping
//
//	from starting, registering, checking, serving and draining:
//	  a deadline passed, it ended too often, its machine is lost or failed --> failed
//
// It is drained when it or its machine is unwanted. What is not known (engine,
// registry, gateways) moves nothing: an engine that does not answer has not lost
// its containers, and an instance that serves and whose check fails goes on
// serving, since gateways leave it out by themselves. A container is removed
// only after its instance was deregistered, and that, of one that serves, only
// after the registry had taken the drain.
func (i Instance) Step(obs InstanceObs, t Timings, now time.Time) (Instance, []Effect) {
	for {
		from := i.State
		i.hop(obs, t, now)
		if i.State == from {
			break
		}
	}
	if kind := i.effect(obs); kind != "" && i.due(now) {
		return i, one(kind, i.ID)
	}
	return i, nil
}

func (i *Instance) enter(s InstanceState, reason string, now time.Time) {
	i.State, i.Since, i.Reason, i.Attempts = s, now, reason, Attempts{}
}

func (i *Instance) fail(reason string, blamed bool, now time.Time) {
	i.enter(InstanceFailed, reason, now)
	i.Blamed = i.Blamed || blamed
	i.Ending = true
}

// broken tells that nothing runs on the machine any more, or nothing that could
// be reached.
func (obs *InstanceObs) broken() bool {
	switch obs.Machine {
	case MachineLost, MachineFailed, MachineQuarantined, MachineDeleting, MachineGone, MachineWarmStopped, MachineStarting:
		return true
	default:
		return false
	}
}

// departing tells that the machine is being emptied.
func (obs *InstanceObs) departing() bool {
	return obs.Machine == MachineDraining || obs.Machine == MachineEmptied
}

// unwanted tells that the instance is to leave.
func (i *Instance) unwanted(obs InstanceObs) bool {
	return i.Want == WantDrain || i.Ending || obs.departing()
}

// ended tells that the container is known not to run since the state was
// entered.
func (i *Instance) ended(obs InstanceObs) bool {
	return (obs.Container == ContainerExited || obs.Container == ContainerMissing) && obs.ContainerAt.After(i.Since)
}

// running tells that the container is known to run since the state was entered.
func (i *Instance) running(obs InstanceObs) bool {
	return obs.Container == ContainerRunning && obs.ContainerAt.After(i.Since)
}

// told tells that the registry was read after at.
func (obs *InstanceObs) told(at time.Time) bool { return obs.RegistryKnown && obs.RegistryAt.After(at) }

func (i *Instance) hop(obs InstanceObs, t Timings, now time.Time) {
	switch i.State {
	case InstancePlanned:
		i.planned(obs, now)
	case InstanceStarting:
		i.starting(obs, t, now)
	case InstanceRegistering, InstanceChecking, InstanceServing:
		i.up(obs, t, now)
	case InstanceDraining:
		i.draining(obs, t, now)
	case InstanceLeaving:
		i.leaving(obs, t, now)
	case InstanceStopping:
		i.stopping(obs, t, now)
	case InstanceFailed:
		i.failed(obs, now)
	case InstanceGone:
		if i.running(obs) && !obs.broken() {
			i.enter(InstanceStopping, "still there", now)
		}
	}
}

// effect is what the state calls for; "" for nothing.
func (i *Instance) effect(obs InstanceObs) Kind {
	switch i.State {
	case InstanceStarting:
		return EnsureContainer
	case InstanceRegistering:
		return Register
	case InstanceChecking, InstanceServing:
		return i.repair(obs)
	case InstanceDraining:
		if i.DrainFrom.IsZero() {
			return DrainService
		}
	case InstanceLeaving:
		return Deregister
	case InstanceStopping:
		return RemoveContainer
	}
	return ""
}

// repair is what the registry must be told so that the instance serves: an entry
// that somebody removed, a drain that still stands.
func (i *Instance) repair(obs InstanceObs) Kind {
	seen := obs.told(i.Since) && obs.told(i.Tried)
	switch {
	case seen && !obs.Registered:
		return Register
	case i.Undrain, seen && obs.Draining:
		return UndrainService
	default:
		return ""
	}
}
