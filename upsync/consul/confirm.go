package consul

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/hashicorp/consul/api"
)

// Confirm reads q once from the leader with ?consistent, past every cache and
// stale server. An answer that ACLs filtered confirms nothing and is an
// error.
func (c *Client) Confirm(ctx context.Context, q Query) (*Answer, error) {
	a, err := c.confirm(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("cannot confirm %s %q: %w", q.Kind, q.Name, err)
	}
	return a, nil
}

func (c *Client) confirm(ctx context.Context, q Query) (*Answer, error) {
	ep, err := c.reach.await(ctx)
	if err != nil {
		return nil, err
	}
	if !c.sockets.poll(ctx) {
		return nil, ctx.Err()
	}
	defer c.sockets.unpoll()
	ac, _, err := ep.clients()
	if err != nil {
		c.complain("tls", err)
	}
	opts := &api.QueryOptions{RequireConsistent: true, Token: c.currentToken(), Datacenter: q.Datacenter}
	opts = opts.WithContext(ctx)
	a := &Answer{}
	var meta *api.QueryMeta
	if q.Kind == KV {
		meta, err = confirmKV(ac, q, opts, a)
	} else {
		meta, err = c.confirmService(ac, q, opts, a)
	}
	if err != nil {
		return nil, err
	}
	if meta != nil && meta.ResultsFilteredByACLs {
		return nil, errors.New("ACLs removed entries from the answer")
	}
	a.Confirmed, a.At, a.Address = true, c.env.Now(), ep.name
	if meta != nil {
		a.Index = meta.LastIndex
	}
	return a, nil
}

// confirmKV reads a prefix; one that holds nothing is an empty set.
func confirmKV(ac *api.Client, q Query, opts *api.QueryOptions, a *Answer) (*api.QueryMeta, error) {
	pairs, meta, err := ac.KV().List(q.Name, opts)
	if err != nil {
		return nil, err
	}
	a.KV = &KVSet{}
	for _, p := range pairs {
		if f := decodeKV(p.Key, p.Value); f != nil {
			a.KV.Items = append(a.KV.Items, f)
		}
	}
	return meta, nil
}

func (c *Client) confirmService(ac *api.Client, q Query, opts *api.QueryOptions, a *Answer) (*api.QueryMeta, error) {
	path := "/v1/catalog/service/"
	if q.Kind == Health {
		path = "/v1/health/service/"
	}
	var body json.RawMessage
	meta, err := ac.Raw().Query(path+q.Name, &body, opts)
	var status api.StatusError
	if errors.As(err, &status) && status.Code == http.StatusNotFound {
		return nil, errors.New("consul answered 404 to a service")
	}
	if err != nil {
		return nil, err
	}
	dec := q.decoder(&c.cfg)
	if _, err := dec.decode(bytes.NewReader(body)); err != nil {
		return nil, err
	}
	dec.fillAnswer(a)
	return meta, nil
}
