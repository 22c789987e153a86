// Package gateway assembles the data plane and its administrative server:
// engine, routes, access log, metrics, admin.
//
// It owns their life: what opens when, what a reload replaces and what
// survives it, and the order in which all of it ends. It never reads a
// configuration file, speaks to no registry and decides nothing about a
// request. Servers come and go in the upstream.Set it is given; whoever fills
// the set (see package upsync) is none of its business.
//
// Goroutines: the engine's loops, the admin server's, the access log's, one that
// samples the traffic once a second, one that watches servers (package health),
// and the caller's in Run.
package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"spillway/gateway/admin"
	"spillway/gateway/engine"
	"spillway/gateway/health"
	"spillway/gateway/metrics"
	"spillway/gateway/signals"
	"spillway/gateway/upstream"
)

// Options are fixed for the life of a Gateway.
type Options struct {
	// Loops is the number of event loops, at least 1.
	Loops int
	// Set holds the upstreams that routes name. Pools may join and leave it
	// at any time.
	Set *upstream.Set
	// Settings are the first ones; Reload replaces them.
	Settings Settings
	// Admin says where the administrative server listens, nil runs none. Of
	// its Views the gateway fills Ready, Pools, Metrics, Now, Signals, Announce
	// and Announced.
	Admin *admin.Options
	// ID names this gateway in its signals, given where the admin server
	// listens (nil without one). Nil takes the name of the host.
	ID func(admin net.Addr) string
	// Trace says where what upstreams saw each second is recorded.
	Trace Trace
	// Sockets are listening sockets opened elsewhere (socket activation), by
	// the address of Settings.Listen they stand for.
	Sockets map[string]*os.File
	// First, if set, waits for the first servers of the upstreams. The
	// listeners open when it returns; its error ends Run.
	First func(context.Context) error
	// Upstreams, if set, tells for readiness which upstreams wait for their
	// first servers, and which are served from second best: "" for none.
	Upstreams func() (waiting, degraded string)
	// Metrics is what the caller adds to /metrics: Sync, Config, Version and
	// Revision. The gateway fills the other sources.
	Metrics metrics.Sources
	// Serving, if set, is called when all listeners are open.
	Serving func(addrs []net.Addr)
	// Applied is passed to the engine.
	Applied func(p *upstream.Pool, s *upstream.Snapshot, took time.Duration)
	// Log is for operators; nil is slog.Default.
	Log *slog.Logger
}

// Trace names a file to record signals in and the size in bytes at which it is
// rotated (see signals.Trace). With an empty Path nothing is recorded.
type Trace struct {
	Path string
	Size int64
}

// Gateway is a data plane with its administrative server. Its methods are
// safe for use by several goroutines.
//
//	starting --Run: first servers, listeners open--> serving
//	starting, serving --Drain--> draining --Shutdown--> ending --> ended
type Gateway struct {
	opt    Options
	log    *slog.Logger
	engine *engine.Engine
	admin  *admin.Server // nil without one
	phase  atomic.Int32
	ended  chan struct{} // closed when Shutdown is done

	health    *health.Monitor
	signals   *signals.Recorder
	announced *signals.Announced
	trace     *signals.Trace // nil without one
	sampling  sync.WaitGroup
	life      context.Context // of sampling
	kill      context.CancelFunc

	mu        sync.Mutex // serialises changes of phase and settings
	settings  Settings
	accessLog accessLog
	lost      metrics.AccessLogStatus // by access logs that were closed
	addrs     map[string]net.Addr     // open listeners by configured address
}

// The phases of a gateway, in order.
const (
	starting int32 = iota
	serving
	draining
	ending // in Shutdown
	ended
)

// New checks the settings, opens the access log and the admin server's
// socket, and accepts nothing yet.
func New(o Options) (*Gateway, error) {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	g := &Gateway{opt: o, log: o.Log, ended: make(chan struct{}), addrs: map[string]net.Addr{}}
	table, err := compileRoutes(o.Settings.Routes, o.Log)
	if err != nil {
		return nil, err
	}
	g.health = health.New(health.Options{Log: o.Log, Mute: func(s *upstream.Server) { g.engine.Abandon(s) }})
	g.announced = signals.NewAnnounced(time.Now)
	g.engine, err = engine.New(engine.Options{
		Loops: o.Loops, Set: o.Set, Log: o.Log, Applied: o.Applied,
		Changed: g.changed,
	})
	if err != nil {
		return nil, err
	}
	if g.accessLog, err = openAccessLog(o.Settings.AccessLog, o.Loops); err != nil {
		return nil, err
	}
	if err := g.openAdmin(); err != nil {
		g.accessLog.close()
		return nil, err
	}
	if err := g.openSignals(); err != nil {
		g.closeAdmin()
		g.accessLog.close()
		return nil, err
	}
	g.settings = o.Settings
	o.Set.Notify(g.joined, g.left)
	g.engine.Publish(g.settings.engineConfig(table, g.accessLog))
	return g, nil
}

// Run starts the loops and the admin server, waits for the first servers,
// opens the listeners and serves until Shutdown is done. ctx ends the start
// early, and only that. An error means that nothing is left running.
func (g *Gateway) Run(ctx context.Context) error {
	g.engine.Start()
	g.sample()
	failed := make(chan error, 1)
	if g.admin != nil {
		g.log.Info("admin listening", "address", g.AdminAddr().String())
		go func() {
			if err := g.admin.Serve(); err != nil {
				failed <- err
			}
		}()
	}
	if err := g.open(ctx); err != nil {
		g.end(canceled())
		return err
	}
	select {
	case <-g.ended:
		return nil
	case err := <-failed:
		g.end(canceled())
		return err
	}
}

