package upsync

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"spillway/gateway/upstream"
)

var damped = Flap{Suppress: 3, Reuse: 1, HalfLife: time.Minute, MaxSuppress: 5 * time.Minute}

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func up(addr string) upstream.Spec { return upstream.Spec{Addr: addr, Weight: 1} }

func down(addr, why string) upstream.Spec {
	return upstream.Spec{Addr: addr, Weight: 1, Down: true, DownWhy: why}
}

func drawFlap(t *rapid.T) Flap {
	reuse := rapid.Float64Range(0.1, 5).Draw(t, "reuse")
	half := time.Duration(rapid.Int64Range(int64(100*time.Millisecond), int64(time.Hour)).Draw(t, "half-life"))
	return Flap{
		Suppress: reuse + rapid.Float64Range(0.1, 10).Draw(t, "above"), Reuse: reuse, HalfLife: half,
		MaxSuppress: time.Duration(rapid.Int64Range(int64(half/2), int64(8*half)).Draw(t, "max")),
	}
}

// A penalty falls on its own and rises by one a flap at most; whoever settles
// is back when ReuseAt says, and no later than after MaxSuppress.
func TestPenaltiesKeepTheirBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := drawFlap(t)
		now, p := noon, Penalty{}
		for range rapid.IntRange(1, 40).Draw(t, "flaps") {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(3*f.HalfLife)).Draw(t, "pause")))
			was := f.Decayed(p, now)
			if was.Value > p.Value || was.Suppressed && !p.Suppressed {
				t.Fatalf("%+v grew to %+v on its own", p, was)
			}
			if p = f.Flapped(p, now); p.Value > was.Value+1+1e-9 || p.Suppressed != (was.Suppressed || p.Value >= f.Suppress) {
				t.Fatalf("%+v flapped to %+v", was, p)
			}
			ceiling := max(f.Suppress, f.Reuse*math.Exp2(float64(f.MaxSuppress)/float64(f.HalfLife)))
			if p.Value > ceiling {
				t.Fatalf("%v is above the ceiling %v", p.Value, ceiling)
			}
		}
		if !p.Suppressed {
			return
		}
		back := f.ReuseAt(p)
		if got := f.Decayed(p, back); got.Suppressed {
			t.Fatalf("at %v still %+v", back, got)
		}
		if early := back.Add(-f.HalfLife / 100); early.After(p.At) && !f.Decayed(p, early).Suppressed {
			t.Fatalf("back before %v", back)
		}
	})
}

// Whatever flaps, at least half of the servers that are up get requests, nobody
// who is down is let in, and nothing but Down changes.
func TestDampingLeavesHalf(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var specs []upstream.Spec
		flaps := map[string]Penalty{}
		before := 0
		for i := range rapid.IntRange(0, 12).Draw(t, "servers") {
			s := up(fmt.Sprintf("10.0.0.%d:80", i))
			if s.Down = rapid.Bool().Draw(t, "down"); !s.Down {
				before++
			}
			specs = append(specs, s)
			for range rapid.IntRange(0, 6).Draw(t, "flaps") {
				flaps[s.Addr] = damped.Flapped(flaps[s.Addr], noon)
			}
		}
		after := 0
		for i, s := range damped.Damp(specs, flaps, noon) {
			if specs[i].Down && !s.Down || s.Addr != specs[i].Addr || s.Weight != specs[i].Weight {
				t.Fatalf("%+v became %+v", specs[i], s)
			}
			if s.Down && !specs[i].Down && (!flaps[s.Addr].Suppressed || !strings.HasPrefix(s.DownWhy, "flapping: ")) {
				t.Fatalf("%+v is out with %+v", s, flaps[s.Addr])
			}
			if !s.Down {
				after++
			}
		}
		if 2*after < before {
			t.Fatalf("%d of %d are left", after, before)
		}
	})
}

