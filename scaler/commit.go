package scaler

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"spillway/scaler/fleet"
	"spillway/scaler/ledger"
)

// commit writes what changed to the ledger, in transactions of at most
// ledger.MaxOps. Counters come first, so that of two controllers that order at
// once one loses before it has written an order; an order and its slots are
// never parted. After the first error nothing more is written: the book and the
// ledger may differ then, and the book is read again.
func (b *book) commit(ctx context.Context, s ledger.Store, f ledger.Fence) error {
	for _, batch := range pack(b.changes(), ledger.MaxOps) {
		ops := make([]ledger.Op, len(batch))
		for n := range batch {
			ops[n] = batch[n].op
		}
		indexes, err := s.Commit(ctx, f, ops)
		if err != nil {
			return fmt.Errorf("cannot commit %d records from %q: %w", len(ops), ops[0].Key, err)
		}
		if len(indexes) != len(ops) {
			return fmt.Errorf("cannot commit records: %d indexes for %d operations", len(indexes), len(ops))
		}
		for n := range batch {
			batch[n].note(indexes[n])
		}
	}
	return nil
}

// changes lists what the ledger does not have, in groups that must not be
// parted.
func (b *book) changes() [][]change {
	var groups [][]change
	single := func(all []change) {
		for _, c := range all {
			groups = append(groups, []change{c})
		}
	}
	single(b.pools.changes())
	single(b.apps.changes())
	orders, slots := b.newSlots()
	groups = append(groups, orders...)
	for _, c := range b.machines.changes() {
		if !slots[c.op.Key] {
			groups = append(groups, []change{c})
		}
	}
	for _, t := range []loader{b.instances, b.nodes, b.policy, b.spend, b.decisions} {
		single(t.changes())
	}
	return groups
}

// newSlots groups each order with those of its slots that have never been
// stored.
func (b *book) newSlots() (groups [][]change, grouped map[string]bool) {
	grouped = map[string]bool{}
	for _, c := range b.orders.changes() {
		group := []change{c}
		if o, ok := b.orders.get(strings.TrimPrefix(c.op.Key, keyOrders)); ok && c.op.Index == 0 {
			for _, m := range b.unstored(&o) {
				grouped[m.op.Key] = true
				group = append(group, m)
			}
		}
		groups = append(groups, group)
	}
	return groups, grouped
}

func (b *book) unstored(o *fleet.Order) []change {
	var all []change
	for _, slot := range o.Slots {
		if r := b.machines.rows[slot]; r != nil && r.index == 0 && !r.gone {
			all = append(all, b.machines.change(slot))
		}
	}
	return all
}

// pack puts groups into as few transactions as their order allows.
func pack(groups [][]change, most int) [][]change {
	var batches [][]change
	var batch []change
	for _, g := range groups {
		if len(batch)+len(g) > most && len(batch) > 0 {
			batches = append(batches, batch)
			batch = nil
		}
		batch = append(batch, g...)
	}
	if len(batch) > 0 {
		batches = append(batches, batch)
	}
	return batches
}

// deposed reports whether an error means that another controller leads.
func deposed(err error) bool { return errors.Is(err, ledger.ErrFenced) }
