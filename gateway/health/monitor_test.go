package health

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"spillway/gateway/upstream"
)

// bench is a monitor in virtual time with servers that are as the test says.
type bench struct {
	t       *testing.T
	m       *Monitor
	pool    *upstream.Pool
	set     upstream.Settings
	mu      sync.Mutex
	sick    map[string]bool // probes of it fail
	probes  map[string]int
	most    int // probes that ran at a time
	running int
	takes   time.Duration
	mute    []string
}

// run gives f a bench, and ends its monitor behind it.
func run(t *testing.T, settings upstream.Settings, f func(b *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := &bench{t: t, set: settings, sick: map[string]bool{}, probes: map[string]int{}, takes: time.Millisecond}
		b.pool = upstream.NewPool("web", &b.set)
		b.m = New(Options{Probe: b.probe, Probes: 4, Mute: b.muted, Log: slog.New(slog.DiscardHandler)})
		b.pool.Notify(b.m.Note)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); b.m.Run(ctx) }()
		f(b)
		stop()
		<-done
	})
}

func (b *bench) muted(s *upstream.Server) { b.mute = append(b.mute, s.Addr) }

func (b *bench) probe(ctx context.Context, c *upstream.Check, addr string) Result {
	b.mu.Lock()
	b.probes[addr]++
	b.running++
	b.most = max(b.most, b.running)
	takes := b.takes
	b.mu.Unlock()
	select {
	case <-ctx.Done():
	case <-time.After(takes):
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.running--
	if b.sick[addr] {
		return Result{What: "sick"}
	}
	return Result{true, "fine"}
}

func addr(n int) string { return fmt.Sprintf("10.0.0.%d:80", n) }

// serve makes servers 1 to n the pool's.
func (b *bench) serve(n int) {
	var specs []upstream.Spec
	for i := range n {
		specs = append(specs, upstream.Spec{Addr: addr(i + 1), Weight: 1})
	}
	b.pool.Apply(specs, upstream.Meta{})
	synctest.Wait()
}

func (b *bench) sicken(sick bool, numbers ...int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, n := range numbers {
		b.sick[addr(n)] = sick
	}
}

// after lets time pass.
func (b *bench) after(d time.Duration) {
	time.Sleep(d) //arch:allow sleep: virtual time
	synctest.Wait()
}

func (b *bench) server(n int) *upstream.Server { return b.pool.Load().Entries[n-1].Server }

func (b *bench) want(n int, what string, barred bool) {
	b.t.Helper()
	if w := b.server(n).Standing(); w.String() != what || w.Barred() != barred {
		b.t.Errorf("server %d: %q, barred %v; want %q, %v", n, w, w.Barred(), what, barred)
	}
}

func (b *bench) answers(n, count, status int, took time.Duration) {
	for range count {
		b.server(n).Observe(upstream.Answered, status, int64(took))
	}
}

func probing() upstream.Settings {
	return upstream.Settings{
		Check: upstream.Check{
			Kind: upstream.CheckTCP, Interval: 10 * time.Second, FastInterval: time.Second, Timeout: time.Second,
			Rise: 2, Fall: 3, ProbeFirst: true,
		},
		PanicThreshold: 0.5,
	}
}

func TestASickServerIsTakenOutAndComesBack(t *testing.T) {
	run(t, probing(), func(b *bench) {
		b.serve(3)
		for n := range 3 {
			b.want(n+1, "", false)
		}
		b.sicken(true, 2)
		b.after(13 * time.Second) // a slow interval, then two quick ones
		b.want(2, "unhealthy", true)
		b.want(1, "", false)
		if h := b.server(2).Health(); h.Probe != "sick" || h.ProbedAt.IsZero() || h.Since.IsZero() {
			b.t.Errorf("people are told %+v", h)
		}
		b.sicken(false, 2)
		b.after(2100 * time.Millisecond)
		b.want(2, "", false)
	})
}

func TestNewServersProveThemselvesFirst(t *testing.T) {
	run(t, probing(), func(b *bench) {
		b.serve(2)
		b.sicken(true, 3)
		b.serve(3)
		b.want(3, "unproven", true)
		b.after(1500 * time.Millisecond)
		b.want(3, "unproven", true)
		b.sicken(false, 3)
		b.after(time.Second)
		b.want(3, "", false)
	})
}

func TestHealthSurvivesSnapshots(t *testing.T) {
	run(t, probing(), func(b *bench) {
		b.serve(3)
		b.sicken(true, 1)
		b.after(15 * time.Second)
		b.want(1, "unhealthy", true)
		b.serve(4)
		b.want(1, "unhealthy", true)
		b.pool.SetSettings(&b.set)
		synctest.Wait()
		b.want(1, "unhealthy", true)
	})
}

func TestWhoLeftIsProbedNoMore(t *testing.T) {
	run(t, probing(), func(b *bench) {
		b.serve(4)
		b.after(20 * time.Second)
		b.serve(2)
		before := maps.Clone(b.probes)
		b.after(time.Minute)
		if b.probes[addr(3)] != before[addr(3)] || b.probes[addr(4)] != before[addr(4)] {
			b.t.Errorf("probes %v, then %v", before, b.probes)
		}
		b.m.Left(b.pool)
		synctest.Wait()
		before = maps.Clone(b.probes)
		b.after(time.Minute)
		if !maps.Equal(before, b.probes) || len(b.m.servers) != 0 || len(b.m.agenda.events) != 0 {
			b.t.Errorf("probes %v, then %v; %d servers, %d events", before, b.probes, len(b.m.servers), len(b.m.agenda.events))
		}
	})
}

func TestProbesRunAFewAtATime(t *testing.T) {
	run(t, probing(), func(b *bench) {
		b.takes = 500 * time.Millisecond
		b.serve(100)
		b.after(2 * time.Minute)
		if b.most != 4 {
			b.t.Errorf("%d probes at a time", b.most)
		}
		for i := range 100 {
			if b.probes[addr(i+1)] == 0 {
				b.t.Errorf("%s was never probed", addr(i+1))
			}
		}
	})
}

func TestPanicAdmitsAllAndEnds(t *testing.T) {
	run(t, probing(), func(b *bench) {
		b.serve(4)
		b.sicken(true, 1, 2)
		b.after(15 * time.Second)
		b.want(1, "unhealthy", true)
		b.sicken(true, 3)
		b.after(15 * time.Second)
		for _, n := range []int{1, 2, 3} {
			b.want(n, "unhealthy", false)
		}
		b.m.Each(func(name string, s Status) {
			if name != "web" || !s.Panic || s.Bad == 0 {
				b.t.Errorf("%s: %+v", name, s)
			}
		})
		b.sicken(false, 3)
		b.after(3 * time.Second)
		b.want(3, "", false)
		b.want(1, "unhealthy", true)
	})
}

// TestNoMomentWithoutServers: while all servers fail at once, every look finds
// one that may be picked.
func TestNoMomentWithoutServers(t *testing.T) {
	run(t, probing(), func(b *bench) {
		b.serve(20)
		for n := range 20 {
			b.sicken(true, n+1)
		}
		for range 3000 {
			b.after(5 * time.Millisecond)
			admitted := 0
			for _, e := range b.pool.Load().Entries {
				if !e.Standing().Barred() {
					admitted++
				}
			}
			if admitted < 10 {
				b.t.Fatalf("%d of 20 admitted", admitted)
			}
		}
	})
}

func TestSwitchedOffNothingIsHeld(t *testing.T) {
	run(t, probing(), func(b *bench) {
		b.serve(3)
		b.sicken(true, 1)
		b.after(15 * time.Second)
		b.want(1, "unhealthy", true)
		b.pool.SetSettings(&upstream.Settings{})
		synctest.Wait()
		b.want(1, "", false)
		if h := b.server(1).Health(); h != (upstream.Health{}) {
			b.t.Errorf("people are told %+v", h)
		}
		n := b.probes[addr(1)]
		b.after(time.Minute)
		if b.probes[addr(1)] != n {
			b.t.Error("still probed")
		}
		b.pool.SetSettings(&b.set)
		b.after(15 * time.Second)
		b.want(1, "unhealthy", true)
	})
}

func TestAGatewayThatAsksForNothingDoesNothing(t *testing.T) {
	run(t, upstream.Settings{}, func(b *bench) {
		b.serve(50)
		b.after(time.Hour)
		if len(b.probes) > 0 || len(b.m.servers) > 0 || b.server(1).Tally() != nil {
			b.t.Errorf("%d servers probed, %d watched", len(b.probes), len(b.m.servers))
		}
	})
}

func TestSlowStartOfNewServers(t *testing.T) {
	set := upstream.Settings{SlowStart: upstream.SlowStart{Window: 10 * time.Second, Aggression: 1, Min: 0.1, MaxOverload: 2}}
	run(t, set, func(b *bench) {
		b.serve(9)
		b.serve(10)
		share := func() int { return b.server(10).Standing().Share() * 100 / upstream.FullShare }
		for i, want := range []int{9, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 100} {
			if got := share(); got < want-2 || got > want+2 {
				b.t.Errorf("after %d s: %d %%, want %d", i, got, want)
			}
			b.after(time.Second)
		}
		if s := b.server(1).Standing(); s != 0 {
			b.t.Errorf("an old one has %b", s)
		}
	})
}

func TestManyNewServersStartHigher(t *testing.T) {
	set := upstream.Settings{SlowStart: upstream.SlowStart{Window: 10 * time.Second, Aggression: 1, Min: 0.1, MaxOverload: 2}}
	run(t, set, func(b *bench) {
		b.serve(2)
		b.serve(10)
		if got := float64(b.server(10).Standing().Share()) / upstream.FullShare; got < 0.4 || got > 0.55 {
			b.t.Errorf("share %v", got)
		}
	})
}

func TestWhoComesBackStartsSlowly(t *testing.T) {
	set := probing()
	set.SlowStart = upstream.SlowStart{Window: 30 * time.Second, Aggression: 1, Min: 0.1, MaxOverload: 2}
	run(t, set, func(b *bench) {
		b.serve(5)
		b.sicken(true, 1)
		b.after(15 * time.Second)
		b.sicken(false, 1)
		b.after(2500 * time.Millisecond)
		if s := b.server(1).Standing(); s.Held() != 0 || s.Share() > upstream.FullShare/5 {
			b.t.Errorf("standing %b", s)
		}
		b.after(time.Minute)
		b.want(1, "", false)
		if s := b.server(1).Standing(); s != 0 {
			b.t.Errorf("standing %b", s)
		}
	})
}

func judging() upstream.Settings {
	o := policy()
	o.ConsecutiveGateway, o.Consecutive5xx, o.ConnectProbe = 5, 10, true
	return upstream.Settings{Outlier: *o, PanicThreshold: 0.5}
}

func TestFailuresInARowEject(t *testing.T) {
	run(t, judging(), func(b *bench) {
		b.serve(4)
		for range 5 {
			b.server(1).Observe(upstream.Late, 0, 0)
		}
		b.answers(2, 9, 500, 0)
		synctest.Wait()
		b.want(1, "ejected", true)
		b.want(2, "", false)
		b.answers(2, 1, 500, 0)
		synctest.Wait()
		b.want(2, "", false) // two of four are more than max_share
		h := b.server(1).Health()
		if h.Ejection != "5 gateway failures in a row" || h.Ejections != 1 || !h.Until.Equal(time.Now().Add(30*time.Second)) {
			b.t.Errorf("people are told %+v", h)
		}
		b.after(30 * time.Second)
		b.want(1, "", false)
		b.m.Each(func(_ string, s Status) {
			if s.Ejections["gateway_failures"] != 1 {
				b.t.Errorf("%+v", s)
			}
		})
	})
}

func TestARefusedConnectionIsProbedAtOnce(t *testing.T) {
	run(t, judging(), func(b *bench) {
		b.serve(4)
		b.server(1).Observe(upstream.Refused, 0, 0)
		b.after(2 * time.Millisecond)
		b.want(1, "", false) // the probe found it well
		if b.probes[addr(1)] != 1 {
			b.t.Errorf("probes %v", b.probes)
		}
		b.sicken(true, 1)
		b.server(1).Observe(upstream.Refused, 0, 0)
		b.after(2 * time.Millisecond)
		b.want(1, "ejected", true)
		b.after(10 * time.Minute) // as long as probes fail
		b.want(1, "ejected", true)
		b.sicken(false, 1)
		b.after(2500 * time.Millisecond)
		b.want(1, "", false)
		n := b.probes[addr(1)]
		b.after(time.Minute)
		if b.probes[addr(1)] != n {
			b.t.Error("still probed")
		}
	})
}

func TestASlowServerIsEjected(t *testing.T) {
	run(t, judging(), func(b *bench) {
		b.serve(5)
		for range 3 {
			for n := 1; n <= 5; n++ {
				took := 30 * time.Millisecond
				if n == 3 {
					took *= 10
				}
				b.answers(n, 20, 200, took)
			}
			b.after(time.Second)
		}
		b.want(3, "ejected", true)
		if why := b.server(3).Health().Ejection; why != "answers take 300ms, those of the others 30ms" {
			b.t.Error(why)
		}
		b.after(30 * time.Second)
		b.want(3, "", false)
		b.after(time.Minute) // no traffic: nothing to hold against it
		b.want(3, "", false)
	})
}

func TestASilentServerIsEjected(t *testing.T) {
	run(t, judging(), func(b *bench) {
		b.serve(5)
		b.server(2).Inflight.Add(8)
		for range 2 {
			for _, n := range []int{1, 3, 4, 5} {
				b.answers(n, 20, 200, 30*time.Millisecond)
			}
			b.after(time.Second)
		}
		b.want(2, "ejected", true)
	})
}

// TestWhoDoesNotAnswerIsTold: requests that wait for a server are taken from it
// if it is out because it does not answer, not if it answers late or badly.
func TestWhoDoesNotAnswerIsTold(t *testing.T) {
	set := judging()
	set.Check = probing().Check
	set.Outlier.MaxShare = 1
	run(t, set, func(b *bench) {
		b.serve(20)
		b.sicken(true, 1)
		b.after(15 * time.Second) // unhealthy
		b.server(2).Inflight.Add(8)
		for n := 3; n <= 20; n++ {
			took := 30 * time.Millisecond
			if n == 3 {
				took *= 10
			}
			b.answers(n, 20, 200, took)
		}
		b.answers(4, 10, 500, time.Millisecond)
		b.after(1100 * time.Millisecond)
		b.want(2, "ejected", true) // silent
		b.want(3, "ejected", true) // late
		b.want(4, "ejected", true) // bad
		for range 5 {
			b.server(5).Observe(upstream.Late, 0, 0)
		}
		synctest.Wait()
		if want := []string{addr(1), addr(2), addr(5)}; !slices.Equal(b.mute, want) {
			b.t.Errorf("told of %v, want %v", b.mute, want)
		}
	})
}

func TestTheOnlyServerIsNotEjected(t *testing.T) {
	run(t, judging(), func(b *bench) {
		b.sicken(true, 1)
		b.serve(1)
		for range 20 {
			b.server(1).Observe(upstream.Refused, 0, 0)
			b.after(time.Second)
		}
		b.want(1, "", false)
	})
}
