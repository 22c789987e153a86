package fleet

import "testing"

// moment is a step of an instance's story.
type moment struct {
	at     int
	change func(*InstanceObs)
	want   string
	state  InstanceState
	effect Kind
}

func instanceStory(t *testing.T, i Instance, obs InstanceObs, moments []moment) Instance {
	t.Helper()
	for n, s := range moments {
		now := second(s.at)
		obs.ContainerAt, obs.RegistryAt = now, now
		if s.change != nil {
			s.change(&obs)
		}
		i.Want = s.want
		var effects []Effect
		i, effects = i.Step(obs, quick(), now)
		got := Kind("")
		if len(effects) > 0 {
			got = effects[0].Kind
		}
		if i.State != s.state || got != s.effect {
			t.Fatalf("%d, at %d s: %s (%s), effect %q; want %s, effect %q", n, s.at, i.State, i.Reason, got, s.state, s.effect)
		}
	}
	return i
}

func told(kind Kind, errKind string, n int) func(*InstanceObs) {
	return func(o *InstanceObs) {
		o.Last = Outcome{Kind: kind, OK: errKind == "", ErrKind: errKind, Err: errKind, At: second(n)}
	}
}

func also(changes ...func(*InstanceObs)) func(*InstanceObs) {
	return func(o *InstanceObs) {
		for _, c := range changes {
			c(o)
		}
	}
}

func passing(o *InstanceObs) {
	o.Container, o.RegistryKnown, o.Registered, o.Passing, o.Draining = ContainerRunning, true, true, true, false
}

func critical(o *InstanceObs)  { o.Passing = false }
func drainSeen(o *InstanceObs) { o.Draining = true }
func acked(o *InstanceObs)     { o.Acked = true }
func container(is string) func(*InstanceObs) {
	return func(o *InstanceObs) { o.Container = is }
}

func on(s MachineState) func(*InstanceObs) { return func(o *InstanceObs) { o.Machine = s } }

func inFlight(n float64) func(*InstanceObs) { return func(o *InstanceObs) { o.InFlight = n } }

func serving() Instance {
	return Instance{ID: "shop-web-1", App: "shop", Machine: "web-1-1", State: InstanceServing, Since: begin, Healthy: begin}
}

func servingObs() InstanceObs {
	obs := InstanceObs{Machine: MachineReady, InFlight: 3}
	passing(&obs)
	return obs
}

func TestInstanceFromPlanToFirstRequest(t *testing.T) {
	i := Instance{ID: "shop-web-1", State: InstancePlanned, Since: begin}
	i = instanceStory(t, i, InstanceObs{Machine: MachineJoining, RegistryKnown: true}, []moment{
		{at: 0, state: InstancePlanned},
		{at: 1, change: on(MachineReady), state: InstanceStarting, effect: EnsureContainer},
		{at: 2, change: told(EnsureContainer, "transient", 2), state: InstanceStarting},
		{at: 4, state: InstanceStarting, effect: EnsureContainer},
		{at: 5, change: told(EnsureContainer, "", 5), state: InstanceRegistering, effect: Register},
		{at: 6, change: told(Register, "", 6), state: InstanceChecking},
		{at: 7, change: also(passing, critical), state: InstanceChecking},
		{at: 9, change: passing, state: InstanceServing},
		{at: 12, change: func(o *InstanceObs) { o.Requests = 5 }, state: InstanceServing},
	})
	if !i.Healthy.Equal(second(9)) || !i.FirstRequest.Equal(second(12)) {
		t.Errorf("healthy %v, first request %v", i.Healthy, i.FirstRequest)
	}
}

func TestDrainWaitsForGatewaysAndRequests(t *testing.T) {
	i := instanceStory(t, serving(), servingObs(), []moment{
		{at: 1, want: WantDrain, state: InstanceDraining, effect: DrainService},
		{at: 2, want: WantDrain, change: also(told(DrainService, "", 2), drainSeen), state: InstanceDraining},
		{at: 3, want: WantDrain, change: acked, state: InstanceDraining},
		{at: 4, want: WantDrain, change: inFlight(-1), state: InstanceDraining},
		{at: 5, want: WantDrain, change: inFlight(0), state: InstanceLeaving, effect: Deregister},
		{at: 6, want: WantDrain, change: told(Deregister, "", 6), state: InstanceStopping, effect: RemoveContainer},
		{at: 7, want: WantDrain, change: told(RemoveContainer, "", 7), state: InstanceGone},
	})
	if !i.DrainFrom.Equal(second(2)) {
		t.Errorf("drained from %v", i.DrainFrom)
	}
}

func TestDrainDeadlineRunsFromWhenTheRegistryTookIt(t *testing.T) {
	instanceStory(t, serving(), servingObs(), []moment{
		{at: 1, want: WantDrain, state: InstanceDraining, effect: DrainService},
		{at: 2, want: WantDrain, change: told(DrainService, "transient", 2), state: InstanceDraining},
		{at: 90, want: WantDrain, state: InstanceDraining, effect: DrainService}, // nobody was told to stop sending
		{at: 91, want: WantDrain, change: also(told(DrainService, "", 91), drainSeen), state: InstanceDraining},
		{at: 100, want: WantDrain, state: InstanceDraining},
		{at: 101, want: WantDrain, state: InstanceLeaving, effect: Deregister},
	})
}

