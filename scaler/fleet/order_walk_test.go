package fleet

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// orderCloud makes machines for one order, as clouds do: it loses answers, makes
// some of a batch, shows machines late, and may be sent a Create by a leader
// that is no more.
type orderCloud struct {
	token, names bool
	lag          time.Duration
	slots        []string
	made         []time.Time // when each machine was made
	late         []time.Time // Creates under way: when they take effect
}

// create makes machines unless the call is a repetition that it recognises.
func (c *orderCloud) create(n int, at time.Time) {
	if (c.token || c.names) && len(c.made) > 0 {
		return
	}
	for range n {
		c.made = append(c.made, at)
	}
}

func (c *orderCloud) pass(now time.Time) {
	for _, at := range c.late {
		if !at.After(now) {
			c.create(len(c.slots), at)
		}
	}
	c.late = slices.DeleteFunc(c.late, func(at time.Time) bool { return !at.After(now) })
}

// machines are those that a List sees that began at at, or all.
func (c *orderCloud) machines(at time.Time, all bool) (found []Bound) {
	for n, made := range c.made {
		if all || !made.Add(c.lag).After(at) {
			b := Bound{CloudID: fmt.Sprintf("i-%d", 9-n), Address: "10.0.0.1"}
			if c.names {
				b.Name = c.slots[n%len(c.slots)]
			}
			found = append(found, b)
		}
	}
	return found
}

// orderWalk is an order, its cloud and the leader that sends it.
type orderWalk struct {
	o     Order
	obs   OrderObs
	cloud orderCloud
	now   time.Time
	t     Timings
	// returned: the last answer named all machines made.
	returned bool
	taken    map[[2]string]int
}

func newOrderWalk(d dice) *orderWalk {
	w := &orderWalk{now: begin, t: quick(), taken: map[[2]string]int{}}
	w.cloud = orderCloud{token: chance(d, 40), names: chance(d, 20), lag: time.Duration(d.n(8)) * time.Second}
	for n := range 1 + d.n(4) {
		w.cloud.slots = append(w.cloud.slots, fmt.Sprintf("web-1-%d", n))
	}
	w.o = Order{ID: "web-1-0", Slots: w.cloud.slots, State: OrderIntended, Since: begin}
	w.obs = OrderObs{ClientToken: w.cloud.token, UniqueNames: w.cloud.names, ListLag: w.cloud.lag, Sender: true}
	return w
}

// tick passes a second, in which lists fail and answers are lost if chaos.
func (w *orderWalk) tick(d dice, chaos bool) error {
	w.now = w.now.Add(time.Second)
	w.cloud.pass(w.now)
	if !chaos || chance(d, 40) {
		w.obs.ListedAt = w.now
		w.returned = false
	}
	w.obs.Machines = w.cloud.machines(w.obs.ListedAt, w.returned)
	j := judged[Order]{
		step: func(o Order, last bool) (Order, []Effect) {
			obs := w.obs
			if !last {
				obs.Last = Outcome{}
			}
			return o.Step(obs, w.t, w.now)
		},
		hops: func(o Order) []Edge {
			return hopsOf(func() string { return string(o.State) }, func() { o.hop(w.obs, w.t, w.now) })
		},
		edge: table(OrderEdges()),
	}
	for _, h := range j.hops(w.o) {
		w.taken[[2]string{h.From, h.To}]++
	}
	var effects []Effect
	var err error
	if chaos {
		w.o, effects, err = j.check(w.o)
	} else {
		w.o, effects = j.step(w.o, true)
	}
	for range effects {
		w.send(d, chaos)
	}
	if chaos && chance(d, 4) { // another process leads from now on
		w.obs.Sender, w.obs.Last, w.returned = false, Outcome{}, false
	}
	return err
}

// send carries a Create out, or half out.
func (w *orderWalk) send(d dice, chaos bool) {
	n := len(w.o.Slots)
	last := Outcome{Kind: CreateMachines, At: w.now}
	fate := "ok"
	if chaos {
		fate = pick(d, "ok", "partial", "lost", "lost, nothing made", "no_capacity", "transient", "crash", "crash before", "slow crash")
	} else if chance(d, 30) {
		fate = "no_capacity"
	}
	switch fate {
	case "partial":
		n = 1 + d.n(n)
		fallthrough
	case "ok":
		w.cloud.create(n, w.now)
		last.OK = true
	case "lost":
		w.cloud.create(n, w.now)
		last.ErrKind = errAmbiguous
	case "lost, nothing made":
		last.ErrKind = errAmbiguous
	case "crash":
		w.cloud.create(n, w.now)
		fallthrough
	case "crash before":
		last, w.obs.Sender = Outcome{}, false
	case "slow crash":
		w.cloud.late = append(w.cloud.late, w.now.Add(time.Duration(d.n(9))*time.Second))
		last, w.obs.Sender = Outcome{}, false
	default:
		last.ErrKind, last.Err = fate, fate
	}
	// A repetition that is recognised returns what was made, whatever the stock.
	if (w.cloud.token || w.cloud.names) && len(w.cloud.made) > 0 && fate == "no_capacity" && chance(d, 50) {
		last = Outcome{Kind: CreateMachines, At: w.now, OK: true}
	}
	w.obs.Last = last
	w.returned = last.OK
}

func TestOrderBuysNothingTwice(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		d := rapidDice{rt}
		w := newOrderWalk(d)
		for range rapid.IntRange(0, 60).Draw(rt, "ticks") {
			w.must(rt, w.tick(d, true))
		}
		for range 70 {
			w.must(rt, w.tick(d, false))
		}
		w.settled(rt)
	})
}

func (w *orderWalk) must(rt *rapid.T, err error) {
	if err == nil && len(w.cloud.made) > len(w.o.Slots) {
		err = fmt.Errorf("%d machines for %d slots", len(w.cloud.made), len(w.o.Slots))
	}
	if err != nil {
		rt.Fatalf("%v\norder %+v\nobservation %+v\ncloud %+v\nnow %v", err, w.o, w.obs, w.cloud, w.now)
	}
}

func (w *orderWalk) settled(rt *rapid.T) {
	ids := map[string]bool{}
	for slot, b := range w.o.Bound {
		if ids[b.CloudID] || !slices.Contains(w.o.Slots, slot) || (b.Name != "" && b.Name != slot) {
			rt.Errorf("slot %q has %+v", slot, b)
		}
		ids[b.CloudID] = true
	}
	made := len(w.cloud.made)
	if w.o.Blocks() || w.o.State == OrderIntended || len(ids) != made || (w.o.State == OrderBound) != (made > 0) {
		rt.Fatalf("%d machines made, the order came to rest as %+v\nobservation %+v\nnow %v", made, w.o, w.obs, w.now)
	}
}

func TestOrderTakesEveryTransitionOfItsTable(t *testing.T) {
	taken := map[[2]string]int{{"refused", "intended"}: 1} // by Again
	d := seeded{rand.New(rand.NewPCG(5, 6))}
	for n := 0; n < 2000 && len(taken) < len(OrderEdges()); n++ {
		w := newOrderWalk(d)
		w.taken = taken
		for n := range 100 {
			if err := w.tick(d, n < 60); err != nil {
				t.Fatal(err)
			}
			if w.o.State == OrderRefused && n == 90 {
				w.cloud.create(1, w.now) // the cloud lied
			}
		}
	}
	never(t, OrderEdges(), taken)
}
