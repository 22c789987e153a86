package scaler

import (
	"math"
	"slices"
	"time"

	"spillway/scaler/fleet"
)

// leadsKept is how many measured times a pool remembers.
const leadsKept = 50

// noteBoot remembers how long a machine took from the decision to ready.
func (v *view) noteBoot(m *fleet.Machine) {
	decided, ok := m.Stage(stageDecided)
	if !ok || m.Adopted {
		return
	}
	if _, before := v.book.pools.get(m.Pool); !before {
		return
	}
	rec, _ := v.book.pools.get(m.Pool)
	rec.Boots = remember(rec.Boots, v.now.Sub(decided))
	v.book.pools.put(m.Pool, rec)
}

// noteStart remembers how long an instance took from its record to the first
// passing check.
func (v *view) noteStart(i *fleet.Instance) {
	m, ok := v.book.machines.get(i.Machine)
	if !ok {
		return
	}
	rec, known := v.book.pools.get(m.Pool)
	took := i.Healthy.Sub(v.placed(i))
	if !known || took <= 0 {
		return
	}
	rec.Starts = remember(rec.Starts, took)
	v.book.pools.put(m.Pool, rec)
}

// placed is when an instance got its machine; the record's Since has moved on,
// so it is remembered beside.
func (v *view) placed(i *fleet.Instance) time.Time {
	if at, ok := v.mem.placedAt[i.ID]; ok {
		delete(v.mem.placedAt, i.ID)
		return at
	}
	return i.Healthy
}

func remember(times []float64, d time.Duration) []float64 {
	times = append(slices.Clone(times), math.Round(d.Seconds()*10)/10)
	return times[max(0, len(times)-leadsKept):]
}

// p90 of measured times, 0 without any.
func p90(times []float64) time.Duration {
	if len(times) == 0 {
		return 0
	}
	sorted := slices.Clone(times)
	slices.Sort(sorted)
	return time.Duration(sorted[(len(sorted)*9)/10] * float64(time.Second))
}

// poolLead is the time from ordering a machine of the pool to an instance that
// serves on it; 0 until both parts have been measured or set.
func (v *view) poolLead(p *Pool) time.Duration {
	rec, _ := v.book.pools.get(p.Name)
	boot := p90(rec.Boots)
	if boot == 0 {
		boot = p.Lead
	}
	if boot == 0 {
		return 0
	}
	return boot + p90(rec.Starts)
}

// lead of an app is that of the slowest pool it could still buy in.
func (v *view) lead(a *App) (lead time.Duration) {
	for n := range a.Pools {
		if p := v.set.pool(a.Pools[n].Machines); p != nil && !v.owned(p) {
			lead = max(lead, v.poolLead(p))
		}
	}
	return lead
}

// owned reports whether all of a pool's machines are ours.
func (v *view) owned(p *Pool) bool {
	return !slices.ContainsFunc(p.Providers, func(name string) bool { return !v.about[name].Owned })
}