func TestWhatCountsAsAFlap(t *testing.T) {
	for _, tc := range []struct {
		name    string
		was, is []upstream.Spec
		flaps   int
	}{
		{"fails its checks", []upstream.Spec{up("a")}, []upstream.Spec{down("a", "critical")}, 1},
		{"is not listed", []upstream.Spec{up("a")}, nil, 1},
		{"maintenance", []upstream.Spec{up("a")}, []upstream.Spec{down("a", "maintenance")}, 0},
		{"drained in KV", []upstream.Spec{up("a")}, []upstream.Spec{down("a", "kv")}, 0},
		{"comes back", []upstream.Spec{down("a", "critical")}, []upstream.Spec{up("a")}, 0},
		{"was down", []upstream.Spec{down("a", "critical")}, nil, 0},
		{"stays", []upstream.Spec{up("a")}, []upstream.Spec{up("a")}, 0},
	} {
		flaps := map[string]Penalty{}
		if damped.Count(flaps, tc.was, tc.is, noon); flaps["a"].Flaps != tc.flaps {
			t.Errorf("%s: %+v", tc.name, flaps["a"])
		}
	}
	flaps := map[string]Penalty{"a": damped.Flapped(Penalty{}, noon)}
	if damped.Count(flaps, nil, nil, noon.Add(time.Hour)); len(flaps) > 0 {
		t.Errorf("not forgotten: %v", flaps)
	}
}

// Servers go at random (a Poisson process). One that goes every ten minutes is
// never left out for long, one that goes every ten seconds nearly always: with
// a half-life of a minute its mean penalty is 60/10/ln 2 = 8.7.
func TestDampingOfKnownProcesses(t *testing.T) {
	for _, tc := range []struct {
		mean    time.Duration
		atLeast float64
		atMost  float64
	}{
		{10 * time.Minute, 0, 0.01},
		{time.Minute, 0.02, 0.5},
		{10 * time.Second, 0.97, 1},
	} {
		rng := rand.New(rand.NewPCG(1, 2))
		now, end, p := noon, noon.Add(200*time.Hour), Penalty{}
		var out time.Duration
		for now.Before(end) {
			p = damped.Flapped(p, now)
			next := now.Add(time.Duration(rng.ExpFloat64() * float64(tc.mean)))
			if p.Suppressed {
				back := damped.ReuseAt(p)
				out += min(next.Sub(now), back.Sub(now))
			}
			now = next
		}
		if share := float64(out) / float64(now.Sub(noon)); share < tc.atLeast || share > tc.atMost {
			t.Errorf("one that goes every %v is out %.4f of the time, want %v to %v", tc.mean, share, tc.atLeast, tc.atMost)
		}
	}
}

func TestLeaving(t *testing.T) {
	was := []upstream.Spec{up("a"), up("b"), down("c", "critical"), down("d", "maintenance"), up("e")}
	is := []upstream.Spec{up("a")}
	l := Leaving(nil).Next(was, is, map[string]bool{"e": true}, time.Second, noon)
	if len(l) != 1 || !l["b"].Until.Equal(noon.Add(time.Second)) {
		t.Fatalf("who is up and listed no more stays, others go: %v", l)
	}
	if got := l.add(is); len(got) != 2 || got[1].Addr != "b" || len(is) != 1 {
		t.Errorf("served: %v", got)
	}
	again := l.Next(is, []upstream.Spec{up("a"), up("b")}, nil, time.Second, noon)
	if len(again) != 0 {
		t.Errorf("listed again: %v", again)
	}
	later := l.Next(is, is, nil, time.Second, noon.Add(500*time.Millisecond))
	if !later["b"].Until.Equal(noon.Add(time.Second)) {
		t.Errorf("an update puts it off: %v", later)
	}
	if left, gone := later.At(noon.Add(time.Second)); len(left) != 0 || len(gone) != 1 {
		t.Errorf("after its time: %v, %v", left, gone)
	}
	if off := Leaving(nil).Next(was, is, nil, 0, noon); off != nil {
		t.Errorf("off: %v", off)
	}
}

func TestAServerThatFlapsIsLeftOutAndComesBack(t *testing.T) {
	flap := Flap{Suppress: 2, Reuse: 1.5, HalfLife: 2 * time.Second, MaxSuppress: time.Minute}
	r := webRig(t, func(up *Upstream) { up.Flap = flap })
	for range 2 {
		r.reg.DeleteKV("upstreams/web/" + two)
		r.serves("web", one)
		r.put("upstreams/web/" + two)
		r.serves("web", one, two)
	}
	r.reg.DeleteKV("upstreams/web/" + two)
	r.serves("web", one)
	r.put("upstreams/web/" + two)
	r.serves("web", one, two)
	if e := r.entry("web", two); !e.Spec.Down || !strings.HasPrefix(e.Spec.DownWhy, "flapping: went 3 times") {
		t.Errorf("%+v", e.Spec)
	}
	if st, _ := r.sync.Status("web"); !st.Flaps[two].Suppressed || !st.Reuse(two).After(time.Now()) {
		t.Errorf("%+v", st.Flaps)
	}
	eventually(t, 10*time.Second, "back", func() bool { return !r.entry("web", two).Spec.Down })
}

