package upstream

import (
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"
)

const second = int64(time.Second)

func failing(maxFails int) Spec {
	return Spec{Addr: "10.0.0.1:80", Weight: 1, MaxFails: maxFails, FailTimeout: 10 * time.Second}
}

func TestMaxFailsMakesUnavailable(t *testing.T) {
	s, spec := newServer("10.0.0.1:80"), failing(3)
	for i, at := range []int64{1, 2, 3} {
		if why := s.Unavailable(&spec, at*second); why != "" {
			t.Fatalf("%q before failure %d", why, i+1)
		}
		if last := s.Failed(&spec, at*second); last != (i == 2) {
			t.Errorf("failure %d: made unavailable is %v", i+1, last)
		}
	}
	// From the last failure on, fail_timeout included.
	for at, want := range map[int64]string{3 * second: "failed", 13 * second: "failed", 13*second + 1: ""} {
		if why := s.Unavailable(&spec, at); why != want {
			t.Errorf("at %d: %q, want %q", at, why, want)
		}
	}
	if s.Fails() != 3 {
		t.Errorf("%d failures", s.Fails())
	}
}

func TestProbeDecides(t *testing.T) {
	s, spec := newServer("10.0.0.1:80"), failing(1)
	s.Failed(&spec, second)
	probe := 12 * second
	if !s.Picked(&spec, probe) {
		t.Fatal("no probe was let in")
	}
	if why := s.Unavailable(&spec, probe); why != "failed" {
		t.Errorf("%q while the probe runs", why)
	}
	s.Failed(&spec, probe+second)
	if why := s.Unavailable(&spec, probe+11*second); why != "failed" {
		t.Errorf("%q after a failed probe", why)
	}
	probe += 12 * second
	s.Picked(&spec, probe)
	s.Succeeded()
	if why := s.Unavailable(&spec, probe); why != "" || s.Fails() != 0 {
		t.Errorf("%q, %d failures after a good probe", why, s.Fails())
	}
}

func TestSuccessForgivesOnlyAfterFailTimeout(t *testing.T) {
	s, spec := newServer("10.0.0.1:80"), failing(3)
	s.Failed(&spec, second)
	s.Picked(&spec, 2*second)
	s.Succeeded()
	if s.Fails() != 1 {
		t.Error("forgiven within fail_timeout")
	}
	s.Picked(&spec, 12*second)
	s.Succeeded()
	if s.Fails() != 0 {
		t.Error("not forgiven after fail_timeout")
	}
}

func TestOtherReasons(t *testing.T) {
	s := newServer("10.0.0.1:80")
	spec := failing(0)
	for range 5 {
		if s.Failed(&spec, second) {
			t.Error("max_fails 0 made the server unavailable")
		}
	}
	if why := s.Unavailable(&spec, second); why != "" {
		t.Errorf("max_fails 0: %q", why)
	}
	if !s.Picked(&spec, second) || !s.Picked(&spec, 20*second) || !s.Picked(&spec, 20*second) {
		t.Error("max_fails 0: a pick was refused")
	}
	spec.MaxConns = 2
	s.Inflight.Store(1)
	if why := s.Unavailable(&spec, second); why != "" {
		t.Errorf("one of two in flight: %q", why)
	}
	s.Inflight.Store(2)
	if why := s.Unavailable(&spec, second); why != "max_conns" {
		t.Errorf("two of two in flight: %q", why)
	}
	spec.Down = true
	if why := s.Unavailable(&spec, second); why != "down" {
		t.Errorf("down: %q", why)
	}
}

// nginxPeer is ngx_http_upstream_rr_peer_t with its rules word by word.
type nginxPeer struct{ fails, accessed, checked int64 }

func (p *nginxPeer) unavailable(spec *Spec, now int64) bool {
	return spec.MaxFails != 0 && p.fails >= int64(spec.MaxFails) && now-p.checked <= int64(spec.FailTimeout)
}

func (p *nginxPeer) picked(spec *Spec, now int64) {
	if now-p.checked > int64(spec.FailTimeout) {
		p.checked = now
	}
}