func TestDrainThatSomebodyTookBackIsRepeated(t *testing.T) {
	undone := func(o *InstanceObs) { o.Draining, o.Acked, o.InFlight = false, false, 2 }
	i := instanceStory(t, serving(), servingObs(), []moment{
		{at: 1, want: WantDrain, state: InstanceDraining, effect: DrainService},
		{at: 2, want: WantDrain, change: also(told(DrainService, "", 2), drainSeen), state: InstanceDraining},
		{at: 5, want: WantDrain, change: undone, state: InstanceDraining, effect: DrainService},
		{at: 6, want: WantDrain, change: also(told(DrainService, "", 6), drainSeen), state: InstanceDraining},
	})
	if !i.DrainFrom.Equal(second(6)) {
		t.Errorf("drained from %v", i.DrainFrom)
	}
}

func TestInstanceIsUndrained(t *testing.T) {
	i := instanceStory(t, serving(), servingObs(), []moment{
		{at: 1, want: WantDrain, state: InstanceDraining, effect: DrainService},
		{at: 2, want: "", state: InstanceServing, effect: UndrainService}, // the drain may be under way
		{at: 3, want: "", change: also(told(UndrainService, "transient", 3), drainSeen), state: InstanceServing},
		{at: 5, want: "", state: InstanceServing, effect: UndrainService},
		{at: 6, want: "", change: told(UndrainService, "", 6), state: InstanceServing},
		{at: 7, want: "", change: passing, state: InstanceServing},
		{at: 8, want: "", change: drainSeen, state: InstanceServing, effect: UndrainService}, // a deposed leader's, come late
	})
	if i.Undrain || !i.DrainFrom.IsZero() {
		t.Errorf("undrain %v, drained from %v", i.Undrain, i.DrainFrom)
	}
	instanceStory(t, serving(), servingObs(), []moment{ // with its machine
		{at: 1, change: on(MachineDraining), state: InstanceDraining, effect: DrainService},
		{at: 2, change: on(MachineReady), state: InstanceServing, effect: UndrainService},
	})
}

func TestServingInstanceStays(t *testing.T) {
	instanceStory(t, serving(), servingObs(), []moment{
		{at: 1, change: critical, state: InstanceServing},
		{at: 200, state: InstanceServing},
		{at: 201, change: container(ContainerUnknown), state: InstanceServing},
		{at: 202, change: func(o *InstanceObs) { o.RegistryKnown = false }, state: InstanceServing},
		{at: 203, change: on(MachineCordoned), state: InstanceServing},
		{at: 204, change: also(passing, func(o *InstanceObs) { o.Registered = false }), state: InstanceServing, effect: Register}, // KV wiped
		{at: 205, change: also(passing, told(Register, "", 205)), state: InstanceServing},
	})
}

func TestContainerThatEndsIsRestartedLaterEachTime(t *testing.T) {
	i := serving()
	at := 1
	for n := 1; n <= quick().Restarts; n++ {
		i = instanceStory(t, i, servingObs(), []moment{
			{at: at, change: container(ContainerExited), state: InstanceStarting},
			{at: at + 10, change: container(ContainerUnknown), state: InstanceStarting, effect: EnsureContainer},
			{at: at + 11, change: also(container(ContainerUnknown), told(EnsureContainer, "", at+11)), state: InstanceRegistering, effect: Register},
			{at: at + 12, change: told(Register, "", at+12), state: InstanceChecking},
			{at: at + 13, change: passing, state: InstanceServing},
		})
		if i.Restarts != n {
			t.Fatalf("%d restarts counted as %d", n, i.Restarts)
		}
		at += 20
	}
	i = instanceStory(t, i, servingObs(), []moment{
		{at: at, change: container(ContainerMissing), state: InstanceFailed},
		{at: at + 1, change: container(ContainerMissing), state: InstanceLeaving, effect: Deregister},
	})
	if !i.Blamed {
		t.Error("the machine is not blamed")
	}
}

func TestInstanceThatLastedStartsWithAFreshCount(t *testing.T) {
	i := serving()
	i.Restarts = quick().Restarts
	i = instanceStory(t, i, servingObs(), []moment{{at: 30, change: container(ContainerExited), state: InstanceStarting}})
	if i.Restarts != 1 {
		t.Errorf("%d restarts", i.Restarts)
	}
}

func TestInstanceWhoseScalerDiedAfterRegistering(t *testing.T) {
	i := Instance{ID: "shop-web-1", State: InstanceRegistering, Since: begin}
	back := 10000 // a scaler is back, long after every deadline
	obs := InstanceObs{Machine: MachineReady, Container: ContainerUnknown, Watched: second(back)}
	i = instanceStory(t, i, obs, []moment{
		{at: back, state: InstanceRegistering, effect: Register},
		{at: back + 1, change: passing, state: InstanceChecking},
		{at: back + 2, change: passing, state: InstanceServing},
	})
	if i.Healthy.IsZero() {
		t.Error("never healthy")
	}
	i = Instance{ID: "shop-web-1", State: InstanceStarting, Since: begin, Healthy: begin}
	instanceStory(t, i, obs, []moment{
		{at: back, state: InstanceStarting, effect: EnsureContainer},
		{at: back + 1, change: container(ContainerRunning), state: InstanceRegistering, effect: Register},
	})
}

