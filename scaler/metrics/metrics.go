// Package metrics counts what the scaler does and shows how it stands, for
// Prometheus. It is the only importer of Prometheus' client in the scaler.
//
// Counters are told by those who act (Metrics is the controller's Meter and the
// count of cloud calls); gauges are read from the controller once a scrape, so
// that the series of an app or a pool end with it. The package decides nothing
// and starts no goroutine.
package metrics

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"spillway/scaler/api"
	"spillway/scaler/fleet"
)

// The names of all series, in one place. docs/scaler.md explains them.
const (
	namespace = "spillway_scaler"

	nameEffects     = namespace + "_effects_total"
	nameEffectTime  = namespace + "_effect_duration_seconds"
	nameCalls       = namespace + "_cloud_calls_total"
	nameCallTime    = namespace + "_cloud_call_duration_seconds"
	nameStage       = namespace + "_stage_duration_seconds"
	nameTick        = namespace + "_tick_duration_seconds"
	nameLeader      = namespace + "_leader"
	nameLastTick    = namespace + "_last_tick_timestamp_seconds"
	nameWant        = namespace + "_app_want_units"
	nameReady       = namespace + "_app_ready_units"
	nameBooting     = namespace + "_app_booting_units"
	nameDraining    = namespace + "_app_draining_units"
	nameInstances   = namespace + "_app_instances"
	nameCoverage    = namespace + "_app_coverage_ratio"
	nameLead        = namespace + "_app_lead_seconds"
	nameFlag        = namespace + "_app_flag"
	nameMachines    = namespace + "_pool_machines"
	namePoolPrice   = namespace + "_pool_price_hour"
	nameOrders      = namespace + "_orders_open"
	nameSpendHour   = namespace + "_spend_hour"
	nameSpendDay    = namespace + "_spend_day"
	nameSpendLimitH = namespace + "_spend_limit_hour"
	nameSpendLimitD = namespace + "_spend_limit_day"
	nameAlarms      = namespace + "_alarms"
)

// Metrics is the scaler's counters and gauges. It is safe for concurrent use.
type Metrics struct {
	registry            *prometheus.Registry
	effects, calls      *prometheus.CounterVec
	effectTime, tick    *prometheus.HistogramVec
	callTime, stageTime *prometheus.HistogramVec
	source              atomic.Pointer[Source]
}

// Source is where gauges are read.
type Source interface {
	Status(ctx context.Context) (api.Status, error)
}

// Buckets of durations: ticks take microseconds to milliseconds, calls up to a
// minute, machines up to ten.
var (
	tickBuckets  = prometheus.ExponentialBuckets(0.0001, 4, 9)
	callBuckets  = prometheus.ExponentialBuckets(0.01, 2.5, 10)
	stageBuckets = prometheus.ExponentialBuckets(0.25, 2, 12)
)

// New returns metrics that nothing has been told yet.
func New() *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry()}
	m.effects = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: nameEffects, Help: "Effects on machines, containers and the registry, by kind and result (ok or the kind of error).",
	}, []string{"effect", "result"})
	m.effectTime = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: nameEffectTime, Help: "Time of an effect.", Buckets: callBuckets,
	}, []string{"effect"})
	m.calls = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: nameCalls, Help: "Calls that reached a provider, by result (ok or the kind of error).",
	}, []string{"provider", "op", "result"})
	m.callTime = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: nameCallTime, Help: "Time of a call to a provider.", Buckets: callBuckets,
	}, []string{"provider", "op"})
	m.stageTime = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: nameStage, Help: "Time from the decision for a machine until it reached a stage.", Buckets: stageBuckets,
	}, []string{"pool", "stage"})
	m.tick = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: nameTick, Help: "Time of a tick, by phase: think decides and plans, commit writes.", Buckets: tickBuckets,
	}, []string{"phase"})
	m.registry.MustRegister(m.effects, m.effectTime, m.calls, m.callTime, m.stageTime, m.tick, (*gauges)(m),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Watch reads gauges from s from now on.
func (m *Metrics) Watch(s Source) { m.source.Store(&s) }

// Handler serves the metrics.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Registry: m.registry})
}

// Effect counts an effect; result is the kind of its error, "" for none.
func (m *Metrics) Effect(kind fleet.Kind, result string, took time.Duration) {
	m.effects.WithLabelValues(string(kind), orOK(result)).Inc()
	m.effectTime.WithLabelValues(string(kind)).Observe(took.Seconds())
}

// Tick observes a phase of a tick.
func (m *Metrics) Tick(took time.Duration, phase string) {
	m.tick.WithLabelValues(phase).Observe(took.Seconds())
}

// Stage observes how long after the decision a machine reached a stage.
func (m *Metrics) Stage(pool, stage string, took time.Duration) {
	m.stageTime.WithLabelValues(pool, stage).Observe(took.Seconds())
}

// Cloud counts a call that reached a provider.
func (m *Metrics) Cloud(provider, op, kind string, took time.Duration) {
	m.calls.WithLabelValues(provider, op, orOK(kind)).Inc()
	m.callTime.WithLabelValues(provider, op).Observe(took.Seconds())
}

func orOK(kind string) string {
	if kind == "" {
		return "ok"
	}
	return kind
}
