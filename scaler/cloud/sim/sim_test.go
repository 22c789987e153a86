package sim_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"spillway/scaler/cloud"
	"spillway/scaler/cloud/sim"
)

// plain is a cloud whose machines run after ten seconds, have an address two
// later, phone home four later and are settled eight later; nothing is random
// and nothing limited.
func plain() sim.Provider {
	return sim.Provider{
		Description: cloud.Description{Name: "plain", MaxBatch: 100, StopFree: true},
		Offerings: []cloud.Offering{
			{Type: "small", Zone: "a", CPU: 2, Memory: 1 << 30, Units: 2, Arch: "amd64", PriceHour: 3.6, Available: true},
			{Type: "small", Zone: "b", CPU: 2, Memory: 1 << 30, Units: 2, Arch: "amd64", PriceHour: 3.6, Quantum: time.Hour, Available: true},
		},
		Boot: sim.Boot{
			Running: sim.Dist{Median: 10 * time.Second}, Address: sim.Dist{Median: 2 * time.Second},
			PhoneHome: sim.Dist{Median: 4 * time.Second}, Settle: sim.Dist{Median: 8 * time.Second},
			Restart: sim.Dist{Median: 5 * time.Second}, Stop: sim.Dist{Median: 3 * time.Second}, Terminate: sim.Dist{Median: 6 * time.Second},
		},
	}
}

func open(p sim.Provider, faults ...sim.Fault) (*sim.Cloud, *sim.Clock) {
	clock := sim.NewClock(start)
	return sim.New(p, sim.Options{Clock: clock.Still(), Seed: 1, Faults: faults}), clock
}

func request(token string, n int) cloud.CreateRequest {
	r := cloud.CreateRequest{
		Token: token, Type: "small", Zone: "a", Count: n, UserData: []byte("#!"),
		Tags: map[string]string{cloud.TagCluster: "test", cloud.TagOrder: token},
	}
	for i := range n {
		r.Names = append(r.Names, fmt.Sprintf("%s-%d", token, i))
	}
	return r
}

