package fleet

import (
	"testing"
	"time"
)

// stay is a step of a story: what is observed at a second, and where that leads.
type stay struct {
	at     int // seconds since begin
	change func(*MachineObs)
	want   string // planner's; "-" leaves it
	state  MachineState
	effect Kind
}

func second(n int) time.Time { return begin.Add(time.Duration(n) * time.Second) }

// up is a machine that runs and whose engine answers, as seen at a second.
func up(o *MachineObs) {
	o.Order, o.CloudID, o.Listed, o.CloudState, o.Address = OrderBound, "i-1", true, "running", "10.0.0.1"
	o.Settled, o.EngineOK = true, true
}

func answer(kind Kind, errKind string, n int) func(*MachineObs) {
	return func(o *MachineObs) {
		o.Last = Outcome{Kind: kind, OK: errKind == "", ErrKind: errKind, Err: errKind, At: second(n)}
	}
}

func unlisted(o *MachineObs) { o.Listed, o.CloudState = false, "" }

func refusedToEnd(o *MachineObs) { answer(DeleteMachine, errInvalid, 3)(o) }

// story tells of one machine. Lists and pings are of the second itself, unless a
// change says otherwise; changes stay.
func story(t *testing.T, m Machine, obs MachineObs, stays []stay) Machine {
	t.Helper()
	for n, s := range stays {
		now := second(s.at)
		obs.ListedAt, obs.EngineAt = now, now
		if s.change != nil {
			s.change(&obs)
		}
		if s.want != "-" {
			m.Want = s.want
		}
		var effects []Effect
		m, effects = m.Step(obs, quick(), now)
		got := Kind("")
		if len(effects) > 0 {
			got = effects[0].Kind
		}
		if m.State != s.state || got != s.effect {
			t.Fatalf("%d, at %d s: %s (%s), effect %q; want %s, effect %q", n, s.at, m.State, m.Reason, got, s.state, s.effect)
		}
	}
	return m
}

func ready() Machine {
	return Machine{
		ID: "web-1-1", State: MachineReady, Since: begin, CloudID: "i-1", Address: "10.0.0.1", Billed: begin,
		Stages: []Stage{{"settled", begin}, {"ready", begin}},
	}
}

func watched(changes ...func(*MachineObs)) MachineObs {
	var o MachineObs
	up(&o)
	for _, c := range changes {
		c(&o)
	}
	return o
}

func TestMachineFromSlotToReady(t *testing.T) {
	m := story(t, Machine{ID: "web-1-1", State: MachinePlanned, Since: begin}, MachineObs{}, []stay{
		{at: 0, state: MachinePlanned},
		{at: 1, change: func(o *MachineObs) { o.Order = OrderIntended }, state: MachineRequested},
		{at: 3, change: func(o *MachineObs) { o.Order, o.CloudID = OrderBound, "i-1" }, state: MachineBooting},
		{at: 5, change: func(o *MachineObs) { o.Listed, o.CloudState = true, "pending" }, state: MachineBooting},
		{at: 9, change: func(o *MachineObs) { o.CloudState = "running" }, state: MachineBooting},
		{at: 10, change: func(o *MachineObs) { o.Address = "10.0.0.1" }, state: MachineJoining},
		{at: 15, change: func(o *MachineObs) { o.EngineOK = true }, state: MachineJoining},
		{at: 16, change: func(o *MachineObs) { o.Stages = []Stage{{"phone-home", second(12)}, {"settled", second(15)}} }, state: MachineSettled, effect: PrepareMachine},
		{at: 17, change: answer(PrepareMachine, "transient", 17), state: MachineSettled}, // backs off
		{at: 19, state: MachineSettled, effect: PrepareMachine},
		{at: 20, change: answer(PrepareMachine, "", 20), state: MachineReady},
		{at: 21, state: MachineReady},
	})
	want := map[string]int{
		"decided": 0, "requested": 1, "running": 9, "address": 10, "phone-home": 12, "settled": 15, "engine": 15, "images": 20, "ready": 20,
	}
	if len(m.Stages) != len(want) {
		t.Errorf("stages %v", m.Stages)
	}
	for name, at := range want {
		if got, ok := m.Stage(name); !ok || !got.Equal(second(at)) {
			t.Errorf("stage %s at %v", name, got)
		}
	}
	if !m.Billed.Equal(second(3)) {
		t.Errorf("billed from %v", m.Billed)
	}
}

