package scaler

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"spillway/scaler/registry"
)

// entry of the fake registry.
type entry struct {
	registry.Registration
	draining bool
	at       time.Time
}

// registrar is a registry whose agent checks every instance each second.
type registrar struct {
	w       *world
	entries map[string]*entry
	down    bool
}

var errRegistry = errors.New("no answer from the registry")

// checkTakes is how long a container takes until its check passes.
const checkTakes = 2 * time.Second

func (r *registrar) passing(e *entry) bool {
	since, ok := r.w.engines.serves(e.Address)
	return ok && r.w.clock.Now().Sub(since) >= checkTakes
}

func (r *registrar) change(id string, f func(e *entry)) error {
	if r.down {
		return errRegistry
	}
	if e := r.entries[id]; e != nil {
		f(e)
	}
	return nil
}

func (r *registrar) Register(_ context.Context, g registry.Registration) error {
	if r.down {
		return errRegistry
	}
	if r.entries[g.ID] == nil {
		r.entries[g.ID] = &entry{Registration: g, at: r.w.clock.Now()}
		r.w.say("%s is registered", g.ID)
	}
	return nil
}

func (r *registrar) Drain(_ context.Context, _, id, _ string) error {
	r.w.say("%s drains", id)
	return r.change(id, func(e *entry) { e.draining = true })
}

func (r *registrar) Undrain(_ context.Context, _, id string) error {
	return r.change(id, func(e *entry) { e.draining = false })
}

func (r *registrar) Deregister(_ context.Context, _, id string) error {
	return r.change(id, func(e *entry) {
		r.w.gates.mustNotUse(e.Address, id+" is deregistered")
		delete(r.entries, id)
		r.w.say("%s is deregistered", id)
	})
}

func (r *registrar) Entries(_ context.Context, service string) ([]registry.Entry, error) {
	if r.down {
		return nil, errRegistry
	}
	var all []registry.Entry
	for _, id := range slices.Sorted(maps.Keys(r.entries)) {
		if e := r.entries[id]; e.Service == service {
			all = append(all, registry.Entry{Registration: e.Registration, Passing: r.passing(e), Draining: e.draining})
		}
	}
	return all, nil
}

func (r *registrar) Gateways(context.Context) ([]registry.Gateway, error) { return nil, nil }

// critical are the entries in rotation whose check fails.
func (r *registrar) critical() (ids []string) {
	for id, e := range r.entries {
		if !r.passing(e) && !e.draining {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}