func TestFailedInstanceThatMayHaveTrafficIsDrained(t *testing.T) {
	i := serving()
	i.State = InstanceRegistering
	obs := servingObs()
	obs.Registered, obs.Passing = false, false
	i = instanceStory(t, i, obs, []moment{
		{at: 20, state: InstanceFailed},
		{at: 21, change: passing, state: InstanceDraining, effect: DrainService},
		{at: 22, change: also(told(DrainService, "", 22), drainSeen), state: InstanceDraining},
		{at: 24, change: also(acked, inFlight(0)), state: InstanceLeaving, effect: Deregister},
		{at: 25, change: told(Deregister, "", 25), state: InstanceStopping, effect: RemoveContainer},
	})
	if !i.Ending {
		t.Error("it could be wanted again")
	}
}

func TestDrainThatIsSeenNeedsNoAnswer(t *testing.T) {
	i := serving()
	i.State = InstanceDraining
	instanceStory(t, i, servingObs(), []moment{
		{at: 1, want: WantDrain, change: drainSeen, state: InstanceDraining},
		{at: 2, want: WantDrain, change: also(acked, inFlight(0)), state: InstanceLeaving, effect: Deregister},
	})
}

func TestCheckThatNeverPassesIsReplaced(t *testing.T) {
	i := Instance{ID: "shop-web-1", State: InstanceChecking, Since: begin}
	obs := servingObs()
	obs.Passing = false
	i = instanceStory(t, i, obs, []moment{
		{at: 19, state: InstanceChecking},
		{at: 20, state: InstanceFailed}, // for a tick, so that it is seen
		{at: 20, state: InstanceFailed},
		{at: 21, state: InstanceLeaving, effect: Deregister},
	})
	if !i.Blamed {
		t.Error("the machine is not blamed")
	}
	i = Instance{ID: "shop-web-1", State: InstanceChecking, Since: begin}
	obs.RegistryKnown = false
	instanceStory(t, i, obs, []moment{{at: 500, state: InstanceChecking}}) // nobody knows
}

func TestInstanceOfALostMachineIsDeregistered(t *testing.T) {
	for _, s := range []InstanceState{InstanceStarting, InstanceRegistering, InstanceChecking, InstanceServing, InstanceDraining} {
		for _, m := range []MachineState{MachineLost, MachineFailed, MachineDeleting, MachineGone} {
			i := serving()
			i.State = s
			instanceStory(t, i, servingObs(), []moment{
				{at: 1, change: on(m), state: InstanceFailed},
				{at: 2, state: InstanceLeaving, effect: Deregister},
				{at: 3, change: told(Deregister, "transient", 3), state: InstanceLeaving},
				{at: 9, state: InstanceLeaving, effect: Deregister},
				{at: 10, change: told(Deregister, "", 10), state: InstanceGone},
			})
		}
	}
}

func TestContainerStaysWhileTheRegistryIsAway(t *testing.T) {
	i := serving()
	i.State = InstanceLeaving
	obs := servingObs()
	obs.RegistryKnown = false
	instanceStory(t, i, obs, []moment{
		{at: 1, want: WantDrain, state: InstanceLeaving, effect: Deregister},
		{at: 2, want: WantDrain, change: told(Deregister, "transient", 2), state: InstanceLeaving},
		{at: 900, want: WantDrain, state: InstanceLeaving, effect: Deregister},
	})
}

func TestContainerOnASilentEngineIsLeftToItsMachine(t *testing.T) {
	i := serving()
	i.State = InstanceStopping
	obs := servingObs()
	obs.Container = ContainerUnknown
	instanceStory(t, i, obs, []moment{
		{at: 9, want: WantDrain, state: InstanceStopping, effect: RemoveContainer},
		{at: 50, want: WantDrain, state: InstanceStopping, effect: RemoveContainer}, // the machine stays: never given up
		{at: 51, want: WantDrain, change: on(MachineDraining), state: InstanceGone},
	})
}

func TestPlannedInstanceLeavesAMachineThatTakesNone(t *testing.T) {
	for _, m := range []MachineState{MachineCordoned, MachineDraining, MachineLost, MachineGone} {
		i := Instance{ID: "shop-web-1", State: InstancePlanned, Since: begin}
		instanceStory(t, i, InstanceObs{Machine: m}, []moment{{at: 1, state: InstanceGone}})
	}
}

func TestOldNewsOfAContainerIsNoNews(t *testing.T) {
	i := serving()
	i.Since = second(10)
	stale := func(o *InstanceObs) {
		o.Container, o.ContainerAt = ContainerMissing, second(10)
		o.Registered, o.RegistryAt = false, second(10)
	}
	instanceStory(t, i, servingObs(), []moment{{at: 11, change: stale, state: InstanceServing}})
}
