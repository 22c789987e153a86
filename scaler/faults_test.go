package scaler

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"spillway/scaler/api"
	"spillway/scaler/cloud"
	"spillway/scaler/cloud/sim"
	"spillway/scaler/fleet"
	"spillway/scaler/ledger"
)

// fault is one thing that goes wrong in the middle of a load, and what must
// come of it. docs/scaler-faults.md has a row for each.
type fault struct {
	name string
	load load
	run  func(w *world)
}

// steady is a load of four servers and more.
func steady(time.Duration) float64 { return 400 }

func TestFaults(t *testing.T) {
	for _, f := range faults() {
		t.Run(f.name, func(t *testing.T) {
			w := newWorld(t, f.load)
			w.name = f.name
			f.run(w)
			w.mustNotDouble()
		})
	}
}

func TestEveryFaultIsDocumented(t *testing.T) {
	text, err := os.ReadFile("../docs/scaler-faults.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range faults() {
		if !strings.Contains(string(text), "| "+f.name+" |") {
			t.Errorf("docs/scaler-faults.md has no row %q", f.name)
		}
	}
}

func faults() []fault {
	return []fault{
		{"metrics lost", steady, metricsLost},
		{"metrics lost and a machine dies", steady, metricsLostMachineDies},
		{"Consul lost", steady, consulLost},
		{"cloud API down 10 minutes", spike, apiDown},
		{"no stock in one zone", steady, noStock},
		{"no stock anywhere", steady, noStockAnywhere},
		{"quota hit", steady, quotaHit},
		{"never phones home", steady, neverPhonesHome},
		{"late boot", steady, lateBoot},
		{"engine hangs", steady, engineHangs},
		{"machine vanishes", steady, machineVanishes},
		{"spot notice", steady, spotNotice},
		{"ledger wiped under load", steady, ledgerWiped},
		{"ledger wiped while the scaler is down", steady, ledgerWipedWhileDown},
		{"scaler down for a day", steady, scalerDown},
		{"scaler dies after registering", steady, diesAfterRegistering},
		{"two scalers lead at once", spike, twoLeaders},
		{"two scalers with one fence", spike, twoWithOneFence},
		{"ledger answers are lost", spike, ledgerUnsure},
	}
}

// settled runs until the load is served and nothing moves.
func (w *world) settled() (machines []string) {
	w.run(4 * time.Minute)
	w.mustServe(400)
	return w.rented()
}

func (w *world) rented() (ids []string) {
	for _, m := range w.cloud.Running() {
		ids = append(ids, m.ID)
	}
	return ids
}

// mustKeep checks that the rented machines are the same.
func (w *world) mustKeep(machines []string) {
	w.t.Helper()
	if now := w.rented(); !slices.Equal(now, machines) {
		w.fail("rented machines are %v, want %v", now, machines)
	}
}

func metricsLost(w *world) {
	machines := w.settled()
	w.gates.silent = true
	w.run(30 * time.Minute)
	w.mustKeep(machines)
	w.mustServe(400)
	if flags := w.control.mem.last["web"].Flags; !slices.Contains(flags, "no-data") {
		w.fail("flags are %v, want no-data among them", flags)
	}
	w.gates.silent = false
	w.run(10 * time.Minute)
	w.mustServe(400)
}

func metricsLostMachineDies(w *world) {
	w.settled()
	w.gates.silent = true
	w.run(time.Minute)
	w.cloud.Kill(w.rented()[0])
	w.run(5 * time.Minute)
	w.mustServe(400)
}

func consulLost(w *world) {
	machines := w.settled()
	w.reg.down = true
	w.store.Inject(func([]ledger.Op) ledger.Fault { return ledger.Refuse })
	w.run(15 * time.Minute)
	w.mustKeep(machines)
	w.mustServe(400)
	w.reg.down = false
	w.store.Inject(nil)
	w.run(5 * time.Minute)
	w.mustKeep(machines)
	w.mustServe(400)
}

func apiDown(w *world) {
	w.run(110 * time.Second)
	before := w.rented()
	w.cloud.Inject(sim.Fault{Kind: sim.APIDown, For: 10 * time.Minute})
	w.run(9 * time.Minute)
	w.mustKeep(before)
	w.run(5 * time.Minute) // the spike is over, and so is the outage
	w.run(10 * time.Minute)
	w.mustBeQuiet()
}

func noStock(w *world) {
	w.cloud.SetStock(sim.Place{Type: "c2", Zone: "a"}, 0)
	w.settled()
	for _, m := range w.cloud.Running() {
		if m.Zone != "b" {
			w.fail("machine %s is in zone %s", m.ID, m.Zone)
		}
	}
}

func noStockAnywhere(w *world) {
	for _, zone := range []string{"a", "b"} {
		w.cloud.SetStock(sim.Place{Type: "c2", Zone: zone}, 0)
	}
	w.run(10 * time.Minute)
	if creates := w.cloud.Calls()[cloud.OpCreate]; creates > 40 {
		w.fail("%d calls of create in ten minutes without stock", creates)
	}
	for _, zone := range []string{"a", "b"} {
		w.cloud.SetStock(sim.Place{Type: "c2", Zone: zone}, 100)
	}
	w.run(15 * time.Minute)
	w.mustServe(400)
}

