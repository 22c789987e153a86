package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"spillway/configs"
	"spillway/scaler"
	"spillway/scaler/api"
	"spillway/scaler/docker"
	"spillway/scaler/fleet"
	"spillway/scaler/leader"
	"spillway/scaler/ledger"
	"spillway/scaler/metrics"
	"spillway/scaler/placement"
)

// scalerRun is the verb that scales until a signal ends it.
func (t *terminal) scalerRun(args []string) int {
	fs := t.newFlags("scaler run")
	path := fs.String("config", "", "`FILE` with the scaler's configuration")
	crash := fs.String("crash-at", "", "for tests: end by SIGKILL `before:N` or after:N effects")
	if err := fs.MarkHidden("crash-at"); err != nil {
		panic("BUG: " + err.Error())
	}
	if code, done := t.parse(fs, args, 0); done {
		return code
	}
	cfg, code := t.scalerConfig(*path)
	if code != exitOK {
		return code
	}
	log := newLogger(t.err, &cfg.Log)
	slogDefault(log)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	s, err := newScalerProcess(ctx, cfg, log.Logger)
	if err == nil {
		s.env.Around, err = crashAt(*crash)
	}
	if err == nil {
		err = s.assemble()
	}
	if err == nil {
		err = s.run(ctx)
	}
	if err != nil {
		log.Error("cannot scale", "error", err)
		return exitFailure
	}
	log.Info("ended: what runs goes on")
	return exitOK
}

// scalerDown is the verb that ends a cluster: it leads until nothing is left.
func (t *terminal) scalerDown(args []string) int {
	fs := t.newFlags("scaler down")
	path := fs.String("config", "", "`FILE` with the scaler's configuration")
	yes := fs.Bool("yes", false, "yes, drain and give back everything of this cluster")
	limit := fs.Duration("timeout", 10*time.Minute, "give up after this `TIME`; what is left is named")
	if code, done := t.parse(fs, args, 0); done {
		return code
	}
	if !*yes {
		return t.misuse("scaler down: it ends every instance and machine of the cluster; say --yes")
	}
	cfg, code := t.scalerConfig(*path)
	if code != exitOK {
		return code
	}
	cfg.API.Listen = "off"
	log := newLogger(t.err, &cfg.Log)
	slogDefault(log)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, *limit)
	defer cancel()
	s, err := newScalerProcess(ctx, cfg, log.Logger)
	if err == nil {
		err = s.assemble()
	}
	if err != nil {
		log.Error("cannot end the cluster", "error", err)
		return exitFailure
	}
	return s.down(ctx, cancel)
}

// down orders the end as soon as this process leads, and waits for it.
func (s *scalerProcess) down(ctx context.Context, stop func()) int {
	done := make(chan error, 1)
	go func() { done <- s.run(ctx) }()
	ordered := false
	ticker := time.NewTicker(s.cfg.Timings.Tick)
	defer ticker.Stop()
	for !s.control.Over() {
		if !ordered {
			ordered = s.control.Backend(hostNameOf()).Down(ctx, "spillway scaler down", "") == nil
		}
		select {
		case err := <-done:
			s.log.Error("the cluster has not ended", "error", err, "ordered", ordered)
			return exitFailure
		case <-ticker.C:
		}
	}
	if r, ok := s.elector.(interface{ Remove(context.Context) error }); ok {
		if err := r.Remove(ctx); err != nil {
			s.log.Warn("cannot remove the leader's lock", "error", err)
		}
	}
	stop()
	if err := <-done; err != nil {
		s.log.Error("cannot end", "error", err)
		return exitFailure
	}
	s.log.Info("nothing is left of the cluster")
	return exitOK
}

// scalerProcess is one scaler with all that it talks to.
//
// Goroutines: the election, the signals, the controller's tick with the effects
// it starts, the API and, if configured, the machines' join server. All end
// with run.
type scalerProcess struct {
	cfg       *configs.Scaler
	log       *slog.Logger
	settings  *scaler.Settings
	env       scaler.Env
	elector   leader.Elector
	providers *providers
	signals   *signalSources
	engines   *docker.Engines
	join      *joinSite // nil: machines do not phone home
	meter     *metrics.Metrics
	audit     *auditLog
	control   *scaler.Controller
}

