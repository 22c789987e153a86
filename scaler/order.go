package scaler

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"

	"spillway/scaler/cloud"
	"spillway/scaler/fleet"
	"spillway/scaler/placement"
)

// batchMost bounds a batch by what one transaction of the ledger takes beside
// the order and the counter: an order and its slots are written together.
const batchMost = 100

// offer is a kind of machine that could be bought now.
type offer struct {
	provider string
	cloud.Offering
	fits  int     // instances of the app on a new one
	cost  float64 // an hour, of one instance's units
	rank  int     // place in the pool's preferences
	probe bool    // it was refused lately: one machine, to see
}

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
		l := d.seen.listings[provider]
		if l.rounds == 0 || (d.mem.fresh && l.rounds < d.set.Pace.Rounds) {
			return "pool " + p.Name + ": what " + provider + " has is not known yet"
		}
	}
	return ""
}

// offers are what can be bought of a provider for an app, the best first.
func (d *draft) offers(p *Pool, provider string, a *App, ap *AppPool) []offer {
	var all []offer
	for _, o := range d.seen.offers[provider].list {
		probe, ok := d.inReach(p, provider, &o)
		if !ok {
			continue
		}
		fits := fits(p.fresh(&o), a, ap)
		if a.Container.Arch != "" && o.Arch != "" && a.Container.Arch != o.Arch {
			continue
		}
		if fits > 0 && fits < math.MaxInt {
			units := float64(fits) * unitsOn(a, a.Container.CPU, o.CPU, o.Units)
			all = append(all, offer{provider, o, fits, o.PriceHour / units, p.rank(&o), probe})
		}
	}
	slices.SortStableFunc(all, func(x, y offer) int {
		return cmp.Or(cmp.Compare(x.rank, y.rank), cmp.Compare(x.cost, y.cost), cmp.Compare(x.Type, y.Type))
	})
	return all
}

// inReach reports whether an offering may be asked for, and whether only as a
// probe.
func (d *draft) inReach(p *Pool, provider string, o *cloud.Offering) (probe, ok bool) {
	if !o.Available || !p.takes(o) {
		return false, false
	}
	for _, zone := range []string{o.Zone, ""} {
		b := d.mem.stock[stockKey(provider, o.Type, zone)]
		if d.now.Before(b.Until) {
			return false, false
		}
		probe = probe || b.Fails > 0
	}
	return probe, !probe || !d.asked(provider, o)
}

// asked reports whether an order of that offering is under way.
func (d *draft) asked(provider string, o *cloud.Offering) bool {
	for _, other := range d.book.orders.all() {
		if other.Provider == provider && other.Type == o.Type && other.Zone == o.Zone &&
			(other.State == fleet.OrderIntended || other.State == fleet.OrderAmbiguous) {
			return true
		}
	}
	return false
}

// takes reports whether the pool may consist of such machines.
func (p *Pool) takes(o *cloud.Offering) bool {
	return o.Spot == p.Spot &&
		(len(p.Types) == 0 || slices.Contains(p.Types, o.Type)) &&
		(len(p.Zones) == 0 || slices.Contains(p.Zones, o.Zone))
}

func (p *Pool) rank(o *cloud.Offering) int { return max(0, slices.Index(p.Types, o.Type)) }