func quotaHit(w *world) {
	w.cloud.SetQuota(1)
	w.run(10 * time.Minute)
	if n := len(w.rented()); n != 1 {
		w.fail("%d machines are rented, want the one of the quota", n)
	}
	if creates := w.cloud.Calls()[cloud.OpCreate]; creates > 40 {
		w.fail("%d calls of create in ten minutes beyond the quota", creates)
	}
	w.cloud.SetQuota(20)
	w.run(15 * time.Minute)
	w.mustServe(400)
}

func neverPhonesHome(w *world) {
	w.cloud.Inject(sim.Fault{Kind: sim.NoInit, Times: 2})
	w.run(10 * time.Minute)
	w.mustServe(400)
	for _, h := range w.cloud.Hosts() {
		if phoned, _ := h.Init(w.clock.Now()); !phoned && h.State == cloud.Running {
			w.fail("machine %s never phoned home and still runs", h.ID)
		}
	}
}

func lateBoot(w *world) {
	w.cloud.Inject(sim.Fault{Kind: sim.LateBoot, Times: 2})
	w.run(40 * time.Minute)
	w.mustServe(400)
	if n := len(w.rented()); n > 4 {
		w.fail("%d machines are rented: late ones are left over", n)
	}
}

func engineHangs(w *world) {
	machines := w.settled()
	h, _ := w.cloud.Host(machines[0])
	w.engines.hang = map[string]bool{h.Address: true}
	served := len(w.gates.serving)
	w.run(5 * time.Minute)
	if now := len(w.gates.serving); now < served {
		w.fail("%d servers in rotation, %d before the engine hung", now, served)
	}
	w.gates.load = func(time.Duration) float64 { return 700 }
	w.run(5 * time.Minute)
	w.mustServe(700)
	w.engines.hang = nil
	w.run(5 * time.Minute)
	w.mustServe(700)
}

func machineVanishes(w *world) {
	machines := w.settled()
	w.cloud.Kill(machines[0])
	w.run(4 * time.Minute)
	w.mustServe(400)
	if len(w.rented()) < len(machines) {
		w.fail("the machine was not replaced")
	}
}

func spotNotice(w *world) {
	machines := w.settled()
	w.cloud.Reclaim(machines[0])
	for range 5 * 60 {
		w.run(time.Second)
		w.mustServe(400)
	}
}

func ledgerWiped(w *world) {
	machines := w.settled()
	w.store.Wipe()
	w.run(10 * time.Minute)
	w.mustKeep(machines)
	w.mustServe(400)
}

func ledgerWipedWhileDown(w *world) {
	machines := w.settled()
	serving := slices.Clone(w.gates.serving)
	w.store.Wipe()
	w.restart()
	w.run(10 * time.Minute)
	w.mustKeep(machines)
	if !slices.Equal(w.gates.serving, serving) {
		w.fail("servers are %v, want %v as before", w.gates.serving, serving)
	}
}

func scalerDown(w *world) {
	machines := w.settled()
	for end := w.clock.Now().Add(24 * time.Hour); w.clock.Now().Before(end); {
		w.clock.Advance(time.Minute)
		w.gates.second()
		w.mustServe(400)
		if critical := w.reg.critical(); len(critical) > 0 {
			w.fail("critical: %v", critical)
		}
	}
	w.restart()
	w.run(10 * time.Minute)
	w.mustKeep(machines)
	w.mustServe(400)
}

// diesAfterRegistering ends the scaler between a registration and its note of
// it, for longer than a registration may take.
func diesAfterRegistering(w *world) {
	w.around = func(e fleet.Effect, after bool) {
		if after && e.Kind == fleet.Register {
			w.around = nil
			panic(crashed{})
		}
	}
	for range 10 * 60 {
		w.run(time.Second)
		if w.around == nil {
			break
		}
	}
	for range 600 { // nobody ticks
		w.clock.Advance(time.Second)
		w.gates.second()
	}
	if len(w.gates.serving) != 1 {
		w.fail("%d servers in rotation, want the one that was registered", len(w.gates.serving))
	}
	w.run(5 * time.Minute)
	w.mustServe(400)
}

// twoLeaders lets a controller that was deposed and does not know it go on
// beside its successor.
func twoLeaders(w *world) {
	w.run(time.Minute)
	former := w.control
	w.restart()
	for range 20 * 60 {
		w.clock.Advance(time.Second)
		w.gates.second()
		_ = former.Tick(context.Background()) // it fails: that is the point
		w.tick()
		if at := w.clock.Now().Sub(w.begun); at == 6*time.Minute {
			w.mustServe(600)
			if n := len(w.rented()); n > 5 {
				w.fail("%d machines are rented, want no more than the load needs", n)
			}
		}
	}
	w.mustBeQuiet()
}

