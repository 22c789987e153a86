package fleet

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// machineWalk steps one machine and remembers what safety depends on.
type machineWalk struct {
	m       Machine
	obs     MachineObs
	now     time.Time
	t       Timings
	emptied bool // or lost, since it was last in service: may be deleted with traffic
	took    bool // a Delete was answered with success or NotFound since it is deleting
	seen    map[[2]string]int
}

// newMachineWalk begins anywhere, half of the time where machines do.
func newMachineWalk(d dice) *machineWalk {
	w := &machineWalk{
		m:   Machine{ID: "web-1-1", Pool: "web", State: MachinePlanned, Since: begin, Price: 1},
		now: begin, t: quick(), emptied: true, seen: map[[2]string]int{},
	}
	if chance(d, 50) {
		w.m.State, w.m.CloudID, w.m.Billed = pick(d, machineStates[2:]...), "i-1", begin
		if chance(d, 70) {
			w.m.reached("ready", begin)
		}
	}
	return w
}

func (w *machineWalk) draw(d dice) {
	w.now = w.now.Add(time.Duration(pick(d, 0, 1, 1, 1, 5, 15, 70)) * time.Second)
	if chance(d, 8) {
		w.m.Want = pick(d, "", WantKeep, WantKeep, WantCordon, WantDrain, WantStop)
	}
	if chance(d, 5) {
		w.m.Quantum = pick(d, 0, time.Minute)
	}
	o := &w.obs
	if chance(d, 30) {
		o.Order = pick(d, "", OrderIntended, OrderAmbiguous, OrderBound, OrderRefused)
	}
	if chance(d, 10) {
		o.CloudID = pick(d, "", "i-1")
	}
	if chance(d, 70) {
		o.ListedAt = near(d, w.now) // also backwards, as a leader's clock goes
	}
	if chance(d, 20) {
		o.Listed = chance(d, 75)
	}
	if chance(d, 25) {
		o.CloudState = pick(d, "", "pending", "running", "running", "running", "stopping", "stopped", "stopped", "deleting", "deleted", "failed")
	}
	if chance(d, 20) {
		o.Address = pick(d, "", "10.0.0.1", "10.0.0.2")
		o.Settled = chance(d, 70)
		o.EngineOK = chance(d, 70)
		o.EngineAt, o.EngineDown = near(d, w.now), near(d, w.now)
		o.Instances = pick(d, 0, 0, 1, 3)
		o.Traffic = near(d, w.now)
		o.ListLag = pick(d, 0, 5*time.Second)
		o.Warm, o.Quarantine = chance(d, 70), chance(d, 30)
		o.Stages = pick(d, nil, []Stage{{"phone-home", w.now}})
	}
	o.Last = outcome(d, w.now, StartMachine, StopMachine, DeleteMachine, DeleteMachine, PrepareMachine)
}

// hops are those the next step makes, one by one.
func (w *machineWalk) hops(m Machine) []Edge {
	m.Stages = slices.Clip(m.Stages)
	m.observe(w.obs, w.now)
	return hopsOf(func() string { return string(m.State) }, func() { m.hop(w.obs, w.t, w.now) })
}

// step checks one step. The error says what went wrong.
func (w *machineWalk) step() error {
	j := judged[Machine]{
		step: func(m Machine, last bool) (Machine, []Effect) {
			obs := w.obs
			if !last {
				obs.Last = Outcome{}
			}
			return m.Step(obs, w.t, w.now)
		},
		hops: w.hops,
		edge: table(MachineEdges()),
	}
	before := w.m
	after, effects, err := j.check(before)
	if err != nil {
		return err
	}
	hops := j.hops(before)
	w.m = after
	if err := w.judge(before, hops); err != nil {
		return err
	}
	for _, e := range effects {
		if err := w.judgeEffect(e); err != nil {
			return err
		}
	}
	return nil
}

