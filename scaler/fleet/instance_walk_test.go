package fleet

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// instanceWalk steps one instance and remembers what safety depends on.
type instanceWalk struct {
	i   Instance
	obs InstanceObs
	now time.Time
	t   Timings
	// drained: the registry took the drain, or nothing on the container was left
	// to drain, since it last served. gone: the registry has it no longer.
	drained, gone bool
}

func newInstanceWalk(d dice) *instanceWalk {
	w := &instanceWalk{
		i:   Instance{ID: "shop-web-1", App: "shop", Machine: "web-1-1", State: InstancePlanned, Since: begin},
		obs: InstanceObs{Machine: MachineReady}, now: begin, t: quick(), drained: true, gone: true,
	}
	if chance(d, 50) {
		w.i.State = pick(d, instanceStates...)
		if w.i.State == InstanceServing {
			w.i.Healthy = begin
		}
	}
	return w
}

func (w *instanceWalk) draw(d dice) {
	w.now = w.now.Add(time.Duration(pick(d, 0, 1, 1, 1, 5, 15)) * time.Second)
	if chance(d, 8) {
		w.i.Want = pick(d, "", "", WantServe, WantDrain)
	}
	o := &w.obs
	if chance(d, 12) {
		o.Machine = pick(d, append(machineStates, MachineReady, MachineReady, MachineReady, MachineReady, MachineCordoned, MachineDraining, MachineDraining)...)
	}
	if chance(d, 40) {
		o.Container = pick(d, ContainerRunning, ContainerRunning, ContainerRunning, ContainerExited, ContainerMissing, ContainerUnknown, "")
		o.ContainerAt = near(d, w.now)
	}
	if chance(d, 50) {
		o.RegistryKnown, o.RegistryAt = chance(d, 80), near(d, w.now)
		o.Registered, o.Passing, o.Draining = chance(d, 75), chance(d, 75), chance(d, 25)
	}
	o.Acked = chance(d, 30)
	o.InFlight = pick(d, -1.0, 0, 0, 2.5)
	o.Requests = pick(d, 0.0, 7)
	o.Last = outcome(d, w.now, EnsureContainer, Register, DrainService, UndrainService, Deregister, RemoveContainer)
}

func (w *instanceWalk) hops(i Instance) []Edge {
	return hopsOf(func() string { return string(i.State) }, func() { i.hop(w.obs, w.t, w.now) })
}

func (w *instanceWalk) step() error {
	j := judged[Instance]{
		step: func(i Instance, last bool) (Instance, []Effect) {
			obs := w.obs
			if !last {
				obs.Last = Outcome{}
			}
			return i.Step(obs, w.t, w.now)
		},
		hops: w.hops,
		edge: table(InstanceEdges()),
	}
	before := w.i
	after, effects, err := j.check(before)
	if err != nil {
		return err
	}
	hops := j.hops(before)
	w.i = after
	if err := w.judge(before, hops); err != nil {
		return err
	}
	for _, e := range effects {
		if err := w.judgeEffect(e.Kind); err != nil {
			return err
		}
	}
	return nil
}

// took tells that the last outcome is a good one of an effect, since at.
func (w *instanceWalk) took(kind Kind, at time.Time) bool {
	last := w.obs.Last
	return last.Kind == kind && (last.OK || last.ErrKind == errNotFound) && !last.At.Before(at)
}

func (w *instanceWalk) judge(before Instance, hops []Edge) error {
	if before.State == InstanceDraining {
		w.drained = w.drained || w.took(DrainService, before.Since) || (w.obs.RegistryKnown && w.obs.Draining)
	}
	if before.State == InstanceLeaving {
		w.gone = w.gone || w.took(Deregister, before.Since) || (w.obs.RegistryKnown && !w.obs.Registered)
	}
	for _, h := range hops {
		switch InstanceState(h.To) {
		case InstanceServing:
			w.drained, w.gone = false, false
		case InstanceRegistering, InstanceChecking:
			w.gone = false
		case InstanceDraining:
			w.drained = w.took(DrainService, w.now)
		case InstanceStarting, InstanceFailed:
			w.drained = true // its container does not run, or not so that it serves
		case InstanceLeaving:
			w.gone = w.took(Deregister, w.now)
			ended := w.obs.Container == ContainerExited || w.obs.Container == ContainerMissing
			if h.From == string(InstanceDraining) && !w.drained && !ended {
				return fmt.Errorf("leaves without a drain: %s", w.i.Reason)
			}
		case InstanceStopping:
			if h.From == string(InstanceLeaving) && !w.gone {
				return fmt.Errorf("is stopped while it is registered")
			}
		}
	}
	return nil
}

func (w *instanceWalk) judgeEffect(k Kind) error {
	legal := map[InstanceState]map[Kind]bool{
		InstanceStarting:    {EnsureContainer: true},
		InstanceRegistering: {Register: true},
		InstanceChecking:    {Register: true, UndrainService: true},
		InstanceServing:     {Register: true, UndrainService: true},
		InstanceDraining:    {DrainService: true},
		InstanceLeaving:     {Deregister: true},
		InstanceStopping:    {RemoveContainer: true},
	}
	if !legal[w.i.State][k] {
		return fmt.Errorf("%s calls for %s", w.i.State, k)
	}
	return nil
}

func TestInstanceKeepsItsPromisesWhateverItIsTold(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newInstanceWalk(rapidDice{rt})
		for range rapid.IntRange(1, 60).Draw(rt, "steps") {
			w.draw(rapidDice{rt})
			if err := w.step(); err != nil {
				rt.Fatalf("%v\nrecord %+v\nobservation %+v\nnow %v", err, w.i, w.obs, w.now)
			}
		}
	})
}

func TestInstanceTakesEveryTransitionOfItsTable(t *testing.T) {
	taken := map[[2]string]int{}
	d := seeded{rand.New(rand.NewPCG(3, 4))}
	for n := 0; n < 20000 && len(taken) < len(InstanceEdges()); n++ {
		w := newInstanceWalk(d)
		for range 60 {
			w.draw(d)
			for _, h := range w.hops(w.i) {
				taken[[2]string{h.From, h.To}]++
			}
			w.i, _ = w.i.Step(w.obs, w.t, w.now)
		}
	}
	never(t, InstanceEdges(), taken)
}

// A machine that is up, an engine and a registry that do not answer: whatever
// else is told, a serving instance serves.
func TestServingInstanceOutlivesWhatIsNotKnown(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		d := rapidDice{rt}
		w := newInstanceWalk(d)
		w.i.State, w.i.Healthy, w.i.Want = InstanceServing, begin, ""
		for range 20 {
			w.draw(d)
			w.i.Want = ""
			w.obs.Machine = pick(d, MachineReady, MachineCordoned)
			w.obs.Container = pick(d, ContainerUnknown, "", ContainerRunning)
			w.obs.RegistryKnown, w.obs.Passing = chance(d, 50), false
			if err := w.step(); err != nil {
				rt.Fatal(err)
			}
			if w.i.State != InstanceServing {
				rt.Fatalf("%s: %s", w.i.State, w.i.Reason)
			}
		}
	})
}
