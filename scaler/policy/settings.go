package policy

import (
	"fmt"
	"time"
)

// Policy says how much of an app is wanted. Capacity is counted in units: cores
// of the reference machine. Get one from Default, change it, Validate it; after
// that it is not changed and may be used by many goroutines.
type Policy struct {
	// Min and Max bound what is wanted, in units, whatever the load (1, 10). A
	// Min of 0 lets an app without traffic vanish. Past Max requests wait or are
	// refused; what already runs above it is given back step by step.
	Min, Max float64

	// Target is the latency at which the app is sized, and which the 95th
	// percentile should keep (100 ms). Lower says that less may wait.
	Target time.Duration
	// Concurrency is how many requests one unit serves at once while it keeps
	// Target (8): measure it at the knee. Too high buys too late, too low buys
	// too much.
	Concurrency float64
	// Utilization is the share of Concurrency used on purpose (0.7). Lower
	// absorbs more while new capacity boots, and costs more.
	Utilization float64
	// Beta of square-root staffing (1): R + Beta*sqrt(R) units for an offered
	// load of R. WaitProbability tells how many requests then wait. It rules
	// small sizes, Utilization the large ones.
	Beta float64

	// Lead is the time from an order to the first request served, until it has
	// been measured (1 min). Too short orders late; too long orders for growth
	// that ends before the machines are there.
	Lead time.Duration
	// Fast is the time over which the rate is averaged for growing (5 s).
	// Shorter follows sooner, and takes noise for growth.
	Fast time.Duration
	// Slow is the time over which it is averaged for not shrinking (1 min).
	Slow time.Duration
	// Trend is the time whose slope is continued for the lead time (24 s).
	// Longer is calmer, shorter sooner.
	Trend time.Duration
	// GrowthCap is the most a forecast grows by within the lead time, as a
	// factor of the rate (4). 1 forecasts nothing.
	GrowthCap float64

	// PanicRatio: panic begins when the last PanicWindow (3 s) needs this many
	// times what is ready (2). Lower panics at every ripple; 0 never panics.
	PanicRatio  float64
	PanicWindow time.Duration
	// PanicHold is how long panic keeps its size after its cause (1 min), never
	// less than twice the lead time: shorter gives back what has only just
	// been ordered.
	PanicHold time.Duration

	// UpBand is the share by which more must be wanted before more is ordered
	// (0.05), DownBand that by which less must be wanted before anything is
	// given back (0.2). Wider changes less often and follows worse.
	UpBand, DownBand float64
	// Window is the time whose highest demand is kept (5 min), never less than
	// twice the lead time. Shorter gives back sooner and buys again sooner.
	Window time.Duration
	// SpareShare and SpareUnits are headroom on top of what the load needs: the
	// larger of the two (0, 0). It costs what it is.
	SpareShare, SpareUnits float64

	// Up and Down bound how fast the size changes (up ×11 or 20 units a minute;
	// down 20 % or one unit in 30 s). Less spares providers and caches; more
	// follows sooner.
	Up, Down Step
	// FlapBudget is the turnover within FlapPeriod after which nothing more is
	// given back (8 in 1 h, 0: no limit): the sum of all changes of size, each as
	// a share of the larger of the sizes before and after. Growing is never held
	// back.
	FlapBudget float64
	FlapPeriod time.Duration

	// UnhealthyMax is the share of instances that may be unhealthy while others
	// are given back (0.3). Past it something is wrong and nothing is removed.
	UnhealthyMax float64
	// MaxAge is the age past which signals count as missing (10 s): the size is
	// kept, schedules and people may raise it. Shorter freezes at every hiccup.
	MaxAge time.Duration

	// PerHour and PerDay are the most money for this app (0: no limit). Money
	// bounds what is bought and never ends what runs.
	PerHour, PerDay float64
	// MoneyHorizon is the time that what is bought is expected to be kept, for
	// PerDay. 0 is the rest of the day (UTC): the limit then holds even if
	// nothing is given back, and little can be bought in the morning.
	MoneyHorizon time.Duration

	// Settle is the time after new capacity came in when its effect is measured
	// (20 s). If throughput has twice not grown although requests wait,
	// something else is the bottleneck and nothing is ordered for ElsewhereHold
	// (10 min). Longer wastes less in an outage of a database.
	Settle, ElsewhereHold time.Duration

	// SeasonDays are remembered to know what a time of day needs (7; 0: none).
	// It is a floor: a prediction never gives anything back. It counts from
	// SeasonMin (3) days on.
	SeasonDays, SeasonMin int

	// Schedules are floors at times that are known before.
	Schedules []Schedule
}

// Step bounds a change within a Period by the larger of a share of the size at
// the period's beginning and a number of units.
type Step struct {
	Share, Units float64
	Period       time.Duration
}

