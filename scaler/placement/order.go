package placement

import (
	"cmp"
	"slices"
)

// order is a meaning of "the largest first". Each has batches on which it
// needs fewer hosts than the others; byDemand is the best on most.
//
// See Panigrahy and others, "Heuristics for Vector Bin Packing" (2011): sums
// weighted by demand beat plain best-fit-decreasing where one resource is
// scarcer than the others.
type order int

const (
	byDemand  order = iota // sum of shares, each weighted by how scarce the batch makes it
	bySquares              // the same of the squares
	byLargest              // the largest share
	bySum                  // sum of shares
	orders
)

// resources are amounts of what an ask takes: cpu, memory, packets a second.
type resources [3]int64

// measure computes how large each shape is, in every order: shares of what is
// free on all hosts open to it. So a small ask that only few hosts may take
// can be larger than one that any may.
func (w *world) measure(shapes []*shape) {
	scarce := w.scarcity(shapes)
	for _, s := range shapes {
		s.size = s.sizes(w.freeFor(s), scarce)
	}
}

// sharesOfAll is the unit of shares of all hosts' resources, wholeWeight that
// of weights: their product and the sum of three fit into an int64.
const (
	sharesOfAll = 1 << 40
	wholeWeight = 1 << 20
)

func (s *shape) sizes(free, scarce resources) (size [orders]int64) {
	for r, amount := range s.takes() {
		x := share(amount, free[r], sharesOfAll)
		if free[r] == 0 && r == 2 {
			x = 0 // nothing limits packets
		}
		square := (x >> 20) * (x >> 20)
		size[byDemand] += scarce[r] * x
		size[bySquares] += scarce[r] * square
		size[byLargest] = max(size[byLargest], x)
		size[bySum] += x
	}
	return size
}

func (s *shape) takes() resources { return resources{s.cpu, s.mem, s.pps} }

// freeFor is what is free on all hosts that a shape may use.
func (w *world) freeFor(s *shape) (free resources) {
	for i := range w.families {
		f := &w.families[i]
		if v := f.judge(s); v.early == fits && !v.arch {
			free[0] += f.freeCPU
			free[1] += f.freeMem
			free[2] += f.freePPS
		}
	}
	return free
}

// scarcity is the share of each resource that the batch wants in all.
func (w *world) scarcity(shapes []*shape) (scarce resources) {
	var wanted, free resources
	for _, s := range shapes {
		for r, amount := range s.takes() {
			wanted[r] = min(most, wanted[r]+times(amount, len(s.asks)))
		}
	}
	for i := range w.families {
		if f := &w.families[i]; f.ready {
			free[0] += f.freeCPU
			free[1] += f.freeMem
			free[2] += f.freePPS
		}
	}
	for r := range scarce {
		scarce[r] = share(wanted[r], free[r], wholeWeight)
	}
	return scarce
}

// times is n times an amount, at most most.
func times(amount int64, n int) int64 {
	if amount > most/int64(n) {
		return most
	}
	return amount * int64(n)
}

// sorted returns the shapes in the order in which they are placed.
func sorted(shapes []*shape, by order) []*shape {
	s := slices.Clone(shapes)
	slices.SortFunc(s, func(a, b *shape) int {
		return cmp.Or(cmp.Compare(b.size[by], a.size[by]), cmp.Compare(b.size[bySum], a.size[bySum]), cmp.Compare(a.key, b.key))
	})
	return s
}

// needs is what a plan costs: asks without a place, money for what must be
// bought, hosts that could have stayed empty.
type needs struct {
	rejected int
	price    int64 // an hour, in millionths
	opened   int
}

func (n needs) less(other needs) bool {
	return cmp.Or(cmp.Compare(n.rejected, other.rejected), cmp.Compare(n.price, other.price), cmp.Compare(n.opened, other.opened)) < 0
}

func (b *batch) needs() needs {
	var n needs
	for _, r := range b.rejected {
		n.rejected += btoi(r != nil)
	}
	for i := range b.nodes {
		switch h := b.nodes[i].host; {
		case b.nodes[i].empty || h.Containers > 0:
			continue
		case !h.Paid:
			n.price += micros(h.Price)
			fallthrough
		default:
			n.opened++
		}
	}
	return n
}

// couldSave reports whether another order might need less.
func (b *batch) couldSave(shapes []*shape) bool {
	packs := slices.ContainsFunc(shapes, func(s *shape) bool { return s.mode == pack })
	return packs && b.needs() != needs{}
}
