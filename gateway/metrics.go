package gateway

import (
	"net/http"

	"spillway/gateway/health"
	"spillway/gateway/metrics"
)

// metricsHandler serves /metrics: what the caller knows and what the engine
// and the access log count.
func (g *Gateway) metricsHandler() (http.Handler, error) {
	src := g.opt.Metrics
	src.Loops = g.engine.LoopMetrics
	src.Upstreams = g.engine.UpstreamMetrics
	src.Pools = g.opt.Set.All
	src.Now = g.engine.Now
	src.Announced = g.eachAnnounced
	src.Health = g.eachWatched
	src.AccessLog = g.accessLogStatus
	return metrics.NewHandler(src)
}

func (g *Gateway) eachWatched(yield func(upstream string, h metrics.HealthStatus)) {
	g.health.Each(func(name string, s health.Status) {
		yield(name, metrics.HealthStatus{Panic: s.Panic, ProbesGood: s.Good, ProbesBad: s.Bad, Ejections: s.Ejections})
	})
}

func (g *Gateway) accessLogStatus() metrics.AccessLogStatus {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.accessLog.status(g.lost)
}
