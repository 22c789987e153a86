package balance

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"spillway/gateway/upstream"
)

func ringOf(specs ...upstream.Spec) *ring { return newRing(newPool(RoundRobin, specs...).Load()) }

func TestServerNames(t *testing.T) {
	for _, c := range []struct{ addr, host, name, hostPart, port string }{
		{"10.0.0.1:80", "", "10.0.0.1:80", "10.0.0.1", "80"},
		{"[::1]:80", "", "[::1]:80", "[::1]", "80"},
		{"unix:/run/a:1.sock", "", "unix:/run/a:1.sock", "/run/a:1.sock", ""},
		{"10.0.0.1:80", "app.test", "app.test:80", "app.test", "80"},
		{"[::1]:8080", "app.test", "app.test:8080", "app.test", "8080"},
	} {
		name := serverName(&upstream.Spec{Addr: c.addr, Host: c.host})
		host, port := splitName(name)
		if diff := cmp.Diff([]string{c.name, c.hostPart, c.port}, []string{name, host, port}); diff != "" {
			t.Errorf("%s %s: %s", c.addr, c.host, diff)
		}
	}
}

func TestPointsFollowWeights(t *testing.T) {
	r := ringOf(server('a', 1), server('b', 3), backup(server('c', 9)))
	count := make([]int, len(r.names))
	for _, p := range r.points {
		count[p.name()]++
	}
	if diff := cmp.Diff([]int{160, 480}, count); diff != "" {
		t.Error(diff)
	}
	if !slices.IsSorted(r.points) {
		t.Error("points are not in order")
	}
}

func TestHugeWeightsAreScaledTogether(t *testing.T) {
	got := pointCounts([]int64{math.MaxInt32, 1 << 30, 1})
	if sum := got[0] + got[1] + got[2]; sum > maxPoints+3 || sum < maxPoints-3 || got[0]/2-got[1] > 1 || got[2] != 1 {
		t.Errorf("%v of %d", got, maxPoints)
	}
	// The heaviest ring that is still nginx's.
	most := maxPoints / pointsPerWeight
	if diff := cmp.Diff([]int{160 * (most - 1), 160}, pointCounts([]int64{int64(most) - 1, 1})); diff != "" {
		t.Error(diff)
	}
	// Addresses of one name share their points.
	one, two := server('a', 2), server('a', 3)
	two.Addr = "10.9.9.9:80"
	if r := ringOf(one, two); len(r.points) != 3*160 {
		t.Errorf("%d points of one name with weights 2 and 3", len(r.points))
	}
}

func TestAddingAServerMovesOnlyItsKeys(t *testing.T) {
	f := newFixture(t, HashConsistent, server('a', 1), server('b', 1), server('c', 1), server('d', 1))
	pick := func(i int) string {
		return hostOf(f.picker.Pick(&Request{Now: 1, Key: fmt.Appendf(nil, "key-%d", i)}))
	}
	before := make([]string, 4000)
	for i := range before {
		before[i] = pick(i)
	}
	f.apply(server('a', 1), server('e', 1), server('b', 1), server('c', 1), server('d', 1))
	moved := 0
	for i, was := range before {
		now := pick(i)
		switch {
		case now == was:
		case now == "e":
			moved++
		default:
			t.Fatalf("key-%d moved from %s to %s", i, was, now)
		}
	}
	if moved < 4000/10 || moved > 4000*3/10 {
		t.Errorf("%d of 4000 keys moved to one of five servers", moved)
	}
}

// A hostname with several addresses is one place on the ring; its addresses
// take turns, and one that fails is covered by the other.
func TestAddressesOfOneNameShareItsKeys(t *testing.T) {
	one, two, other := server('a', 1), server('b', 1), server('c', 1)
	one.Host, two.Host = "app.test", "app.test"
	f := newFixture(t, HashConsistent, one, two, other)
	var key []byte
	for i := 0; ; i++ {
		key = fmt.Appendf(nil, "key-%d", i)
		if hostOf(f.picker.Pick(&Request{Now: 1, Key: key})) == "app.test" {
			break
		}
	}
	count := map[string]int{}
	for range 10 {
		count[f.picker.Pick(&Request{Now: 1, Key: key}).Addr]++
	}
	if diff := cmp.Diff(map[string]int{one.Addr: 5, two.Addr: 5}, count); diff != "" {
		t.Error(diff)
	}
	first := f.picker.Pick(&Request{Now: 1, Key: key})
	retry := f.picker.Pick(&Request{Now: 1, Key: key, Tried: []*upstream.Server{first.Server}})
	if hostOf(retry) != "app.test" || retry.Server == first.Server {
		t.Errorf("after %s came %s", first.Addr, retry.Addr)
	}
}

func TestUpdateBuildsTheRingIfNobodyDid(t *testing.T) {
	specs := []upstream.Spec{server('a', 1), server('b', 2), server('c', 1)}
	prepared, bare := newPool(HashConsistent, specs...), newPool(RoundRobin, specs...)
	if bare.Load().Prepared != nil {
		t.Fatal("the pool has a ring")
	}
	p, q := newPicker(t, HashConsistent, 0, 1), newPicker(t, HashConsistent, 0, 1)
	p.Update(prepared.Load())
	q.Update(bare.Load())
	for i := range 200 {
		r := &Request{Now: 1, Key: fmt.Appendf(nil, "key-%d", i)}
		if a, b := hostOf(p.Pick(r)), hostOf(q.Pick(r)); a != b {
			t.Fatalf("%s: %s with a prepared ring, %s without", r.Key, a, b)
		}
	}
}
