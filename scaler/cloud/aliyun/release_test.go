package aliyun_test

import (
	"slices"
	"testing"
	"time"

	"spillway/scaler/cloud"
	"spillway/scaler/cloud/aliyun"
	"spillway/scaler/cloud/sim"
)

// backstopped is a world whose machines end by themselves after two days.
func backstopped(t *testing.T) *world {
	t.Helper()
	return newWorld(t, sim.Aliyun(), func(o *aliyun.Options) { o.ReleaseAfter = 48 * time.Hour })
}

var prod = map[string]string{cloud.TagCluster: "prod"}

func TestMachinesThatNobodyRenewsEnd(t *testing.T) {
	w := backstopped(t)
	w.create(w.request(2))
	w.clock.Advance(47 * time.Hour)
	if all := w.list(nil); len(all) != 2 {
		t.Fatalf("%d machines after 47 hours, want 2", len(all))
	}
	w.clock.Advance(13*time.Hour + time.Minute)
	w.list(nil)
	w.clock.Advance(time.Hour)
	if all := w.list(nil); len(all) != 0 {
		t.Errorf("%d machines after 61 hours without a scaler, want none", len(all))
	}
}

func TestMachinesThatAreRenewedGoOn(t *testing.T) {
	w := backstopped(t)
	w.create(w.request(2))
	moved := 0
	for range 14 * 4 { // two weeks, asked every six hours
		w.clock.Advance(6 * time.Hour)
		n, err := w.d.Renew(t.Context(), prod)
		if err != nil {
			t.Fatal(err)
		}
		moved += n
		if events, err := w.d.Events(t.Context()); err != nil || len(events) > 0 {
			t.Fatalf("events %v (error %v) of machines that are renewed", events, err)
		}
	}
	if all := w.list(nil); len(all) != 2 {
		t.Errorf("%d machines after two weeks, want 2", len(all))
	}
	if moved < 2*7 || moved > 2*14 {
		t.Errorf("renewed %d times in two weeks, want each machine about every day and a half", moved)
	}
}

func TestOthersMachinesAreNotRenewed(t *testing.T) {
	w := backstopped(t)
	w.create(w.request(1))
	w.clock.Advance(40 * time.Hour)
	if n, err := w.d.Renew(t.Context(), map[string]string{cloud.TagCluster: "test"}); n != 0 || err != nil {
		t.Errorf("another cluster renewed %d, error %v", n, err)
	}
}

func TestWithoutBackstopNothingIsAsked(t *testing.T) {
	w := newWorld(t, sim.Aliyun(), nil)
	w.create(w.request(1))
	w.clock.Advance(365 * 24 * time.Hour)
	if n, err := w.d.Renew(t.Context(), prod); n != 0 || err != nil {
		t.Errorf("renewed %d, error %v", n, err)
	}
	if all := w.list(nil); len(all) != 1 {
		t.Errorf("%d machines after a year, want 1", len(all))
	}
	if n := w.fake.Calls()["aliyun ModifyInstanceAutoReleaseTime"]; n != 0 {
		t.Errorf("%d calls to renew", n)
	}
}

func TestANearReleaseIsToldOf(t *testing.T) {
	w := backstopped(t)
	id := w.create(w.request(1))[0].ID
	w.clock.Advance(59 * time.Hour) // of 60, from noon on
	events, err := w.d.Events(t.Context())
	if err != nil || len(events) != 1 || events[0].ID != id || events[0].Kind != "reclaim" {
		t.Fatalf("events are %v (error %v), want that %s will be taken back", events, err, id)
	}
	if want := start.Add(60 * time.Hour); !events[0].At.Equal(want) {
		t.Errorf("it ends at %v, want %v", events[0].At, want)
	}
}

// A Create whose answer was lost is repeated hours later, when AutoReleaseTime
// would be another.
func TestARepeatedCreateIsTheSameHoursLater(t *testing.T) {
	w := backstopped(t)
	w.sim.Inject(sim.Fault{Kind: sim.LostAnswer})
	r := w.request(3)
	_, err := w.d.Create(t.Context(), r)
	wantKind(t, "Create whose answer is lost", err, cloud.Ambiguous)
	w.clock.Advance(6 * time.Hour)
	made := w.create(r)
	listed := w.list(prod)
	if len(made) != 3 || len(listed) != 3 {
		t.Errorf("%d machines given, %d listed, want 3", len(made), len(listed))
	}
	for _, m := range made {
		if !slices.ContainsFunc(listed, func(l cloud.Machine) bool { return l.ID == m.ID }) {
			t.Errorf("machine %s is not listed", m.ID)
		}
	}
	r.Tags[cloud.TagOrder] = "web-2"
	_, err = w.d.Create(t.Context(), r)
	wantKind(t, "a used token for another order", err, cloud.Invalid)
}
