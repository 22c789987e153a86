package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"spillway/configs"
	"spillway/scaler"
	"spillway/scaler/fleet"
	"spillway/scaler/registry"
	"spillway/scaler/signal"
)

// registries send each service to the registry its app uses.
type registries struct {
	health    registry.Registry // of every app with checks, and of gateways
	byService map[string]registry.Registry
}

func newRegistries(c *configs.Scaler, s *scaler.Settings) (*registries, error) {
	base := registry.Config{
		Address: consulAddress(&c.Consul), Token: registry.Secret(c.Consul.Token), TokenFile: c.Consul.TokenFile,
		Namespace: c.Consul.Namespace, Partition: c.Consul.Partition,
		Datacenter: c.Consul.Datacenter, Cluster: c.Cluster, GatewayService: c.Gateways.Service,
	}
	for _, f := range []struct {
		path string
		into *[]byte
	}{{c.Consul.TLS.CAFile, &base.CA}, {c.Consul.TLS.CertFile, &base.Cert}, {c.Consul.TLS.KeyFile, &base.Key}} {
		var err error
		if f.path == "" {
			continue
		}
		if *f.into, err = os.ReadFile(f.path); err != nil {
			return nil, fmt.Errorf("cannot read the certificates for Consul: %w", err)
		}
	}
	health, err := registry.NewHealth(base)
	if err != nil {
		return nil, err
	}
	r := &registries{health: health, byService: map[string]registry.Registry{}}
	for i := range s.Apps {
		a := c.Apps[s.Apps[i].Name]
		if a.Source != configs.SourceKV {
			continue
		}
		kv := base
		kv.Prefix, _ = keyParts(&a, s.Apps[i].Name)
		if r.byService[s.Apps[i].Service], err = registry.NewKV(kv); err != nil {
			return nil, err
		}
	}
	return r, nil
}

func (r *registries) of(service string) registry.Registry {
	if kv := r.byService[service]; kv != nil {
		return kv
	}
	return r.health
}

func (r *registries) Register(ctx context.Context, g registry.Registration) error {
	return r.of(g.Service).Register(ctx, g)
}

func (r *registries) Drain(ctx context.Context, service, id, why string) error {
	return r.of(service).Drain(ctx, service, id, why)
}

func (r *registries) Undrain(ctx context.Context, service, id string) error {
	return r.of(service).Undrain(ctx, service, id)
}

func (r *registries) Deregister(ctx context.Context, service, id string) error {
	return r.of(service).Deregister(ctx, service, id)
}

func (r *registries) Entries(ctx context.Context, service string) ([]registry.Entry, error) {
	return r.of(service).Entries(ctx, service)
}

func (r *registries) Gateways(ctx context.Context) ([]registry.Gateway, error) {
	return r.health.Gateways(ctx)
}

// signalSources are the gateways, and Prometheus for the upstreams that say so.
// What gateways know of servers counts for all.
type signalSources struct {
	*signal.Gateways
	prometheus *signal.Prometheus // nil: none
	asks       map[string]bool    // upstreams that ask Prometheus
}

func newSignalSources(c *configs.Scaler, r registry.Registry, log *slog.Logger) *signalSources {
	s := &signalSources{asks: map[string]bool{}}
	s.Gateways = signal.NewGateways(signal.Options{
		Find:  func(ctx context.Context) ([]signal.Gateway, error) { return findGateways(ctx, r) },
		Token: secretOrFile(string(c.Gateways.Token), c.Gateways.TokenFile), Interval: c.Gateways.Interval,
		Timeout: c.Gateways.Timeout, Parallel: c.Gateways.Parallel, Log: log,
	})
	queries := map[string]signal.Queries{}
	for name, a := range c.Apps {
		if a.Signal != configs.SignalPrometheus {
			continue
		}
		upstream := a.Upstream
		if upstream == "" {
			upstream = name
		}
		fill := strings.NewReplacer("{app}", name, "{upstream}", upstream).Replace
		queries[upstream] = signal.Queries{
			Arrivals: fill(a.Queries.Arrivals), InFlight: fill(a.Queries.InFlight), P95: fill(a.Queries.P95), Errors: fill(a.Queries.Errors),
		}
		s.asks[upstream] = true
	}
	if len(queries) > 0 {
		s.prometheus = signal.NewPrometheus(signal.PrometheusOptions{
			URL: c.Prometheus.URL, Queries: queries, Token: secretOrFile(string(c.Prometheus.Token), c.Prometheus.TokenFile),
			Interval: c.Prometheus.Interval, Timeout: c.Prometheus.Timeout, Log: log,
		})
	}
	return s
}