func (p *nginxPeer) freed(failed bool, now int64) {
	switch {
	case failed:
		p.fails++
		p.accessed, p.checked = now, now
	case p.accessed < p.checked:
		p.fails = 0
	}
}

func TestFailuresAreCountedAsInNginx(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		spec := failing(rapid.IntRange(0, 4).Draw(t, "max_fails"))
		spec.FailTimeout = time.Duration(rapid.IntRange(0, 4).Draw(t, "fail_timeout")) * time.Second
		s, model, live := newServer(spec.Addr), nginxPeer{}, 0
		now := 100 * second
		t.Repeat(map[string]func(*rapid.T){
			"wait": func(t *rapid.T) { now += rapid.SampledFrom([]int64{1, second / 2, second, 3 * second}).Draw(t, "ns") },
			"pick": func(t *rapid.T) {
				got, want := s.Unavailable(&spec, now) != "", model.unavailable(&spec, now)
				if got != want {
					t.Fatalf("unavailable is %v, in nginx %v", got, want)
				}
				if want {
					return
				}
				model.picked(&spec, now)
				if !s.Picked(&spec, now) {
					t.Fatal("an available server refused the pick")
				}
				live++
			},
			"end": func(t *rapid.T) {
				if live == 0 {
					return
				}
				live--
				failed := rapid.Bool().Draw(t, "failed")
				model.freed(failed, now)
				if failed {
					s.Failed(&spec, now)
				} else {
					s.Succeeded()
				}
			},
			"": func(t *rapid.T) {
				if int64(s.Fails()) != model.fails {
					t.Fatalf("%d failures, nginx has %d", s.Fails(), model.fails)
				}
			},
		})
	})
}

func TestTheSecondOfTwoPicksIsRefused(t *testing.T) {
	s, spec := newServer("10.0.0.1:80"), failing(1)
	s.Failed(&spec, second)
	now := 20 * second
	if s.Unavailable(&spec, now) != "" || s.Unavailable(&spec, now+1) != "" {
		t.Fatal("two loops should both find it available")
	}
	if !s.Picked(&spec, now) || s.Picked(&spec, now+1) {
		t.Error("want one probe")
	}
}

func TestManyLoopsSendOneProbe(t *testing.T) {
	const rounds = 2000
	spec := failing(1)
	var probes, arrived [rounds]atomic.Int32
	servers := make([]*Server, rounds)
	for i := range servers {
		servers[i] = newServer(spec.Addr)
		servers[i].Failed(&spec, second)
	}
	var loops sync.WaitGroup
	for loop := range int64(2) {
		loops.Go(func() {
			for i, s := range servers {
				arrived[i].Add(1)
				for spin := 0; arrived[i].Load() < 2; spin++ { // side by side
					if spin%1000 == 999 {
						runtime.Gosched()
					}
				}
				if s.Picked(&spec, 20*second+loop) { // each loop has its own clock
					probes[i].Add(1)
				}
			}
		})
	}
	loops.Wait()
	for i := range probes {
		if n := probes[i].Load(); n != 1 {
			t.Fatalf("round %d: %d probes", i, n)
		}
	}
}

// Readers see whole snapshots while several sources apply: the servers of one
// set, each with the state it always had.
func TestApplyUnderReaders(t *testing.T) {
	p := NewPool("web", &Settings{Prepare: func(s *Snapshot) any { return len(s.Entries) }})
	p.Apply(specs(1), Meta{})
	stays := p.Load().Entries[0].Server
	var last uint64
	p.Notify(func(p *Pool) { // serialised by the pool
		if v := p.Load().Version; v != last+1 && last != 0 {
			t.Errorf("version %d after %d", v, last)
		}
		last = p.Load().Version
	})
	var writers, readers sync.WaitGroup
	stop := make(chan struct{})
	for range 2 {
		readers.Go(func() { readSnapshots(t, p, stays, stop) })
	}
	for w := range byte(3) {
		writers.Go(func() {
			for i := range byte(200) {
				p.Apply([]Spec{spec(1), spec(2 + w), spec(5 + i%3)}, Meta{})
			}
		})
	}
	writers.Wait()
	close(stop)
	readers.Wait()
}

