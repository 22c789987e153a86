package openstack

import (
	"cmp"
	"context"
	"fmt"
	"sync"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/availabilityzones"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/flavors"
	"github.com/gophercloud/gophercloud/v2/pagination"

	"spillway/scaler/cloud"
)

// Offerings implements cloud.Driver: every flavor that is configured, in every
// availability zone. Whether there is room only an order finds out.
func (d *Driver) Offerings(ctx context.Context) ([]cloud.Offering, error) {
	nova, err := d.session.nova(ctx, cloud.OpOfferings)
	if err != nil {
		return nil, err
	}
	c := newCall(ctx, cloud.OpOfferings, "")
	zones, err := zonesOf(c.ctx, nova)
	if err != nil {
		return nil, c.typed(err)
	}
	var all []cloud.Offering
	err = eachFlavor(c.ctx, nova, func(f *flavors.Flavor) {
		for _, zone := range zones {
			if o, wanted := d.offering(f, zone); wanted {
				all = append(all, o)
			}
		}
	})
	if err != nil {
		return nil, c.typed(err)
	}
	return all, nil
}

func (d *Driver) offering(f *flavors.Flavor, zone availabilityzones.AvailabilityZone) (cloud.Offering, bool) {
	kind, wanted := d.options.kind(f.Name, zone.ZoneName)
	o := cloud.Offering{
		Type: f.Name, Zone: zone.ZoneName, CPU: float64(f.VCPUs), Memory: int64(f.RAM) << 20, Units: cmp.Or(kind.Units, float64(f.VCPUs)),
		MaxPPS: kind.MaxPPS, Arch: d.options.Arch, PriceHour: kind.PriceHour, Quantum: kind.Quantum, Available: zone.ZoneState.Available,
	}
	if !o.Available {
		o.Reason = "the zone is not available"
	}
	return o, wanted
}

func zonesOf(ctx context.Context, nova *gophercloud.ServiceClient) ([]availabilityzones.AvailabilityZone, error) {
	page, err := availabilityzones.List(nova).AllPages(ctx)
	if err != nil {
		return nil, err
	}
	return availabilityzones.ExtractAvailabilityZones(page)
}

func eachFlavor(ctx context.Context, nova *gophercloud.ServiceClient, do func(*flavors.Flavor)) error {
	opts := flavors.ListOpts{Limit: pageSize}
	return flavors.ListDetail(nova, opts).EachPage(ctx, func(_ context.Context, p pagination.Page) (bool, error) {
		part, err := flavors.ExtractFlavors(p)
		for i := range part {
			do(&part[i])
		}
		return err == nil, err
	})
}

// flavorBook knows the ids of flavors, which requests want, by their names,
// which people want.
type flavorBook struct {
	mu  sync.Mutex
	ids map[string]string
}

func (b *flavorBook) id(ctx context.Context, nova *gophercloud.ServiceClient, name string) (string, error) {
	if id := b.known(name); id != "" {
		return id, nil
	}
	fresh := map[string]string{}
	c := newCall(ctx, cloud.OpOfferings, "flavors")
	if err := eachFlavor(c.ctx, nova, func(f *flavors.Flavor) { fresh[f.Name] = f.ID }); err != nil {
		return "", c.typed(err)
	}
	b.mu.Lock()
	b.ids = fresh
	b.mu.Unlock()
	if id := fresh[name]; id != "" {
		return id, nil
	}
	return "", failure(cloud.Invalid, cloud.OpCreate, "type", fmt.Sprintf("there is no flavor %q", name))
}

func (b *flavorBook) known(name string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.ids[name]
}

func (b *flavorBook) forget(name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.ids, name)
}
