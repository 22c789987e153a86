package scaler

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"spillway/scaler/cloud"
	"spillway/scaler/fleet"
	"spillway/scaler/placement"
)

// offer is a kind of machine that could be bought now.
type offer struct {
	provider string
	cloud.Offering
	fits  int     // instances of the app on a new one
	cost  float64 // an hour, of one instance's units
	rank  int     // place in the pool's preferences
	probe bool    // it was refused lately: one machine, to see
}

// offers are what can be bought of a provider for an app, the best first.
func (d *draft) offers(p *Pool, provider string, a *App, ap *AppPool) []offer {
	if d.seen.listings[provider].rounds == 0 {
		return nil // what it has is not known yet
	}
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