func readSnapshots(t *testing.T, p *Pool, stays *Server, stop chan struct{}) {
	for {
		select {
		case <-stop:
			return
		default:
		}
		snap := p.Load()
		if snap.Prepared != len(snap.Entries) {
			t.Errorf("prepared for %v of %d entries", snap.Prepared, len(snap.Entries))
			return
		}
		if !slices.ContainsFunc(snap.Entries, func(e Entry) bool { return e.Server == stays }) {
			t.Error("a server that stays is missing")
			return
		}
		stays.Inflight.Add(1)
		stays.Inflight.Add(-1)
	}
}

func TestSet(t *testing.T) {
	var set Set
	if set.Lookup("a") != nil || set.All() != nil {
		t.Error("an empty set has pools")
	}
	a, b, a2 := NewPool("a", nil), NewPool("b", nil), NewPool("a", nil)
	set.Update([]*Pool{b, a}, nil)
	if set.Lookup("a") != a || set.Lookup("b") != b || set.Lookup("c") != nil {
		t.Error("wrong pools")
	}
	if got := set.All(); len(got) != 2 || got[0] != a || got[1] != b {
		t.Errorf("all: %v", got)
	}
	set.Update([]*Pool{a2}, []string{"b", "none"})
	if set.Lookup("a") != a2 || set.Lookup("b") != nil {
		t.Error("replace and remove failed")
	}
	var writers sync.WaitGroup
	for i := range 8 {
		writers.Go(func() { set.Update([]*Pool{NewPool(fmt.Sprint("p", i), nil)}, nil) })
	}
	writers.Wait()
	if n := len(set.All()); n != 9 {
		t.Errorf("%d pools after concurrent updates", n)
	}
}

// TestApplyAgainstModel: whatever is applied, the pool serves exactly the
// given addresses, with the specs of their first mention and the state they
// had, in the promised order; and the change says so.
func TestApplyAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := NewPool("web", &Settings{})
		p.NewestFirst = rapid.Bool().Draw(t, "newest first")
		live := map[string]*Server{}
		var serving []string
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			given := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Spec {
				return spec(rapid.ByteRange(1, 6).Draw(t, "n"), func(s *Spec) { s.Weight = rapid.IntRange(1, 2).Draw(t, "weight") })
			}), 0, 8).Draw(t, "given")
			ch := p.Apply(given, Meta{})
			first := map[string]Spec{}
			var wanted []string
			for _, s := range given {
				if _, dup := first[s.Addr]; !dup {
					first[s.Addr] = s
					wanted = append(wanted, s.Addr)
				}
			}
			want := wanted
			if p.NewestFirst {
				added := slices.DeleteFunc(slices.Clone(wanted), func(a string) bool { return slices.Contains(serving, a) })
				kept := slices.DeleteFunc(slices.Clone(serving), func(a string) bool { return !slices.Contains(wanted, a) })
				slices.Reverse(added)
				want = append(added, kept...)
			}
			var got []string
			for _, e := range p.Load().Entries {
				got = append(got, e.Addr)
				if e.Spec != first[e.Addr] {
					t.Fatalf("%s has %+v", e.Addr, e.Spec)
				}
				if was := live[e.Addr]; was != nil && was != e.Server {
					t.Fatalf("%s lost its state", e.Addr)
				}
			}
			if !slices.Equal(got, want) {
				t.Fatalf("serving %v, want %v", got, want)
			}
			for _, a := range got {
				if added := !slices.Contains(serving, a); added != slices.Contains(ch.Added, a) {
					t.Fatalf("%s: added is %v, the change says %v", a, added, ch.Added)
				}
			}
			for _, a := range serving {
				if removed := !slices.Contains(got, a); removed != slices.Contains(ch.Removed, a) {
					t.Fatalf("%s: removed is %v, the change says %v", a, removed, ch.Removed)
				}
			}
			serving, live = got, map[string]*Server{}
			for _, e := range p.Load().Entries {
				live[e.Addr] = e.Server
			}
		}
	})
}