func TestMachineIsUndrainedAtAnyMomentBeforeItsEnd(t *testing.T) {
	obs := watched(func(o *MachineObs) { o.Instances = 2 })
	story(t, ready(), obs, []stay{
		{at: 1, want: WantDrain, state: MachineDraining},
		{at: 2, want: "", state: MachineReady},
		{at: 3, want: WantDrain, state: MachineDraining},
		{at: 4, want: WantCordon, state: MachineCordoned},
		{at: 5, want: WantKeep, state: MachineReady},
	})
	paid := ready()
	paid.Price, paid.Quantum = 1, time.Minute
	obs.Instances = 0
	story(t, paid, obs, []stay{
		{at: 1, want: WantDrain, state: MachineEmptied},
		{at: 57, want: WantDrain, state: MachineEmptied},
		{at: 57, want: "", state: MachineReady},
		{at: 58, want: WantDrain, state: MachineDeleting, effect: DeleteMachine},
		{at: 58, want: WantKeep, state: MachineDeleting, effect: DeleteMachine}, // too late
	})
}

// Complaint 25: an end that was asked for is not an end.
func TestMachineIsDeletedUntilTheCloudProvesIt(t *testing.T) {
	obs := watched(func(o *MachineObs) { o.ListLag = 4 * time.Second })
	story(t, ready(), obs, []stay{
		{at: 1, want: WantDrain, state: MachineDeleting, effect: DeleteMachine},
		{at: 2, want: WantDrain, change: answer(DeleteMachine, "transient", 2), state: MachineDeleting},
		{at: 4, want: WantDrain, state: MachineDeleting, effect: DeleteMachine},
		{at: 5, want: WantDrain, change: answer(DeleteMachine, "", 5), state: MachineDeleting},
		{at: 6, want: WantDrain, change: unlisted, state: MachineDeleting}, // a list may be late
		{at: 9, want: WantDrain, state: MachineDeleting},
		{at: 10, want: WantDrain, state: MachineGone},
		{at: 11, want: WantDrain, change: up, state: MachineGone}, // or show what has ended
		{at: 20, want: WantDrain, state: MachineDeleting, effect: DeleteMachine},
	})
}

func TestMachineOfWhichNoDeleteIsEverAnswered(t *testing.T) {
	m := ready()
	m.State, m.Want = MachineDeleting, WantDrain
	story(t, m, watched(), []stay{ // each answer is lost with the scaler that asked
		{at: 1, want: WantDrain, state: MachineDeleting, effect: DeleteMachine},
		{at: 2, want: WantDrain, change: unlisted, state: MachineDeleting, effect: DeleteMachine},
		{at: 12, want: WantDrain, state: MachineDeleting, effect: DeleteMachine},
		{at: 13, want: WantDrain, state: MachineGone},
	})
}

// Complaint 5: the cloud refuses to end a machine that was drained.
func TestMachineThatMayNotEndServesOn(t *testing.T) {
	story(t, ready(), watched(), []stay{
		{at: 1, want: WantDrain, state: MachineDeleting, effect: DeleteMachine},
		{at: 3, want: WantDrain, change: refusedToEnd, state: MachineCordoned},
		{at: 5, want: WantKeep, state: MachineReady},
		{at: 6, want: WantDrain, state: MachineDeleting, effect: DeleteMachine},
		{at: 7, want: WantDrain, change: answer(DeleteMachine, errInvalid, 7), state: MachineCordoned},
		{at: 16, want: WantDrain, state: MachineCordoned},
		{at: 17, want: WantDrain, state: MachineDeleting, effect: DeleteMachine}, // for ever
	})
}

