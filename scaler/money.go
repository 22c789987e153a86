package scaler

import (
	"maps"
	"time"

	"spillway/scaler/fleet"
)

// Money is counted as it runs, by the second; what a provider bills in larger
// pieces is at most one quantum a machine more. A day's record is written once
// a minute, and a restart counts the pause with the machines it finds.

// day is the key of a day's record, UTC.
func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// bill adds what ran since the last tick to the day's record.
func (v *view) bill() {
	rec, ok := v.book.spend.get(day(v.now))
	if !ok {
		rec = spendRecord{Until: v.now.UTC().Truncate(24 * time.Hour), Pools: map[string]float64{}}
		if _, before := v.book.spend.get(day(v.now.Add(-24 * time.Hour))); !before {
			rec.Until = v.now
		}
		v.forgetDays()
	}
	since := v.now.Sub(rec.Until)
	if since < time.Minute && ok {
		return
	}
	rec.Pools = maps.Clone(rec.Pools)
	if rec.Pools == nil {
		rec.Pools = map[string]float64{}
	}
	for _, m := range v.book.machines.all() {
		cost := runs(&m, rec.Until, v.now)
		rec.Pools[m.Pool] += cost
		rec.Hours[v.now.UTC().Hour()] += cost
	}
	rec.Until = v.now
	v.book.spend.put(day(v.now), rec)
}

// forgetDays drops the records of days nobody asks for any more.
func (v *view) forgetDays() {
	oldest := day(v.now.Add(-31 * 24 * time.Hour))
	for id := range v.book.spend.all() {
		if id < oldest {
			v.book.spend.drop(id)
		}
	}
}

// runs is what a machine cost between two instants.
func runs(m *fleet.Machine, from, to time.Time) float64 {
	if m.Price == 0 || m.Billed.IsZero() {
		return 0
	}
	if m.Billed.After(from) {
		from = m.Billed
	}
	if !m.Unbilled.IsZero() && m.Unbilled.Before(to) {
		to = m.Unbilled
	}
	return m.Price * max(0, to.Sub(from).Hours())
}

// accrue counts the last minute of a machine whose record is about to go.
func (v *view) accrue(m *fleet.Machine) {
	rec, ok := v.book.spend.get(day(v.now))
	if !ok {
		return
	}
	cost := runs(m, rec.Until, v.now)
	rec.Pools = maps.Clone(rec.Pools)
	rec.Pools[m.Pool] += cost
	rec.Hours[v.now.UTC().Hour()] += cost
	v.book.spend.put(day(v.now), rec)
}

// spentToday is the day's money up to now.
func (v *view) spentToday() float64 {
	rec, ok := v.book.spend.get(day(v.now))
	if !ok {
		return 0
	}
	total := 0.0
	for _, cost := range rec.Pools {
		total += cost
	}
	for _, m := range v.book.machines.all() {
		total += runs(&m, rec.Until, v.now)
	}
	return total
}

// spentThisHour is the money since the last full hour, UTC.
func (v *view) spentThisHour() float64 {
	rec, ok := v.book.spend.get(day(v.now))
	if !ok {
		return 0
	}
	total := rec.Hours[v.now.UTC().Hour()]
	for _, m := range v.book.machines.all() {
		total += runs(&m, rec.Until, v.now)
	}
	return total
}

// spent is an app's share of the money of the hour and the day: by what its
// instances take of the running rate.
func (d *draft) spent(a *App) (hour, day float64) {
	all := 0.0
	for n := range d.set.Apps {
		all += d.rate(&d.set.Apps[n])
	}
	if all == 0 {
		return 0, 0
	}
	share := d.rate(a) / all
	return share * d.spentThisHour(), share * d.spentToday()
}

// rate is what the machines of an app cost an hour: of shared ones its part by
// CPU.
func (d *draft) rate(a *App) float64 {
	if d.rates == nil {
		d.rates = d.ratesByApp()
	}
	return d.rates[a.Name]
}

func (d *draft) ratesByApp() map[string]float64 {
	rates := map[string]float64{}
	for id, instances := range d.on {
		m, ok := d.book.machines.get(id)
		if !ok || m.Price == 0 {
			continue
		}
		cpu := 0.0
		for _, other := range instances {
			i, _ := d.book.instances.get(other)
			cpu += max(i.CPU, 0.01)
		}
		for _, other := range instances {
			i, _ := d.book.instances.get(other)
			rates[i.App] += m.Price * max(i.CPU, 0.01) / cpu
		}
	}
	return rates
}
