package balance

import (
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"

	"spillway/gateway/upstream"
)

func tableOf(specs ...upstream.Spec) *table {
	return newTable(newPool(RoundRobin, specs...).Load())
}

// slotsByName counts the slots of each name.
func (t *table) slotsByName() map[string]int {
	count := map[string]int{}
	for _, n := range t.slots {
		count[t.names[n]]++
	}
	return count
}

func TestTableSizesArePrime(t *testing.T) {
	for _, n := range []int64{smallTable, largeTable} {
		if !big.NewInt(n).ProbablyPrime(20) {
			t.Errorf("%d is none: a permutation would miss slots", n)
		}
	}
}

// Parts of the table are as weights, within a slot for each server.
func TestTablePartsAreExact(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 1))
	for range 20 {
		var specs []upstream.Spec
		total := 0
		for i := range 1 + rnd.IntN(20) {
			specs = append(specs, server('a'+byte(i), 1+rnd.IntN(50)))
			total += specs[i].Weight
		}
		count := tableOf(specs...).slotsByName()
		for _, s := range specs {
			want := float64(smallTable) * float64(s.Weight) / float64(total)
			if got := float64(count[serverName(&s)]); math.Abs(got-want) > float64(len(specs)) {
				t.Errorf("weight %d of %d has %v slots, want %.1f", s.Weight, total, got, want)
			}
		}
	}
}

func TestTableOfVeryDifferentWeights(t *testing.T) {
	count := tableOf(server('a', math.MaxInt32), server('b', 1)).slotsByName()
	if count["b:80"] != 1 || count["a:80"] != smallTable-1 {
		t.Errorf("%v", count)
	}
}

func TestTableDoesNotDependOnTheOrder(t *testing.T) {
	specs := manySpecs(40)
	one := tableOf(specs...)
	slices.Reverse(specs)
	other := tableOf(specs...)
	for i := range one.slots {
		if one.names[one.slots[i]] != other.names[other.slots[i]] {
			t.Fatalf("slot %d is %s and %s", i, one.names[one.slots[i]], other.names[other.slots[i]])
		}
	}
}

func TestManyServersGetTheLargeTable(t *testing.T) {
	table := tableOf(manySpecs(1000)...)
	if len(table.slots) != largeTable {
		t.Errorf("%d slots", len(table.slots))
	}
	if len(table.slotsByName()) != 1000 {
		t.Error("not everybody has a slot")
	}
}

// moved is the part of the slots whose owner changed though it was not the
// one that left or came (minimal disruption moves none of those), and the part
// that changed at all.
func moved(before, after *table, changed string) (needless, all float64) {
	for i := range before.slots {
		was, is := before.names[before.slots[i]], after.names[after.slots[i]]
		if was == is {
			continue
		}
		all++
		if was != changed && is != changed {
			needless++
		}
	}
	n := float64(len(before.slots))
	return needless / n, all / n
}

// The paper's figure 12: with a hundred slots a server, a change of one server
// in a hundred moves few keys of the others.
func TestTableDisruptionIsBounded(t *testing.T) {
	for _, n := range []int{3, 10, 100, 600} {
		specs := manySpecs(n + 1)
		for i := range specs {
			specs[i].Weight = 1
		}
		full, less := tableOf(specs...), tableOf(specs[:n]...)
		needless, all := moved(full, less, specs[n].Addr)
		fair := 1 / float64(n+1)
		if all < 0.99*fair || needless > fair+0.02 {
			t.Errorf("one of %d left: %.4f of the keys moved, %.4f needlessly; its part was %.4f", n+1, all, needless, fair)
		}
	}
}

// Going down moves the keys of that server alone, to all others alike.
func TestMaglevOfADownServer(t *testing.T) {
	f := newFixture(t, Maglev, equals(10)...)
	const n = 20000
	owner := func(i int) string {
		return hostOf(f.picker.Pick(&Request{Now: second, Key: fmt.Appendf(nil, "key-%d", i)}))
	}
	var before [n]string
	for i := range before {
		before[i] = owner(i)
	}
	specs := equals(10)
	specs[3].Down = true
	f.apply(specs...)
	heirs := make([]int, 10)
	for i := range before {
		is := owner(i)
		if before[i] != "d" && is != before[i] {
			t.Fatalf("key %d moved from %s to %s", i, before[i], is)
		}
		if before[i] == "d" {
			heirs[is[0]-'a']++
		}
	}
	if heirs[3] != 0 {
		t.Error("the down server got a key")
	}
	// 8 degrees of freedom, one in ten thousand.
	others := slices.Delete(slices.Clone(heirs), 3, 4)
	if got := chiSquare(others, []float64{1, 1, 1, 1, 1, 1, 1, 1, 1}); got > 31.8 {
		t.Errorf("its keys went to %v, chi-square %.1f", heirs, got)
	}
}

func TestMaglevSpreadsKeysByWeight(t *testing.T) {
	weights := []float64{1, 2, 3, 4, 10}
	var specs []upstream.Spec
	for i, w := range weights {
		specs = append(specs, server('a'+byte(i), int(w)))
	}
	f := newFixture(t, Maglev, specs...)
	count := make([]int, len(weights))
	for i := range 50000 {
		e := f.picker.Pick(&Request{Now: second, Key: fmt.Appendf(nil, "/item/%d", i)})
		count[hostOf(e)[0]-'a']++
	}
	// 4 degrees of freedom, one in ten thousand.
	if got := chiSquare(count, weights); got > 23.5 {
		t.Errorf("%v for weights %v, chi-square %.1f", count, weights, got)
	}
}

func TestMaglevNamesHoldAddresses(t *testing.T) {
	one, two := server('a', 1), server('a', 1)
	two.Addr = "10.9.9.9:80"
	f := newFixture(t, Maglev, one, two, server('b', 1))
	count := map[string]int{}
	for range 100 {
		e := f.picker.Pick(&Request{Now: second, Key: []byte("k")})
		count[e.Addr]++
	}
	if len(count) == 2 && count[one.Addr] != 50 {
		t.Errorf("addresses of one name do not take turns: %v", count)
	}
}
