// Package policy decides how much capacity an app needs: a pure function of
// (policy, observation, memory, time). It does no I/O, reads no clock, starts
// no goroutine, and every decision keeps its inputs, every candidate size with
// its rule, and every clamp in the order it was applied, so that it can be
// explained and replayed.
//
// Sizes are in units: capacity of one core of the reference machine. Rounding
// to machines and containers is the caller's affair, and so is acting: Evaluate
// says how much is wanted and never multiplies what is there.
//
// A rise is followed at once, a fall only after a window of complete data. What
// is missing or doubtful (signals, health, money) keeps the size as it is.
package policy

import "time"

// Observation is what is known of one app at one instant.
type Observation struct {
	Seconds []Second // oldest first
	// Coverage is gateways reporting / expected; 0 means no data at all.
	Coverage float64
	Age      time.Duration // of the newest data

	// Ready, Booting and Draining units; Booting counts what is not past its
	// deadline, Draining could be un-drained.
	Ready, Booting, Draining float64
	Unhealthy                float64 // share of instances not passing, 0..1
	// Lead is the measured p90 from "ordered" to "first requests served"; 0:
	// not measured, Policy.Lead is used.
	Lead time.Duration
	// SpentHour and SpentDay are what was spent since the last full hour and
	// the last midnight, UTC; Rate is what runs now, an hour.
	SpentHour, SpentDay, Rate float64
	PriceUnit                 float64 // an hour of one more unit
	QuotaUnits                float64 // units that can still be bought; < 0 unlimited
	// Manual is a person's order in units, until then; 0 none. Above the size
	// it is a floor; below it, the size is given back down to what the load
	// needs now, without waiting for the window.
	Manual      float64
	ManualUntil time.Time
	Paused      bool
}

// have is what will serve: what is on its way counts, so that nothing is
// ordered twice.
func (o *Observation) have() float64 { return o.Ready + o.Booting }

// Second is one second of traffic, as the gateways that reported saw it.
type Second struct {
	At                                      time.Time
	Arrivals, Completions, Errors, InFlight float64
	P95                                     time.Duration
	// Coverage of this second: what the sums are of, 0..1. Seconds without any
	// are skipped, the others are scaled up.
	Coverage float64
}

// The rules that ask for a size.
const (
	RuleReactive = "reactive" // Little's law at the target latency
	RuleStaffing = "staffing" // square-root staffing
	RuleForecast = "forecast" // the trend, continued for the lead time
	RulePanic    = "panic"    // the last seconds need far more than there is
	RuleLatency  = "latency"  // over the target, and full
	RuleSeasonal = "seasonal" // what this time of day needed before
	RuleSchedule = "schedule"
	RuleManual   = "manual"
	RuleSpare    = "spare" // headroom on top of the largest of the first five
	RuleHold     = "hold"  // nothing is known: what there is
)

// The limiters, in the order in which they are applied.
const (
	LimitPaused    = "paused"
	LimitMax       = "max"
	LimitMin       = "min"
	LimitDeadBand  = "dead_band"
	LimitCoverage  = "coverage" // of data: signals missing, in part or for a part of the window
	LimitWindow    = "window"
	LimitCircuit   = "circuit"
	LimitFlap      = "flap"
	LimitElsewhere = "elsewhere"
	LimitStepUp    = "step_up"
	LimitStepDown  = "step_down"
	LimitMoneyHour = "money_hour"
	LimitMoneyDay  = "money_day"
	LimitQuota     = "quota"
)

// The flags of a decision.
const (
	FlagNoData    = "no-data"
	FlagPartial   = "partial-data"
	FlagWarming   = "warming" // the window is not filled: nothing is given back yet
	FlagPanic     = "panic"
	FlagElsewhere = "bottleneck-elsewhere"
	FlagCircuit   = "circuit-open"
	FlagFlap      = "flap-budget-spent"
	FlagMoney     = "out-of-money"
	FlagQuota     = "out-of-quota"
	FlagPaused    = "paused"
)

// Candidate is a size and the rule that asked for it.
type Candidate struct {
	Rule  string // one of the Rule constants
	Units float64
	Why   string
}

// Clamp is a limiter that changed the size.
type Clamp struct {
	Limit    string // one of the Limit constants
	From, To float64
	Why      string
}

// Decision is the wanted size and why.
type Decision struct {
	At         time.Time
	Want       float64 // units, booting included
	Have       float64
	Urgent     bool // panic: buy beside whatever is under way
	Winner     string
	Candidates []Candidate
	Clamps     []Clamp
	Inputs     map[string]float64
	Flags      []string // Flag constants
}
