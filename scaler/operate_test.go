package scaler

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"spillway/scaler/api"
	"spillway/scaler/cloud"
	"spillway/scaler/cloud/sim"
)

func (w *world) backend() *Backend { return w.control.Backend("test") }

func TestAPersonsOrderHoldsForItsTime(t *testing.T) {
	w := newWorld(t, func(time.Duration) float64 { return 60 })
	w.run(2 * time.Minute)
	o, err := w.backend().Scale(context.Background(), api.ScaleRequest{App: "web", Delta: 3, TTL: 10 * time.Minute, By: "tester"})
	if err != nil || o.Delta != 3 {
		t.Fatalf("override %+v, error %v", o, err)
	}
	w.run(3 * time.Minute)
	if n := len(w.gates.serving); n != 5 {
		w.fail("%d servers in rotation, want the 2 of the load and 3 more", n)
	}
	w.restart() // the order is in the ledger
	w.run(5 * time.Minute)
	if n := len(w.gates.serving); n != 5 {
		w.fail("%d servers in rotation after a restart, want 5", n)
	}
	w.run(15 * time.Minute)
	if n := len(w.rented()); n != 0 {
		w.fail("%d machines are rented after the order's time", n)
	}
}

func TestPausedAppsAreLeftAlone(t *testing.T) {
	w := newWorld(t, func(time.Duration) float64 { return 60 })
	w.run(2 * time.Minute)
	if _, err := w.backend().Pause(context.Background(), api.PauseRequest{TTL: 10 * time.Minute, By: "tester"}); err != nil {
		t.Fatal(err)
	}
	w.gates.load = func(time.Duration) float64 { return 600 }
	w.run(5 * time.Minute)
	if n := len(w.rented()); n != 0 {
		w.fail("%d machines are rented for a paused app", n)
	}
	if err := w.backend().Resume(context.Background(), api.ResumeRequest{By: "tester"}); err != nil {
		t.Fatal(err)
	}
	w.run(3 * time.Minute)
	w.mustServe(600)
}

func TestCordonedMachinesTakeNothingNew(t *testing.T) {
	w := newWorld(t, steady)
	w.settled()
	for id, m := range w.control.book.machines.all() {
		if m.Pool != "rent" {
			continue
		}
		if _, err := w.backend().NodeAction(context.Background(), api.NodeRequest{ID: id, Action: api.Cordon, By: "tester"}); err != nil {
			t.Fatal(err)
		}
	}
	before := w.control.book.machines.len()
	w.gates.load = func(time.Duration) float64 { return 700 }
	w.run(4 * time.Minute)
	w.mustServe(700)
	if now := w.control.book.machines.len(); now <= before {
		w.fail("%d machines, want more than the %d of which the rented ones are cordoned", now, before)
	}
}

func TestUnknownNamesAreRefused(t *testing.T) {
	w := newWorld(t, steady)
	w.run(time.Minute)
	b, ctx := w.backend(), context.Background()
	_, scale := b.Scale(ctx, api.ScaleRequest{App: "none", Delta: 1, TTL: time.Hour})
	_, pause := b.Pause(ctx, api.PauseRequest{App: "none", TTL: time.Hour})
	_, node := b.NodeAction(ctx, api.NodeRequest{ID: "none", Action: api.Drain})
	_, why := b.Why(ctx, "none", time.Time{})
	_, exec := b.Exec(ctx, api.ExecRequest{Instance: "none"}, api.Streams{})
	for name, err := range map[string]error{"scale": scale, "pause": pause, "node": node, "why": why, "exec": exec} {
		if !errors.Is(err, api.ErrNotFound) {
			t.Errorf("%s: error is %v, want ErrNotFound", name, err)
		}
	}
}

func TestFollowersShowNothingAndChangeNothing(t *testing.T) {
	w := newWorld(t, steady)
	w.run(time.Minute)
	follower := w.controller(w.vote.Candidate("other"))
	if err := follower.Tick(context.Background()); err != nil {
		t.Fatal(err)
	}
	b := follower.Backend("other")
	if _, err := b.Scale(context.Background(), api.ScaleRequest{App: "web", Delta: 1, TTL: time.Hour}); !errors.Is(err, api.ErrNotLeader) {
		t.Errorf("error is %v, want ErrNotLeader", err)
	}
	if self, address := b.Leader(); self || address != "test" {
		t.Errorf("leader is %v %q, want the other one", self, address)
	}
	if ok, detail := b.Ready(); !ok {
		t.Errorf("a follower is not ready: %s", detail)
	}
}

func TestPlanTellsWhatATickWouldDoAndDoesNothing(t *testing.T) {
	w := newWorld(t, func(time.Duration) float64 { return 60 })
	w.run(2 * time.Minute)
	w.gates.load = func(time.Duration) float64 { return 900 }
	for range 3 { // the gateways tell, and nobody ticks
		w.clock.Advance(time.Second)
		w.gates.second()
	}
	p, err := w.backend().Plan(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(p.Actions, func(a api.Action) bool { return a.Kind == "order" }) {
		t.Errorf("the plan orders nothing: %+v", p.Actions)
	}
	if n := len(w.rented()); n != 0 || w.control.book.orders.len() != 1 {
		t.Errorf("a plan changed something: %d machines, %d orders", n, w.control.book.orders.len())
	}
}

func TestWhyFindsTheDecisionOfATime(t *testing.T) {
	w := newWorld(t, spike)
	w.run(6 * time.Minute)
	at := w.begun.Add(time.Minute)
	for _, restarted := range []bool{false, true} {
		if restarted {
			w.restart()
			w.run(2 * time.Second)
		}
		y, err := w.backend().Why(context.Background(), "web", at)
		if err != nil || y.At.After(at) || y.Want > 3 {
			t.Errorf("restarted %v: why says %+v (%v), want the small size of %v", restarted, y, err, at)
		}
		now, err := w.backend().Why(context.Background(), "web", time.Time{})
		if err != nil || now.Want < 8 || len(now.Candidates) == 0 {
			t.Errorf("restarted %v: why says %+v (%v), want the size of the spike", restarted, now, err)
		}
	}
}

func TestMoneyStopsBuyingAndEndsNothing(t *testing.T) {
	w := newWorld(t, steady, func(w *world) { w.set.HourMost = 0.15 }) // a machine is 0.1
	w.run(6 * time.Minute)
	if n := len(w.rented()); n != 1 {
		w.fail("%d machines are rented, want the one that 0.15 an hour pays for", n)
	}
	s, err := w.backend().Status(context.Background())
	if err != nil || !strings.Contains(strings.Join(s.Alarms, "\n"), "money") {
		t.Errorf("alarms are %q (%v), want one about money", s.Alarms, err)
	}
}

func TestTheNextProviderGivesWhatTheFirstCannot(t *testing.T) {
	w := newWorld(t, steady)
	other := sim.New(quick(), sim.Options{Clock: w.clock.Still(), Seed: 2})
	w.clouds["other"] = w.wrap(other)
	w.set.Pools[1].Providers = []string{"rent", "other"}
	w.set.Pools[1].Init = false
	for _, zone := range []string{"a", "b"} {
		w.cloud.SetStock(sim.Place{Type: "c2", Zone: zone}, 0)
	}
	w.restart()
	w.run(2 * time.Minute)
	if len(other.Running()) == 0 {
		w.fail("nothing was ordered from the second provider")
	}
	for _, m := range other.Running() {
		if m.Tags[cloud.TagPool] != "rent" {
			t.Errorf("machine %s is tagged %v", m.ID, m.Tags)
		}
	}
}
