package hetzner

import (
	"cmp"
	"context"
	"math"
	"strconv"
	"time"

	"github.com/hetznercloud/hcloud-go/v2/hcloud"

	"spillway/scaler/cloud"
)

// Offerings implements cloud.Driver: every server type in every location that
// knows it. Prices are net, in the project's currency, without the public
// address; whole hours are billed.
func (d *Driver) Offerings(ctx context.Context) ([]cloud.Offering, error) {
	c := d.call(ctx, cloud.OpOfferings, "")
	opts := hcloud.ServerTypeListOpts{ListOpts: hcloud.ListOpts{Page: 1, PerPage: maxPage}}
	var all []cloud.Offering
	for opts.Page > 0 {
		types, answer, err := d.api.ServerType.List(c.ctx, opts)
		if err != nil {
			return nil, c.typed(answer, err)
		}
		for _, t := range types {
			all = append(all, d.offeringsOf(t)...)
		}
		opts.Page = nextPage(answer, opts.Page)
	}
	return all, nil
}

func (d *Driver) offeringsOf(t *hcloud.ServerType) (all []cloud.Offering) {
	for _, l := range t.Locations {
		if l.Location == nil {
			continue
		}
		kind, wanted := d.options.kind(t.Name, l.Location.Name)
		if !wanted {
			continue
		}
		o := cloud.Offering{
			Type: t.Name, Zone: l.Location.Name, CPU: float64(t.Cores), Memory: int64(math.Round(float64(t.Memory) * (1 << 30))),
			Units: cmp.Or(kind.Units, float64(t.Cores)), MaxPPS: kind.MaxPPS, Arch: architecture(t.Architecture),
			Quantum: time.Hour, Available: true,
		}
		price, known := priceIn(t, o.Zone)
		o.PriceHour = price
		switch {
		case !l.Available:
			o.Available, o.Reason = false, "out of stock"
		case l.IsDeprecated() && d.options.Now().After(l.UnavailableAfter()):
			o.Available, o.Reason = false, "no longer sold"
		case !known:
			o.Available, o.Reason = false, "it has no price here"
		}
		all = append(all, o)
	}
	return all
}

func priceIn(t *hcloud.ServerType, location string) (price float64, known bool) {
	for _, p := range t.Pricings {
		if p.Location == nil || p.Location.Name != location {
			continue
		}
		price, err := strconv.ParseFloat(p.Hourly.Net, 64)
		return price, err == nil && price >= 0
	}
	return 0, false
}

// architecture is the name that container images use.
func architecture(a hcloud.Architecture) string {
	if a == hcloud.ArchitectureARM {
		return "arm64"
	}
	return "amd64"
}
