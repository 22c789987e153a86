package main

import (
	"context"
	"errors"
	"log/slog"
	"reflect"
	"time"

	"spillway/configs"
	"spillway/gateway/upstream"
)

// reloadLogged is what HUP asks for.
func (s *server) reloadLogged() {
	s.tell(reloading())
	defer s.tell("READY=1")
	err := s.reload()
	if err == nil {
		s.log.Info("configuration reloaded")
		return
	}
	var mistakes configs.Errors
	if !errors.As(err, &mistakes) {
		s.log.Error("configuration not reloaded, the old one stays", "error", err)
		return
	}
	for _, m := range mistakes {
		s.log.Error("configuration not reloaded, the old one stays", "error", m.Error())
	}
}

// firstOnReload is how long a reload waits for the servers of upstreams it
// adds, before requests are routed to them.
const firstOnReload = 2 * time.Second

// reload reads the configuration again and makes it the one in effect, or
// changes nothing and returns why. Upstreams that are the same keep their
// watch, their pool and all live state.
//
// The order matters: pools exist before routes name them, and leave after no
// route does.
func (s *server) reload() (err error) {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	defer func() { s.noteReload(err) }()
	next, err := s.load()
	if err != nil {
		return err
	}
	old := s.config()
	undo := s.prepare(old, next)
	if err := s.replace(next); err != nil {
		undo()
		return err
	}
	s.setConfig(next)
	s.log.setLevel(next.Log.Level)
	s.applySettings(old, next)
	s.dropUnused(next)
	warnFixed(s.log.Logger, old, next)
	return nil
}

// prepare puts the pools of next into the set, beside those in use, and
// returns what takes them out again.
func (s *server) prepare(old, next *configs.Config) (undo func()) {
	_, before := s.upstreams(old)
	pools, _ := s.upstreams(next)
	var replaced []*upstream.Pool
	var added []string
	for _, p := range pools {
		switch was := s.set.Lookup(p.Name); was {
		case nil:
			added = append(added, p.Name)
		case p:
		default:
			replaced = append(replaced, was)
		}
	}
	s.set.Update(pools, nil)
	s.setPatterns(next)
	return func() {
		s.setPatterns(old)
		s.set.Update(replaced, added)
		if err := s.syncer.Configure(before); err != nil {
			s.log.Error("cannot follow the upstreams as before", "error", err)
		}
	}
}

// replace tells the syncer and the gateway.
func (s *server) replace(next *configs.Config) error {
	_, ups := s.upstreams(next)
	for i := range ups {
		ups[i].StrongDependency = false // it keeps a start from succeeding, not a gateway from running
	}
	if err := s.syncer.Configure(ups); err != nil {
		return err
	}
	ctx, stop := context.WithTimeout(context.Background(), firstOnReload)
	defer stop()
	if err := s.syncer.WaitFirst(ctx); err != nil {
		s.log.Warn("reloading without all first servers", "error", err)
	}
	return s.gw.Reload(gatewaySettings(next))
}

// applySettings changes how upstreams are used of which the file says
// something else now.
func (s *server) applySettings(old, next *configs.Config) {
	for _, p := range s.set.All() {
		name := s.declaredAs(p, next)
		u, declared := next.Upstreams[name]
		if declared && !reflect.DeepEqual(u, old.Upstreams[name]) {
			p.SetSettings(poolSettings(&u))
		}
	}
}

// declaredAs is the name under which the configuration has a pool: its own,
// or that of the pattern it was discovered by.
func (s *server) declaredAs(p *upstream.Pool, cfg *configs.Config) string {
	if u, ok := cfg.Upstreams[p.Name]; ok {
		if _, discovers := u.Discovers(); !discovers {
			return p.Name
		}
	}
	s.foundMu.Lock()
	defer s.foundMu.Unlock()
	return s.found[p]
}

// dropUnused removes the pools that next neither declares nor discovers.
func (s *server) dropUnused(next *configs.Config) {
	var gone []*upstream.Pool
	for _, p := range s.set.All() {
		if _, ok := next.Upstreams[s.declaredAs(p, next)]; !ok {
			gone = append(gone, p)
		}
	}
	s.set.Drop(gone...) // by now a pattern may have found one of that name
	s.foundMu.Lock()
	defer s.foundMu.Unlock()
	for p := range s.found {
		if s.set.Lookup(p.Name) != p {
			delete(s.found, p)
		}
	}
}

// warnFixed tells of what changed in the file and takes a restart.
func warnFixed(log *slog.Logger, old, next *configs.Config) {
	for _, c := range []struct {
		key     string
		changed bool
	}{
		{"gateway.loops", old.Gateway.Loops != next.Gateway.Loops},
		{"gateway.trace", trace(old) != trace(next)},
		{"admin", old.Admin != next.Admin},
		{"consul", !reflect.DeepEqual(old.Consul, next.Consul)},
		{"log.format", old.Log.Format != next.Log.Format},
	} {
		if c.changed {
			log.Warn("this change takes effect at the next start", "key", c.key)
		}
	}
}
