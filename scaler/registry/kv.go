package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/consul/api"
)

// KV enters instances as keys that gateways and nginx-upsync read:
//
//	<Prefix>/<service>/<ip:port>            {"weight":2,"down":0}
//	<Index>/<Prefix>/<service>/<ip:port>    whose it is, and what it is
//
// The second is written in the same transaction as the first and guards it: a
// change of the first is made only while the second says what it said when it
// was decided. A key without a note in the index is somebody else's; an
// instance registered at its address takes it over, with what it says of
// max_fails and the like.
//
// There are no checks in KV, so an instance is entered only once it answers
// its own (ErrNotAnswering until then). It is safe for use by several
// goroutines.
//
// Source: https://developer.hashicorp.com/consul/api-docs/txn.
type KV struct{ client }

var (
	_ Registry = (*KV)(nil)
	_ Batcher  = (*KV)(nil)
)

// tries bounds how often a change is decided anew when somebody else was
// quicker.
const tries = 4

// NewKV prepares a registry and asks nothing.
func NewKV(c Config) (*KV, error) {
	base, err := newClient(c)
	return &KV{base}, err
}

// owner is the value of a key of the index.
type owner struct {
	Cluster string
	// Why it was drained, for a person.
	Why string `json:",omitempty"`
	Registration
}

// slot is one address of a service: the note and the key, as read together.
type slot struct {
	service, address string
	owner            *owner // nil: nobody's
	value            []byte
	exists           bool   // the key
	noteIndex, index uint64 // of the note and the key, 0 missing
}

func (k *KV) noteKey(service, address string) string {
	return k.cfg.Index + "/" + k.cfg.Prefix + "/" + service + "/" + address
}

func (k *KV) key(service, address string) string {
	return k.cfg.Prefix + "/" + service + "/" + address
}

