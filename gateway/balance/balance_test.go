package balance

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"spillway/gateway/upstream"
)

const second = int64(time.Second)

// fixture is a pool with the picker of one loop on it.
type fixture struct {
	t      testing.TB
	pool   *upstream.Pool
	picker Picker
}

func newFixture(t testing.TB, policy string, specs ...upstream.Spec) *fixture {
	t.Helper()
	f := &fixture{t: t, pool: newPool(policy, specs...), picker: newPicker(t, policy, 0, 1)}
	f.picker.Update(f.pool.Load())
	return f
}

func newPool(policy string, specs ...upstream.Spec) *upstream.Pool {
	pool := upstream.NewPool("test", &upstream.Settings{Prepare: Prepare(policy)})
	pool.Apply(specs, upstream.Meta{})
	return pool
}

func newPicker(t testing.TB, policy string, loop, loops int) Picker {
	t.Helper()
	p, err := New(policy, loop, loops)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// apply changes the servers of the pool.
func (f *fixture) apply(specs ...upstream.Spec) {
	f.pool.Apply(specs, upstream.Meta{})
	f.picker.Update(f.pool.Load())
}

// picks returns the hosts of n picks in a row, such as "a a b".
func (f *fixture) picks(n int) string { return picks(f.picker, n) }

func picks(p Picker, n int) string {
	var got []string
	for range n {
		got = append(got, hostOf(p.Pick(&Request{Now: second, Key: []byte("k")})))
	}
	return strings.Join(got, " ")
}

func hostOf(e *upstream.Entry) string {
	if e == nil {
		return "-"
	}
	return e.Spec.Host
}

// server is a spec that the tests call by name ('a', 'b', ...).
func server(name byte, weight int) upstream.Spec {
	return upstream.Spec{
		Addr: fmt.Sprintf("10.0.0.%d:80", name), Host: string(name),
		Weight: weight, MaxFails: 1, FailTimeout: 10 * time.Second,
	}
}

func backup(s upstream.Spec) upstream.Spec { s.Backup = true; return s }
func down(s upstream.Spec) upstream.Spec   { s.Down = true; return s }

func TestNewSaysWhatIsAllowed(t *testing.T) {
	_, err := New("rand", 0, 1)
	want := `unknown balance policy "rand": want one of ` + strings.Join(Policies(), ", ")
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	for _, loop := range []int{-1, 2} {
		if _, err := New(RoundRobin, loop, 2); err == nil {
			t.Errorf("loop %d of 2 was accepted", loop)
		}
	}
	for _, policy := range Policies() {
		prepares := Keyed(policy) && policy != Hash
		if (Prepare(policy) != nil) != prepares {
			t.Errorf("Prepare(%s) is nil: %v", policy, Prepare(policy) == nil)
		}
	}
}

func TestEmptyPool(t *testing.T) {
	for _, policy := range Policies() {
		f := newFixture(t, policy)
		if got := f.picks(1); got != "-" {
			t.Errorf("%s: picked %s", policy, got)
		}
		f.apply(server('a', 1))
		f.apply()
		if got := f.picks(1); got != "-" {
			t.Errorf("%s: picked %s of an emptied pool", policy, got)
		}
	}
}

func TestBackupsServeOnlyWithoutPrimaries(t *testing.T) {
	for _, policy := range Policies() {
		t.Run(policy, func(t *testing.T) {
			f := newFixture(t, policy, backup(server('x', 9)), server('a', 1), backup(server('y', 9)), down(server('b', 1)))
			if got := f.picks(4); got != "a a a a" {
				t.Errorf("with a primary: %s", got)
			}
			a := f.picker.Pick(&Request{Now: second, Key: []byte("k")})
			retry := f.picker.Pick(&Request{Now: second, Key: []byte("k"), Tried: []*upstream.Server{a.Server}})
			if retry == nil || !retry.Spec.Backup {
				t.Errorf("retry went to %s", hostOf(retry))
			}
			f.picker.Report(a, true, second)
			got := f.picks(8)
			drawn := policy == RandomTwo || policy == PeakEWMA
			if strings.Contains(got, "a") || !strings.Contains(got, "x") || !drawn && !strings.Contains(got, "y") {
				t.Errorf("after the primary failed: %s", got)
			}
		})
	}
}

func TestOnlyServerIsNeverDisabled(t *testing.T) {
	for _, policy := range Policies() {
		t.Run(policy, func(t *testing.T) {
			f := newFixture(t, policy, server('a', 1))
			for range 5 {
				f.picker.Report(f.picker.Pick(&Request{Now: second}), true, second)
			}
			if got := f.picks(1); got != "a" {
				t.Errorf("after failures: %s", got)
			}
			a := &f.pool.Load().Entries[0]
			if f.picker.Pick(&Request{Now: second, Tried: []*upstream.Server{a.Server}}) != nil {
				t.Error("was picked though tried")
			}
			// What failed alone starts with a clean slate in company.
			f.apply(server('a', 1), server('b', 1))
			if a.Fails() != 0 {
				t.Errorf("%d failures were counted", a.Fails())
			}
			f.apply(down(server('a', 1)))
			if got := f.picks(1); got != "-" {
				t.Errorf("down: %s", got)
			}
			bounded := server('a', 1)
			bounded.MaxConns = 1
			f.apply(bounded)
			a.Inflight.Add(1)
			if got := f.picks(1); got != "-" {
				t.Errorf("beyond max_conns: %s", got)
			}
		})
	}
}

func TestUpdateKeepsRunningWeights(t *testing.T) {
	for _, policy := range []string{RoundRobin, LeastConn} {
		f := newFixture(t, policy, server('a', 1), server('b', 1), server('c', 1))
		if got := f.picks(1); got != "a" {
			t.Fatalf("first: %s", got)
		}
		for range 4 { // without the kept state each update would start at a again
			f.pool.SetSettings(f.pool.Settings())
			f.picker.Update(f.pool.Load())
		}
		if got := f.picks(2); got != "b c" {
			t.Errorf("%s after updates: %s", policy, got)
		}
		f.apply(server('a', 1), server('b', 1), server('c', 1), server('d', 1))
		if got := f.picks(4); got != "a b c d" {
			t.Errorf("%s with d: %s", policy, got)
		}
	}
}

func TestChangedWeightStartsAfresh(t *testing.T) {
	f := newFixture(t, RoundRobin, server('a', 4), server('b', 4))
	f.picker.Report(f.picker.Pick(&Request{Now: second}), true, second) // a: nothing left of its weight
	f.apply(server('a', 2), server('b', 4))
	late := second + 11*second
	var got []string
	for range 6 {
		e := f.picker.Pick(&Request{Now: late})
		f.picker.Report(e, false, late+1)
		got = append(got, hostOf(e))
	}
	if diff := cmp.Diff(2, strings.Count(strings.Join(got, ""), "a")); diff != "" {
		t.Errorf("%v: %s", got, diff)
	}
}

func TestReportOfARemovedServer(t *testing.T) {
	for _, policy := range Policies() {
		f := newFixture(t, policy, server('a', 1), server('b', 1), server('c', 1))
		old := &f.pool.Load().Entries[0]
		f.apply(server('b', 1), server('c', 1))
		f.picker.Report(old, true, second)
		f.picker.Report(old, false, second)
		if got := f.picks(6); strings.ContainsAny(got, "a-") {
			t.Errorf("%s: %s", policy, got)
		}
	}
}

func TestPickPointsIntoTheSnapshot(t *testing.T) {
	for _, policy := range Policies() {
		f := newFixture(t, policy, server('a', 1), server('b', 1), backup(server('c', 1)))
		e := f.picker.Pick(&Request{Now: second, Key: []byte("k")})
		entries := f.pool.Load().Entries
		if e != &entries[0] && e != &entries[1] {
			t.Errorf("%s: the entry is a copy", policy)
		}
	}
}

func TestLoopsStartAtDifferentServers(t *testing.T) {
	sets := map[string][]upstream.Spec{
		"equal":   {server('a', 1), server('b', 1), server('c', 1), server('d', 1)},
		"heavy":   {server('a', 50), server('b', 1), server('c', 1), server('d', 3)},
		"down":    {down(server('a', 9)), down(server('b', 1)), server('c', 1), server('d', 2), server('e', 1), server('f', 5)},
		"backups": {backup(server('x', 1)), server('a', 2), server('b', 1), server('c', 1), server('d', 7)},
	}
	for name, specs := range sets {
		for _, policy := range []string{RoundRobin, LeastConn, Hash, HashConsistent, Maglev, HashBounded} {
			pool := newPool(policy, specs...)
			seen := map[string]bool{}
			for loop := range 4 {
				p := newPicker(t, policy, loop, 4)
				p.Update(pool.Load())
				seen[hostOf(p.Pick(&Request{Now: second}))] = true
			}
			if len(seen) != 4 || seen["-"] {
				t.Errorf("%s, %s: four loops start at %v", name, policy, seen)
			}
		}
	}
}

func TestEqualLoopsNeverMeet(t *testing.T) {
	pool := newPool(RoundRobin, server('a', 1), server('b', 1), server('c', 1), server('d', 1))
	p, q := newPicker(t, RoundRobin, 0, 2), newPicker(t, RoundRobin, 1, 2)
	p.Update(pool.Load())
	q.Update(pool.Load())
	got := []string{picks(p, 8), picks(q, 8)}
	want := []string{"a b c d a b c d", "c d a b c d a b"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestHashIsTheSameInAllLoops(t *testing.T) {
	for _, policy := range []string{Hash, HashConsistent, Maglev, HashBounded} {
		pool := newPool(policy, server('a', 3), server('b', 1), down(server('c', 4)), server('d', 2), server('e', 1))
		var pickers []Picker
		for loop := range 3 {
			p := newPicker(t, policy, loop, 3)
			p.Update(pool.Load())
			pickers = append(pickers, p)
		}
		for i := range 500 {
			r := &Request{Now: second, Key: fmt.Appendf(nil, "key-%d", i)}
			want := pickers[0].Pick(r)
			for loop, p := range pickers {
				if got := p.Pick(r); got != want {
					t.Fatalf("%s, %s: loop %d picks %s, loop 0 %s", policy, r.Key, loop, hostOf(got), hostOf(want))
				}
			}
		}
	}
}

func TestOneProbeAfterFailTimeout(t *testing.T) {
	for _, policy := range Policies() {
		t.Run(policy, func(t *testing.T) {
			specs := []upstream.Spec{server('a', 1), server('b', 1)}
			pool := newPool(policy, specs...)
			p, q := newPicker(t, policy, 0, 2), newPicker(t, policy, 1, 2)
			p.Update(pool.Load())
			q.Update(pool.Load())
			entries := pool.Load().Entries
			p.Report(&entries[0], true, second)
			entries[1].Failed(&entries[1].Spec, second)
			now := second + 10*second
			req := &Request{Now: now}
			if p.Pick(req) != nil || q.Pick(req) != nil {
				t.Fatal("picked before fail_timeout had passed")
			}
			req.Now++
			var got []string
			for _, picker := range []Picker{p, q, p, q} {
				got = append(got, hostOf(picker.Pick(req)))
			}
			slices.Sort(got)
			if diff := cmp.Diff([]string{"-", "-", "a", "b"}, got); diff != "" {
				t.Errorf("each server gets one probe over all loops: %s", diff)
			}
		})
	}
}

// Both loops find the failed server usable at once, as often as spinning side
// by side makes it happen.
func TestOneProbeOverConcurrentLoops(t *testing.T) {
	const rounds = 1500
	var picked, arrived [rounds]atomic.Int32
	pools := make([]*upstream.Pool, rounds)
	for i := range pools {
		pools[i] = newPool(RoundRobin, server('a', 1), down(server('b', 1)))
		pools[i].Load().Entries[0].Failed(&pools[i].Load().Entries[0].Spec, second)
	}
	var loops sync.WaitGroup
	for loop := range 2 {
		p := newPicker(t, RoundRobin, loop, 2)
		loops.Go(func() {
			for i, pool := range pools {
				p.Update(pool.Load())
				arrived[i].Add(1)
				for spin := 0; arrived[i].Load() < 2; spin++ {
					if spin%1000 == 999 {
						runtime.Gosched()
					}
				}
				if p.Pick(&Request{Now: 20 * second}) != nil {
					picked[i].Add(1)
				}
			}
		})
	}
	loops.Wait()
	for i := range picked {
		if n := picked[i].Load(); n != 1 {
			t.Fatalf("round %d: %d probes", i, n)
		}
	}
}

// nginx raises the effective weight of those that take part in a round only,
// and one that is alone the least loaded needs no round.
func TestLeastConnAloneRaisesNoWeight(t *testing.T) {
	heavy := server('a', 10)
	heavy.MaxFails = 5
	f := newFixture(t, LeastConn, heavy, server('b', 1))
	entries := f.pool.Load().Entries
	f.picker.Report(&entries[0], true, second)
	entries[1].Inflight.Store(1)
	if got := f.picks(2); got != "a a" {
		t.Fatal(got)
	}
	a := f.picker.(*picker).find(entries[0].Server)
	if a.effective != 8 {
		t.Errorf("effective weight %d after one of five failures of 10, want 8", a.effective)
	}
	entries[1].Inflight.Store(0)
	f.picks(1)
	if a.effective != 9 {
		t.Errorf("effective weight %d after a round, want 9", a.effective)
	}
}

func TestRandomTwoPrefersTheIdle(t *testing.T) {
	f := newFixture(t, RandomTwo, server('a', 1), server('b', 1))
	f.pool.Load().Entries[0].Inflight.Store(5)
	// Of two servers both are drawn, so the busy one is never chosen.
	if got := f.picks(200); strings.Contains(got, "a") {
		t.Errorf("the busy one was chosen %d times", strings.Count(got, "a"))
	}
	// Six in flight of weight six are fewer than two of weight one.
	f.apply(server('a', 6), server('b', 1))
	f.pool.Load().Entries[1].Inflight.Store(2)
	got := f.picks(200)
	if strings.Count(got, "a") < 180 {
		t.Errorf("the heavy one was chosen %d times", strings.Count(got, "a"))
	}
}
