package ec2_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"spillway/scaler/cloud"
	"spillway/scaler/cloud/cloudfake"
	"spillway/scaler/cloud/ec2"
	"spillway/scaler/cloud/sim"
)

// Every fault of the cloud behind arrives as what it is, through EC2's codes.
func TestFaultsThroughTheProtocol(t *testing.T) {
	for _, c := range []struct {
		fault sim.Fault
		want  cloud.Kind
		made  int
	}{
		{sim.Fault{Kind: sim.LostRequest}, cloud.Ambiguous, 0},
		{sim.Fault{Kind: sim.LostAnswer}, cloud.Ambiguous, 3},
		{sim.Fault{Kind: sim.Throttled}, cloud.RateLimited, 0},
		{sim.Fault{Kind: sim.Refused}, cloud.Transient, 0},
		{sim.Fault{Kind: sim.QuotaHit}, cloud.Quota, 0},
		{sim.Fault{Kind: sim.NoStock}, cloud.NoCapacity, 0},
		{sim.Fault{Kind: sim.APIDown}, cloud.Transient, 0},
	} {
		t.Run(string(c.fault.Kind), func(t *testing.T) {
			w := open(t, change{})
			w.cloud.Inject(c.fault)
			_, err := w.driver.Create(t.Context(), order("o-1", 3))
			if err == nil || cloud.KindOf(err) != c.want {
				t.Errorf("Create: %v, want %v", err, c.want)
			}
			w.clock.Advance(10 * time.Minute)
			if n := w.cloud.Made(cloud.TagOrder)["o-1"]; n != c.made {
				t.Errorf("%d machines were made, want %d", n, c.made)
			}
			made, err := w.driver.Create(t.Context(), order("o-1", 3))
			if err != nil || len(made) != 3 || w.cloud.Made(cloud.TagOrder)["o-1"] != 3 {
				t.Errorf("the same request again: %d machines, %v; there are %v", len(made), err, w.cloud.Made(cloud.TagOrder))
			}
		})
	}
}

func TestPartialBatchAndDuplicate(t *testing.T) {
	w := open(t, change{})
	w.cloud.Inject(sim.Fault{Kind: sim.Partial}, sim.Fault{Kind: sim.Duplicate, Nth: 2})
	if made, err := w.driver.Create(t.Context(), order("o-1", 10)); err != nil || len(made) != 7 {
		t.Errorf("a partial batch: %d machines, %v; want 7", len(made), err)
	}
	if made, err := w.driver.Create(t.Context(), order("o-2", 3)); err != nil || len(made) != 3 || w.cloud.Made(cloud.TagOrder)["o-2"] != 3 {
		t.Errorf("a request delivered twice: %d machines, %v; there are %v", len(made), err, w.cloud.Made(cloud.TagOrder))
	}
}

func TestTerminateRefused(t *testing.T) {
	w := open(t, change{})
	made, err := w.driver.Create(t.Context(), order("o-1", 1))
	if err != nil {
		t.Fatal(err)
	}
	w.cloud.Inject(sim.Fault{Kind: sim.DeleteRefused})
	if err := w.driver.Delete(t.Context(), made[0].ID); err == nil || cloud.KindOf(err) != cloud.Transient {
		t.Errorf("Delete: %v, want transient", err)
	}
	if err := w.driver.Delete(t.Context(), made[0].ID); err != nil {
		t.Errorf("Delete again: %v", err)
	}
}

