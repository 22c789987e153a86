package scaler

import (
	"math"

	"spillway/scaler/placement"
)

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
