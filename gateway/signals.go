package gateway

import (
	"context"
	"errors"
	"os"
	"time"

	"spillway/gateway/admin"
	"spillway/gateway/signals"
	"spillway/gateway/upstream"
)

// openSignals prepares the record of the traffic; the engine and the admin
// server exist and do not run yet.
func (g *Gateway) openSignals() error {
	if t := g.opt.Trace; t.Path != "" {
		var err error
		if g.trace, err = signals.OpenTrace(t.Path, t.Size, g.log); err != nil {
			return err
		}
	}
	g.life, g.kill = context.WithCancel(context.Background())
	g.signals = signals.New(signals.Options{
		Gateway: g.id(), Sample: g.engine.Sample, Adopted: g.engine.Adopted, Trace: g.trace, Log: g.log,
	})
	return nil
}

func (g *Gateway) id() string {
	if g.opt.ID != nil {
		return g.opt.ID(g.AdminAddr())
	}
	name, err := os.Hostname()
	if err != nil {
		return "gateway"
	}
	return name
}

// sample starts the goroutines that sample the traffic and watch the servers,
// unless the end has begun.
func (g *Gateway) sample() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.phase.Load() < ending {
		g.sampling.Go(func() { g.signals.Run(g.life) })
		g.sampling.Go(func() { g.health.Run(g.life) })
	}
}

func (g *Gateway) closeSignals() {
	g.kill()
	g.sampling.Wait()
	if g.trace == nil {
		return
	}
	if err := g.trace.Close(); err != nil {
		g.log.Warn(err.Error())
	}
}

// joined and left follow the set of upstreams. A pool is noted as left before
// the loops drop it, and again after: its last change may have come between.
func (g *Gateway) joined(p *upstream.Pool) {
	g.engine.Attach(p)
	g.changed(p)
}

// changed is told of each change of a pool before a loop is.
func (g *Gateway) changed(p *upstream.Pool) {
	g.signals.Note(p)
	g.health.Note(p)
}

func (g *Gateway) left(p *upstream.Pool) {
	g.signals.Left(p)
	g.engine.Detach(p)
	g.signals.Left(p)
	g.health.Left(p)
}

// reportLimit is how long the event loops may take to say what they serve.
const reportLimit = 2 * time.Second

// errStarting refuses reports before there are first servers: that none is
// known yet would read as if none were sent requests.
var errStarting = errors.New("starting: not listening yet")

// report is the answer to GET /api/v1/signals.
func (g *Gateway) report(since int64, upstreams []string) ([]byte, error) {
	if g.phase.Load() == starting {
		return nil, errStarting
	}
	ctx, stop := context.WithTimeout(g.life, reportLimit)
	defer stop()
	return g.signals.Report(ctx, signals.Query{Since: since, Upstreams: upstreams})
}

// announce is told of capacity that is ordered for an upstream.
func (g *Gateway) announce(upstream string, ordered float64, eta time.Time) {
	g.announced.Set(upstream, signals.Capacity{Ordered: ordered, ETA: eta})
}

func (g *Gateway) announcedFor(upstream string) *admin.Capacity {
	c, ok := g.announced.Get(upstream)
	if !ok {
		return nil
	}
	return &admin.Capacity{Ordered: c.Ordered, ETA: c.ETA, ETAms: c.ETA.UnixMilli()}
}

func (g *Gateway) eachAnnounced(yield func(upstream string, ordered float64, eta time.Time)) {
	g.announced.Each(func(name string, c signals.Capacity) { yield(name, c.Ordered, c.ETA) })
}