func newScalerProcess(ctx context.Context, cfg *configs.Scaler, log *slog.Logger) (*scalerProcess, error) {
	s := &scalerProcess{cfg: cfg, log: log, meter: metrics.New(), engines: docker.New(docker.Options{Call: cfg.Timings.EngineCall})}
	for _, step := range []func(context.Context) error{
		s.openState, s.openConsul, s.openProviders, s.openJoin, s.openSignals,
	} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// openState makes the directory of what this process keeps.
func (s *scalerProcess) openState(context.Context) (err error) {
	if s.settings, err = scalerSettings(s.cfg); err != nil {
		return err
	}
	if err := os.MkdirAll(s.cfg.StateDir, 0o700); err != nil {
		return fmt.Errorf("cannot make the state directory: %w", err)
	}
	s.audit, err = openAudit(filepath.Join(s.cfg.StateDir, "audit.log"))
	return err
}

// openConsul makes the ledger, the election and the registry.
func (s *scalerProcess) openConsul(context.Context) error {
	c := &s.cfg.Consul
	client, err := ledger.ConsulConfig{
		Address: consulAddress(c), Token: string(c.Token), TokenFile: c.TokenFile,
		CAFile: c.TLS.CAFile, CertFile: c.TLS.CertFile, KeyFile: c.TLS.KeyFile, Namespace: c.Namespace, Partition: c.Partition,
	}.Client()
	if err != nil {
		return err
	}
	prefix := strings.Trim(strings.ReplaceAll(c.Prefix, "{cluster}", s.cfg.Cluster), "/")
	s.env.Store = ledger.NewConsul(client, prefix+"/ledger")
	s.elector, err = leader.NewConsul(client, leader.Config{
		Key: prefix + "/leader", Address: scalerAdvertise(s.cfg), Name: hostNameOf(), TTL: c.SessionTTL, LockDelay: c.LockDelay, Log: s.log,
	})
	if err != nil {
		return err
	}
	if s.cfg.DryRun {
		// One that only looks must not keep another one from leading.
		s.elector = leader.Always{Address: scalerAdvertise(s.cfg), Begun: time.Now()}
	}
	s.env.Leader = s.elector
	s.env.Registry, err = newRegistries(s.cfg, s.settings)
	return err
}

func consulAddress(c *configs.ScalerConsul) string {
	if strings.Contains(c.Address, "://") || c.Scheme == "" {
		return c.Address
	}
	return c.Scheme + "://" + c.Address
}

func hostNameOf() string {
	name, err := os.Hostname()
	if err != nil {
		return "unknown"
	}
	return name
}

// scalerAdvertise is where other scalers send their clients.
func scalerAdvertise(c *configs.Scaler) string {
	if c.API.Advertise != "" {
		return c.API.Advertise
	}
	if c.API.Listen == "" || c.API.Listen == "off" || strings.HasPrefix(c.API.Listen, "unix:") {
		return ""
	}
	return "http://" + c.API.Listen
}

func (s *scalerProcess) openProviders(ctx context.Context) (err error) {
	s.providers, err = scalerClouds(ctx, s.cfg, s.audit.line, s.meter.Cloud)
	if err != nil {
		return err
	}
	s.env.Clouds = s.providers.clouds
	if !s.cfg.DryRun {
		s.env.Loaded = func(machines []fleet.Machine) { handOut(ctx, s.log, s.cfg.Cluster, s.providers.owned, machines) }
	}
	return nil
}

func (s *scalerProcess) openJoin(context.Context) (err error) {
	if joinListens(s.cfg) {
		if s.join, err = openJoinSite(s.cfg, s.log); err != nil {
			return err
		}
		s.env.UserData, s.env.Stages = s.join.userData, s.join.stages
	}
	book, err := newEngineBook(s.cfg, s.join.authority(), s.providers.local)
	if err != nil {
		return err
	}
	s.env.EngineOf = book.of
	return nil
}

func (s *scalerProcess) openSignals(context.Context) error {
	s.signals = newSignalSources(s.cfg, s.env.Registry, s.log)
	s.env.Signals, s.env.Announcer = s.signals, s.signals
	return nil
}

// run scales until ctx ends. Then it stops ticking, gives the lead back and
// leaves everything running.
func (s *scalerProcess) run(ctx context.Context) error {
	fail := make(chan error, 4)
	var background, leading sync.WaitGroup
	inner, cancel := context.WithCancel(context.WithoutCancel(ctx))
	start := func(wg *sync.WaitGroup, ctx context.Context, what string, f func(context.Context) error) {
		wg.Go(func() {
			if err := f(ctx); err != nil && ctx.Err() == nil {
				fail <- fmt.Errorf("%s: %w", what, err)
			}
		})
	}
	start(&background, inner, "election", s.elector.Run)
	start(&background, inner, "signals", func(ctx context.Context) error { s.signals.run(ctx); return nil })
	start(&background, inner, "api", s.serveAPI)
	if s.join != nil {
		start(&background, inner, "join", func(ctx context.Context) error { return s.join.serve(ctx, s.control) })
	}
	start(&leading, ctx, "controller", func(ctx context.Context) error { s.control.Run(ctx, s.cfg.Timings.Tick); return nil })
	var err error
	select {
	case <-ctx.Done():
	case err = <-fail:
	}
	if err == nil {
		leading.Wait() // the last tick ends before the lead is given back
	}
	cancel()
	background.Wait()
	s.engines.Close()
	return errors.Join(err, s.audit.close())
}

// assemble makes the controller, the last piece.
func (s *scalerProcess) assemble() (err error) {
	e := &s.env
	e.Now, e.Go, e.Engines, e.Planner, e.Log = time.Now, newWorkers().start, s.engines, placement.Default{}, s.log
	if s.cfg.DryRun {
		e.Engines, e.Registry = scaler.DryEngines(e.Engines), scaler.DryRegistry(e.Registry)
	}
	e.Audit, e.Meter = s.audit.event, s.meter
	s.control, err = scaler.New(*s.settings, *e)
	return err
}

// serveAPI serves people, tools and Prometheus.
func (s *scalerProcess) serveAPI(ctx context.Context) error {
	if s.cfg.API.Listen == "" || s.cfg.API.Listen == "off" {
		<-ctx.Done()
		return nil
	}
	backend := s.control.Backend(hostNameOf())
	s.meter.Watch(backend)
	server, err := api.New(api.Options{
		Listen: s.cfg.API.Listen, Token: string(s.cfg.API.Token), TokenFile: s.cfg.API.TokenFile, ReadToken: string(s.cfg.API.ReadToken),
		Metrics: s.meter.Handler(), Audit: s.audit, Backend: backend, Log: s.log,
	})
	if err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() { done <- server.Serve() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		return server.Shutdown(end)
	}
}
