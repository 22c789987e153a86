// Package policy decides how much capacity an app needs: a pure function of
// (policy, observation, memory, time). It does no I/O, reads no clock, and
// every decision keeps its inputs, every candidate size with its rule, and
// every clamp in the order it was applied, so that it can be explained and
// replayed.
//
// Sizes are in units: capacity of one core of the reference machine. Rounding
// to machines and containers is the caller's affair.
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
	// SpentHour and SpentDay so far in money; Rate what runs now an hour.
	SpentHour, SpentDay, Rate float64
	PriceUnit                 float64 // an hour of one more unit
	QuotaUnits                float64 // units that can still be bought; < 0 unlimited
	// Manual is a person's order in units, until then; 0 none.
	Manual      float64
	ManualUntil time.Time
	Paused      bool
}

// Second is one second of traffic.
type Second struct {
	At                                      time.Time
	Arrivals, Completions, Errors, InFlight float64
	P95                                     time.Duration
	Coverage                                float64
}

// Candidate is a size and the rule that asked for it.
type Candidate struct {
	Rule  string // reactive, staffing, panic, forecast, seasonal, schedule, manual, hold
	Units float64
	Why   string
}

// Clamp is a limiter that changed the size.
type Clamp struct {
	Limit    string // min, max, step_up, step_down, flap, money_hour, money_day, quota, circuit, coverage, elsewhere, window, dead_band, paused
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
	Flags      []string // "bottleneck-elsewhere", "no-data", ...
}
