package configs

import "time"

// ScalerPolicy says how much of an app is wanted. Capacity is counted in
// units: cores of the reference machine.
type ScalerPolicy struct {
	// Fewest units, whatever the load. 0 lets an app without traffic vanish.
	Min float64 `yaml:"min" min:"0"`
	// Most units, whatever the load: past it requests wait or are refused.
	Max float64 `yaml:"max" min:"0"`
	// Latency at which the app is sized (Little's law: requests under way are
	// rate times latency), and which the 95th percentile should keep. Lower
	// says that less waits at once; raise concurrency's measurement with it.
	Target time.Duration `yaml:"target" min:"1ms"`
	// Requests that one unit serves at once while it keeps the target. Measure
	// it at the knee. Too high buys too late, too low buys too much.
	Concurrency float64 `yaml:"concurrency" min:"0.001"`
	// Share of that which is used on purpose. Lower absorbs more while new
	// capacity boots and costs more.
	Utilization float64 `yaml:"utilization" min:"0.05" max:"1"`
	// Square-root staffing: units R + beta*sqrt(R) for an offered load of R.
	// 0.5, 1, 1.5 and 2 let 50, 22, 8.5 and 2.7 % of requests wait. It rules
	// small sizes, utilization the large ones.
	Beta float64 `yaml:"beta" min:"0" max:"10"`
	// Time from an order to the first request served, until it has been
	// measured. Too short orders late, too long orders for growth that ends
	// before the machines are there.
	Lead time.Duration `yaml:"lead" min:"1s"`
	// Seconds over which the rate is averaged for growing. Shorter follows
	// sooner and sees noise as growth.
	Fast time.Duration `yaml:"fast" min:"1s" max:"1m"`
	// Seconds over which the rate is averaged for not shrinking.
	Slow time.Duration `yaml:"slow" min:"1s" max:"10m"`
	// Seconds whose slope is continued for the lead time. Longer is calmer,
	// shorter sooner. A slope counts when it is clear of the noise and steady.
	Trend time.Duration `yaml:"trend" min:"8s" max:"2m"`
	// Most that a forecast grows by within the lead time, as a factor of the
	// rate. 1 forecasts nothing.
	GrowthCap float64 `yaml:"growth_cap" min:"1" max:"100"`
	// Panic begins when the last seconds need this many times what is ready.
	// Lower panics at every ripple, 0 never panics.
	PanicRatio float64 `yaml:"panic_ratio" min:"0"`
	// The last seconds that panic looks at.
	PanicWindow time.Duration `yaml:"panic_window" min:"1s" max:"1m"`
	// How long panic keeps its size after its cause; never less than twice the
	// lead time. Shorter gives back what has only just been ordered.
	PanicHold time.Duration `yaml:"panic_hold"`
	// Share by which more must be wanted before more is ordered. Wider orders
	// less often and later.
	UpBand float64 `yaml:"up_band" min:"0" max:"1"`
	// Share by which less must be wanted before anything is given back. Wider
	// keeps more, and changes less.
	DownBand float64 `yaml:"down_band" min:"0" max:"0.9"`
	// Time whose highest demand is kept: shorter gives back sooner and buys
	// again sooner. Twice the lead time is the least, whatever stands here.
	Window time.Duration `yaml:"window"`
	// Headroom on top of what the load needs, as a share of it.
	SpareShare float64 `yaml:"spare_share" min:"0" max:"10"`
	// Headroom on top of what the load needs, at least this many units.
	SpareUnits float64 `yaml:"spare_units" min:"0"`
	// How fast it may grow: in each period the larger of a share and a number
	// of units. Lower spares providers, and leaves a spike unserved for
	// longer.
	StepUp ScalerStep `yaml:"step_up"`
	// How fast it may shrink, likewise. Lower costs more, higher drains more
	// at once.
	StepDown ScalerStep `yaml:"step_down"`
	// Turnover after which nothing more is given back: the sum of all changes
	// of size, each as a share of the size, within flap_period. Growing is
	// never held back by it. 0 is no limit.
	FlapBudget float64 `yaml:"flap_budget" min:"0"`
	// Time in which the flap budget is refilled.
	FlapPeriod time.Duration `yaml:"flap_period" min:"1m"`
	// Share of instances that may be unhealthy while others are given back. Past
	// it something is wrong and nothing is removed.
	UnhealthyMax float64 `yaml:"unhealthy_max" min:"0" max:"1"`
	// Age past which signals count as missing: the size is kept, schedules and
	// people may raise it.
	MaxAge time.Duration `yaml:"max_age" min:"1s"`
	// Most money an hour for this app; 0 is no limit. Nothing that runs is
	// ended for money.
	PerHour float64 `yaml:"per_hour" min:"0"`
	// Most money a day (UTC) for this app; 0 is no limit.
	PerDay float64 `yaml:"per_day" min:"0"`
	// Time that what is bought is expected to be kept, when per_day is
	// checked. 0 is the rest of the day: the limit holds even if nothing is
	// given back, and little can be bought in the morning.
	MoneyHorizon time.Duration `yaml:"money_horizon" max:"24h"`
	// Time after new capacity has come in which its effect is measured. If
	// throughput has twice not grown although requests wait, something else is
	// the bottleneck, and nothing more is ordered.
	Settle time.Duration `yaml:"settle" min:"1s"`
	// How long a bottleneck elsewhere is believed before buying is tried again.
	// Longer wastes less in an outage of a database.
	ElsewhereHold time.Duration `yaml:"elsewhere_hold" min:"1s"`
	// Days that are remembered to know what a time of day needs; that is a
	// floor and never gives anything back. 0 remembers none.
	SeasonDays int `yaml:"season_days" min:"0" max:"28"`
	// Days of data before the season counts.
	SeasonMin int `yaml:"season_min" min:"1" max:"28"`
	// Floors at times that are known before.
	Schedules []ScalerSchedule `yaml:"schedules"`
}

// ScalerStep bounds a change within a period.
type ScalerStep struct {
	// Share of the size at the period's beginning.
	Share float64 `yaml:"share" min:"0"`
	// Units; the larger of the two holds.
	Units float64 `yaml:"units" min:"0"`
	// Length of a period.
	Period time.Duration `yaml:"period" min:"1s"`
}

// ScalerSchedule is a floor at certain times. Capacity is ordered the lead
// time before.
type ScalerSchedule struct {
	// Its name in decisions; empty is the cron text.
	Name string `yaml:"name"`
	// When it begins: minute, hour, day of month, month, day of week, as in
	// crontab(5), such as "30 19 * * fri".
	Cron string `yaml:"cron"`
	// How long it holds.
	Duration time.Duration `yaml:"duration"`
	// Time zone of cron, such as Asia/Shanghai; empty is UTC.
	Zone string `yaml:"zone"`
	// Units that are kept at least.
	Units float64 `yaml:"units" min:"0"`
}
