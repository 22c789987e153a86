package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"spillway/configs"
	"spillway/scaler"
	"spillway/scaler/fleet"
	"spillway/scaler/hostinit"
	"spillway/scaler/hostinit/join"
)

// joinSite is where new machines phone home: it admits those that the cloud
// lists in their order, and remembers how far each has come.
type joinSite struct {
	cfg      *configs.Scaler
	log      *slog.Logger
	ca       *join.CA
	profiles map[string]*hostinit.Profile // by pool of machines

	mu    sync.Mutex
	named map[string][]fleet.Stage // by cloud id
}

func openJoinSite(c *configs.Scaler, log *slog.Logger) (*joinSite, error) {
	ca, err := join.OpenCA(join.CAOptions{
		Dir: filepath.Join(c.StateDir, "ca"), CertFile: c.Join.CAFile, KeyFile: c.Join.CAKeyFile, Validity: c.Join.CertificateTTL,
	})
	if err != nil {
		return nil, err
	}
	j := &joinSite{cfg: c, log: log, ca: ca, profiles: map[string]*hostinit.Profile{}, named: map[string][]fleet.Stage{}}
	for name, m := range c.Machines {
		if !runsInit(c, &m) {
			continue
		}
		if j.profiles[name], err = hostProfile(c, m.Profile); err != nil {
			return nil, err
		}
	}
	return j, nil
}

// authority is nil without a site.
func (j *joinSite) authority() *join.CA {
	if j == nil {
		return nil
	}
	return j.ca
}

// url is where machines reach this site.
func (j *joinSite) url() string {
	return cmp.Or(j.cfg.Join.Advertise, "https://"+j.cfg.Join.Listen)
}

// userData of the machines of an order: the token ends a fixed time after the
// order was decided, so that a repetition is the same request.
func (j *joinSite) userData(o fleet.Order, p *scaler.Pool, decided time.Time) ([]byte, error) {
	profile := j.profiles[p.Name]
	if profile == nil {
		return nil, nil
	}
	return profile.Render(hostinit.Boot{
		Scaler: j.url(), CA: string(j.ca.PEM()), Token: j.ca.Token(o.ID, decided.Add(j.cfg.Join.TokenTTL)),
		Lease: j.cfg.Timings.Lease, Checkers: checkers(j.cfg),
	}, maxUserData)
}

// maxUserData is more than any provider takes: each driver refuses what is too
// large for its own.
const maxUserData = 64 << 10

// checkers are those whose packets are no requests: the agent that runs the
// checks.
func checkers(c *configs.Scaler) []string {
	host := c.Consul.Address
	if u, err := url.Parse(host); err == nil && u.Host != "" {
		host = u.Host
	}
	name, _, err := net.SplitHostPort(host)
	if err != nil || net.ParseIP(name) == nil {
		return nil
	}
	return []string{name}
}

// stages are what a machine told.
func (j *joinSite) stages(m fleet.Machine) []fleet.Stage {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.named[m.CloudID]
}

func (j *joinSite) reached(s join.Stage) {
	if s.Name == "lease" {
		return // the machine says that it lives; its engine says so as well
	}
	if s.Error != "" {
		j.log.Warn("a machine's init failed at a stage", "machine", s.Machine, "stage", s.Name, "error", s.Error)
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if _, known := j.named[s.Machine]; !known {
		j.forget(s.At.Add(-stagesKept))
	}
	j.named[s.Machine] = append(slices.Clone(j.named[s.Machine]), fleet.Stage{Name: s.Name, At: s.At})
}

// stagesKept is how long a machine's stages are remembered here; those of one
// that is settled are in its record.
const stagesKept = 24 * time.Hour

// forget drops machines that told nothing since.
func (j *joinSite) forget(since time.Time) {
	for id, stages := range j.named {
		if stages[len(stages)-1].At.Before(since) {
			delete(j.named, id)
		}
	}
}

// serve answers machines until ctx ends.
func (j *joinSite) serve(ctx context.Context, control *scaler.Controller) error {
	handler := join.NewServer(join.Options{
		CA: j.ca, Claims: join.DirClaims(filepath.Join(j.cfg.StateDir, "claims")), Reached: j.reached, Now: time.Now, Log: j.log,
		Belongs: func(order, machine string) (join.Listed, bool) {
			m, _, ok := control.Listed(order, machine)
			return join.Listed{Name: m.Name, Address: m.Address}, ok
		},
		Config: func(order, machine string, at join.Listed) join.Config { return j.config(control, order, machine, at) },
	})
	certificate, err := j.certificate()
	if err != nil {
		return err
	}
	listener, err := tls.Listen("tcp", j.cfg.Join.Listen, &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12})
	if err != nil {
		return fmt.Errorf("cannot listen for machines: %w", err)
	}
	server := &http.Server{Handler: handler, ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second, IdleTimeout: time.Minute}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	if err := server.Serve(listener); err != nil && ctx.Err() == nil {
		return fmt.Errorf("cannot answer machines: %w", err)
	}
	return nil
}

// certificate is for the names machines know this site by.
func (j *joinSite) certificate() (tls.Certificate, error) {
	u, err := url.Parse(j.url())
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("cannot use join.advertise: %w", err)
	}
	return j.ca.Server([]string{u.Hostname()})
}

// config is what a machine's engine is given: the profile's, with the labels
// that place it.
func (j *joinSite) config(control *scaler.Controller, order, machine string, at join.Listed) join.Config {
	m, provider, _ := control.Listed(order, machine)
	pool := control.PoolOf(&m)
	profile := j.profiles[pool]
	if profile == nil {
		return join.Config{}
	}
	return profile.Engine(map[string]string{"idc": provider, "ip": at.Address, "srv": control.ServicesOn(pool), "role": pool})
}
