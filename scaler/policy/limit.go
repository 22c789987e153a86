package policy

import (
	"fmt"
	"time"
)

// clamp sets the wanted size and notes why, if that changes it.
func (e *evaluation) clamp(limit string, to float64, why string) {
	if to == e.d.Want {
		return
	}
	e.d.Clamps = append(e.d.Clamps, Clamp{limit, e.d.Want, to, why})
	e.d.Want = to
}

// keep leaves the size as it is.
func (e *evaluation) keep(limit, why string) { e.clamp(limit, e.d.Have, why) }

// bounds applies min and max. max bounds what is bought: what is above it
// already is given back by fall, in its steps.
func (e *evaluation) bounds() {
	if e.d.Want > e.p.Max {
		e.clamp(LimitMax, e.p.Max, fmt.Sprintf("at most %.4g units", e.p.Max))
	}
	if e.d.Want < e.p.Min {
		e.clamp(LimitMin, e.p.Min, fmt.Sprintf("at least %.4g units", e.p.Min))
	}
}

// rise limits a larger size.
func (e *evaluation) rise() {
	have := e.d.Have
	if have >= e.p.Min && e.d.Want <= have*(1+e.p.UpBand) {
		e.keep(LimitDeadBand, fmt.Sprintf("less than %.3g %% more", 100*e.p.UpBand))
		return
	}
	if e.m.Else.stopped(e.now) {
		to := min(e.d.Want, max(have, e.p.Min, min(e.floor, e.p.Max)))
		e.clamp(LimitElsewhere, to, "the last additions served nothing more; until "+e.m.Else.Until.UTC().Format("15:04:05"))
	}
	e.stepUp()
	e.money()
	e.quota()
	if e.d.Want > have {
		if e.now.Sub(e.m.Up.Since) >= e.p.Up.Period {
			e.m.Up = Period{e.now, have}
		}
		e.d.Urgent = e.m.Panic.Units > 0 && !e.now.After(e.m.Panic.Until)
	}
}

// reach is how far a step may go from a base.
func (s Step) reach(base float64) float64 { return max(s.Share*base, s.Units) }

// base is the size from which a step of now is counted.
func (e *evaluation) base(last Period, s Step) float64 {
	if e.now.Sub(last.Since) < s.Period {
		return last.Base
	}
	return e.d.Have
}

func (e *evaluation) stepUp() {
	base := e.base(e.m.Up, e.p.Up)
	if most := max(e.d.Have, base+e.p.Up.reach(base), e.p.Min); e.d.Want > most {
		e.clamp(LimitStepUp, most, fmt.Sprintf("from %.4g by at most %.4g in %v", base, e.p.Up.reach(base), e.p.Up.Period))
	}
}

// money keeps what is bought within the budgets. The hour's holds for the rate,
// and nothing is bought once the hour has cost as much: machines billed by the
// hour that come and go cost more than their rate. The day's holds for what the
// day has cost at its end, or at that of the horizon.
func (e *evaluation) money() {
	o := e.o
	if o.PriceUnit <= 0 {
		return
	}
	if cap := e.p.PerHour; cap > 0 {
		more := (cap - o.Rate) / o.PriceUnit
		if o.SpentHour >= cap {
			more = 0
		}
		e.afford(LimitMoneyHour, more, fmt.Sprintf("what runs costs %.4g an hour and this hour %.4g so far, of %.4g", o.Rate, o.SpentHour, cap))
	}
	if cap := e.p.PerDay; cap > 0 {
		// An hour at least: what is bought before midnight runs on.
		hours := max(1, untilNext(e.now, 24*time.Hour))
		if h := e.p.MoneyHorizon.Hours(); h > 0 {
			hours = min(hours, h)
		}
		more := (cap - o.SpentDay - o.Rate*hours) / (o.PriceUnit * hours)
		e.afford(LimitMoneyDay, more, fmt.Sprintf("%.4g and %.4g in %.3g h to come are spent of %.4g", o.SpentDay, o.Rate*hours, hours, cap))
	}
}

// untilNext is the time to the next full period of UTC, in hours.
func untilNext(now time.Time, period time.Duration) float64 {
	return now.UTC().Truncate(period).Add(period).Sub(now).Hours()
}

func (e *evaluation) afford(limit string, more float64, why string) {
	if most := e.d.Have + max(0, more); e.d.Want > most {
		e.clamp(limit, most, why)
		e.flag(FlagMoney)
	}
}

func (e *evaluation) quota() {
	if q := e.o.QuotaUnits; q >= 0 && e.d.Want > e.d.Have+q {
		e.clamp(LimitQuota, e.d.Have+q, fmt.Sprintf("%.4g more units can be had", q))
		e.flag(FlagQuota)
	}
}

// fall limits a smaller size. What is above max, or what a person gives back,
// does not wait for the window; nothing goes below what the load needs now, and
// nothing is given back on incomplete data.
func (e *evaluation) fall() {
	have := e.d.Have
	forced := have > e.p.Max || e.manual() && e.o.Manual < have && e.need < have
	if !forced && e.d.Want >= have*(1-e.p.DownBand) {
		e.keep(LimitDeadBand, fmt.Sprintf("less than %.3g %% less", 100*e.p.DownBand))
		return
	}
	if !e.complete {
		e.keep(LimitCoverage, fmt.Sprintf("signals cover %.3g %%: nothing is given back", 100*e.o.Coverage))
		return
	}
	if !forced && !e.throughWindow() {
		return
	}
	e.brakes()
	e.stepDown()
}

// throughWindow holds the highest demand of the window; false keeps the size.
func (e *evaluation) throughWindow() bool {
	if !e.m.filled(e.now, e.window) {
		e.flag(FlagWarming)
		e.keep(LimitWindow, fmt.Sprintf("complete data for %v of %v", e.now.Sub(e.m.Full).Round(time.Second), e.window))
		return false
	}
	if peak := min(e.m.peak(), e.d.Have); peak > e.d.Want {
		e.clamp(LimitWindow, peak, fmt.Sprintf("needed within the last %v", e.window))
	}
	if e.d.Want >= e.d.Have*(1-e.p.DownBand) {
		e.keep(LimitWindow, fmt.Sprintf("%.4g were needed within the last %v", e.m.peak(), e.window))
		return false
	}
	return true
}

// brakes stop removals when something looks wrong.
func (e *evaluation) brakes() {
	if e.o.Unhealthy > e.p.UnhealthyMax {
		e.keep(LimitCircuit, fmt.Sprintf("%.3g %% of the instances are unhealthy", 100*e.o.Unhealthy))
	}
	if e.p.FlapBudget > 0 && e.m.Flap.Spent >= e.p.FlapBudget {
		e.keep(LimitFlap, fmt.Sprintf("turnover is %.3g of %.3g", e.m.Flap.Spent, e.p.FlapBudget))
		e.flag(FlagFlap)
	}
}

func (e *evaluation) stepDown() {
	have := e.d.Have
	base := e.base(e.m.Down, e.p.Down)
	if least := min(have, base-e.p.Down.reach(base)); e.d.Want < least {
		e.clamp(LimitStepDown, least, fmt.Sprintf("from %.4g by at most %.4g in %v", base, e.p.Down.reach(base), e.p.Down.Period))
	}
	if e.d.Want < have && e.now.Sub(e.m.Down.Since) >= e.p.Down.Period {
		e.m.Down = Period{e.now, have}
	}
}