// A machine that fails to start is ended by EC2 itself, which says why.
func TestFailedToStart(t *testing.T) {
	w := open(t, change{})
	w.cloud.Inject(sim.Fault{Kind: sim.BootFailed})
	if _, err := w.driver.Create(t.Context(), order("o-1", 1)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []cloud.State{cloud.Deleting, cloud.Deleted} {
		w.clock.Advance(5 * time.Minute)
		found, err := w.driver.List(t.Context(), map[string]string{cloud.TagOrder: "o-1"})
		if err != nil || len(found) != 1 || found[0].State != want || found[0].Reason == "" {
			t.Fatalf("List: %+v, %v; want one that is %s, with a reason", found, err, want)
		}
	}
	if left := w.cloud.Running(); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

func TestNoticesAreHeard(t *testing.T) {
	w := open(t, change{})
	r := order("o-1", 2)
	r.Spot = true
	made, err := w.driver.Create(t.Context(), r)
	if err != nil || !made[0].Spot {
		t.Fatalf("Create of spot machines: %+v, %v", made, err)
	}
	w.clock.Advance(10 * time.Minute)
	if events, err := w.driver.Events(t.Context()); err != nil || len(events) != 0 {
		t.Errorf("events before any: %v, %v", events, err)
	}
	if err := w.driver.Stop(t.Context(), made[0].ID); cloud.KindOf(err) != cloud.Invalid {
		t.Errorf("Stop of a spot machine: %v, want invalid", err)
	}
	w.cloud.Reclaim(made[1].ID)
	events, err := w.driver.Events(t.Context())
	want := []cloud.Event{{ID: made[1].ID, Kind: "reclaim", At: w.clock.Now().Add(2 * time.Minute)}}
	if err != nil || !slices.Equal(events, want) {
		t.Errorf("events %v, %v; want %v", events, err, want)
	}
}

func TestOfferings(t *testing.T) {
	w := open(t, change{
		wire: cloudfake.EC2Options{Subnets: map[string]string{"a": "subnet-0a", "c": "subnet-0c"}},
		options: func(_ *world, o *ec2.Options) {
			o.Subnets = map[string]string{"a": "subnet-0a", "c": "subnet-0c"}
			o.Kinds = []ec2.Kind{{Type: "small", PriceHour: 0.096, Units: 1.5, MaxPPS: 70000}, {Type: "large", PriceHour: 0.384, Spot: true}}
		},
	})
	offerings, err := w.driver.Offerings(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	small := cloud.Offering{
		Type: "small", Zone: "a", CPU: 2, Memory: 4 << 30, Units: 1.5, MaxPPS: 70000, Arch: "amd64", PriceHour: 0.096,
		Quantum: time.Minute, Available: true,
	}
	large := cloud.Offering{
		Type: "large", Zone: "a", CPU: 8, Memory: 16 << 30, Units: 8, Arch: "amd64", PriceHour: 0.12,
		Quantum: time.Minute, Spot: true, Available: true,
	}
	smallC, largeC := small, large
	smallC.Zone = "c"
	largeC.Zone, largeC.PriceHour, largeC.Available, largeC.Reason = "c", 0.384, false, "there is no spot price in c"
	if want := []cloud.Offering{small, smallC, large, largeC}; !slices.Equal(offerings, want) {
		t.Errorf("offerings\n%+v, want\n%+v", offerings, want)
	}
	if calls := w.server.Calls(); len(calls) != 3 {
		t.Errorf("calls %v, want one of each of three", calls)
	}
}

func TestTypeThatTheZoneLacks(t *testing.T) {
	w := open(t, change{options: func(_ *world, o *ec2.Options) {
		o.Kinds = append(o.Kinds, ec2.Kind{Type: "huge", PriceHour: 9})
	}})
	r := order("o-1", 1)
	r.Spot, r.Zone = true, "c" // spot is sold in a and b
	if _, err := w.driver.Create(t.Context(), r); cloud.KindOf(err) != cloud.NoCapacity {
		t.Errorf("a type that another zone has: %v, want no capacity", err)
	}
	r = order("o-2", 1)
	r.Type = "huge"
	if _, err := w.driver.Create(t.Context(), r); cloud.KindOf(err) != cloud.Invalid {
		t.Errorf("a type that nobody has: %v, want invalid", err)
	}
	if _, err := w.driver.Offerings(t.Context()); cloud.KindOf(err) != cloud.Invalid {
		t.Errorf("offerings of a type that nobody has: %v, want invalid", err)
	}
}

func TestDeniedAndDown(t *testing.T) {
	w := open(t, change{wire: cloudfake.EC2Options{Deny: []string{"RunInstances"}}})
	if _, err := w.driver.Create(t.Context(), order("o-1", 1)); cloud.KindOf(err) != cloud.Auth {
		t.Errorf("Create without permission: %v, want auth", err)
	}
	w.server.Down(10 * time.Minute)
	if _, err := w.driver.List(t.Context(), nil); err == nil || cloud.KindOf(err) != cloud.Transient {
		t.Errorf("List while the service is down: %v, want transient", err)
	}
	w.clock.Advance(10 * time.Minute)
	if _, err := w.driver.List(t.Context(), nil); err != nil {
		t.Errorf("List afterwards: %v", err)
	}
}

// A scaler that may die before or after any call, or not hear of it, asks for
// its orders until each is answered. There are never more machines of an order
// than were asked for, whatever happened on the way, and in the end none are
// missing.
func TestCrashesBuyOnce(t *testing.T) {
	faults := []sim.FaultKind{
		sim.LostRequest, sim.LostAnswer, sim.Duplicate, sim.Throttled, sim.Refused, sim.QuotaHit, sim.NoStock, sim.Partial, sim.APIDown, sim.ListLag,
	}
	rapid.Check(t, func(rt *rapid.T) {
		w := open(t, change{})
		for i := range rapid.IntRange(0, 5).Draw(rt, "faults") {
			f := sim.Fault{
				Kind: rapid.SampledFrom(faults).Draw(rt, fmt.Sprintf("fault %d", i)),
				Nth:  rapid.IntRange(1, 6).Draw(rt, "nth"), Times: rapid.IntRange(1, 3).Draw(rt, "times"), For: time.Hour,
			}
			if f.Kind == sim.APIDown {
				f.For = time.Minute
			}
			w.cloud.Inject(f)
		}
		for i := range rapid.IntRange(1, 3).Draw(rt, "orders") {
			w.buy(rt, order(fmt.Sprintf("o-%d", i), rapid.IntRange(1, 8).Draw(rt, "count")))
		}
	})
}

// buy is the life of one order: asked for by scalers that die, then by one
// that lives. The order's request depends on the order alone.
func (w *world) buy(rt *rapid.T, r cloud.CreateRequest) {
	options := cloud.Options{
		Clock: w.clock.Moving(), Random: func() float64 { return 0.5 }, MaxWait: time.Hour,
		Resolve: cloud.ResolveOptions{Within: 5 * time.Minute},
	}
	name := r.Tags[cloud.TagOrder]
	for i := range rapid.IntRange(0, 4).Draw(rt, "deaths") {
		if rapid.Bool().Draw(rt, "wrapped") { // dies with the answer in its hands
			_, _ = cloud.Wrap(w.driver, options).Create(rt.Context(), r)
		} else { // dies before it can look at an error
			_, _ = w.driver.Create(rt.Context(), r)
		}
		w.clock.Advance(time.Duration(rapid.IntRange(0, 120).Draw(rt, fmt.Sprintf("pause %d", i))) * time.Second)
	}
	for range 50 {
		made, err := cloud.Wrap(w.driver, options).Create(rt.Context(), r)
		if n := w.cloud.Made(cloud.TagOrder)[name]; n > r.Count {
			rt.Fatalf("%d machines of an order of %d", n, r.Count)
		}
		if err == nil {
			if n := w.cloud.Made(cloud.TagOrder)[name]; n != len(made) {
				rt.Fatalf("the order is answered with %d machines and has %d", len(made), n)
			}
			return
		}
		w.clock.Advance(30 * time.Second)
	}
	rt.Fatalf("order %s is not settled", name)
}

// A thousand machines, within the documented limits.
func TestThousandMachines(t *testing.T) {
	w := open(t, change{})
	d := cloud.Wrap(w.driver, cloud.Options{Clock: w.clock.Moving(), MaxWait: time.Hour})
	var names []string
	for i := range 1000 {
		names = append(names, fmt.Sprintf("o-1-%d", i))
	}
	r := order("o-1", 1)
	r.Count, r.Names = len(names), names
	made, err := d.Create(t.Context(), r)
	if err != nil || len(made) != 1000 {
		t.Fatalf("Create: %d machines, %v", len(made), err)
	}
	w.clock.Advance(2 * time.Minute)
	found, err := d.List(t.Context(), map[string]string{cloud.TagCluster: "prod"})
	if err != nil || len(found) != 1000 {
		t.Fatalf("List: %d machines, %v", len(found), err)
	}
	begun := w.clock.Now()
	for _, m := range found {
		if err := d.Delete(t.Context(), m.ID); err != nil {
			t.Fatal(err)
		}
	}
	calls := w.server.Calls()
	if calls["ec2 RunInstances"] != 1 || calls["ec2 DescribeInstances"] != 1 || calls["ec2 TerminateInstances"] != 1000 {
		t.Errorf("calls %v", calls)
	}
	// 100 calls at once, then 5 a second.
	if took := w.clock.Now().Sub(begun); took < 170*time.Second || took > 190*time.Second {
		t.Errorf("to end them took %v, want 180 s", took)
	}
}
