package scaler

import (
	"slices"
	"strconv"

	"spillway/scaler/fleet"
)

// batchMost bounds a batch by what one transaction of the ledger takes beside
// the order and the counter: an order and its slots are written together.
const batchMost = 100

// buy orders machines for n instances of an app and returns how many of them
// the orders cover.
func (d *draft) buy(a *App, ap *AppPool, n int) (got int) {
	p := d.set.pool(ap.Machines)
	if p == nil {
		return 0
	}
	got = d.buyMachines(p, a, ap, n)
	d.mem.pending[a.Name] += float64(got) * d.unit(a, ap)
	return got
}

func (d *draft) buyMachines(p *Pool, a *App, ap *AppPool, n int) (got int) {
	if why := d.mayBuy(p); why != "" {
		d.flag(a, why)
		return 0
	}
	for _, provider := range p.Providers {
		for got < n {
			offers := d.offers(p, provider, a, ap)
			if len(offers) == 0 {
				d.flag(a, "pool "+p.Name+": nothing to be had from "+provider)
				break
			}
			placed := d.buyFrom(p, offers, a, n-got)
			if placed == 0 {
				break
			}
			got += placed
		}
	}
	return min(got, n)
}

// flag adds a reason to why something was not placed.
func (d *draft) flag(a *App, why string) {
	r := d.rejects[a.Name]
	if r == nil {
		r = &refusal{Counts: map[string]int{}}
		d.rejects[a.Name] = r
	}
	if !slices.Contains(r.Reasons, why) {
		r.Reasons = append(r.Reasons, why)
	}
}

// mayBuy says why nothing can be ordered in a pool at all.
func (d *draft) mayBuy(p *Pool) string {
	for _, o := range d.book.orders.all() {
		if o.Pool == p.Name && o.Blocks() {
			return "pool " + p.Name + ": order " + o.ID + " is in doubt: " + o.Reason
		}
	}
	for _, provider := range p.Providers {
		if d.mem.fresh && d.seen.listings[provider].rounds < d.set.Pace.Rounds {
			return "pool " + p.Name + ": what " + provider + " has is not known yet"
		}
	}
	return ""
}

// buyFrom orders of the best offering, spread over the zones that have it, and
// returns how many instances that covers.
func (d *draft) buyFrom(p *Pool, offers []offer, a *App, n int) (covered int) {
	best := offers[0]
	zones := slices.DeleteFunc(slices.Clone(offers), func(o offer) bool { return o.Type != best.Type || o.cost > best.cost*1.1 })
	count := (n + best.fits - 1) / best.fits
	count = min(count, d.allowance(p, &best, a))
	for zone, share := range d.spread(p, zones, count) {
		o := zones[zone]
		for share > 0 {
			size := min(share, d.batch(p, &o))
			d.order(p, &o, a, size)
			covered += d.cover(p, size, &o, a, n-covered)
			share -= size
		}
	}
	return covered
}

// batch is the most machines of one order.
func (d *draft) batch(p *Pool, o *offer) int {
	most := min(max(d.about[o.provider].MaxBatch, 1), batchMost)
	if p.Batch > 0 {
		most = min(most, p.Batch)
	}
	return most
}

// order writes an intent: the counter, the order and a record for each slot.
func (d *draft) order(p *Pool, o *offer, a *App, count int) {
	rec, ok := d.book.pools.get(p.Name)
	if !ok {
		// A cloud may remember the tokens of a ledger that was lost: start above
		// whatever it had, at less than one order a second.
		rec.Epoch = uint64(max(0, d.now.Unix()-epochZero))
	}
	rec.Epoch++
	d.book.pools.put(p.Name, rec)
	order := fleet.Order{
		ID: p.Name + "-" + strconv.FormatUint(rec.Epoch, 10), Pool: p.Name, Provider: o.provider, Type: o.Type, Zone: o.Zone,
		Spot: o.Spot, Epoch: rec.Epoch, State: fleet.OrderIntended, Since: d.now,
	}
	for k := range count {
		order.Slots = append(order.Slots, order.ID+"-"+strconv.Itoa(k+1))
	}
	d.book.orders.put(order.ID, order)
	d.mem.wrote[order.ID] = true
	for _, slot := range order.Slots {
		d.book.machines.put(slot, d.slot(p, o, &order, slot))
	}
	d.stepOrder(order.ID)
	for _, slot := range order.Slots {
		d.stepMachine(slot)
	}
	act := action{Kind: "order", Pool: p.Name, Target: o.provider + "/" + o.Type + "/" + o.Zone, Count: count, Why: order.ID}
	if a != nil {
		act.App = a.Name
	}
	d.note(act)
}

// epochZero is 2024-01-01: epochs stay short.
const epochZero = 1704067200

func (d *draft) slot(p *Pool, o *offer, order *fleet.Order, slot string) fleet.Machine {
	m := fleet.Machine{
		ID: slot, Pool: p.Name, Provider: o.provider, Order: order.ID, Type: o.Type, Zone: o.Zone,
		State: fleet.MachinePlanned, Since: d.now, CPU: o.CPU, Memory: o.Memory, Units: o.Units, MaxPPS: o.MaxPPS, Arch: o.Arch,
		Profile: p.Profile, Price: o.PriceHour, Quantum: o.Quantum, Owned: d.about[o.provider].Owned,
		Stages: []fleet.Stage{{Name: stageDecided, At: d.now}},
	}
	m.Labels = d.labels(&m)
	return m
}

const stageDecided = "decided"

// cover sets room on ordered machines aside for n instances of the app.
func (d *draft) cover(p *Pool, machines int, o *offer, a *App, n int) (covered int) {
	d.hosts(p.Name)
	for range machines {
		h := p.fresh(&o.Offering)
		if a != nil {
			k := min(max(n-covered, 0), o.fits)
			reserve(h, a, k)
			covered += k
		}
		d.coming[p.Name] = append(d.coming[p.Name], h)
	}
	return covered
}
