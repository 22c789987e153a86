package balance

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"spillway/gateway/upstream"
)

// subsetFor returns the addresses that a gateway's picker sends requests to.
func subsetFor(t *testing.T, size int, gateway uint64, specs []upstream.Spec) map[string]bool {
	t.Helper()
	p, err := Tuned(RoundRobin, upstream.Tuning{Subset: size, Gateway: gateway}, 0, 1)
	if err != nil {
		t.Fatal(err)
	}
	p.Update(newPool(RoundRobin, specs...).Load())
	got := map[string]bool{}
	for range 2 * len(specs) {
		got[p.Pick(&Request{Now: second}).Addr] = true
	}
	return got
}

func manyEquals(n int) []upstream.Spec {
	specs := manySpecs(n)
	for i := range specs {
		specs[i].Weight = 1
	}
	return specs
}

// The book's example, 300 gateways on 300 servers, and others: every server is
// in as many subsets as any other, within the rounds that are not whole and
// the servers that a round leaves over.
func TestSubsetsAreEven(t *testing.T) {
	for _, c := range []struct{ servers, size, gateways, spread int }{
		{300, 30, 300, 0},
		{300, 10, 60, 0},
		{12, 3, 10, 1},
		{10, 3, 300, 30}, // one of ten is left over in each round, by lot
	} {
		specs := manyEquals(c.servers)
		count := map[string]int{}
		for g := range c.gateways {
			subset := subsetFor(t, c.size, uint64(g), specs)
			if len(subset) != c.size {
				t.Fatalf("%+v: gateway %d uses %d", c, g, len(subset))
			}
			for addr := range subset {
				count[addr]++
			}
		}
		counts := slices.Sorted(maps.Values(count))
		if len(counts) != c.servers || counts[len(counts)-1]-counts[0] > c.spread {
			t.Errorf("%+v: %d servers used, by %d to %d gateways", c, len(counts), counts[0], counts[len(counts)-1])
		}
	}
}

// Gateways of one round have nothing in common, those of another round mix.
func TestSubsetsOfARoundAreDisjoint(t *testing.T) {
	specs := manyEquals(40)
	seen := map[string]bool{}
	for g := range uint64(4) {
		for addr := range subsetFor(t, 10, g, specs) {
			if seen[addr] {
				t.Errorf("%s is in two subsets", addr)
			}
			seen[addr] = true
		}
	}
	if maps.Equal(subsetFor(t, 10, 0, specs), subsetFor(t, 10, 4, specs)) {
		t.Error("the next round has the same shuffle")
	}
}

// A server that comes or goes changes one member of each subset at most.
func TestSubsetsChangeLittle(t *testing.T) {
	specs := manyEquals(45)
	for g := range uint64(12) {
		before := subsetFor(t, 10, g, specs)
		for gone := range specs {
			after := subsetFor(t, 10, g, slices.Delete(slices.Clone(specs), gone, gone+1))
			lost := 0
			for addr := range before {
				if !after[addr] {
					lost++
				}
			}
			if lost > 1 || lost == 0 && before[specs[gone].Addr] {
				t.Fatalf("gateway %d lost %d when %s went", g, lost, specs[gone].Addr)
			}
		}
	}
}

func TestSubsetDoesNotDependOnTheOrder(t *testing.T) {
	specs := manyEquals(30)
	before := subsetFor(t, 7, 3, specs)
	slices.Reverse(specs)
	if !maps.Equal(before, subsetFor(t, 7, 3, specs)) {
		t.Error("another order, another subset")
	}
}

// When nobody of the subset can be picked the other primaries serve, and then
// the backups.
func TestOthersServeForTheSubset(t *testing.T) {
	for _, policy := range []string{RoundRobin, LeastConn, RandomTwo, PeakEWMA, WeightedLeastRequest} {
		specs := append(equals(6), backup(server('x', 1)))
		p, err := Tuned(policy, upstream.Tuning{Subset: 2}, 0, 1)
		if err != nil {
			t.Fatal(err)
		}
		p.Update(newPool(policy, specs...).Load())
		req := &Request{Now: second}
		var order []string
		for {
			e := p.Pick(req)
			if e == nil {
				break
			}
			req.Tried = append(req.Tried, e.Server)
			order = append(order, hostOf(e))
		}
		if len(order) != 7 || order[6] != "x" {
			t.Errorf("%s: %v", policy, order)
		}
		first := slices.Sorted(slices.Values(order[:2]))
		for range 50 {
			if e := p.Pick(&Request{Now: second}); !slices.Contains(first, hostOf(e)) {
				t.Errorf("%s: %s is not in the subset %v", policy, hostOf(e), first)
			}
		}
		// A failed member takes part again when its time is over.
		p.Report(p.Pick(&Request{Now: second}), true, second)
		req = &Request{Now: second}
		if n := testing.AllocsPerRun(100, func() { p.Pick(req) }); n != 0 {
			t.Errorf("%s: %v allocations", policy, n)
		}
	}
}

func TestSubsetLeavesOutDownServers(t *testing.T) {
	specs := manyEquals(20)
	for i := range 10 {
		specs[i].Down = true
	}
	if got := subsetFor(t, 10, 5, specs); len(got) != 10 {
		t.Errorf("%d of ten that are up", len(got))
	}
}

func TestPoliciesByKeyHaveNoSubset(t *testing.T) {
	for _, policy := range []string{Hash, HashConsistent, Maglev, HashBounded} {
		p, err := Tuned(policy, upstream.Tuning{Subset: 1}, 0, 1)
		if err != nil {
			t.Fatal(err)
		}
		p.Update(newPool(policy, equals(8)...).Load())
		got := map[string]bool{}
		for i := range 200 {
			got[hostOf(p.Pick(&Request{Now: second, Key: fmt.Append(nil, i)}))] = true
		}
		if len(got) != 8 {
			t.Errorf("%s uses %d of 8", policy, len(got))
		}
	}
}
