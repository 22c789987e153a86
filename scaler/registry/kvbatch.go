package registry

import (
	"context"
	"errors"
	"slices"

	"github.com/hashicorp/consul/api"
)

// maxOps is what Consul takes in one transaction.
const maxOps = 128

// RegisterAll implements Batcher: one read for each service and a transaction
// for every 64 instances. What cannot be written together is registered one
// by one.
func (k *KV) RegisterAll(ctx context.Context, all []Registration) error {
	byService := map[string][]Registration{}
	var order []string
	for _, r := range all {
		if !slices.Contains(order, r.Service) {
			order = append(order, r.Service)
		}
		byService[r.Service] = append(byService[r.Service], r)
	}
	var errs []error
	for _, service := range order {
		errs = append(errs, k.registerService(ctx, service, byService[service]))
	}
	return errors.Join(errs...)
}

func (k *KV) registerService(ctx context.Context, service string, all []Registration) error {
	slots, err := k.readBounded(ctx, service)
	if err != nil {
		return wrap("register", service, "", err)
	}
	todo := make([]*entering, len(all))
	for i, r := range all {
		todo[i] = &entering{Registration: r}
	}
	err = each(todo, k.cfg.Workers, func(e *entering) error {
		ctx, cancel := k.bounded(ctx)
		defer cancel()
		var err error
		e.ops, err = k.enter(ctx, e.Registration, slots)
		return wrap("register", service, e.ID, err)
	})
	return errors.Join(err, k.writeAll(ctx, todo))
}

func (k *KV) readBounded(ctx context.Context, service string) (map[string]*slot, error) {
	ctx, cancel := k.bounded(ctx)
	defer cancel()
	return k.read(ctx, service)
}

// entering is a registration with what it takes.
type entering struct {
	Registration
	ops api.TxnOps
}

// writeAll fills transactions. One that is refused is taken apart.
func (k *KV) writeAll(ctx context.Context, all []*entering) error {
	var errs []error
	for len(all) > 0 {
		n, ops := fill(all)
		if len(ops) > 0 {
			errs = append(errs, k.writeSome(ctx, all[:n], ops))
		}
		all = all[n:]
	}
	return errors.Join(errs...)
}

// fill takes as many as fit into one transaction, at least one.
func fill(all []*entering) (n int, ops api.TxnOps) {
	for n < len(all) && (n == 0 || len(ops)+len(all[n].ops) <= maxOps) {
		ops = append(ops, all[n].ops...)
		n++
	}
	return n, ops
}

func (k *KV) writeSome(ctx context.Context, some []*entering, ops api.TxnOps) error {
	bounded, cancel := k.bounded(ctx)
	defer cancel()
	if done, err := k.apply(bounded, ops); done && err == nil {
		return nil
	}
	return each(some, k.cfg.Workers, func(e *entering) error {
		if len(e.ops) == 0 {
			return nil
		}
		return k.Register(ctx, e.Registration)
	})
}
