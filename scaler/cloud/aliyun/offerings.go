package aliyun

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"

	"spillway/scaler/cloud"
)

// Offerings implements cloud.Driver: every configured kind in each of its
// zones, with what DescribeAvailableResource says now of its stock. Sizes and
// prices are asked for again after a while only, since every price is a call.
func (d *Driver) Offerings(ctx context.Context) ([]cloud.Offering, error) {
	sizes, err := d.sizes(ctx)
	if err != nil {
		return nil, err
	}
	var all []cloud.Offering
	stock := map[bool]stocks{}
	for _, k := range d.o.Kinds {
		if stock[k.Spot] == nil {
			if stock[k.Spot], err = d.stock(ctx, k.Spot); err != nil {
				return nil, err
			}
		}
		for _, zone := range d.zones(k) {
			o, err := d.offering(ctx, k, zone, sizes[k.Type], stock[k.Spot])
			if err != nil {
				return nil, err
			}
			all = append(all, o)
		}
	}
	return all, nil
}

func (d *Driver) zones(k Kind) []string {
	if len(k.Zones) > 0 {
		return k.Zones
	}
	return slices.Sorted(maps.Keys(d.o.VSwitches))
}

func (d *Driver) offering(ctx context.Context, k Kind, zone string, s size, have stocks) (cloud.Offering, error) {
	o := cloud.Offering{
		Type: k.Type, Zone: zone, Spot: k.Spot, CPU: s.cpu, Memory: s.memory, Arch: s.arch,
		Units: cmp.Or(k.Units, s.cpu), MaxPPS: cmp.Or(k.MaxPPS, s.pps), PriceHour: k.PriceHour,
	}
	o.Available, o.Reason = have.of(k.Type, zone)
	if o.PriceHour > 0 {
		return o, nil
	}
	price, err := d.price(ctx, k, zone)
	switch {
	case err == nil:
		o.PriceHour = price
	case cloud.KindOf(err) == cloud.NoCapacity || cloud.KindOf(err) == cloud.Invalid:
		// What is not sold in a zone has no price there either.
		o.Available, o.Reason = false, cmp.Or(o.Reason, err.Error())
	default:
		return o, err
	}
	return o, nil
}

// size is what DescribeInstanceTypes says of a type.
type size struct {
	cpu    float64
	memory int64
	arch   string
	pps    int
}

// sizeBatch is how many types one call may ask for.
const sizeBatch = 10

// sizes are those of all configured types. One that ECS does not know is an
// error: it would silently never be bought.
func (d *Driver) sizes(ctx context.Context) (map[string]size, error) {
	if known := d.catalog.sizesOf(d.o.Now()); known != nil {
		return known, nil
	}
	var types []string
	for _, k := range d.o.Kinds {
		types = append(types, k.Type)
	}
	slices.Sort(types)
	types = slices.Compact(types)
	sizes := make(map[string]size, len(types))
	for batch := range slices.Chunk(types, sizeBatch) {
		if err := d.describeTypes(ctx, batch, sizes); err != nil {
			return nil, err
		}
	}
	for _, t := range types {
		if sizes[t].cpu <= 0 {
			return nil, &cloud.Error{Kind: cloud.Invalid, Op: cloud.OpOfferings, What: "type", Err: fmt.Errorf("there is no instance type %q in %s", t, d.o.Region)}
		}
	}
	d.catalog.learnSizes(sizes, d.o.Now())
	return sizes, nil
}

func (d *Driver) describeTypes(ctx context.Context, types []string, into map[string]size) error {
	params := url.Values{"RegionId": {d.o.Region}}
	for i, t := range types {
		params.Set(fmt.Sprintf("InstanceTypes.%d", i+1), t)
	}
	var answer struct {
		InstanceTypes struct {
			InstanceType []struct {
				InstanceTypeID  string `json:"InstanceTypeId"`
				CPUCoreCount    int    `json:"CpuCoreCount"`
				MemorySize      float64
				CPUArchitecture string `json:"CpuArchitecture"`
				InstancePpsRx   int
			}
		}
	}
	if err := d.ecs.call(ctx, cloud.OpOfferings, "DescribeInstanceTypes", params, &answer); err != nil {
		return err
	}
	for _, t := range answer.InstanceTypes.InstanceType {
		arch := "amd64"
		if t.CPUArchitecture == "ARM" {
			arch = "arm64"
		}
		into[t.InstanceTypeID] = size{float64(t.CPUCoreCount), int64(t.MemorySize * (1 << 30)), arch, t.InstancePpsRx}
	}
	return nil
}

