//go:build !no_hetzner

package main

import (
	"fmt"
	"strconv"

	"spillway/configs"
	"spillway/scaler/cloud"
	"spillway/scaler/cloud/hetzner"
)

// newHetzner is a provider on Hetzner Cloud.
func newHetzner(name string, p *configs.ScalerProvider) (cloud.Driver, error) {
	h := &p.Hetzner
	o := hetzner.Options{
		Name: name, Endpoint: h.Endpoint, TokenFile: h.TokenFile, Context: h.Context, Image: h.Image,
		Network: int64(h.Network), NoPublicAddress: h.NoPublicAddress, RequestsHour: h.RequestsHour,
	}
	var err error
	if o.SSHKeys, err = hetznerIDs(h.SSHKeys); err != nil {
		return nil, err
	}
	if o.Firewalls, err = hetznerIDs(h.Firewalls); err != nil {
		return nil, err
	}
	for _, k := range p.Offerings {
		o.Kinds = append(o.Kinds, hetzner.Kind{Type: k.Type, Zones: k.Zones, Units: k.Units, MaxPPS: k.MaxPPS})
	}
	return hetzner.New(o)
}

func hetznerIDs(texts []string) (ids []int64, err error) {
	for _, text := range texts {
		id, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("cannot read id %q: %w", text, err)
		}
		ids = append(ids, id)
	}
	return ids, nil
}