// Default is a policy that suits web services of 100 ms on rented machines. A
// caller sets at least Min, Max and Concurrency.
func Default() Policy {
	return Policy{
		Min:           1,
		Max:           10,
		Target:        100 * time.Millisecond,
		Concurrency:   8,
		Utilization:   0.7,
		Beta:          1,
		Lead:          time.Minute,
		Fast:          5 * time.Second,
		Slow:          time.Minute,
		Trend:         24 * time.Second,
		GrowthCap:     4,
		PanicRatio:    2,
		PanicWindow:   3 * time.Second,
		PanicHold:     time.Minute,
		UpBand:        0.05,
		DownBand:      0.2,
		Window:        5 * time.Minute,
		Up:            Step{Share: 10, Units: 20, Period: time.Minute},
		Down:          Step{Share: 0.2, Units: 1, Period: 30 * time.Second},
		FlapBudget:    8,
		FlapPeriod:    time.Hour,
		UnhealthyMax:  0.3,
		MaxAge:        10 * time.Second,
		Settle:        20 * time.Second,
		ElsewhereHold: 10 * time.Minute,
		SeasonDays:    7,
		SeasonMin:     3,
	}
}

// Validate refuses what cannot be meant, and prepares the schedules: a policy
// must be validated before Evaluate. It reads time zones from the system, which
// Evaluate never does.
func (p *Policy) Validate() error {
	for _, b := range p.bounds() {
		if !(b.value >= b.low && b.value <= b.high) { // catches NaN too
			return fmt.Errorf("%s is %g, allowed: from %g to %g", b.name, b.value, b.low, b.high)
		}
	}
	switch {
	case p.Fast > p.Slow:
		return fmt.Errorf("fast is %v, allowed: at most slow, which is %v", p.Fast, p.Slow)
	case p.SeasonDays > 0 && p.SeasonMin > p.SeasonDays:
		return fmt.Errorf("season_min is %d, allowed: at most season_days, which is %d", p.SeasonMin, p.SeasonDays)
	case p.PanicRatio != 0 && p.PanicRatio < 1.1:
		return fmt.Errorf("panic_ratio is %g, allowed: 0 or at least 1.1", p.PanicRatio)
	case p.Up.Share+p.Up.Units == 0 || p.Down.Share+p.Down.Units == 0:
		return fmt.Errorf("a step has neither share nor units")
	}
	for i := range p.Schedules {
		if err := p.Schedules[i].compile(); err != nil {
			return fmt.Errorf("schedule %q: %w", p.Schedules[i].label(), err)
		}
	}
	return nil
}

// bound is what a number may be.
type bound struct {
	name             string
	value, low, high float64
}

// most is above every sensible number and far below what floats get wrong.
const most = 1e9

func (p *Policy) bounds() []bound {
	s := time.Duration.Seconds
	return []bound{
		{"min", p.Min, 0, p.Max},
		{"max", p.Max, 1e-6, most},
		{"target", s(p.Target), 1e-3, 3600},
		{"concurrency", p.Concurrency, 1e-3, most},
		{"utilization", p.Utilization, 0.05, 1},
		{"beta", p.Beta, 0, 10},
		{"lead", s(p.Lead), 1, 86400},
		{"fast", s(p.Fast), 1, 60},
		{"slow", s(p.Slow), 1, 600},
		{"trend", s(p.Trend), 8, 120},
		{"growth_cap", p.GrowthCap, 1, 100},
		{"panic_ratio", p.PanicRatio, 0, most},
		{"panic_window", s(p.PanicWindow), 1, 60},
		{"panic_hold", s(p.PanicHold), 0, 86400},
		{"up_band", p.UpBand, 0, 1},
		{"down_band", p.DownBand, 0, 0.9},
		{"window", s(p.Window), 0, 86400},
		{"spare_share", p.SpareShare, 0, 10},
		{"spare_units", p.SpareUnits, 0, most},
		{"step_up.share", p.Up.Share, 0, most},
		{"step_up.units", p.Up.Units, 0, most},
		{"step_up.period", s(p.Up.Period), 1, 86400},
		{"step_down.share", p.Down.Share, 0, most},
		{"step_down.units", p.Down.Units, 0, most},
		{"step_down.period", s(p.Down.Period), 1, 86400},
		{"flap_budget", p.FlapBudget, 0, most},
		{"flap_period", s(p.FlapPeriod), 60, 86400},
		{"unhealthy_max", p.UnhealthyMax, 0, 1},
		{"max_age", s(p.MaxAge), 1, 3600},
		{"per_hour", p.PerHour, 0, most},
		{"per_day", p.PerDay, 0, most},
		{"money_horizon", s(p.MoneyHorizon), 0, 86400},
		{"settle", s(p.Settle), 1, 86400},
		{"elsewhere_hold", s(p.ElsewhereHold), 1, 86400},
		{"season_days", float64(p.SeasonDays), 0, 28},
		{"season_min", float64(p.SeasonMin), 1, 28},
	}
}

// lead is the measured lead time, or the policy's.
func (p *Policy) lead(o *Observation) time.Duration {
	if o.Lead > 0 {
		return o.Lead
	}
	return p.Lead
}

// window is the stabilisation window: capacity must not be given back before
// what is ordered for the next rise could be there.
func (p *Policy) window(o *Observation) time.Duration { return max(p.Window, 2*p.lead(o)) }
