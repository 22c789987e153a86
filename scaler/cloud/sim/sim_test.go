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

func TestStockAndQuota(t *testing.T) {
	p := plain()
	p.Stock = map[sim.Place]int{{Type: "small", Zone: "a"}: 7}
	p.MaxMachines = 9
	c, clock := open(p)
	if made := create(t, c, request("ten", 10)); len(made) != 7 {
		t.Errorf("%d machines of a stock of 7", len(made))
	}
	_, err := c.Create(t.Context(), request("more", 1))
	wantKind(t, err, cloud.NoCapacity)
	all, err := c.Offerings(t.Context())
	if err != nil || all[0].Available || all[0].Reason == "" || !all[1].Available {
		t.Errorf("offerings %+v, error %v; want zone a sold out", all, err)
	}
	elsewhere := request("b", 5)
	elsewhere.Zone = "b"
	if made := create(t, c, elsewhere); len(made) != 2 {
		t.Errorf("%d machines with 2 left of the quota", len(made))
	}
	elsewhere = request("b2", 1)
	elsewhere.Zone = "b"
	_, err = c.Create(t.Context(), elsewhere)
	wantKind(t, err, cloud.Quota)

	// A stopped machine gives its place up, and may not get it back.
	c.SetQuota(0)
	clock.Advance(time.Minute)
	stopped := list(t, c)[0].ID
	if err := c.Stop(t.Context(), stopped); err != nil {
		t.Fatal(err)
	}
	clock.Advance(time.Minute)
	create(t, c, request("instead", 1))
	wantKind(t, c.Start(t.Context(), stopped), cloud.NoCapacity)
	c.SetStock(sim.Place{Type: "small", Zone: "a"}, -1)
	if err := c.Start(t.Context(), stopped); err != nil {
		t.Errorf("Start with stock again: %v", err)
	}
}

func TestCPUQuota(t *testing.T) {
	p := plain()
	p.MaxCPU = 7
	c, _ := open(p)
	if made := create(t, c, request("t", 5)); len(made) != 3 {
		t.Errorf("%d machines of 2 cores within 7", len(made))
	}
	_, err := c.Create(t.Context(), request("more", 1))
	var e *cloud.Error
	if !errors.As(err, &e) || e.Kind != cloud.Quota || e.What != "cpu" {
		t.Errorf("error %v, want the quota of cpu", err)
	}
}

func TestProviderRefusesWhatIsTooFast(t *testing.T) {
	p := plain()
	p.Limits = map[string]cloud.Limit{
		"create":          {Rate: 2, Burst: 5},
		"create-machines": {Rate: 2, Burst: 10, Machines: true},
		"":                {Rate: 1, Burst: 1},
	}
	c, clock := open(p)
	for i := range 5 {
		create(t, c, request(fmt.Sprint(i), 2))
	}
	_, err := c.Create(t.Context(), request("sixth", 2))
	var e *cloud.Error
	if !errors.As(err, &e) || e.Kind != cloud.RateLimited || e.After != 500*time.Millisecond {
		t.Errorf("sixth call: error %v, want rate_limited for 500ms", err)
	}
	clock.Advance(500 * time.Millisecond)
	_, err = c.Create(t.Context(), request("sixth", 4))
	if !errors.As(err, &e) || e.What != "create-machines" || e.After != 1500*time.Millisecond {
		t.Errorf("11th to 14th machine: error %v, want to wait 1.5s for machines", err)
	}
	list(t, c)
	wantKind(t, c.Delete(t.Context(), "i-1"), cloud.RateLimited) // one bucket for all other calls
	if calls := c.Calls(); calls["create"] != 7 || calls["list"] != 1 || calls["delete"] != 1 {
		t.Errorf("calls %v", calls)
	}
}

// Each page of a list is a request.
func TestLongListsCostMore(t *testing.T) {
	p := plain()
	p.Page = 10
	p.Limits = map[string]cloud.Limit{"list": {Rate: 1, Burst: 10}}
	c, _ := open(p)
	create(t, c, request("t", 45))
	list(t, c)
	list(t, c)
	_, err := c.List(t.Context(), nil)
	wantKind(t, err, cloud.RateLimited)
}

func TestListLags(t *testing.T) {
	p := plain()
	p.ListLag = 30 * time.Second
	c, clock := open(p)
	create(t, c, request("t", 50))
	early := len(list(t, c))
	clock.Advance(15 * time.Second)
	middle := len(list(t, c))
	clock.Advance(15 * time.Second)
	if late := len(list(t, c)); early > middle || middle == 0 || middle == 50 || late != 50 {
		t.Errorf("of 50 machines %d, %d, %d were listed after 0, 15 and 30s of a lag of 30s", early, middle, late)
	}
	id := list(t, c)[0].ID
	if err := c.Delete(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	clock.Advance(7 * time.Second)
	wantKind(t, c.Delete(t.Context(), id), cloud.NotFound)
	clock.Advance(30 * time.Second)
	if n := len(list(t, c)); n != 49 {
		t.Errorf("%d machines are listed long after one of 50 ended", n)
	}
}

func TestTokenIsForgotten(t *testing.T) {
	p := plain()
	p.ClientToken, p.TokenLife = true, time.Hour
	c, clock := open(p)
	first := create(t, c, request("t", 1))[0].ID
	clock.Advance(time.Hour - 1)
	if again := create(t, c, request("t", 1))[0].ID; again != first {
		t.Error("a token within its life bought again")
	}
	clock.Advance(1)
	if again := create(t, c, request("t", 1))[0].ID; again == first {
		t.Error("a token after its life was remembered")
	}
}

func TestTokenIsSpentByStock(t *testing.T) {
	for name, spends := range map[string]bool{"it is": true, "it is not": false} {
		t.Run(name, func(t *testing.T) {
			p := plain()
			p.ClientToken, p.StockSpendsToken = true, spends
			c, _ := open(p)
			place := sim.Place{Type: "small", Zone: "a"}
			c.SetStock(place, 0)
			_, err := c.Create(t.Context(), request("t", 1))
			wantKind(t, err, cloud.NoCapacity)
			c.SetStock(place, 5)
			if _, err := c.Create(t.Context(), request("t", 1)); (err != nil) != spends {
				t.Errorf("the token after the stock came back: error %v", err)
			}
			create(t, c, request("new", 1))
		})
	}
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