// stocks says of each zone and type whether it can be had; not in it: not sold.
type stocks map[place]string

type place struct{ zone, typ string }

func (s stocks) of(typ, zone string) (available bool, reason string) {
	switch status, sold := s[place{zone, typ}]; {
	case !sold:
		return false, "not sold in this zone"
	case status == "Available":
		return true, ""
	default:
		return false, "out of stock (" + status + ")"
	}
}

// stock is DescribeAvailableResource for all types and zones at once.
func (d *Driver) stock(ctx context.Context, spot bool) (stocks, error) {
	params := url.Values{
		"RegionId": {d.o.Region}, "DestinationResource": {"InstanceType"}, "IoOptimized": {"optimized"},
		"InstanceChargeType": {"PostPaid"}, "SpotStrategy": {strategy(spot)},
	}
	var answer struct {
		AvailableZones struct {
			AvailableZone []struct {
				ZoneID             string `json:"ZoneId"`
				AvailableResources struct {
					AvailableResource []struct {
						SupportedResources struct {
							SupportedResource []struct{ Value, Status, StatusCategory string }
						}
					}
				}
			}
		}
	}
	if err := d.ecs.call(ctx, cloud.OpOfferings, "DescribeAvailableResource", params, &answer); err != nil {
		return nil, err
	}
	have := stocks{}
	for _, zone := range answer.AvailableZones.AvailableZone {
		for _, group := range zone.AvailableResources.AvailableResource {
			for _, r := range group.SupportedResources.SupportedResource {
				status := r.Status
				if r.StatusCategory == "WithoutStock" || r.StatusCategory == "ClosedWithoutStock" {
					status = r.StatusCategory
				}
				have[place{zone.ZoneID, r.Value}] = status
			}
		}
	}
	return have, nil
}

func strategy(spot bool) string {
	if spot {
		return "SpotAsPriceGo"
	}
	return "NoSpot"
}

// price of an hour, in the account's currency, with its discounts. What is not
// spot costs the same in all zones of a region.
func (d *Driver) price(ctx context.Context, k Kind, zone string) (float64, error) {
	params := url.Values{
		"RegionId": {d.o.Region}, "ResourceType": {"instance"}, "InstanceType": {k.Type}, "IoOptimized": {"optimized"},
		"PriceUnit": {"Hour"}, "Period": {"1"}, "Amount": {"1"}, "SpotStrategy": {strategy(k.Spot)},
	}
	key := place{"", k.Type}
	if k.Spot {
		key.zone = zone
		params.Set("ZoneId", zone)
	}
	if d.o.DiskType != "" {
		params.Set("SystemDisk.Category", d.o.DiskType)
	}
	if d.o.DiskGiB > 0 {
		params.Set("SystemDisk.Size", strconv.Itoa(d.o.DiskGiB))
	}
	if p, ok := d.catalog.priceOf(key, k.Spot, d.o.Now()); ok {
		return p, nil
	}
	var answer struct {
		PriceInfo struct{ Price struct{ TradePrice float64 } }
	}
	if err := d.ecs.call(ctx, cloud.OpOfferings, "DescribePrice", params, &answer); err != nil {
		return 0, err
	}
	price := answer.PriceInfo.Price.TradePrice
	d.catalog.learnPrice(key, k.Spot, price, d.o.Now())
	return price, nil
}

// How long the catalogue is believed.
const (
	sizesFor     = 24 * time.Hour
	priceFor     = time.Hour
	spotPriceFor = 5 * time.Minute
)

// catalog is what changes seldom. The zero value knows nothing.
type catalog struct {
	mu     sync.Mutex
	sizes  map[string]size
	sized  time.Time
	prices map[priceKey]priced
}

type priceKey struct {
	place
	spot bool
}

type priced struct {
	price float64
	at    time.Time
}

func (c *catalog) sizesOf(now time.Time) map[string]size {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now.Sub(c.sized) >= sizesFor {
		return nil
	}
	return c.sizes
}

// learnSizes keeps the map, which nobody changes any more.
func (c *catalog) learnSizes(sizes map[string]size, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sizes, c.sized = sizes, now
}

func (c *catalog) priceOf(p place, spot bool, now time.Time) (float64, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	good := priceFor
	if spot {
		good = spotPriceFor
	}
	known, ok := c.prices[priceKey{p, spot}]
	return known.price, ok && now.Sub(known.at) < good
}

func (c *catalog) learnPrice(p place, spot bool, price float64, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.prices == nil {
		c.prices = map[priceKey]priced{}
	}
	c.prices[priceKey{p, spot}] = priced{price, now}
}
