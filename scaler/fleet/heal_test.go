package fleet

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// After any walk the world heals: lists are complete and true, engines and
// registries answer, effects succeed. Every record must then come to where it is
// wanted, or be gone, within the time of the longest deadlines.
const healed = 500 // seconds

// machineTruth is a cloud with one machine, and its engine.
type machineTruth struct {
	exists, running bool
	last            Outcome
}

func (c *machineTruth) observe(now time.Time) MachineObs {
	obs := MachineObs{
		Order: OrderBound, Listed: c.exists, ListedAt: now, Warm: true, EngineDown: now, Last: c.last, ListLag: 3 * time.Second,
	}
	if c.exists {
		obs.CloudID, obs.CloudState = "i-1", "stopped"
	}
	if c.exists && c.running {
		obs.CloudState, obs.Address, obs.Settled = "running", "10.0.0.1", true
		obs.EngineOK, obs.EngineAt, obs.EngineDown = true, now, time.Time{}
	}
	return obs
}

func (c *machineTruth) do(k Kind, now time.Time) {
	c.last = Outcome{Kind: k, OK: true, At: now}
	if !c.exists {
		c.last.OK, c.last.ErrKind = false, errNotFound
		return
	}
	switch k {
	case StartMachine:
		c.running = true
	case StopMachine:
		c.running = false
	case DeleteMachine:
		c.exists = false
	}
}

func TestMachineComesToRestWhenTheWorldHeals(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		d := rapidDice{rt}
		w := newMachineWalk(d)
		for range rapid.IntRange(0, 30).Draw(rt, "steps") {
			w.draw(d)
			w.m, _ = w.m.Step(w.obs, w.t, w.now)
		}
		w.m.Want = pick(d, "", WantKeep, WantCordon, WantDrain, WantStop)
		chaos, truth := w.m, machineTruth{exists: chance(d, 70), running: chance(d, 80)}
		for range healed {
			w.now = w.now.Add(time.Second)
			var effects []Effect
			w.m, effects = w.m.Step(truth.observe(w.now), w.t, w.now)
			for _, e := range effects {
				truth.do(e.Kind, w.now)
			}
		}
		rest := map[string]MachineState{
			"": MachineReady, WantKeep: MachineReady, WantCordon: MachineCordoned, WantDrain: MachineGone, WantStop: MachineWarmStopped,
		}[w.m.Want]
		asleep := w.m.State == MachineWarmStopped && w.m.Want == WantCordon // as good as cordoned
		if w.m.State != rest && w.m.State != MachineGone && !asleep {
			rt.Fatalf("wanted %q, came from %s to rest at %s: %s\nafter chaos %+v\nnow %+v", w.m.Want, chaos.State, w.m.State, w.m.Reason, chaos, w.m)
		}
		if w.m.State == MachineGone && truth.exists {
			rt.Fatalf("gone, but it is still there, from %+v", chaos)
		}
	})
}

// instanceTruth is an engine and a registry with one instance, and gateways that
// heed the registry.
type instanceTruth struct {
	running, registered, draining bool
	last                          Outcome
}

func (c *instanceTruth) observe(now time.Time) InstanceObs {
	obs := InstanceObs{
		Machine: MachineReady, Container: ContainerMissing, ContainerAt: now, RegistryKnown: true, RegistryAt: now, Last: c.last,
		Registered: c.registered, Passing: c.registered && c.running, Draining: c.draining, Acked: c.draining || !c.registered,
	}
	if c.running {
		obs.Container = ContainerRunning
	}
	return obs
}

func (c *instanceTruth) do(k Kind, now time.Time) {
	c.last = Outcome{Kind: k, OK: true, At: now}
	switch k {
	case EnsureContainer:
		c.running = true
	case RemoveContainer:
		c.running = false
	case Register:
		c.registered = true
	case Deregister:
		c.registered, c.draining = false, false
	case DrainService:
		c.draining = c.registered
		if !c.registered {
			c.last.OK, c.last.ErrKind = false, errNotFound
		}
	case UndrainService:
		c.draining = false
	}
}

func TestInstanceComesToRestWhenTheWorldHeals(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		d := rapidDice{rt}
		w := newInstanceWalk(d)
		for range rapid.IntRange(0, 30).Draw(rt, "steps") {
			w.draw(d)
			w.i, _ = w.i.Step(w.obs, w.t, w.now)
		}
		w.i.Want = pick(d, "", WantServe, WantDrain)
		chaos, truth := w.i, instanceTruth{running: chance(d, 60), registered: chance(d, 60), draining: chance(d, 30)}
		for range healed {
			w.now = w.now.Add(time.Second)
			var effects []Effect
			w.i, effects = w.i.Step(truth.observe(w.now), w.t, w.now)
			for _, e := range effects {
				truth.do(e.Kind, w.now)
			}
		}
		serves := w.i.State == InstanceServing && w.i.Want != WantDrain && truth == (instanceTruth{true, true, false, truth.last})
		if !serves && w.i.State != InstanceGone {
			rt.Fatalf("wanted %q, came from %s to rest at %s: %s\nafter chaos %+v\nnow %+v", w.i.Want, chaos.State, w.i.State, w.i.Reason, chaos, w.i)
		}
		if w.i.State == InstanceGone && truth.running {
			rt.Fatalf("gone, but its container runs, from %+v", chaos)
		}
	})
}
