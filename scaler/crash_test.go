package scaler

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"spillway/scaler/cloud"
	"spillway/scaler/cloud/sim"
	"spillway/scaler/fleet"
)

// The crash matrix: a spike and its end, in which the controller loses all of
// its state before or after the n-th effect, under each fault a cloud throws.
// Whatever happened, in the end the load is served, nothing is left over,
// nothing was bought twice, and no instance was taken away while a gateway
// sent it requests.

// short is a spike that the whole matrix can afford.
func shortSpike(at time.Duration) float64 {
	if at >= 20*time.Second && at < 5*time.Minute {
		return 390
	}
	return 60
}

// case of the matrix.
type crashCase struct {
	fault  sim.FaultKind // "" none
	effect int           // the n-th, counted from 1; beyond crashOnce: again and again
	after  bool
	seed   uint64
}

func (c crashCase) String() string {
	side := "before"
	if c.after {
		side = "after"
	}
	return fmt.Sprintf("%s, crash %s effect %d, seed %d", string(c.fault), side, c.effect, c.seed)
}

func TestCrashMatrix(t *testing.T) {
	cases := chosenCases(97)
	begun := time.Now()
	parallel(cases, func(c crashCase) { c.run(t) })
	t.Logf("%d cases in %v", len(cases), time.Since(begun).Round(time.Second))
}

// chosenCases are every few-th case, or what the environment says: all, every
// n-th, or one.
func chosenCases(few int) []crashCase {
	cases := crashCases()
	if os.Getenv("SPILLWAY_CRASH_MATRIX") == "" {
		cases = everyNth(cases, few)
	}
	if n, err := strconv.Atoi(os.Getenv("SPILLWAY_CRASH_MATRIX")); err == nil && n > 1 {
		cases = everyNth(cases, n)
	}
	if only := os.Getenv("SPILLWAY_CRASH_ONE"); only != "" {
		cases = slices.DeleteFunc(cases, func(c crashCase) bool { return c.String() != only })
	}
	return cases
}

// crashCases are both sides of every effect, under every fault and none, with
// 100 seeds in turn.
func crashCases() (all []crashCase) {
	faults := append([]sim.FaultKind{""}, sim.Faults()...)
	for k, fault := range faults {
		for n := range crashEffects {
			for side := range 2 {
				all = append(all, crashCase{fault, n + 1, side == 1, uint64((k + n*len(faults)) % 100)})
			}
		}
	}
	return all
}

// A run has about crashOnce effects; of the cases beyond, one crashes at every
// effect, one at every second, and so on.
const (
	crashOnce    = 36
	crashEffects = 42
)

func everyNth(cases []crashCase, n int) (some []crashCase) {
	for i := 0; i < len(cases); i += n {
		some = append(some, cases[i])
	}
	return some
}

// parallel runs the cases on as many goroutines as there are processors; each
// has a world of its own.
func parallel(cases []crashCase, f func(crashCase)) {
	work := make(chan crashCase)
	done := make(chan struct{})
	const workers = 2
	for range workers {
		go func() {
			for c := range work {
				f(c)
			}
			done <- struct{}{}
		}()
	}
	for _, c := range cases {
		work <- c
	}
	close(work)
	for range workers {
		<-done
	}
}

func (c crashCase) run(t *testing.T) {
	c.play(newWorld(t, shortSpike, func(w *world) { w.name, w.seed = c.String(), c.seed }))
}

func (c crashCase) play(w *world) {
	if c.fault != "" {
		w.cloud.Inject(c.script()...)
	}
	effects, last := 0, w.begun
	w.around = func(e fleet.Effect, after bool) {
		if !after {
			effects++
		}
		// One that crashes before it has looked around may take nothing away.
		if c.strikes(effects) && after == c.after && w.clock.Now().Sub(last) >= crashPause {
			last = w.clock.Now()
			w.say("crash at %s of %s", e.Kind, e.ID)
			panic(crashed{})
		}
	}
	w.run(4*time.Minute + 50*time.Second)
	if c.effect <= crashOnce {
		w.mustServe(390)
	}
	w.run(c.settle() - calm)
	w.around = nil
	w.run(calm)
	w.mustBeQuiet()
}

// crashPause is the least time between two crashes, and calm the time at the end
// without any.
const (
	crashPause = 40 * time.Second
	calm       = 5 * time.Minute
)

// strikes reports whether the controller crashes at its n-th effect.
func (c crashCase) strikes(n int) bool {
	if c.effect <= crashOnce {
		return n == c.effect
	}
	return n%(c.effect-crashOnce) == 0
}

// settle is how long the aftermath of a fault may take until nothing is left.
func (c crashCase) settle() time.Duration {
	switch c.fault {
	case sim.APIDown:
		return 25 * time.Minute
	case sim.LateBoot:
		return 30 * time.Minute
	case sim.NoAddress, sim.NoInit:
		return 20 * time.Minute
	}
	return 12 * time.Minute
}

// script is one or several strikes of the fault, at a place that depends on the
// seed.
func (c crashCase) script() []sim.Fault {
	f := sim.Fault{Kind: c.fault, Nth: 1 + int(c.seed%2), Times: 1 + int(c.seed%3)}
	if c.fault == sim.APIDown {
		f = sim.Fault{Kind: c.fault, After: time.Duration(c.seed%60) * 10 * time.Second, For: 2 * time.Minute}
	}
	return []sim.Fault{f}
}

// mustServe checks that the spike is served.
func (w *world) mustServe(rate float64) {
	w.t.Helper()
	if need := int(rate / 100); len(w.gates.serving) < need {
		w.fail("%d servers carry %g requests a second", len(w.gates.serving), rate)
	}
}

// mustBeQuiet checks the end: no rented machine, no container and no entry but
// those in service, and no order got more machines than it asked for.
func (w *world) mustBeQuiet() {
	w.t.Helper()
	if left := w.cloud.Running(); len(left) > 0 {
		w.fail("%d rented machines are left: %v", len(left), left)
	}
	records := 0
	for id, i := range w.control.book.instances.all() {
		if i.State == fleet.InstanceServing {
			records++
		} else {
			w.fail("instance %s is %s: %s", id, i.State, i.Reason)
		}
	}
	containers := 0
	for host, all := range w.engines.containers {
		if w.engines.up(host) {
			containers += len(all)
		}
	}
	if containers != records || len(w.reg.entries) != records {
		w.fail("%d records, %d containers, %d entries", records, containers, len(w.reg.entries))
	}
	if n := w.control.book.machines.len(); n != 1 {
		w.fail("%d records of machines, want that of the owned host", n)
	}
	w.mustNotDouble()
}

// mustNotDouble checks that no order got more machines than it asked for.
func (w *world) mustNotDouble() {
	w.t.Helper()
	for order, made := range w.cloud.Made(cloud.TagOrder) {
		if asked := w.asked[order]; made > asked {
			w.fail("order %s asked for %d machines and got %d", order, asked, made)
		}
	}
}

func TestEffectsOfARun(t *testing.T) {
	w := newWorld(t, shortSpike)
	kinds := map[fleet.Kind]int{}
	w.around = func(e fleet.Effect, after bool) {
		if after {
			kinds[e.Kind]++
		}
	}
	w.run(16 * time.Minute)
	t.Log(kinds)
}
