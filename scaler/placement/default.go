package placement

import (
	"math"
	"time"
)

// Default is the planner of this package: best-fit-decreasing with filters and
// weighted scores. The zero value works; it is safe for concurrent use.
//
// Asks that are alike but for their ID form a shape. Shapes go in the order of
// their size, the largest first (large ones last find only crumbs); asks of a
// shape in the order of their ID. Each takes the host with the highest score of
// those that no filter refuses. A batch of at most MaxTried asks that pack is
// planned in several orders, and the plan that needs least is taken.
type Default struct {
	// Pack and Spread weigh the terms for asks that pack and those that do
	// not. Nil means PackWeights and SpreadWeights.
	Pack, Spread *Weights
	// Reasons is how many hosts a Rejection explains; 0 means 5, less than 0
	// none.
	Reasons int
	// FailureWindow is how long a host that failed an app is avoided by it; 0
	// means 10 minutes.
	FailureWindow time.Duration
}

var _ Planner = Default{}

// Weights of the terms, each of which is from 0 (worst) to 1. A term counts by
// its weight's part in their sum. Weights are from 0 to 1000, in steps of
// 0.001.
type Weights struct {
	// Fit: how full the host is afterwards, the mean of its resources, for
	// asks that pack; how empty, for those that spread.
	Fit float64
	// Apart: 1/(1+n) with n containers of the same app on the host.
	Apart float64
	// Zone: 1/(1+n) where the ask's SpreadBy value has n more containers of
	// the app than the least one that could take it.
	Zone float64
	// Image: the host has the image; by how much that saves, as Kubernetes'
	// ImageLocality has it: size x part of the hosts that have it, 23 MB to
	// 1000 MB. The part keeps everything from going where one copy is.
	Image float64
	// Cost: 1 on a host that is paid for, 0 to 1/4 on one that is not (by its
	// price per core). For asks that pack, a host that is paid for and empty
	// has 1/2: it could be given back.
	Cost float64
	// Failure: 0 where the app has just failed, rising to 1 over
	// Default.FailureWindow.
	Failure float64
}

// PackWeights fill hosts: nothing but the balance of zones or a failure
// outweighs leaving a host empty.
func PackWeights() Weights {
	return Weights{Fit: 2, Apart: 0.02, Zone: 10, Image: 0.25, Cost: 8, Failure: 4}
}

// SpreadWeights even out load; a host that must be bought first is chosen only
// where the paid ones are nearly full or crowded.
func SpreadWeights() Weights {
	return Weights{Fit: 2, Apart: 2, Zone: 4, Image: 0.5, Cost: 2, Failure: 2}
}

// MaxTried is the largest batch that is planned in more than one order.
const MaxTried = 4096

const (
	defaultReasons       = 5
	defaultFailureWindow = 10 * time.Minute
)

// Plan places asks on hosts, all it can.
func (d Default) Plan(hosts []Host, asks []Ask, now time.Time) Result {
	shapes, refused := group(asks)
	w := newWorld(hosts, shapes, d.rules(now))
	w.measure(shapes)
	best := w.plan(shapes, asks, refused, byDemand)
	if len(asks) <= MaxTried && best.couldSave(shapes) {
		for by := byDemand + 1; by < orders; by++ {
			if other := w.plan(shapes, asks, refused, by); other.needs().less(best.needs()) {
				best = other
			}
		}
	}
	return best.result()
}

// plan makes one plan and leaves the world as it is.
func (w *world) plan(shapes []*shape, asks []Ask, refused map[int]string, by order) *batch {
	b := newBatch(w.clone(), asks)
	for i, why := range refused {
		b.refuse(i, why)
	}
	for _, s := range sorted(shapes, by) {
		b.place(s)
	}
	return b
}

// rules are the settings of one plan, as they are computed with.
type rules struct {
	now     time.Time
	window  time.Duration
	reasons int
	weights [2]weights // by mode
}

// mode of an ask.
const (
	spread = iota
	pack
)

type weights struct{ fit, apart, zone, image, cost, failure, sum int64 }

func (d Default) rules(now time.Time) rules {
	r := rules{now: now, window: d.FailureWindow, reasons: d.Reasons}
	if r.window <= 0 {
		r.window = defaultFailureWindow
	}
	if r.reasons == 0 {
		r.reasons = defaultReasons
	}
	packing, spreading := PackWeights(), SpreadWeights()
	if d.Pack != nil {
		packing = *d.Pack
	}
	if d.Spread != nil {
		spreading = *d.Spread
	}
	r.weights[pack], r.weights[spread] = packing.whole(), spreading.whole()
	return r
}

// whole returns the weights in thousandths.
func (w Weights) whole() weights {
	v := weights{
		fit: thousandths(w.Fit), apart: thousandths(w.Apart), zone: thousandths(w.Zone),
		image: thousandths(w.Image), cost: thousandths(w.Cost), failure: thousandths(w.Failure),
	}
	v.sum = max(1, v.fit+v.apart+v.zone+v.image+v.cost+v.failure)
	return v
}

func thousandths(w float64) int64 {
	if math.IsNaN(w) || w <= 0 {
		return 0
	}
	return int64(math.Round(min(w, 1000) * 1000))
}
