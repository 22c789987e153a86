package placement

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// refuse rejects one ask for what it is.
func (b *batch) refuse(i int, why string) {
	b.rejected[i] = &Rejection{
		Ask: b.asks[i].ID, Counts: map[string]int{FilterAsk: len(b.nodes)},
		Reasons: []Reason{{Filter: FilterAsk, Why: why}},
	}
}

// reject says of the asks of a shape why no host takes them.
func (b *batch) reject(s *shape, asks []int) {
	counts, reasons := b.reasons(s)
	for _, i := range asks {
		b.rejected[i] = &Rejection{Ask: b.asks[i].ID, Counts: counts, Reasons: reasons}
	}
}

// refused is a host and the filter that refused it.
type refused struct {
	node int32
	by   filter
}

// reasons counts hosts by filter and explains those that came furthest.
func (b *batch) reasons(s *shape) (map[string]int, []Reason) {
	var counts [filters]int
	furthest := make([]refused, 0, max(0, b.rules.reasons)+1)
	for i := range b.nodes {
		by := b.refusal(s, int32(i))
		counts[by]++
		furthest = b.keep(furthest, refused{int32(i), by})
	}
	byName := map[string]int{}
	for by, hosts := range counts {
		if hosts > 0 {
			byName[filter(by).String()] = hosts
		}
	}
	reasons := make([]Reason, len(furthest))
	for i, r := range furthest {
		reasons[i] = Reason{Host: b.nodes[r.node].host.ID, Filter: r.by.String(), Why: b.explain(s, r.node, r.by)}
	}
	return byName, reasons
}

// keep inserts r into the few that came furthest, if it is one of them.
func (b *batch) keep(furthest []refused, r refused) []refused {
	at, _ := slices.BinarySearchFunc(furthest, r, func(x, y refused) int {
		return cmp.Or(-cmp.Compare(x.by, y.by), strings.Compare(b.nodes[x.node].host.ID, b.nodes[y.node].host.ID))
	})
	if at >= b.rules.reasons {
		return furthest
	}
	furthest = slices.Insert(furthest, at, r)
	return furthest[:min(len(furthest), b.rules.reasons)]
}

func sortedLabels(a *Ask) []string { return slices.Sorted(maps.Keys(a.Labels)) }
