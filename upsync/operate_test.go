package upsync

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"spillway/gateway/upstream"
)

const (
	one = "127.0.0.1:1001"
	two = "127.0.0.1:1002"
	six = "[::1]:1006"
)

// entry returns what the pool has of a server.
func (r *rig) entry(name, addr string) *upstream.Entry {
	for _, e := range r.pool(name).Load().Entries {
		if e.Addr == addr {
			return &e
		}
	}
	return nil
}

func (r *rig) must(name string, o Order) Result {
	r.t.Helper()
	res, err := r.sync.Operate(name, o)
	if err != nil {
		r.t.Fatal(err)
	}
	return res
}

func webRig(t *testing.T, change func(*Upstream)) *rig {
	t.Helper()
	up := kvUp("web", "upstreams/web/")
	if change != nil {
		change(&up)
	}
	reg, srv := newRegistry(t)
	r := &rig{t: t, reg: reg, srv: srv, set: &upstream.Set{}}
	r.put("upstreams/web/"+one+` {"weight":2}`, "upstreams/web/"+two)
	r.start(nil, up)
	r.serves("web", one, two)
	return r
}

func TestOverridesLieOnTopOfTheRegistry(t *testing.T) {
	r := webRig(t, nil)
	res := r.must("web", Order{Action: Drain, Server: one, TTL: time.Minute, By: "ann", Reason: "deploy"})
	if e := r.entry("web", one); !e.Spec.Down || !strings.HasPrefix(e.Spec.DownWhy, "drained by ann until ") || res.Left != 1 || res.Durable {
		t.Errorf("%+v, %+v", e.Spec, res)
	}
	live := r.entry("web", one).Server
	r.must("web", Order{Action: Reweigh, Server: one, Weight: 9})
	r.put("upstreams/web/" + six)
	r.serves("web", one, two, six)
	e := r.entry("web", one)
	if !e.Spec.Down || e.Spec.Weight != 9 || !strings.HasPrefix(e.Spec.WeightFrom, "override by unknown") || e.Server != live {
		t.Errorf("after a change of the registry: %+v", e.Spec)
	}
	st, _ := r.sync.Status("web")
	if len(st.Overrides.Servers) != 2 {
		t.Errorf("overrides %+v", st.Overrides)
	}
	if res := r.must("web", Order{Action: Ready, Server: one}); !res.Until.IsZero() || res.Left != 3 {
		t.Errorf("ready: %+v", res)
	}
	if e := r.entry("web", one); e.Spec.Down || e.Spec.Weight != 2 {
		t.Errorf("after ready: %+v", e.Spec)
	}
}

func TestReadyHoldsUpWhatTheRegistryHasDown(t *testing.T) {
	r := webRig(t, nil)
	r.put("upstreams/web/" + one + ` {"down":1}`)
	eventually(t, 3*time.Second, "down", func() bool { return r.entry("web", one).Spec.Down })
	if res := r.must("web", Order{Action: Ready, Server: one}); res.Until.IsZero() || r.entry("web", one).Spec.Down {
		t.Errorf("%+v %+v", res, r.entry("web", one).Spec)
	}
}

func TestOrdersEndByThemselves(t *testing.T) {
	r := webRig(t, nil)
	r.must("web", Order{Action: Drain, Server: one, TTL: time.Second})
	r.must("web", Order{Action: Freeze, TTL: time.Second})
	r.put("upstreams/web/" + six)
	eventually(t, 3*time.Second, "waits", func() bool { return r.sync.Decisions("web")[0].Outcome == Postponed })
	if got := r.sync.Decisions("web")[0]; got.Waiting != 1 || r.entry("web", six) != nil {
		t.Errorf("%+v", got)
	}
	r.serves("web", one, two, six)
	eventually(t, 3*time.Second, "the drain ends", func() bool { return !r.entry("web", one).Spec.Down })
	if st, _ := r.sync.Status("web"); !st.Overrides.Empty() || st.Waiting {
		t.Errorf("%+v", st.Overrides)
	}
	if !slices.ContainsFunc(r.sync.Decisions("web"), func(d Decision) bool { return d.Outcome == Expired }) {
		t.Error("the end is not in the history")
	}
}

func TestRollbackFreezesTheSetBefore(t *testing.T) {
	r := webRig(t, nil)
	if _, err := r.sync.Operate("web", Order{Action: Rollback}); !errors.Is(err, ErrNoEarlier) {
		t.Errorf("nothing changed yet: %v", err)
	}
	r.reg.DeleteKV("upstreams/web/" + two)
	r.serves("web", one)
	r.must("web", Order{Action: Rollback, By: "ann"})
	r.serves("web", one, two)
	if _, err := r.sync.Operate("web", Order{Action: Rollback}); !errors.Is(err, ErrNoEarlier) {
		t.Errorf("twice: %v", err)
	}
	r.put("upstreams/web/" + six)
	eventually(t, 3*time.Second, "waits", func() bool { st, _ := r.sync.Status("web"); return st.Decisions[Postponed] > 0 })
	r.serves("web", one, two)
	r.must("web", Order{Action: Unfreeze})
	r.serves("web", one, six)
}

