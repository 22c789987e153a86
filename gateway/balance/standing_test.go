package balance

import (
	"math"
	"strings"
	"testing"

	"spillway/gateway/upstream"
)

// stand gives the server of that name a standing.
func (f *fixture) stand(host string, w upstream.Standing) {
	f.t.Helper()
	for _, e := range f.pool.Load().Entries {
		if e.Spec.Host == host {
			e.Amend(func(upstream.Standing) upstream.Standing { return w })
			return
		}
	}
	f.t.Fatalf("no server %s", host)
}

func TestBarredServersAreNotPicked(t *testing.T) {
	for _, policy := range Policies() {
		f := newFixture(t, policy, server('a', 1), server('b', 1), server('c', 3))
		f.stand("b", upstream.Ejected)
		f.stand("c", upstream.Unhealthy)
		if got := f.picks(6); got != "a a a a a a" {
			t.Errorf("%s: %s", policy, got)
		}
		f.stand("a", upstream.Unproven)
		if got := f.picks(1); got != "-" {
			t.Errorf("%s, all barred: %s", policy, got)
		}
		for _, host := range []string{"a", "b", "c"} {
			f.stand(host, upstream.Unhealthy|upstream.Pardoned)
		}
		if got := f.picks(3); strings.Contains(got, "-") {
			t.Errorf("%s, all pardoned: %s", policy, got)
		}
	}
}

func TestTheOnlyServerCanBeBarred(t *testing.T) {
	f := newFixture(t, RoundRobin, server('a', 1))
	f.stand("a", upstream.Unhealthy)
	if got := f.picks(1); got != "-" {
		t.Errorf("picked %s", got)
	}
	f.stand("a", upstream.Unhealthy|upstream.Pardoned)
	if got := f.picks(1); got != "a" {
		t.Errorf("pardoned, picked %s", got)
	}
}

func TestBackupsServeForBarredPrimaries(t *testing.T) {
	f := newFixture(t, LeastConn, server('a', 1), backup(server('x', 1)))
	f.stand("a", upstream.Ejected)
	if got := f.picks(2); got != "x x" {
		t.Errorf("picked %s", got)
	}
}

// TestSlowStartScalesTheLoad: a server that starts with a share gets that part
// of what it gets when it serves fully.
func TestSlowStartScalesTheLoad(t *testing.T) {
	const n = 20000
	for _, policy := range []string{RoundRobin, LeastConn, RandomTwo, WeightedLeastRequest} {
		for _, share := range []int{1, 26, 64, 128, 200} {
			f := newFixture(t, policy, server('a', 2), server('b', 2), server('c', 2), server('n', 2))
			f.stand("n", upstream.Standing(0).WithShare(share))
			got := float64(strings.Count(f.picks(n), "n")) / n
			part := float64(share) / upstream.FullShare
			want := part / 4
			if math.Abs(got-want) > 0.1*want+0.002 {
				t.Errorf("%s, share %d: %.4f of the picks, want %.4f", policy, share, got, want)
			}
		}
	}
}

func TestSlowStartFailsNobody(t *testing.T) {
	for _, policy := range Policies() {
		f := newFixture(t, policy, server('a', 1), server('b', 1), backup(server('x', 1)))
		for _, host := range []string{"a", "b", "x"} {
			f.stand(host, upstream.Standing(0).WithShare(1))
		}
		if got := f.picks(500); strings.ContainsAny(got, "-x") {
			t.Errorf("%s: a pick found nobody, or a backup while primaries start: %s", policy, got)
		}
	}
}

func TestHashedKeysMoveWithTheShare(t *testing.T) {
	for _, policy := range []string{Hash, HashConsistent, Maglev, HashBounded} {
		f := newFixture(t, policy, server('a', 1), server('b', 1), server('c', 1))
		home := f.picks(1)
		f.stand(home, upstream.Standing(0).WithShare(upstream.FullShare/4))
		if n := strings.Count(f.picks(1000), home); n != 250 {
			t.Errorf("%s: %d of 1000 requests with a key of a server that starts at a quarter", policy, n)
		}
	}
}

func TestPickWithStandingsAllocatesNothing(t *testing.T) {
	f := newFixture(t, LeastConn, server('a', 1), server('b', 1), server('c', 1))
	f.stand("a", upstream.Ejected)
	f.stand("b", upstream.Standing(0).WithShare(30))
	req := &Request{Now: second}
	if n := testing.AllocsPerRun(1000, func() { f.picker.Pick(req) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
