package fleet

import (
	"maps"
	"time"
)

// ReleaseAt is when giving the machine back wastes nothing that is paid: margin
// before the end of the quantum that now is in, or now itself where that has
// come, where billing is by the second, or where the machine costs nothing.
func ReleaseAt(m Machine, margin time.Duration, now time.Time) time.Time {
	if m.Quantum <= 0 || m.Owned || m.Price == 0 || m.Billed.IsZero() || !m.Unbilled.IsZero() || now.Before(m.Billed) {
		return now
	}
	begun := now.Sub(m.Billed) / m.Quantum
	at := m.Billed.Add((begun+1)*m.Quantum - margin)
	if at.Before(now) {
		return now
	}
	return at
}

// Cost is what the machine costs from one instant (included) to another (not
// included), in money. A quantum is charged when it begins; without one the
// charge is by time. Costs of intervals that follow each other add up to that
// of the whole.
func Cost(m Machine, from, to time.Time) float64 {
	if m.Owned || m.Billed.IsZero() {
		return 0
	}
	if !m.Unbilled.IsZero() && m.Unbilled.Before(to) {
		to = m.Unbilled
	}
	if m.Billed.After(from) {
		from = m.Billed
	}
	if !from.Before(to) {
		return 0
	}
	if m.Quantum <= 0 {
		return m.Price * to.Sub(from).Hours()
	}
	begun := quanta(to.Sub(m.Billed), m.Quantum) - quanta(from.Sub(m.Billed), m.Quantum)
	return m.Price * m.Quantum.Hours() * float64(begun)
}

// quanta counts the quanta that begin before d has passed.
func quanta(d, quantum time.Duration) int64 {
	return int64((d + quantum - 1) / quantum)
}

// Rate is what a machine costs an hour while it is billed at now.
func Rate(m Machine, now time.Time) float64 {
	if m.Owned || m.Billed.IsZero() || m.Billed.After(now) || (!m.Unbilled.IsZero() && !m.Unbilled.After(now)) {
		return 0
	}
	return m.Price
}

// Spend is money over a period, by whom it was spent for.
type Spend struct {
	Total float64
	Pools map[string]float64 // of machines
	// Apps get their shares of the machines they are on; Idle is for what
	// nothing was on.
	Apps map[string]float64
	Idle float64
}

// Add returns the spend with what the machines cost from one instant to the
// next. The instances are those on the machines now.
func (s Spend) Add(machines []Machine, instances []Instance, from, to time.Time) Spend {
	on := map[string][]Instance{}
	for _, i := range instances {
		if i.State != InstanceGone {
			on[i.Machine] = append(on[i.Machine], i)
		}
	}
	s.Pools, s.Apps = clone(s.Pools), clone(s.Apps)
	for _, m := range machines {
		cost := Cost(m, from, to)
		if cost == 0 {
			continue
		}
		s.Total += cost
		s.Pools[m.Pool] += cost
		shares := Shares(on[m.ID])
		for app, share := range shares {
			s.Apps[app] += cost * share
		}
		if len(shares) == 0 {
			s.Idle += cost
		}
	}
	return s
}

func clone(m map[string]float64) map[string]float64 {
	if m == nil {
		return map[string]float64{}
	}
	return maps.Clone(m)
}

// Shares splits a machine among the apps on it: by the CPU their instances
// asked for, evenly if none asked. The shares add up to 1; without instances
// there are none.
func Shares(instances []Instance) map[string]float64 {
	var total float64
	for _, i := range instances {
		total += i.CPU
	}
	shares := map[string]float64{}
	for _, i := range instances {
		if total > 0 {
			shares[i.App] += i.CPU / total
		} else {
			shares[i.App] += 1 / float64(len(instances))
		}
	}
	return shares
}