func TestOverridesAndFreezesSurviveARestartBesideTheDump(t *testing.T) {
	path := t.TempDir() + "/web.conf"
	r := webRig(t, func(up *Upstream) { up.Dump = path })
	if res := r.must("web", Order{Action: Drain, Server: one, By: "ann"}); !res.Durable {
		t.Errorf("%+v", res)
	}
	r.must("web", Order{Action: Freeze})
	eventually(t, 3*time.Second, "dump", func() bool { _, err := os.Stat(path + ".json"); return err == nil })
	r.put("upstreams/web/" + six)

	next := &rig{t: t, reg: r.reg, srv: r.srv, set: &upstream.Set{}}
	up := kvUp("web", "upstreams/web/")
	up.Dump = path
	next.start(nil, up)
	next.serves("web", one, two)
	if e := next.entry("web", one); !e.Spec.Down {
		t.Errorf("after a restart: %+v", e.Spec)
	}
	eventually(t, 3*time.Second, "the answer waits", func() bool { st, _ := next.sync.Status("web"); return st.Waiting && !st.Degraded })
	next.must("web", Order{Action: Unfreeze})
	next.serves("web", one, two, six)
	next.must("web", Order{Action: Ready, Server: one})
	if _, err := os.Stat(overridesPath(path)); !os.IsNotExist(err) {
		t.Errorf("nothing is said any more, but the file is there: %v", err)
	}
}

func TestOverridesSurviveAChangeOfTheSource(t *testing.T) {
	pool := upstream.NewPool("web", &upstream.Settings{})
	static := Upstream{Name: "web", Source: Static, Servers: []string{one, two}, Pool: pool}
	r := newRig(t, nil, static)
	r.must("web", Order{Action: Maint, Server: one})
	static.Servers = []string{one + " weight=3", two, six}
	if err := r.sync.Configure([]Upstream{static}); err != nil {
		t.Fatal(err)
	}
	r.serves("web", one, two, six)
	if e := r.entry("web", one); !e.Spec.Down || e.Spec.Weight != 3 {
		t.Errorf("%+v", e.Spec)
	}
	r.must("web", Order{Action: Ready, Server: one})
	if e := r.entry("web", one); e.Spec.Down {
		t.Errorf("the override stuck to the set: %+v", e.Spec)
	}
}

func TestOrdersThatCannotBeMeant(t *testing.T) {
	r := webRig(t, nil)
	for _, tc := range []struct {
		order Order
		err   error
		says  string
	}{
		{Order{Action: "stop"}, ErrInvalid, "want drain, ready"},
		{Order{Action: Drain}, ErrInvalid, "server is missing"},
		{Order{Action: Drain, Server: "127.0.0.1:9"}, ErrNoServer, one},
		{Order{Action: Drain, Server: one, Weight: 2}, ErrInvalid, "takes no weight"},
		{Order{Action: Reweigh, Server: one}, ErrInvalid, "1 to 65535"},
		{Order{Action: Reweigh, Server: one, Weight: 65536}, ErrInvalid, "1 to 65535"},
		{Order{Action: Freeze, Server: one}, ErrInvalid, "takes no server"},
		{Order{Action: Freeze, TTL: -time.Second}, ErrInvalid, "1s to 720h"},
		{Order{Action: Freeze, TTL: MaxTTL + 1}, ErrInvalid, "1s to 720h"},
		{Order{Action: Freeze, Reason: "a\nb"}, ErrInvalid, "one line"},
		{Order{Action: Freeze, By: strings.Repeat("x", 257)}, ErrInvalid, "256"},
	} {
		if _, err := r.sync.Operate("web", tc.order); !errors.Is(err, tc.err) || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%+v: %v", tc.order, err)
		}
	}
	if _, err := r.sync.Operate("nope", Order{Action: Freeze}); !errors.Is(err, ErrNoUpstream) {
		t.Errorf("%v", err)
	}
}

func TestDecisionsAreCompletedWhenTheLoopsServe(t *testing.T) {
	r := webRig(t, nil)
	r.put("upstreams/web/" + six)
	r.serves("web", one, two, six)
	at := time.Now()
	r.sync.Served("web", r.pool("web").Load().Version, at)
	d := r.sync.Decisions("web")[0]
	if !d.Served.Equal(at) || d.Answered.IsZero() || !d.Answered.Before(at) {
		t.Errorf("%+v", d)
	}
}

// Orders, changes of the registry and looks come from many goroutines.
func TestOrdersAtOnce(t *testing.T) {
	r := webRig(t, nil)
	done := make(chan bool)
	for i := range 4 {
		go func() {
			defer func() { done <- true }()
			for range 25 {
				for _, o := range []Order{
					{Action: Drain, Server: one},
					{Action: Freeze},
					{Action: Reweigh, Server: two, Weight: 1 + i},
					{Action: Unfreeze},
					{Action: Ready, Server: one},
					{Action: Ready, Server: two},
				} {
					if _, err := r.sync.Operate("web", o); err != nil {
						t.Error(err)
					}
				}
				r.sync.Statuses()
			}
		}()
	}
	for i := range 20 {
		r.put("upstreams/web/" + six + ` {"weight":` + string(rune('1'+i%9)) + "}")
	}
	for range 4 {
		<-done
	}
	r.serves("web", one, two, six)
	if e := r.entry("web", one); e.Spec.Down || e.Spec.Weight != 2 {
		t.Errorf("%+v", e.Spec)
	}
}