// fresh is a new machine of an offering.
func (p *Pool) fresh(o *cloud.Offering) *placement.Host {
	return &placement.Host{
		CPU: o.CPU, Memory: o.Memory, MaxPPS: o.MaxPPS, Arch: o.Arch, Slots: p.Slots, Link: -1,
		PortFrom: p.PortFrom, PortTo: p.PortTo,
		Ports: map[int]bool{}, Apps: map[string]int{}, Images: map[string]bool{},
	}
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

// spread shares count machines among zones so that the pool's machines are as
// even as they can be. A zone that is probed gets one at most.
func (d *draft) spread(p *Pool, zones []offer, count int) []int {
	have := make([]int, len(zones))
	for _, m := range d.book.machines.all() {
		if m.Pool != p.Name || d.leaves(m.ID) {
			continue
		}
		if k := slices.IndexFunc(zones, func(o offer) bool { return o.Zone == m.Zone }); k >= 0 {
			have[k]++
		}
	}
	share := make([]int, len(zones))
	for range count {
		best := -1
		for k := range zones {
			if zones[k].probe && share[k] > 0 {
				continue
			}
			if best < 0 || have[k] < have[best] {
				best = k
			}
		}
		if best < 0 {
			break
		}
		have[best]++
		share[best]++
	}
	return share
}

// allowance is the most machines of an offering that limits let be bought:
// the pool's, the provider's, and money.
func (d *draft) allowance(p *Pool, o *offer, a *App) int {
	most := math.MaxInt32
	limit := func(n int, why string) {
		if n < most {
			most = max(n, 0)
		}
		if most == 0 {
			d.flag(a, why)
		}
	}
	machines, units, rate := d.standing(p.Name, o.provider)
	if p.Max > 0 {
		limit(p.Max-machines, fmt.Sprintf("pool %s: has its most, %d machines", p.Name, p.Max))
	}
	if cap, ok := d.set.UnitsMost[o.provider]; ok && cap > 0 && o.Units > 0 {
		limit(int((cap-units)/o.Units+tiny), fmt.Sprintf("provider %s: has its most, %g units", o.provider, cap))
	}
	if d.set.HourMost > 0 && o.PriceHour > 0 {
		limit(int((d.set.HourMost-rate)/o.PriceHour+tiny), fmt.Sprintf("money: %g an hour is the most", d.set.HourMost))
	}
	if d.set.DayMost > 0 && o.PriceHour > 0 && d.spentToday() >= d.set.DayMost {
		limit(0, fmt.Sprintf("money: %g a day is the most", d.set.DayMost))
	}
	return most
}

// standing counts what exists or is asked for.
func (d *draft) standing(pool, provider string) (machines int, units, rate float64) {
	for _, m := range d.book.machines.all() {
		switch m.State {
		case fleet.MachineGone, fleet.MachineDeleting, fleet.MachineLost, fleet.MachineFailed:
			continue
		}
		if m.Pool == pool {
			machines++
		}
		if m.Provider == provider {
			units += m.Units
		}
		if m.State != fleet.MachineWarmStopped {
			rate += m.Price
		}
	}
	return machines, units, rate
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

// reserves orders what pools keep beside what apps need: their least machines,
// and spare units.
func (d *draft) reserves() {
	for n := range d.set.Pools {
		p := &d.set.Pools[n]
		d.hosts(p.Name)
		machines, _, _ := d.standing(p.Name, "")
		if short := p.Min - machines; short > 0 {
			d.buySpare(p, short)
		}
		if p.Spare > 0 {
			d.keepSpare(p)
		}
	}
}

// keepSpare orders machines until the free units of the pool are what it keeps.
func (d *draft) keepSpare(p *Pool) {
	free := 0.0
	for _, hosts := range [][]*placement.Host{d.ready[p.Name], d.coming[p.Name]} {
		for _, h := range hosts {
			if m, ok := d.book.machines.get(h.ID); ok && h.CPU > 0 {
				free += m.Units * max(0, h.CPU-h.UsedCPU) / h.CPU
			}
		}
	}
	if free >= p.Spare-tiny {
		return
	}
	_, units := d.typical(p.Name)
	if units > 0 {
		d.buySpare(p, int(math.Ceil((p.Spare-free)/units-tiny)))
	}
}

func (d *draft) buySpare(p *Pool, count int) {
	if d.mayBuy(p) != "" {
		return
	}
	whole := &App{Name: "spare"}
	for _, provider := range p.Providers {
		offers := d.offers(p, provider, whole, &AppPool{MaxPerMachine: 1})
		if len(offers) == 0 {
			continue
		}
		count -= d.buyFrom(p, offers, whole, count)
		if count <= 0 {
			return
		}
	}
}

// quotaUnits is what of a pool can still be bought, for the policy; < 0 is
// without limit.
func (d *draft) quotaUnits(a *App) float64 {
	left := 0.0
	for n := range a.Pools {
		p := d.set.pool(a.Pools[n].Machines)
		if p == nil {
			continue
		}
		if p.Max == 0 {
			return -1
		}
		machines, _, _ := d.standing(p.Name, "")
		_, units := d.typical(p.Name)
		left += float64(max(0, p.Max-machines)) * units
	}
	return left
}

// leastPrice is an hour of one more unit in the pool that would be bought from.
func (d *draft) leastPrice(a *App) float64 {
	for n := range a.Pools {
		p := d.set.pool(a.Pools[n].Machines)
		if p == nil {
			continue
		}
		for _, provider := range p.Providers {
			if d.about[provider].Owned {
				continue
			}
			for _, o := range d.seen.offers[provider].list {
				if p.takes(&o) && o.Units > 0 {
					return o.PriceHour / o.Units
				}
			}
		}
	}
	return 0
}