func findGateways(ctx context.Context, r registry.Registry) ([]signal.Gateway, error) {
	list, err := r.Gateways(ctx)
	if err != nil {
		return nil, err
	}
	gateways := make([]signal.Gateway, len(list))
	for i, g := range list {
		gateways[i] = signal.Gateway{ID: g.ID, Admin: g.Admin}
	}
	return gateways, nil
}

// secretOrFile reads a token's file each time it is asked for, so that a new
// one is used at once.
func secretOrFile(secret, file string) func() string {
	return func() string {
		if file == "" {
			return secret
		}
		text, err := os.ReadFile(file)
		if err != nil {
			slog.Warn("cannot read token", "file", file, "error", err)
			return ""
		}
		return strings.TrimSpace(string(text))
	}
}

// Snapshot is Prometheus' for the upstreams that ask it, with the gateways'
// servers.
func (s *signalSources) Snapshot(upstream string, window time.Duration) signal.Snapshot {
	told := s.Gateways.Snapshot(upstream, window)
	if !s.asks[upstream] {
		return told
	}
	p := s.prometheus.Snapshot(upstream, window)
	p.Servers = told.Servers
	return p
}

func (s *signalSources) run(ctx context.Context) {
	var wg sync.WaitGroup
	wg.Go(func() { s.Gateways.Run(ctx) })
	if s.prometheus != nil {
		wg.Go(func() { s.prometheus.Run(ctx) })
	}
	wg.Wait()
}

// auditLog is a file of JSON lines: every write to a provider, every effect and
// every person's order.
type auditLog struct {
	mu   sync.Mutex
	file *os.File
}

func openAudit(path string) (*auditLog, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cannot open the audit log: %w", err)
	}
	return &auditLog{file: f}, nil
}

// Write implements io.Writer for whoever writes whole lines.
func (a *auditLog) Write(p []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.file.Write(p)
}

func (a *auditLog) line(text []byte) {
	if _, err := a.Write(append(slices.Clone(trimLine(text)), '\n')); err != nil {
		slog.Error("cannot write the audit log", "error", err)
	}
}

func trimLine(text []byte) []byte { return []byte(strings.TrimRight(string(text), "\n")) }

func (a *auditLog) event(e scaler.Event) {
	text, err := json.Marshal(e)
	if err != nil {
		panic("BUG: cannot encode an event: " + err.Error())
	}
	a.line(text)
}

func (a *auditLog) close() error { return a.file.Close() }

// workers bound how much is under way at once towards one provider or the
// registry; engines bound themselves.
type workers struct {
	mu    sync.Mutex
	lanes map[string]chan struct{}
}

// laneWidth is how many calls one provider, or the registry, has at once.
const laneWidth = 32

func newWorkers() *workers { return &workers{lanes: map[string]chan struct{}{}} }

func (w *workers) start(key string, f func()) {
	if strings.HasPrefix(key, "engine/") {
		go f()
		return
	}
	lane := w.lane(key)
	go func() {
		lane <- struct{}{}
		defer func() { <-lane }()
		f()
	}()
}

func (w *workers) lane(key string) chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.lanes[key] == nil {
		w.lanes[key] = make(chan struct{}, laneWidth)
	}
	return w.lanes[key]
}

// crashAt ends this process by SIGKILL before or after its n-th effect, or its
// first one of a kind, for tests of what another one makes of it: "before:7",
// "after:register".
func crashAt(text string) (func(fleet.Effect, bool), error) {
	if text == "" {
		return nil, nil
	}
	side, what, _ := strings.Cut(text, ":")
	n, err := strconv.Atoi(what)
	kind := fleet.Kind(what)
	if err == nil {
		kind = ""
	} else {
		n = 1
	}
	if what == "" || (side != "before" && side != "after") {
		return nil, fmt.Errorf("cannot crash at %q: want before:N, after:N, before:KIND or after:KIND", text)
	}
	var count atomic.Int64
	return func(e fleet.Effect, done bool) {
		if done != (side == "after") || (kind != "" && e.Kind != kind) {
			return
		}
		if int(count.Add(1)) == n {
			fmt.Fprintf(os.Stderr, "crash-at: %s %s %s\n", side, e.Kind, e.ID)
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		}
	}, nil
}