// read returns every address of a service that has a note or a key.
func (k *KV) read(ctx context.Context, service string) (map[string]*slot, error) {
	slots := map[string]*slot{}
	at := func(address string) *slot {
		if slots[address] == nil {
			slots[address] = &slot{service: service, address: address}
		}
		return slots[address]
	}
	err := k.list(ctx, k.noteKey(service, ""), func(address string, p *api.KVPair) error {
		s := at(address)
		s.noteIndex, s.owner = p.ModifyIndex, &owner{}
		if err := json.Unmarshal(p.Value, s.owner); err != nil {
			return fmt.Errorf("cannot read key %q: %w", p.Key, err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	err = k.list(ctx, k.key(service, ""), func(address string, p *api.KVPair) error {
		s := at(address)
		s.index, s.exists, s.value = p.ModifyIndex, true, p.Value
		return nil
	})
	return slots, err
}

func (k *KV) list(ctx context.Context, prefix string, each func(name string, p *api.KVPair) error) error {
	pairs, meta, err := k.api.KV().List(prefix, k.query(ctx, ""))
	if err == nil {
		err = whole(meta)
	}
	for i := 0; i < len(pairs) && err == nil; i++ {
		if name := strings.TrimPrefix(pairs[i].Key, prefix); name != "" && !strings.Contains(name, "/") {
			err = each(name, pairs[i])
		}
	}
	return err
}

// Register implements Registry.
func (k *KV) Register(ctx context.Context, r Registration) error {
	return wrap("register", r.Service, r.ID, k.retry(ctx, r.Service, func(ctx context.Context, slots map[string]*slot) (api.TxnOps, error) {
		return k.enter(ctx, r, slots)
	}))
}

// enter returns the operations that register, none if it is registered.
func (k *KV) enter(ctx context.Context, r Registration, slots map[string]*slot) (api.TxnOps, error) {
	r, err := normal(r, k.cfg.Cluster)
	if err != nil {
		return nil, err
	}
	s := slots[r.Address]
	if s == nil {
		s = &slot{service: r.Service, address: r.Address}
	}
	o := s.owner
	switch {
	case o != nil && o.Cluster != k.cfg.Cluster:
		return nil, ErrForeign
	case o != nil && s.exists && o.ID == r.ID && o.Meta[MetaSpec] == r.Meta[MetaSpec]:
		return nil, nil
	}
	same := o != nil && o.ID == r.ID
	if !same || !s.exists {
		if err := k.cfg.Probe(ctx, r); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrNotAnswering, err)
		}
	}
	was := s.value
	if o != nil && !same {
		was = nil // of an instance that was there before
	}
	value, err := edit(was, map[string]int{"weight": r.Weight})
	if err != nil {
		return nil, err
	}
	next := owner{Cluster: k.cfg.Cluster, Registration: r}
	if same {
		next.Why = o.Why
	}
	return append(k.write(s, next, value), k.leave(slots, r)...), nil
}

// leave removes what the same instance has at other addresses.
func (k *KV) leave(slots map[string]*slot, r Registration) (ops api.TxnOps) {
	for _, s := range k.of(slots, r.ID) {
		if s.address != r.Address {
			ops = append(ops, k.erase(s)...)
		}
	}
	return ops
}

// of returns the slots that an instance of ours has, in the order of their
// addresses: one, as a rule.
func (k *KV) of(slots map[string]*slot, id string) (found []*slot) {
	for _, s := range slots {
		if s.owner != nil && s.owner.ID == id && s.owner.Cluster == k.cfg.Cluster {
			found = append(found, s)
		}
	}
	slices.SortFunc(found, func(a, b *slot) int { return strings.Compare(a.address, b.address) })
	return found
}

// write sets note and key, if neither was changed since it was read.
func (k *KV) write(s *slot, o owner, value []byte) api.TxnOps {
	note, err := json.Marshal(o)
	if err != nil {
		panic("BUG: cannot encode a registration: " + err.Error())
	}
	return api.TxnOps{
		{KV: &api.KVTxnOp{Verb: api.KVCAS, Key: k.noteKey(s.service, s.address), Value: note, Index: s.noteIndex}},
		{KV: &api.KVTxnOp{Verb: api.KVCAS, Key: k.key(s.service, s.address), Value: value, Index: s.index}},
	}
}

// erase removes note and key, if the note was not changed since it was read.
func (k *KV) erase(s *slot) api.TxnOps {
	return api.TxnOps{
		{KV: &api.KVTxnOp{Verb: api.KVDeleteCAS, Key: k.noteKey(s.service, s.address), Index: s.noteIndex}},
		{KV: &api.KVTxnOp{Verb: api.KVDelete, Key: k.key(s.service, s.address)}},
	}
}

// Drain implements Registry.
func (k *KV) Drain(ctx context.Context, service, id, why string) error {
	return wrap("drain", service, id, k.retry(ctx, service, func(_ context.Context, slots map[string]*slot) (api.TxnOps, error) {
		return k.setDown(k.of(slots, id), 1, why)
	}))
}

// Undrain implements Registry.
func (k *KV) Undrain(ctx context.Context, service, id string) error {
	return wrap("undrain", service, id, k.retry(ctx, service, func(_ context.Context, slots map[string]*slot) (api.TxnOps, error) {
		found := slices.DeleteFunc(k.of(slots, id), func(s *slot) bool { return !s.exists })
		if len(found) == 0 {
			return nil, ErrNotFound
		}
		return k.setDown(found, 0, "")
	}))
}

func (k *KV) setDown(slots []*slot, down int, why string) (ops api.TxnOps, err error) {
	for _, s := range slots {
		if !s.exists || isDown(s.value) == (down == 1) {
			continue
		}
		value, err := edit(s.value, map[string]int{"down": down})
		if err != nil {
			return nil, err
		}
		o := *s.owner
		o.Why = why
		ops = append(ops, k.write(s, o, value)...)
	}
	return ops, nil
}

// Deregister implements Registry.
func (k *KV) Deregister(ctx context.Context, service, id string) error {
	return wrap("deregister", service, id, k.retry(ctx, service, func(_ context.Context, slots map[string]*slot) (ops api.TxnOps, err error) {
		for _, s := range k.of(slots, id) {
			ops = append(ops, k.erase(s)...)
		}
		return ops, nil
	}))
}

// Entries implements Registry.
func (k *KV) Entries(ctx context.Context, service string) ([]Entry, error) {
	ctx, cancel := k.bounded(ctx)
	defer cancel()
	slots, err := k.read(ctx, service)
	if err != nil {
		return nil, wrap("list", service, "", err)
	}
	var entries []Entry
	for _, s := range slots {
		if s.owner != nil && s.exists && s.owner.Cluster == k.cfg.Cluster {
			entries = append(entries, Entry{Registration: s.owner.Registration, Passing: true, Draining: isDown(s.value)})
		}
	}
	slices.SortFunc(entries, func(a, b Entry) int { return strings.Compare(a.ID, b.ID) })
	return entries, nil
}

// retry reads a service, lets decide choose the operations and applies them,
// from the beginning if somebody else changed one of the keys meanwhile.
func (k *KV) retry(ctx context.Context, service string, decide func(context.Context, map[string]*slot) (api.TxnOps, error)) error {
	ctx, cancel := k.bounded(ctx)
	defer cancel()
	for range tries {
		slots, err := k.read(ctx, service)
		if err != nil {
			return err
		}
		ops, err := decide(ctx, slots)
		if err != nil || len(ops) == 0 {
			return err
		}
		if done, err := k.apply(ctx, ops); done || err != nil {
			return err
		}
	}
	return ErrConflict
}

// apply runs one transaction; done false: a guard did not hold and nothing
// was changed.
func (k *KV) apply(ctx context.Context, ops api.TxnOps) (done bool, err error) {
	done, answer, _, err := k.api.Txn().Txn(ops, k.plain(ctx))
	if err != nil || done {
		return done, err
	}
	for _, e := range answer.Errors {
		if strings.Contains(e.What, "Permission denied") {
			return false, fmt.Errorf("%w: %s", ErrDenied, e.What)
		}
	}
	return false, nil
}
