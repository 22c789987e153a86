package metrics

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"spillway/scaler/api"
)

// gauges collects how the scaler stands, once a scrape.
type gauges Metrics

func gauge(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

// descriptions of the gauges, by name.
func descriptions() map[string]*prometheus.Desc {
	return map[string]*prometheus.Desc{
		nameLeader:      gauge(nameLeader, "1 if this process leads."),
		nameLastTick:    gauge(nameLastTick, "When the last tick ended."),
		nameWant:        gauge(nameWant, "Wanted size, in units (cores of the reference machine).", "app"),
		nameReady:       gauge(nameReady, "Units that serve.", "app"),
		nameBooting:     gauge(nameBooting, "Units that are ordered or start.", "app"),
		nameDraining:    gauge(nameDraining, "Units that are being drained.", "app"),
		nameInstances:   gauge(nameInstances, "Instances by state.", "app", "state"),
		nameCoverage:    gauge(nameCoverage, "Gateways that tell of the app, as a share of those registered.", "app"),
		nameLead:        gauge(nameLead, "Measured 90th percentile from order to traffic.", "app"),
		nameFlag:        gauge(nameFlag, "1 while a flag stands, such as no-data.", "app", "flag"),
		nameMachines:    gauge(nameMachines, "Machines by state.", "pool", "state"),
		namePoolPrice:   gauge(namePoolPrice, "What the pool's machines cost an hour.", "pool"),
		nameOrders:      gauge(nameOrders, "Orders that are not settled, by state.", "pool", "state"),
		nameSpendHour:   gauge(nameSpendHour, "Money since the last full hour, UTC."),
		nameSpendDay:    gauge(nameSpendDay, "Money since midnight, UTC."),
		nameSpendLimitH: gauge(nameSpendLimitH, "Most money an hour, 0 no limit."),
		nameSpendLimitD: gauge(nameSpendLimitD, "Most money a day, 0 no limit."),
		nameAlarms:      gauge(nameAlarms, "Things a person should look at."),
	}
}

// Describe implements prometheus.Collector.
func (g *gauges) Describe(out chan<- *prometheus.Desc) {
	for _, d := range descriptions() {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (g *gauges) Collect(out chan<- prometheus.Metric) {
	source := g.source.Load()
	if source == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	s, err := (*source).Status(ctx)
	if err != nil {
		return
	}
	c := collection{out, descriptions()}
	c.whole(&s)
	for i := range s.Apps {
		c.app(&s.Apps[i])
	}
	c.pools(&s)
}

type collection struct {
	out   chan<- prometheus.Metric
	descs map[string]*prometheus.Desc
}

func (c *collection) set(name string, value float64, labels ...string) {
	c.out <- prometheus.MustNewConstMetric(c.descs[name], prometheus.GaugeValue, value, labels...)
}

func (c *collection) whole(s *api.Status) {
	leads := 0.0
	if s.Leader {
		leads = 1
	}
	c.set(nameLeader, leads)
	c.set(nameLastTick, float64(s.Tick.UnixMilli())/1000)
	c.set(nameSpendHour, s.Spend.Hour)
	c.set(nameSpendDay, s.Spend.Day)
	c.set(nameSpendLimitH, s.Spend.LimitHour)
	c.set(nameSpendLimitD, s.Spend.LimitDay)
	c.set(nameAlarms, float64(len(s.Alarms)))
}

func (c *collection) app(a *api.App) {
	c.set(nameWant, a.Want, a.Name)
	c.set(nameReady, a.Ready, a.Name)
	c.set(nameBooting, a.Booting, a.Name)
	c.set(nameDraining, a.Draining, a.Name)
	c.set(nameCoverage, a.Coverage, a.Name)
	c.set(nameLead, float64(a.LeadMS)/1000, a.Name)
	for state, n := range a.States {
		c.set(nameInstances, float64(n), a.Name, state)
	}
	for _, flag := range a.Flags {
		c.set(nameFlag, 1, a.Name, flag)
	}
}

func (c *collection) pools(s *api.Status) {
	for i := range s.Pools {
		p := &s.Pools[i]
		c.set(namePoolPrice, p.PriceHour, p.Name)
		for state, n := range p.States {
			c.set(nameMachines, float64(n), p.Name, state)
		}
	}
	open := map[[2]string]int{}
	for i := range s.Orders {
		open[[2]string{s.Orders[i].Pool, s.Orders[i].State}]++
	}
	for k, n := range open {
		c.set(nameOrders, float64(n), k[0], k[1])
	}
}