// twoWithOneFence lets two controllers lead for good, as if fencing did not
// exist: check-and-set alone keeps them from buying twice.
func twoWithOneFence(w *world) {
	second := w.controller(w.control.env.Leader)
	for range 20 * 60 {
		w.clock.Advance(time.Second)
		w.gates.second()
		w.tick()
		_ = second.Tick(context.Background()) // conflicts are expected
		for id, o := range second.book.orders.all() {
			w.asked[id] = len(o.Slots)
		}
		if at := w.clock.Now().Sub(w.begun); at == 8*time.Minute {
			w.mustServe(600)
			if n := len(w.rented()); n > 5 {
				w.fail("%d machines are rented, want no more than the load needs", n)
			}
		}
	}
	w.mustBeQuiet()
}

func ledgerUnsure(w *world) {
	n := 0
	w.store.Inject(func(ops []ledger.Op) ledger.Fault {
		n++
		if len(ops) > 0 && n%3 == 0 {
			return ledger.LoseAnswer
		}
		if n%7 == 0 {
			return ledger.Refuse
		}
		return ledger.NoFault
	})
	w.run(7 * time.Minute)
	w.mustServe(600)
	w.run(15 * time.Minute)
	w.store.Inject(nil)
	w.run(3 * time.Minute)
	w.mustBeQuiet()
}

func TestDrainsAreTakenBackWhenLoadReturns(t *testing.T) {
	level := 600.0
	w := newWorld(t, func(time.Duration) float64 { return level })
	w.run(5 * time.Minute)
	w.gates.delay = 15 * time.Second // drains take that long
	level = 60
	for range 600 {
		w.run(time.Second)
		if w.control.book.instances.len() > 0 && w.states()[fleet.InstanceDraining] > 0 {
			break
		}
	}
	if w.states()[fleet.InstanceDraining] == 0 {
		t.Fatal("nothing drains after ten minutes without load")
	}
	made := len(w.cloud.Made(cloud.TagOrder))
	level = 600
	w.run(20 * time.Second)
	undrained := slices.ContainsFunc(w.planned(), func(s string) bool { return strings.Contains(s, "undrain") })
	w.run(2 * time.Minute)
	w.mustServe(600)
	if orders := len(w.cloud.Made(cloud.TagOrder)); !undrained || orders > made {
		w.fail("undrained: %v, orders %d, before %d", undrained, orders, made)
	}
}

func (w *world) states() map[fleet.InstanceState]int {
	states := map[fleet.InstanceState]int{}
	for _, i := range w.control.book.instances.all() {
		states[i.State]++
	}
	return states
}

// planned are the kinds of the actions of the decisions so far.
func (w *world) planned() (kinds []string) {
	for _, h := range w.control.whys["web"].whys {
		for _, a := range h.Actions {
			kinds = append(kinds, a.Kind)
		}
	}
	return kinds
}

func TestDrainedMachinesAreReplacedFirst(t *testing.T) {
	w := newWorld(t, steady)
	machines := w.settled()
	var id string
	for name, m := range w.control.book.machines.all() {
		if m.CloudID == machines[0] {
			id = name
		}
	}
	b := w.control.Backend("test")
	if _, err := b.NodeAction(context.Background(), api.NodeRequest{ID: id, Action: api.Drain, By: "tester"}); err != nil {
		t.Fatal(err)
	}
	for range 300 {
		w.run(time.Second)
		w.mustServe(400)
	}
	if h, ok := w.cloud.Host(machines[0]); ok && h.State == cloud.Running {
		w.fail("the drained machine still runs")
	}
}

func TestDryRunChangesNothing(t *testing.T) {
	w := newWorld(t, steady, func(w *world) { w.set.DryRun = true })
	w.run(5 * time.Minute)
	if n := len(w.rented()); n > 0 {
		t.Errorf("%d machines were rented", n)
	}
	if entries, err := w.store.List(context.Background(), ""); err != nil || len(entries) > 0 {
		t.Errorf("the ledger has %d entries (%v)", len(entries), err)
	}
	if want := w.control.plans["web"].Want; want < 4 {
		t.Errorf("the size decided is %v, want at least 4", want)
	}
}

func TestDownLeavesNothing(t *testing.T) {
	w := newWorld(t, steady)
	w.settled()
	if err := w.control.Backend("test").Down(context.Background(), "tester", "the end"); err != nil {
		t.Fatal(err)
	}
	w.gates.load = func(time.Duration) float64 { return 0 }
	w.run(10 * time.Minute)
	if !w.control.Over() {
		w.fail("the cluster has not ended: %v", w.summary())
	}
	entries, err := w.store.List(context.Background(), "")
	if n := len(w.rented()); n > 0 || err != nil || len(entries) > 0 || len(w.reg.entries) > 0 {
		w.fail("%d machines, ledger %v (%v), entries %v are left", n, entries, err, w.reg.entries)
	}
}
