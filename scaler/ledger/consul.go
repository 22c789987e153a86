package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/consul/api"
)

// ConsulConfig is how Consul is reached. What is empty is taken from the
// variables Consul's own tools read (CONSUL_HTTP_ADDR, CONSUL_HTTP_TOKEN, ...).
type ConsulConfig struct {
	Address   string // host:port or URL of an agent; default 127.0.0.1:8500
	Token     string
	TokenFile string
	// CAFile, CertFile and KeyFile are PEM, for https.
	CAFile, CertFile, KeyFile string
	Namespace, Partition      string
}

// Client returns a client of the Consul API. It asks nothing. It keeps
// connections of its own, so that a stuck one delays nobody else.
func (c ConsulConfig) Client() (*api.Client, error) {
	cfg := api.DefaultConfig()
	for _, f := range []struct {
		from string
		to   *string
	}{
		{c.Address, &cfg.Address},
		{c.Token, &cfg.Token},
		{c.TokenFile, &cfg.TokenFile},
		{c.Namespace, &cfg.Namespace},
		{c.Partition, &cfg.Partition},
		{c.CAFile, &cfg.TLSConfig.CAFile},
		{c.CertFile, &cfg.TLSConfig.CertFile},
		{c.KeyFile, &cfg.TLSConfig.KeyFile},
	} {
		if f.from != "" {
			*f.to = f.from
		}
	}
	client, err := api.NewClient(cfg)
	if err != nil {
		return nil, fmt.Errorf("cannot use Consul at %q: %w", cfg.Address, err)
	}
	return client, nil
}

// Consul is a Store in Consul's KV. Keys stand under one prefix; the leader's
// key must not. Every Commit is one transaction: a check-session on the
// leader's key, then check-and-set operations
// (https://developer.hashicorp.com/consul/api-docs/txn).
type Consul struct {
	kv     *api.KV
	prefix string
}

// NewConsul returns the store under prefix ("spillway/scaler/prod/ledger/").
func NewConsul(client *api.Client, prefix string) *Consul {
	return &Consul{kv: client.KV(), prefix: strings.Trim(prefix, "/") + "/"}
}

// List implements Store by a consistent read.
func (c *Consul) List(ctx context.Context, prefix string) ([]Entry, error) {
	q := &api.QueryOptions{RequireConsistent: true}
	pairs, _, err := c.kv.List(c.prefix+prefix, q.WithContext(ctx))
	if err != nil {
		return nil, fmt.Errorf("cannot list %q: %w", c.prefix+prefix, err)
	}
	entries := make([]Entry, 0, len(pairs))
	for _, p := range pairs {
		if key := strings.TrimPrefix(p.Key, c.prefix); key != "" { // a folder made in Consul's UI
			entries = append(entries, Entry{Key: key, Value: p.Value, Index: p.ModifyIndex})
		}
	}
	slices.SortFunc(entries, func(a, b Entry) int { return strings.Compare(a.Key, b.Key) })
	return entries, nil
}

// Commit implements Store.
func (c *Consul) Commit(ctx context.Context, f Fence, ops []Op) ([]uint64, error) {
	if err := check(ops); err != nil {
		return nil, err
	}
	if f.Key == "" || f.Session == "" {
		return nil, fmt.Errorf("cannot write %d documents: %w", len(ops), ErrFenced)
	}
	txn := api.KVTxnOps{{Verb: api.KVCheckSession, Key: f.Key, Session: f.Session}}
	for _, op := range ops {
		txn = append(txn, c.operation(op))
	}
	ok, answer, _, err := c.kv.Txn(txn, (&api.QueryOptions{}).WithContext(ctx))
	if err != nil {
		return nil, fmt.Errorf("cannot write %d documents: %w", len(ops), err)
	}
	if !ok {
		return nil, refusal(answer.Errors, ops)
	}
	return c.indexes(answer.Results, ops)
}

func (c *Consul) operation(op Op) *api.KVTxnOp {
	verb := api.KVCAS
	if op.Delete {
		verb = api.KVDeleteCAS
	}
	return &api.KVTxnOp{Verb: verb, Key: c.prefix + op.Key, Value: op.Value, Index: op.Index}
}

// refusal sorts the errors of a transaction that was rolled back. Nothing tells
// them apart but their texts (agent/consul/state/txn.go and kvs.go); of those
// that are not known nothing is believed but that they are errors.
func refusal(errs api.TxnErrors, ops []Op) error {
	if len(errs) == 0 {
		return errors.New("cannot write documents: Consul rolled back without a reason")
	}
	for _, e := range errs {
		if e.OpIndex == 0 && strings.Contains(e.What, "session") {
			return fmt.Errorf("cannot write %d documents: %w: %s", len(ops), ErrFenced, e.What)
		}
	}
	for _, e := range errs {
		if e.OpIndex > 0 && e.OpIndex <= len(ops) && strings.Contains(e.What, "index is stale") {
			return fmt.Errorf("cannot write %q: %w", ops[e.OpIndex-1].Key, ErrConflict)
		}
	}
	return fmt.Errorf("cannot write %d documents: %s", len(ops), errs[0].What)
}

// indexes finds the new index of each document; deleted ones have no result.
func (c *Consul) indexes(results []*api.KVPair, ops []Op) ([]uint64, error) {
	of := map[string]uint64{}
	for _, r := range results {
		of[r.Key] = r.ModifyIndex
	}
	indexes := make([]uint64, len(ops))
	for i, op := range ops {
		if op.Delete {
			continue
		}
		if indexes[i] = of[c.prefix+op.Key]; indexes[i] == 0 {
			return nil, fmt.Errorf("cannot write %q: Consul did not tell its new index", op.Key)
		}
	}
	return indexes, nil
}

// StatusOf returns the HTTP status in an error of Consul's, 0 if there is none.
func StatusOf(err error) int {
	var status api.StatusError
	if errors.As(err, &status) {
		return status.Code
	}
	return 0
}
