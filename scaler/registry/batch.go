package registry

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/hashicorp/consul/api"
)

// RegisterAll implements Batcher. An agent takes one service at a time: what
// is known is read once for all, and what is left is registered by
// Config.Workers at a time.
func (h *Health) RegisterAll(ctx context.Context, all []Registration) error {
	known, err := h.known(ctx)
	if err != nil {
		return fmt.Errorf("cannot register %d instances: %w", len(all), err)
	}
	return each(all, h.cfg.Workers, func(r Registration) error {
		ctx, cancel := h.bounded(ctx)
		defer cancel()
		r, err := normal(r, h.cfg.Cluster)
		if err == nil {
			err = h.put(ctx, r, known[r.ID])
		}
		return wrap("register", r.Service, r.ID, err)
	})
}

func (h *Health) known(ctx context.Context) (map[string]*api.AgentService, error) {
	ctx, cancel := h.bounded(ctx)
	defer cancel()
	known, err := h.api.Agent().ServicesWithFilterOpts("", h.plain(ctx))
	if kind := kindOf(err); err != nil && kind != nil {
		err = fmt.Errorf("%w: %w", kind, err)
	}
	return known, err
}

// each runs f for all, some at a time, and joins the errors in their order.
func each[T any](all []T, workers int, f func(T) error) error {
	errs := make([]error, len(all))
	turns := make(chan struct{}, workers)
	var wg sync.WaitGroup
	for i := range all {
		turns <- struct{}{}
		wg.Go(func() {
			defer func() { <-turns }()
			errs[i] = f(all[i])
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}
