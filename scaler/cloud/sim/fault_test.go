package sim_test

import (
	"errors"
	"testing"
	"time"

	"spillway/scaler/cloud"
	"spillway/scaler/cloud/sim"
)

// hours later everything that will happen has happened.
const hours = 3 * time.Hour

// faulty is a cloud with one fault of a kind, as it comes.
func faulty(k sim.FaultKind) (*sim.Cloud, *sim.Clock) { return open(plain(), sim.Fault{Kind: k}) }

func TestFaultsOfCalls(t *testing.T) {
	for k, want := range map[sim.FaultKind]struct {
		kind cloud.Kind // of the first Create of ten
		made int
	}{
		sim.LostRequest: {cloud.Ambiguous, 0},
		sim.LostAnswer:  {cloud.Ambiguous, 10},
		sim.Throttled:   {cloud.RateLimited, 0},
		sim.Refused:     {cloud.Transient, 0},
		sim.QuotaHit:    {cloud.Quota, 0},
		sim.NoStock:     {cloud.NoCapacity, 0},
		sim.APIDown:     {cloud.Transient, 0},
	} {
		t.Run(string(k), func(t *testing.T) {
			c, clock := faulty(k)
			_, err := c.Create(t.Context(), request("t", 10))
			wantKind(t, err, want.kind)
			if n := len(c.Running()); n != want.made {
				t.Errorf("%d machines were made, want %d", n, want.made)
			}
			clock.Advance(10 * time.Minute)
			if _, err := c.Create(t.Context(), request("u", 10)); err != nil {
				t.Errorf("the fault struck once and again: %v", err)
			}
		})
	}
}

func TestThrottledSaysHowLong(t *testing.T) {
	c, _ := open(plain(), sim.Fault{Kind: sim.Throttled, Op: cloud.OpList, Delay: 42 * time.Second})
	_, err := c.List(t.Context(), nil)
	var e *cloud.Error
	if !errors.As(err, &e) || e.After != 42*time.Second {
		t.Errorf("error %v, want to wait 42s", err)
	}
}

func TestPartialBatch(t *testing.T) {
	c, _ := faulty(sim.Partial)
	if made := create(t, c, request("t", 10)); len(made) != 7 {
		t.Errorf("%d machines of 10, want 7", len(made))
	}
	if made := create(t, c, request("u", 10)); len(made) != 10 {
		t.Errorf("%d machines of 10 after the fault", len(made))
	}
	c.Inject(sim.Fault{Kind: sim.Partial, Count: 2}, sim.Fault{Kind: sim.Partial, Nth: 2})
	if made := create(t, c, request("v", 10)); len(made) != 2 {
		t.Errorf("%d machines of 10, want the 2 of the script", len(made))
	}
}

// A request that is delivered twice makes doubles where the cloud knows neither
// token nor name.
func TestDuplicate(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*sim.Provider)
		want   int
	}{
		"neither": {func(*sim.Provider) {}, 6},
		"tokens":  {func(p *sim.Provider) { p.ClientToken = true }, 3},
		"names":   {func(p *sim.Provider) { p.UniqueNames = true }, 3},
	} {
		t.Run(name, func(t *testing.T) {
			p := plain()
			c.change(&p)
			account, _ := open(p, sim.Fault{Kind: sim.Duplicate})
			made := create(t, account, request("t", 3))
			if n := len(account.Running()); len(made) != 3 || n != c.want {
				t.Errorf("%d machines in the answer, %d made; want 3 and %d", len(made), n, c.want)
			}
		})
	}
}

func TestDeleteRefused(t *testing.T) {
	c, clock := faulty(sim.DeleteRefused)
	id := create(t, c, request("t", 1))[0].ID
	wantKind(t, c.Delete(t.Context(), id), cloud.Transient)
	clock.Advance(time.Minute)
	if n := len(c.Running()); n != 1 {
		t.Errorf("%d machines after a refused Delete, want 1", n)
	}
	if err := c.Delete(t.Context(), id); err != nil {
		t.Errorf("Delete again: %v", err)
	}
}

func TestAPIDownStrikesEveryCall(t *testing.T) {
	c, clock := open(plain(), sim.Fault{Kind: sim.APIDown, After: time.Minute, For: 10 * time.Minute})
	id := create(t, c, request("t", 1))[0].ID
	clock.Advance(time.Minute)
	_, err := c.List(t.Context(), nil)
	wantKind(t, err, cloud.Transient)
	_, err = c.Offerings(t.Context())
	wantKind(t, err, cloud.Transient)
	_, err = c.Events(t.Context())
	wantKind(t, err, cloud.Transient)
	wantKind(t, c.Delete(t.Context(), id), cloud.Transient)
	wantKind(t, c.Stop(t.Context(), id), cloud.Transient)
	wantKind(t, c.Start(t.Context(), id), cloud.Transient)
	if h, _ := c.Host(id); !h.Up(clock.Now()) {
		t.Error("the machine went down with the API")
	}
	clock.Advance(10 * time.Minute)
	if found := list(t, c); len(found) != 1 {
		t.Errorf("%d machines are listed after the outage", len(found))
	}
}

