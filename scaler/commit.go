package scaler

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"spillway/scaler/fleet"
	"spillway/scaler/ledger"
)

// commit writes what changed to the ledger, in transactions as large as it
// takes. Counters come first, so that of two controllers that order at once one
// loses before it has written an order; an order and its slots are never
// parted. After the first error nothing more is written: the book and the
// ledger may differ then, and the book is read again.
func (b *book) commit(ctx context.Context, s ledger.Store, f ledger.Fence) error {
	records, memories := b.changes()
	if err := write(ctx, s, f, records); err != nil {
		return err
	}
	return write(ctx, s, f, memories)
}

func write(ctx context.Context, s ledger.Store, f ledger.Fence, groups [][]change) error {
	left := slices.Concat(groups...)
	for _, ops := range ledger.Pack(operations(groups)) {
		indexes, err := s.Commit(ctx, f, ops)
		if err != nil {
			return fmt.Errorf("cannot commit %d records from %q: %w", len(ops), ops[0].Key, err)
		}
		if len(indexes) != len(ops) {
			return fmt.Errorf("cannot commit records: %d indexes for %d operations", len(indexes), len(ops))
		}
		for n, index := range indexes {
			left[n].note(index)
		}
		left = left[len(ops):]
	}
	return nil
}

func operations(groups [][]change) [][]ledger.Op {
	all := make([][]ledger.Op, len(groups))
	for n, g := range groups {
		for _, c := range g {
			all[n] = append(all[n], c.op)
		}
	}
	return all
}

// changes lists what the ledger does not have, in groups that must not be
// parted: records, and apart from them what is large and could be lost.
func (b *book) changes() (records, memories [][]change) {
	records = append(single(b.pools.changes()), single(b.apps.changes())...)
	orders, slots := b.newSlots()
	records = append(records, orders...)
	for _, c := range b.machines.changes() {
		if !slots[c.op.Key] {
			records = append(records, []change{c})
		}
	}
	records = append(records, single(b.instances.changes())...)
	records = append(records, single(b.nodes.changes())...)
	for _, t := range []loader{b.spend, b.policy, b.decisions} {
		memories = append(memories, single(t.changes())...)
	}
	return records, memories
}

// single makes a group of each change.
func single(all []change) (groups [][]change) {
	for _, c := range all {
		groups = append(groups, []change{c})
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

// deposed reports whether an error means that another controller leads.
func deposed(err error) bool { return errors.Is(err, ledger.ErrFenced) }