func TestAServerThatIsRegisteredAnewInAMomentStays(t *testing.T) {
	r := webRig(t, func(up *Upstream) { up.RemoveDelay = time.Second })
	live := r.entry("web", two).Server
	r.reg.DeleteKV("upstreams/web/" + two)
	eventually(t, 3*time.Second, "it leaves", func() bool { st, _ := r.sync.Status("web"); return !st.Leaving[two].IsZero() })
	if e := r.entry("web", two); e == nil || e.Spec.Down {
		t.Fatal("taken out at once")
	}
	r.put("upstreams/web/" + two + ` {"weight":4}`)
	eventually(t, 3*time.Second, "it is back", func() bool { return r.entry("web", two).Spec.Weight == 4 })
	if st, _ := r.sync.Status("web"); len(st.Leaving) != 0 || r.entry("web", two).Server != live {
		t.Errorf("%v", st.Leaving)
	}
	r.reg.DeleteKV("upstreams/web/" + two)
	r.serves("web", one)
	if d := r.sync.Decisions("web")[0]; d.Outcome != Expired || !strings.Contains(d.Reason, two) {
		t.Errorf("%+v", d)
	}
	r.put("upstreams/web/" + two)
	r.serves("web", one, two)
	r.put("upstreams/web/" + two + ` {"down":1}`)
	eventually(t, 3*time.Second, "down", func() bool { return r.entry("web", two).Spec.Down })
	began := time.Now()
	r.reg.DeleteKV("upstreams/web/" + two)
	r.serves("web", one)
	if took := time.Since(began); took > 800*time.Millisecond {
		t.Errorf("one that was down stayed for %v", took)
	}
}

func TestAReloadWithoutDampingLetsServersIn(t *testing.T) {
	pool := upstream.NewPool("web", &upstream.Settings{})
	cfg := kvUp("web", "upstreams/web/")
	cfg.Pool, cfg.Flap = pool, Flap{Suppress: 1, Reuse: 0.5, HalfLife: time.Hour, MaxSuppress: time.Hour}
	reg, srv := newRegistry(t)
	r := &rig{t: t, reg: reg, srv: srv, set: &upstream.Set{}}
	r.put("upstreams/web/"+one, "upstreams/web/"+two)
	r.start(nil, cfg)
	r.serves("web", one, two)
	r.reg.DeleteKV("upstreams/web/" + two)
	r.serves("web", one)
	r.put("upstreams/web/" + two)
	r.serves("web", one, two)
	if !r.entry("web", two).Spec.Down {
		t.Fatal("not left out")
	}
	cfg.Flap = Flap{}
	if err := r.sync.Configure([]Upstream{cfg}); err != nil {
		t.Fatal(err)
	}
	if e := r.entry("web", two); e.Spec.Down {
		t.Errorf("%+v", e.Spec)
	}
}

// Overrides are a function of what was said: order and repetition do not
// matter, what nobody spoke of stays, and what ends leaves no trace.
func TestOverridesAreAFunctionOfWhatWasSaid(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		specs := []upstream.Spec{up("10.0.0.1:80"), down("10.0.0.2:80", "critical"), up("10.0.0.3:80")}
		var said Overrides
		for range rapid.IntRange(0, 8).Draw(t, "orders") {
			until := noon.Add(time.Duration(rapid.IntRange(1, 100).Draw(t, "seconds")) * time.Second)
			said = said.With(Override{
				Server: specs[rapid.IntRange(0, 1).Draw(t, "server")].Addr, Weight: rapid.IntRange(1, 9).Draw(t, "weight"),
				Action: rapid.SampledFrom([]Action{Drain, Maint, Ready, Reweigh}).Draw(t, "action"), Word: Word{By: "x", Until: until},
			})
		}
		once := said.Apply(specs)
		if twice := said.Apply(once); fmt.Sprint(twice) != fmt.Sprint(once) || once[2] != specs[2] || specs[1].DownWhy != "critical" {
			t.Fatalf("%v, then %v", once, twice)
		}
		left, _ := said.At(said.Next())
		if len(said.Servers) > 0 && len(left.Servers) >= len(said.Servers) {
			t.Fatalf("nothing ended at %v: %v", said.Next(), said)
		}
		none, over := said.At(noon.Add(101 * time.Second))
		if got := none.Apply(specs); !none.Empty() || len(over) != len(said.Servers) || fmt.Sprint(got) != fmt.Sprint(specs) {
			t.Fatalf("%v after the end: %v", none, got)
		}
	})
}