// open waits for the first servers and opens the listeners.
func (g *Gateway) open(ctx context.Context) error {
	if g.opt.First != nil {
		if err := g.opt.First(ctx); err != nil {
			return err
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.phase.Load() != starting {
		return nil // drained before it began
	}
	if _, err := g.listen(g.settings.Listen); err != nil {
		return err
	}
	g.phase.Store(serving)
	if g.opt.Serving != nil {
		g.opt.Serving(g.listenAddrs())
	}
	return nil
}

// Drain makes readiness fail and every answer end its connection. The
// gateway goes on accepting, so that a load balancer in front can turn away
// first.
func (g *Gateway) Drain() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.phase.Load() < draining {
		g.phase.Store(draining)
		g.engine.Drain()
	}
}

// Shutdown drains, closes the listeners, lets requests in flight finish until
// ctx ends and cuts what is left; then it ends the admin server and the
// access log. It returns the number of connections cut.
func (g *Gateway) Shutdown(ctx context.Context) (cut int) {
	g.Drain()
	return g.end(ctx)
}

func (g *Gateway) end(ctx context.Context) (cut int) {
	g.mu.Lock()
	was := g.phase.Load()
	g.phase.Store(max(was, ending)) // from here on nothing changes settings
	g.mu.Unlock()
	if was >= ending {
		return 0
	}
	g.opt.Set.Notify(nil, nil)
	cut = g.engine.Shutdown(ctx)
	g.closeSignals()
	g.closeAdmin()
	g.mu.Lock()
	g.phase.Store(ended)
	g.accessLog.close()
	g.mu.Unlock()
	close(g.ended)
	return cut
}

// adminGrace is what requests to the admin server get to finish.
const adminGrace = time.Second

// Active is the number of client connections.
func (g *Gateway) Active() int { return g.engine.Active() }

func (g *Gateway) closeAdmin() {
	if g.admin == nil {
		return
	}
	last, stop := context.WithTimeout(context.Background(), adminGrace)
	defer stop()
	if err := g.admin.Shutdown(last); err != nil {
		g.log.Warn("admin server", "error", err)
	}
}

func (g *Gateway) openAdmin() error {
	if g.opt.Admin == nil {
		return nil
	}
	o := *g.opt.Admin
	o.Views.Ready, o.Views.Pools, o.Views.Now = g.ready, g.opt.Set.All, g.engine.Now
	o.Views.Signals, o.Views.Announce, o.Views.Announced = g.report, g.announce, g.announcedFor
	if o.Log == nil {
		o.Log = g.log
	}
	var err error
	if o.Views.Metrics, err = g.metricsHandler(); err != nil {
		return err
	}
	g.admin, err = admin.New(o)
	return err
}

// AdminAddr is where the admin server listens, nil without one.
func (g *Gateway) AdminAddr() net.Addr {
	if g.admin == nil {
		return nil
	}
	return g.admin.Addr()
}

// ready is what /-/ready says.
func (g *Gateway) ready() (ready bool, degraded, detail string) {
	var waiting string
	if g.opt.Upstreams != nil {
		waiting, degraded = g.opt.Upstreams()
	}
	switch g.phase.Load() {
	case starting:
		return false, degraded, "starting: not listening yet"
	case serving:
	default:
		return false, degraded, "draining"
	}
	if waiting != "" {
		return false, degraded, waiting
	}
	return true, degraded, "serving"
}

// canceled is a context that leaves no time.
func canceled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// errDraining refuses a reload that comes too late.
var errDraining = errors.New("cannot reload: shutting down")

// Reload makes s the settings in effect, or changes nothing and returns why.
// Listening sockets, connections and live state of servers that stay are not
// touched; requests under way finish by the settings they began with.
func (g *Gateway) Reload(s Settings) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.phase.Load() >= draining {
		return errDraining
	}
	table, err := compileRoutes(s.Routes, g.log)
	if err != nil {
		return err
	}
	next := g.accessLog
	if s.AccessLog != g.settings.AccessLog {
		if next, err = openAccessLog(s.AccessLog, g.opt.Loops); err != nil {
			return err
		}
	}
	if err := g.relisten(s.Listen); err != nil {
		if next != g.accessLog {
			next.close()
		}
		return err
	}
	g.engine.Publish(s.engineConfig(table, next))
	g.unlistenOthers(s.Listen)
	if next != g.accessLog {
		g.accessLog.close()
		g.lost = g.accessLog.status(g.lost)
	}
	g.accessLog, g.settings = next, s
	return nil
}

// relisten opens what is new in want once the gateway serves.
func (g *Gateway) relisten(want []string) error {
	if g.phase.Load() != serving {
		return nil
	}
	opened, err := g.listen(want)
	if err != nil {
		for _, addr := range opened {
			g.unlisten(addr)
		}
	}
	return err
}

// ReopenLogs opens the access log again after a rotation (USR1).
func (g *Gateway) ReopenLogs() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.phase.Load() == ended {
		return nil
	}
	if err := g.accessLog.reopen(); err != nil {
		return fmt.Errorf("cannot reopen access log: %w", err)
	}
	return nil
}