// Complaint 18: a machine that comes up after its deadline.
func TestMachineThatComesUpLate(t *testing.T) {
	booting := func() Machine {
		return Machine{ID: "web-1-1", State: MachineBooting, Since: begin, CloudID: "i-1", Billed: begin}
	}
	slow := watched(func(o *MachineObs) { o.CloudState, o.Address, o.Settled, o.EngineOK = "pending", "", false, false })
	t.Run("is deleted", func(t *testing.T) {
		story(t, booting(), slow, []stay{
			{at: 29, state: MachineBooting},
			{at: 30, state: MachineDeleting, effect: DeleteMachine},
		})
	})
	t.Run("is kept for a person", func(t *testing.T) {
		obs := slow
		obs.Quarantine = true
		story(t, booting(), obs, []stay{
			{at: 30, state: MachineQuarantined},
			{at: 79, state: MachineQuarantined},
			{at: 80, state: MachineDeleting, effect: DeleteMachine},
		})
	})
	t.Run("is taken back if it is wanted", func(t *testing.T) {
		obs := slow
		obs.Quarantine = true
		story(t, booting(), obs, []stay{
			{at: 30, want: WantKeep, state: MachineQuarantined},
			{at: 50, want: WantKeep, change: up, state: MachineSettled, effect: PrepareMachine},
		})
	})
	t.Run("after the cloud denied that it was made", func(t *testing.T) {
		story(t, Machine{ID: "web-1-1", State: MachineRequested, Since: begin}, MachineObs{Order: OrderRefused}, []stay{
			{at: 1, state: MachineFailed},
			{at: 2, state: MachineGone},
			{at: 60, change: up, state: MachineDeleting, effect: DeleteMachine},
		})
	})
}

func TestMachineIsGivenTimeAfterNobodyWatched(t *testing.T) {
	m := Machine{ID: "web-1-1", State: MachineBooting, Since: begin, CloudID: "i-1", Billed: begin}
	obs := watched(func(o *MachineObs) { o.CloudState, o.Address, o.EngineOK, o.Settled = "", "", false, false })
	obs.Watched = second(9000)
	story(t, m, obs, []stay{
		{at: 9000, state: MachineBooting},
		{at: 9001, change: up, state: MachineSettled, effect: PrepareMachine},
	})
	story(t, m, obs, []stay{
		{at: 9029, state: MachineBooting},
		{at: 9030, state: MachineDeleting, effect: DeleteMachine},
	})
}

func TestMachineThatVanishes(t *testing.T) {
	obs := watched(func(o *MachineObs) { o.ListLag, o.Instances = 5*time.Second, 1 })
	story(t, ready(), obs, []stay{
		{at: 1, state: MachineReady},
		{at: 2, change: unlisted, state: MachineReady},
		{at: 6, state: MachineReady},
		{at: 7, state: MachineLost},
		{at: 30, state: MachineLost}, // its instance first
		{at: 31, change: func(o *MachineObs) { o.Instances = 0 }, state: MachineDeleting, effect: DeleteMachine},
		{at: 32, change: answer(DeleteMachine, errNotFound, 32), state: MachineDeleting},
		{at: 38, state: MachineGone},
	})
	story(t, ready(), obs, []stay{
		{at: 2, change: unlisted, state: MachineReady},
		{at: 7, state: MachineLost},
		{at: 9, change: up, state: MachineSettled, effect: PrepareMachine},
	})
	served := watched(func(o *MachineObs) { o.Traffic = second(100) })
	story(t, ready(), served, []stay{ // gateways know better than the list
		{at: 2, change: unlisted, state: MachineReady},
		{at: 3, state: MachineLost},
		{at: 99, state: MachineLost},
	})
	story(t, ready(), watched(), []stay{
		{at: 2, change: func(o *MachineObs) { o.CloudState = "deleting" }, state: MachineLost},
	})
}

func TestMachineWithASilentEngine(t *testing.T) {
	obs := watched(func(o *MachineObs) { o.EngineOK, o.EngineDown, o.Instances = false, second(10), 1 })
	back := func(o *MachineObs) { o.EngineOK, o.EngineDown = true, time.Time{} }
	traffic := func(o *MachineObs) { o.Traffic = second(25) }
	story(t, ready(), obs, []stay{
		{at: 14, state: MachineReady},
		{at: 15, state: MachineCordoned},
		{at: 20, change: back, state: MachineReady},
	})
	story(t, ready(), obs, []stay{
		{at: 16, state: MachineCordoned},
		{at: 30, change: traffic, state: MachineCordoned}, // dead, but it serves
		{at: 84, state: MachineCordoned},
		{at: 85, state: MachineFailed}, // Spare after the last request
		{at: 86, change: func(o *MachineObs) { o.Instances = 0 }, state: MachineDeleting, effect: DeleteMachine},
	})
	story(t, ready(), obs, []stay{ // a person is at work on it
		{at: 16, want: WantCordon, state: MachineCordoned},
		{at: 500, want: WantCordon, state: MachineCordoned},
	})
}