func (w *machineWalk) judge(before Machine, hops []Edge) error {
	last := w.obs.Last
	answered := func(since time.Time) bool {
		return last.Kind == DeleteMachine && !last.At.Before(since) && (last.OK || last.ErrKind == errNotFound)
	}
	if before.State == MachineDeleting {
		w.took = w.took || answered(before.Since)
	}
	for _, h := range hops {
		w.seen[[2]string{h.From, h.To}]++
		switch MachineState(h.To) {
		case MachineReady:
			w.emptied = false
		case MachineEmptied, MachineLost:
			w.emptied = true
		case MachineGone:
			unlisted := !w.obs.Listed && w.obs.ListedAt.Sub(before.Since) > w.t.Lost
			if h.From == string(MachineDeleting) && !w.took && !unlisted {
				return fmt.Errorf("gone, though no Delete was answered")
			}
		case MachineDeleting:
			w.took = answered(w.now)
			if w.obs.Instances > 0 {
				return fmt.Errorf("deleting with %d instances, from %s", w.obs.Instances, h.From)
			}
			if !w.emptied && h.From != string(MachineGone) && !w.obs.Traffic.IsZero() && w.now.Sub(w.obs.Traffic) < w.t.Spare {
				return fmt.Errorf("deleting %v after traffic, from %s", w.now.Sub(w.obs.Traffic), h.From)
			}
		}
	}
	return nil
}

func (w *machineWalk) judgeEffect(e Effect) error {
	want := map[MachineState]Kind{
		MachineSettled: PrepareMachine, MachineWarmStopped: StopMachine, MachineStarting: StartMachine, MachineDeleting: DeleteMachine,
	}
	if want[w.m.State] != e.Kind {
		return fmt.Errorf("%s calls for %s", w.m.State, e.Kind)
	}
	if e.Kind == DeleteMachine && (w.obs.Instances > 0 || w.m.CloudID == "") {
		return fmt.Errorf("delete with %d instances of cloud id %q", w.obs.Instances, w.m.CloudID)
	}
	return nil
}

func TestMachineKeepsItsPromisesWhateverItIsTold(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newMachineWalk(rapidDice{rt})
		for range rapid.IntRange(1, 60).Draw(rt, "steps") {
			w.draw(rapidDice{rt})
			if err := w.step(); err != nil {
				rt.Fatalf("%v\nrecord %+v\nobservation %+v\nnow %v", err, w.m, w.obs, w.now)
			}
		}
	})
}

// seeded is a fixed sequence.
type seeded struct{ *rand.Rand }

func (s seeded) n(most int) int { return s.IntN(most) }

func TestMachineTakesEveryTransitionOfItsTable(t *testing.T) {
	taken := map[[2]string]int{}
	d := seeded{rand.New(rand.NewPCG(1, 2))}
	for n := 0; n < 20000 && len(taken) < len(MachineEdges()); n++ {
		w := newMachineWalk(d)
		for range 60 {
			w.draw(d)
			for _, h := range w.hops(w.m) {
				taken[[2]string{h.From, h.To}]++
			}
			w.m, _ = w.m.Step(w.obs, w.t, w.now)
		}
	}
	never(t, MachineEdges(), taken)
}

// never reports the transitions that were not taken, and those that are none.
func never(t *testing.T, edges []Edge, taken map[[2]string]int) {
	t.Helper()
	legal := table(edges)
	for e := range taken {
		if !legal[e] {
			t.Errorf("went from %s to %s", e[0], e[1])
		}
	}
	for _, e := range edges {
		if taken[[2]string{e.From, e.To}] == 0 {
			t.Errorf("never went from %s to %s", e.From, e.To)
		}
	}
}

// A cloud that does not answer shows the same list for ever.
func TestSilentCloudLosesNoMachine(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newMachineWalk(rapidDice{rt})
		w.m.State = rapid.SampledFrom([]MachineState{
			MachineBooting, MachineJoining, MachineSettled, MachineReady, MachineCordoned, MachineDraining, MachineWarmStopped, MachineStarting,
		}).Draw(rt, "state")
		w.m.CloudID = "i-1"
		listed := begin.Add(-time.Second)
		showed := rapid.Bool().Draw(rt, "listed")
		for range 20 {
			w.draw(rapidDice{rt})
			w.obs.Listed, w.obs.ListedAt, w.obs.CloudState = showed, listed, "running"
			if err := w.step(); err != nil {
				rt.Fatal(err)
			}
			if w.m.State == MachineLost || w.m.State == MachineGone {
				rt.Fatalf("%s, though no list said so: %s", w.m.State, w.m.Reason)
			}
		}
	})
}
