package scaler

import (
	"maps"
	"time"

	"spillway/scaler/fleet"
)

// Money is counted as providers bill it (fleet.Cost). A day's record is written
// once a minute, and a restart counts the pause with the machines it finds.

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
		cost := fleet.Cost(m, rec.Until, v.now)
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

// accrue counts the last minute of a machine whose record is about to go.
func (v *view) accrue(m *fleet.Machine) {
	rec, ok := v.book.spend.get(day(v.now))
	if !ok {
		return
	}
	cost := fleet.Cost(*m, rec.Until, v.now)
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
		total += fleet.Cost(m, rec.Until, v.now)
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
		total += fleet.Cost(m, rec.Until, v.now)
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
	for id, m := range d.book.machines.all() {
		rate := fleet.Rate(m, d.now)
		if rate == 0 {
			continue
		}
		instances := make([]fleet.Instance, 0, len(d.on[id]))
		for _, other := range d.on[id] {
			i, _ := d.book.instances.get(other)
			instances = append(instances, i)
		}
		for app, share := range fleet.Shares(instances) {
			rates[app] += rate * share
		}
	}
	return rates
}
