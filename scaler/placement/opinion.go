package placement

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Opinion is what Explain says of one host: the filter that refuses it and
// why, or its score and the terms it is made of.
type Opinion struct {
	Host   string
	Filter string // "" if the ask fits
	Why    string
	Score  float64
	Terms  []Term // in the order of Weights; nil if refused
}

// Term of a score: Value from 0 to 1 counts Weight.
type Term struct {
	Name          string
	Value, Weight float64
}

// Explain says of every host what Plan would think of the ask, the best first,
// then those refused, the ones that came furthest first. It costs about as
// much as a plan, and memory for every host.
func (d Default) Explain(hosts []Host, ask Ask, now time.Time) []Opinion {
	shapes, wrong := group([]Ask{ask})
	w := newWorld(hosts, shapes, d.rules(now))
	if len(shapes) == 0 {
		return w.wrong(wrong[0])
	}
	s, b := shapes[0], newBatch(w, []Ask{ask})
	b.open(s)
	b.pick(s) // for the counts of the lanes
	least := b.leastCount()
	opinions := make([]Opinion, len(b.nodes))
	order := make([]refused, len(b.nodes))
	for i := range b.nodes {
		by := b.refusal(s, int32(i))
		order[i] = refused{int32(i), by}
		opinions[i] = b.opinion(s, int32(i), by, least)
	}
	slices.SortFunc(order, func(x, y refused) int {
		a, c := &opinions[x.node], &opinions[y.node]
		return cmp.Or(cmp.Compare(btoi(x.by != fits), btoi(y.by != fits)), -cmp.Compare(x.by, y.by),
			-cmp.Compare(a.Score, c.Score), cmp.Compare(b.nodes[x.node].hash-s.tie, b.nodes[y.node].hash-s.tie),
			strings.Compare(a.Host, c.Host))
	})
	sorted := make([]Opinion, len(order))
	for i, o := range order {
		sorted[i] = opinions[o.node]
	}
	return sorted
}

// wrong is what every host thinks of an ask that is none.
func (w *world) wrong(why string) []Opinion {
	opinions := make([]Opinion, len(w.nodes))
	for i := range w.nodes {
		opinions[i] = Opinion{Host: w.nodes[i].host.ID, Filter: FilterAsk, Why: why}
	}
	slices.SortFunc(opinions, func(a, b Opinion) int { return strings.Compare(a.Host, b.Host) })
	return opinions
}

func (b *batch) opinion(s *shape, i int32, by filter, least int64) Opinion {
	o := Opinion{Host: b.nodes[i].host.ID}
	if by != fits {
		o.Filter, o.Why = by.String(), b.explain(s, i, by)
		return o
	}
	o.Terms = b.terms(s, i, least)
	sum, weights := 0.0, 0.0
	for _, t := range o.Terms {
		sum, weights = sum+t.Value*t.Weight, weights+t.Weight
	}
	o.Score = sum / max(weights, 0.001)
	return o
}

// terms takes a score apart; candidate is its fast twin, and a test holds them
// to each other.
func (b *batch) terms(s *shape, i int32, least int64) []Term {
	n, w := &b.nodes[i], &b.weights[s.mode]
	f := &b.families[n.family]
	fit := f.full(n) + f.fills(s)
	if s.mode == spread {
		fit = one - fit
	}
	image := int64(one)
	if s.image >= 0 {
		image = s.saving * int64(btoi(b.stored[i]))
	}
	term := func(name string, value, weight int64) Term {
		return Term{name, float64(value) / one, float64(weight) / 1000}
	}
	return []Term{
		term("fit", fit, w.fit),
		term("apart", apart(b.here[i]), w.apart),
		term("zone", apart(b.lanes[b.verdicts[n.family].lane].count-least), w.zone),
		term("image", image, w.image),
		term("cost", n.cost(s.mode), w.cost),
		term("failure", one-b.failed[i], w.failure),
	}
}