func create(t *testing.T, d cloud.Driver, r cloud.CreateRequest) []cloud.Machine {
	t.Helper()
	made, err := d.Create(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func list(t *testing.T, d cloud.Driver) []cloud.Machine {
	t.Helper()
	found, err := d.List(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func wantKind(t *testing.T, err error, want cloud.Kind) {
	t.Helper()
	var e *cloud.Error
	if !errors.As(err, &e) || e.Kind != want {
		t.Errorf("got error %v, want kind %v", err, want)
	}
}

// life is what List and a test see of one machine at one moment.
func life(t *testing.T, c *sim.Cloud, id string, now time.Time) string {
	t.Helper()
	h, _ := c.Host(id)
	phoned, settled := h.Init(now)
	seen := "unlisted"
	if found := list(t, c); len(found) > 0 {
		seen = string(found[0].State)
	}
	return fmt.Sprintf("%s up:%t phoned:%t settled:%t", seen, h.Up(now), phoned, settled)
}

func TestMachineLivesByTheClock(t *testing.T) {
	c, clock := open(plain())
	id := create(t, c, request("t", 1))[0].ID
	steps := []struct {
		after time.Duration
		do    func() error
		want  string
	}{
		{0, nil, "pending up:false phoned:false settled:false"},
		{10 * time.Second, nil, "running up:false phoned:false settled:false"},
		{2 * time.Second, nil, "running up:true phoned:false settled:false"},
		{4 * time.Second, nil, "running up:true phoned:true settled:false"},
		{8 * time.Second, nil, "running up:true phoned:true settled:true"},
		{time.Hour, func() error { return c.Stop(t.Context(), id) }, "stopping up:false phoned:false settled:false"},
		{3 * time.Second, nil, "stopped up:false phoned:false settled:false"},
		{time.Hour, func() error { return c.Start(t.Context(), id) }, "pending up:false phoned:false settled:false"},
		{5 * time.Second, nil, "running up:false phoned:false settled:false"},
		{6 * time.Second, nil, "running up:true phoned:true settled:true"},
		{time.Hour, func() error { return c.Delete(t.Context(), id) }, "deleting up:false phoned:false settled:false"},
		{6 * time.Second, nil, "unlisted up:false phoned:false settled:false"},
	}
	for i, s := range steps {
		clock.Advance(s.after)
		if s.do != nil {
			if err := s.do(); err != nil {
				t.Fatalf("step %d: %v", i, err)
			}
		}
		if got := life(t, c, id, clock.Now()); got != s.want {
			t.Errorf("step %d: %s, want %s", i, got, s.want)
		}
	}
	wantKind(t, c.Delete(t.Context(), id), cloud.NotFound)
}

func TestBill(t *testing.T) {
	c, clock := open(plain())
	create(t, c, request("by the second", 1))
	byHour := request("by the hour", 1)
	byHour.Zone = "b"
	other := create(t, c, byHour)[0].ID
	want := func(euro float64) {
		t.Helper()
		if got := c.Billed(clock.Now()); math.Abs(got-euro) > 1e-9 {
			t.Errorf("after %v the bill is %g, want %g", clock.Now().Sub(start), got, euro)
		}
	}
	want(3.6) // an hour is begun
	clock.Advance(1000 * time.Second)
	want(3.6 + 1)
	if err := c.Stop(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	clock.Advance(9000 * time.Second)
	want(3.6 + 10) // stopped costs nothing
	if err := c.Start(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	want(7.2 + 10) // another hour is begun
	for _, m := range c.Running() {
		if err := c.Delete(t.Context(), m.ID); err != nil {
			t.Fatal(err)
		}
	}
	clock.Advance(24 * time.Hour)
	want(7.2 + 10.006) // six seconds of deleting
}

// A call whose caller gives up on the way is granted all the same, and the
// caller cannot know.
func TestCancelledCallIsInDoubt(t *testing.T) {
	for name, at := range map[string]int{"on the way there": 1, "on the way back": 2} {
		t.Run(name, func(t *testing.T) {
			clock := sim.NewClock(start)
			ctx, cancel := context.WithCancel(t.Context())
			hooked := clock.Moving()
			sleeps := 0
			hooked.Sleep = func(ctx context.Context, d time.Duration) error {
				if sleeps++; sleeps == at {
					cancel()
				}
				return clock.Sleep(ctx, d)
			}
			c := sim.New(plain(), sim.Options{Clock: hooked})
			_, err := c.Create(ctx, request("t", 3))
			wantKind(t, err, cloud.Ambiguous)
			if n := len(c.Running()); n != 3 {
				t.Errorf("%d machines, want the 3 that were asked for", n)
			}
			_, err = c.Create(ctx, request("u", 3))
			wantKind(t, err, cloud.Transient)
			if n := len(c.Running()); n != 3 {
				t.Errorf("a call that was never sent made %d machines", n-3)
			}
		})
	}
}

func TestCallsTakeTime(t *testing.T) {
	p := plain()
	p.Latency = sim.Dist{Median: 300 * time.Millisecond}
	clock := sim.NewClock(start)
	c := sim.New(p, sim.Options{Clock: clock.Moving()})
	create(t, c, request("t", 1))
	if took := clock.Now().Sub(start); took != 300*time.Millisecond {
		t.Errorf("a call took %v, want 300ms", took)
	}
}

func TestLogNormalHasItsQuantiles(t *testing.T) {
	p := plain()
	p.MaxBatch = 4000
	p.Boot.Running = sim.LogNormal(20*time.Second, 45*time.Second)
	c, _ := open(p)
	create(t, c, request("t", 4000))
	var boots []time.Duration
	for _, h := range c.Hosts() {
		boots = append(boots, h.Running.Sub(start))
	}
	slices.Sort(boots)
	for _, q := range []struct{ at, want float64 }{{0.5, 20}, {0.9, 45}} {
		if got := boots[int(q.at*4000)].Seconds(); math.Abs(got/q.want-1) > 0.06 {
			t.Errorf("quantile %g of 4000 boots is %gs, want %gs", q.at, got, q.want)
		}
	}
}

// The same seed and the same calls give the same cloud.
func TestSameSeedSameCloud(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		name := rapid.SampledFrom([]string{"ec2", "aliyun", "hetzner", "openstack"}).Draw(rt, "provider")
		p := providers()[name]
		seed := rapid.Uint64().Draw(rt, "seed")
		var faults []sim.Fault
		for range rapid.IntRange(0, 4).Draw(rt, "faults") {
			faults = append(faults, sim.Fault{Kind: rapid.SampledFrom(sim.Faults()).Draw(rt, "kind"), Nth: rapid.IntRange(1, 3).Draw(rt, "nth")})
		}
		steps := rapid.SliceOfN(rapid.IntRange(0, 5), 1, 20).Draw(rt, "steps")
		once, again := played(t, p, seed, faults, steps), played(t, p, seed, faults, steps)
		if diff := cmp.Diff(once, again); diff != "" {
			rt.Fatalf("two runs differ:\n%s", diff)
		}
	})
}

// played runs steps on a new cloud and returns all that can be seen of it.
func played(t *testing.T, p sim.Provider, seed uint64, faults []sim.Fault, steps []int) []string {
	clock := sim.NewClock(start)
	c := sim.New(p, sim.Options{Clock: clock.Moving(), Seed: seed, Faults: faults})
	var seen []string
	note := func(what any, err error) { seen = append(seen, fmt.Sprint(what, err)) }
	for i, step := range steps {
		switch step {
		case 0, 1:
			r := request(fmt.Sprint(i), min(3, p.MaxBatch))
			r.Zone = p.Offerings[0].Zone
			made, err := c.Create(t.Context(), r)
			note(made, err)
		case 2:
			clock.Advance(20 * time.Second)
		case 3:
			found, err := c.List(t.Context(), nil)
			note(found, err)
		case 4:
			for _, m := range c.Running() {
				note(m.ID, c.Delete(t.Context(), m.ID))
			}
		case 5:
			events, err := c.Events(t.Context())
			note(events, err)
		}
	}
	return append(seen, fmt.Sprint(c.Hosts()), fmt.Sprint(c.Billed(clock.Now()), clock.Now()))
}

func TestOrphans(t *testing.T) {
	c, clock := open(plain())
	known := create(t, c, request("ours", 2))[0].ID
	other := request("theirs", 1)
	other.Tags[cloud.TagCluster] = "another"
	create(t, c, other)
	ours := map[string]string{cloud.TagCluster: "test"}
	keep := func(id string) bool { return id == known }
	orphans := c.Orphans(ours, keep)
	if len(orphans) != 1 || orphans[0].ID == known {
		t.Fatalf("orphans %v, want the one that is not known", orphans)
	}
	if err := c.Delete(t.Context(), orphans[0].ID); err != nil {
		t.Fatal(err)
	}
	clock.Advance(time.Minute)
	if left := c.Orphans(ours, keep); len(left) != 0 {
		t.Errorf("orphans after their end: %v", left)
	}
	if diff := cmp.Diff(map[string]int{"ours": 2, "theirs": 1}, c.Made(cloud.TagOrder)); diff != "" {
		t.Errorf("made by order (-want +got):\n%s", diff)
	}
}
