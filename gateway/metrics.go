package gateway

import (
	"net/http"

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
	src.AccessLog = g.accessLogStatus
	return metrics.NewHandler(src)
}

func (g *Gateway) accessLogStatus() metrics.AccessLogStatus {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.accessLog.status(g.lost)
}