func TestMachineThatIsKeptStopped(t *testing.T) {
	obs := watched(func(o *MachineObs) { o.Warm = true })
	stoppedNow := func(o *MachineObs) { o.CloudState, o.EngineOK = "stopped", false }
	m := story(t, ready(), obs, []stay{
		{at: 1, want: WantStop, state: MachineWarmStopped, effect: StopMachine},
		{at: 2, want: WantStop, change: answer(StopMachine, "", 2), state: MachineWarmStopped},
		{at: 4, want: WantStop, change: stoppedNow, state: MachineWarmStopped},
		{at: 5, want: "", state: MachineStarting, effect: StartMachine},
		{at: 6, want: "", change: answer(StartMachine, errNoCapacity, 6), state: MachineWarmStopped},
		{at: 10, want: "", state: MachineWarmStopped},
		{at: 11, want: "", state: MachineStarting, effect: StartMachine},
		{at: 12, want: "", change: answer(StartMachine, "", 12), state: MachineStarting},
		{at: 15, want: "", change: up, state: MachineSettled, effect: PrepareMachine},
	})
	if !m.Unbilled.IsZero() || !m.Billed.Equal(second(12)) {
		t.Errorf("billed from %v to %v", m.Billed, m.Unbilled)
	}
	obs.Warm = false
	story(t, ready(), obs, []stay{{at: 1, want: WantStop, state: MachineDeleting, effect: DeleteMachine}})
}

func TestOwnedMachineIsGivenBackAndSaysSo(t *testing.T) {
	obs := watched(func(o *MachineObs) { o.LedgerOnly = true })
	m := ready()
	m.Price, m.Quantum = 1, time.Hour
	m = story(t, m, obs, []stay{
		{at: 1, want: WantDrain, state: MachineDeleting, effect: DeleteMachine},
		{at: 2, want: WantDrain, change: answer(DeleteMachine, "", 2), state: MachineDeleting},
		{at: 3, want: WantDrain, change: unlisted, state: MachineGone},
	})
	if !m.Owned || Cost(m, begin, second(60)) != 0 {
		t.Errorf("owned %v, cost %v", m.Owned, Cost(m, begin, second(60)))
	}
}

func TestAdoptedMachineNeedsNoSecondPhoneCall(t *testing.T) {
	m := Machine{ID: "i-1", State: MachineBooting, Since: begin, CloudID: "i-1", Adopted: true}
	obs := watched(func(o *MachineObs) { o.Settled = false })
	story(t, m, obs, []stay{{at: 1, state: MachineSettled, effect: PrepareMachine}})
	m.Adopted = false
	story(t, m, obs, []stay{{at: 1, state: MachineJoining}})
}

func TestUnwantedMachineIsNotMadeReadyFirst(t *testing.T) {
	m := Machine{ID: "web-1-1", State: MachineRequested, Since: begin}
	story(t, m, MachineObs{Order: OrderIntended}, []stay{
		{at: 1, want: WantDrain, state: MachineRequested},
		{at: 2, want: WantDrain, change: func(o *MachineObs) { o.Order, o.CloudID = OrderBound, "i-1" }, state: MachineDeleting, effect: DeleteMachine},
	})
}

func TestComingIsWhatWasOrderedAndIsWanted(t *testing.T) {
	coming := map[MachineState]bool{
		MachinePlanned: true, MachineRequested: true, MachineBooting: true, MachineJoining: true, MachineSettled: true, MachineStarting: true,
	}
	for _, s := range machineStates {
		if (Machine{State: s}).Coming() != coming[s] {
			t.Errorf("%s: coming %v", s, !coming[s])
		}
		if (Machine{State: s, Want: WantDrain}).Coming() {
			t.Errorf("%s is coming, though it is not wanted", s)
		}
	}
}