// Faults of machines strike the first of two.
func TestFaultsOfMachines(t *testing.T) {
	type sight struct{ running, up, phoned, settled, listed bool }
	fine := sight{true, true, true, true, true}
	for k, c := range map[sim.FaultKind]struct {
		after time.Duration
		want  sight
	}{
		sim.NoAddress:  {hours, sight{running: true, listed: true}},
		sim.NoInit:     {hours, sight{running: true, up: true, listed: true}},
		sim.LateBoot:   {20 * time.Minute, sight{listed: true}},
		sim.BootFailed: {hours, sight{listed: true}},
		sim.ListLag:    {4 * time.Second, sight{}},
		sim.Vanish:     {hours, sight{}},
		sim.SpotNotice: {hours, sight{}},
		sim.ClockSkew:  {hours, fine},
	} {
		t.Run(string(k), func(t *testing.T) {
			cl, clock := faulty(k)
			made := create(t, cl, request("t", 2))
			clock.Advance(c.after)
			see := func(id string) sight {
				h, _ := cl.Host(id)
				phoned, settled := h.Init(clock.Now())
				s := sight{running: h.State == cloud.Running, up: h.Up(clock.Now()), phoned: phoned, settled: settled}
				for _, m := range list(t, cl) {
					s.listed = s.listed || m.ID == id
				}
				return s
			}
			if got := see(made[0].ID); got != c.want {
				t.Errorf("after %v the machine is %+v, want %+v", c.after, got, c.want)
			}
			want := fine
			if c.after < time.Minute {
				want = sight{listed: true}
			}
			if got := see(made[1].ID); got != want {
				t.Errorf("after %v the other machine is %+v, want %+v", c.after, got, want)
			}
		})
	}
}

func TestLateBootBoots(t *testing.T) {
	c, clock := faulty(sim.LateBoot)
	id := create(t, c, request("t", 1))[0].ID
	clock.Advance(20*time.Minute + 24*time.Second)
	h, _ := c.Host(id)
	if _, settled := h.Init(clock.Now()); !settled {
		t.Error("a machine that boots late never boots")
	}
}

func TestBootFailedSaysWhy(t *testing.T) {
	c, clock := faulty(sim.BootFailed)
	create(t, c, request("t", 1))
	clock.Advance(time.Minute)
	if m := list(t, c)[0]; m.State != cloud.Failed || m.Reason == "" || m.Address != "" {
		t.Errorf("machine %+v, want it failed with a reason", m)
	}
}

func TestSpotNoticeComesBeforeTheEnd(t *testing.T) {
	c, clock := faulty(sim.SpotNotice)
	id := create(t, c, request("t", 1))[0].ID
	clock.Advance(69 * time.Second) // it runs after 10
	if events, err := c.Events(t.Context()); err != nil || len(events) != 0 {
		t.Errorf("events %v, error %v before the notice", events, err)
	}
	clock.Advance(time.Second)
	events, err := c.Events(t.Context())
	if err != nil || len(events) != 1 || events[0].ID != id || events[0].Kind != "reclaim" || !events[0].At.Equal(clock.Now().Add(2*time.Minute)) {
		t.Fatalf("events %v, error %v; want the end in two minutes", events, err)
	}
	clock.Advance(2*time.Minute - 1)
	if h, _ := c.Host(id); !h.Up(clock.Now()) {
		t.Error("it ended before its time")
	}
	clock.Advance(1)
	if found := list(t, c); len(found) != 0 {
		t.Errorf("still there after its end: %v", found)
	}
}

func TestClockSkewShows(t *testing.T) {
	c, _ := faulty(sim.ClockSkew)
	made := create(t, c, request("t", 2))
	if a, b := made[0].Created, made[1].Created; !a.Equal(start.Add(5*time.Minute)) || !b.Equal(start) {
		t.Errorf("made at %v and %v, want the first five minutes ahead", a, b)
	}
}

func TestFaultsAreNarrowedDown(t *testing.T) {
	c, clock := open(plain(),
		sim.Fault{Kind: sim.NoStock, Zone: "b", Times: -1, For: time.Hour},
		sim.Fault{Kind: sim.Refused, Op: cloud.OpList, Nth: 2, Times: 2},
		sim.Fault{Kind: sim.NoStock, Op: cloud.OpStart},
	)
	inB := request("b", 1)
	inB.Zone = "b"
	for range 3 {
		_, err := c.Create(t.Context(), inB)
		wantKind(t, err, cloud.NoCapacity)
	}
	id := create(t, c, request("a", 1))[0].ID
	for i, fails := range []bool{false, true, true, false} {
		if _, err := c.List(t.Context(), nil); (err != nil) != fails {
			t.Errorf("list %d: error %v", i+1, err)
		}
	}
	clock.Advance(time.Minute)
	if err := c.Stop(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	clock.Advance(time.Hour)
	wantKind(t, c.Start(t.Context(), id), cloud.NoCapacity)
	create(t, c, inB)
}

func TestHealEndsTheScript(t *testing.T) {
	c, _ := open(plain(), sim.Fault{Kind: sim.APIDown, For: hours}, sim.Fault{Kind: sim.Refused, Times: -1})
	_, err := c.Create(t.Context(), request("t", 1))
	wantKind(t, err, cloud.Transient)
	c.Heal()
	create(t, c, request("t", 1))
}

func TestKillAndReclaim(t *testing.T) {
	c, clock := open(plain())
	made := create(t, c, request("t", 2))
	clock.Advance(time.Minute)
	c.Kill(made[0].ID)
	c.Reclaim(made[1].ID)
	if found := list(t, c); len(found) != 1 || found[0].ID != made[1].ID {
		t.Errorf("listed %v, want the one that was not killed", found)
	}
	if events, _ := c.Events(t.Context()); len(events) != 1 {
		t.Errorf("events %v, want one", events)
	}
}
