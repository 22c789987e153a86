package ec2

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"time"

	"spillway/scaler/cloud"
)

// quantum is the least that is billed; then it is by the second.
const quantum = time.Minute

// Offerings implements cloud.Driver: every configured kind in every zone. EC2
// tells which types a zone has and what spot costs now, but not what is in
// stock: that is found out by asking for it.
func (d *Driver) Offerings(ctx context.Context) ([]cloud.Offering, error) {
	m, err := d.readMarket(ctx)
	if err != nil {
		return nil, typed(cloud.OpOfferings, "", err)
	}
	var all []cloud.Offering
	for i := range d.options.Kinds {
		k := &d.options.Kinds[i]
		for _, zone := range d.zones(m, k) {
			all = append(all, m.offering(k, zone))
		}
	}
	return all, nil
}

// zones are those a kind is wanted in, whether or not it is there.
func (d *Driver) zones(m *market, k *Kind) (zones []string) {
	known := maps.Clone(m.zones)
	for zone := range d.options.Subnets {
		known[zone] = true
	}
	for _, zone := range k.Zones {
		known[zone] = true
	}
	for _, zone := range slices.Sorted(maps.Keys(known)) {
		if d.options.sells(k, zone) {
			zones = append(zones, zone)
		}
	}
	return zones
}

// market is what EC2 says of the configured types.
type market struct {
	types map[string]typeItem
	zones map[string]bool // that have one of them
	has   map[place]bool
	spot  map[place]spotPrice
}

type place struct{ typ, zone string }

type spotPrice struct {
	price float64
	at    time.Time
}

func (m *market) offering(k *Kind, zone string) cloud.Offering {
	t := m.types[k.Type]
	o := cloud.Offering{
		Type: k.Type, Zone: zone, CPU: float64(t.CPUs), Memory: t.MemoryMiB << 20, Units: k.Units, MaxPPS: k.MaxPPS,
		Arch: architecture(t.Architectures), PriceHour: k.PriceHour, Quantum: quantum, Spot: k.Spot, Available: true,
	}
	if o.Units == 0 {
		o.Units = o.CPU
	}
	p := place{k.Type, zone}
	spot, priced := m.spot[p]
	switch {
	case !m.has[p]:
		o.Available, o.Reason = false, fmt.Sprintf("%s is not offered in %s", k.Type, zone)
	case k.Spot && !slices.Contains(t.Usage, "spot"):
		o.Available, o.Reason = false, k.Type+" is not sold as spot"
	case k.Spot && !priced:
		o.Available, o.Reason = false, "there is no spot price in "+zone
	case k.Spot:
		o.PriceHour = spot.price
	}
	return o
}

// architecture in the words of the rest of the world.
func architecture(names []string) string {
	for _, name := range names {
		switch name {
		case "x86_64", "x86_64_mac":
			return "amd64"
		case "arm64", "arm64_mac":
			return "arm64"
		}
	}
	if len(names) > 0 {
		return names[0]
	}
	return "unknown"
}

func (d *Driver) readMarket(ctx context.Context) (*market, error) {
	m := &market{types: map[string]typeItem{}, zones: map[string]bool{}, has: map[place]bool{}, spot: map[place]spotPrice{}}
	if err := d.readTypes(ctx, m); err != nil {
		return nil, err
	}
	if err := d.readPlaces(ctx, m); err != nil {
		return nil, err
	}
	if !d.sellsSpot() {
		return m, nil
	}
	return m, d.readPrices(ctx, m)
}

// typesAtOnce is how many types one DescribeInstanceTypes takes.
const typesAtOnce = 100

func (d *Driver) readTypes(ctx context.Context, m *market) error {
	for some := range slices.Chunk(d.types(false), typesAtOnce) {
		form := url.Values{}
		list(form, "InstanceType.", some)
		err := d.pages(ctx, "DescribeInstanceTypes", form, func() (any, func() string) {
			a := &typesAnswer{}
			return a, func() string {
				for _, t := range a.Types {
					m.types[t.Name] = t
				}
				return a.NextToken
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (d *Driver) readPlaces(ctx context.Context, m *market) error {
	form := url.Values{"LocationType": {"availability-zone"}, "Filter.1.Name": {"instance-type"}}
	list(form, "Filter.1.Value.", d.types(false))
	return d.pages(ctx, "DescribeInstanceTypeOfferings", form, func() (any, func() string) {
		a := &placesAnswer{}
		return a, func() string {
			for _, p := range a.Places {
				m.zones[p.Zone] = true
				m.has[place{p.Type, p.Zone}] = true
			}
			return a.NextToken
		}
	})
}

// readPrices asks for the prices from now on, which are those that hold now.
func (d *Driver) readPrices(ctx context.Context, m *market) error {
	form := url.Values{
		"StartTime":            {d.options.Now().UTC().Format(time.RFC3339)},
		"ProductDescription.1": {"Linux/UNIX"},
	}
	list(form, "InstanceType.", d.types(true))
	return d.pages(ctx, "DescribeSpotPriceHistory", form, func() (any, func() string) {
		a := &pricesAnswer{}
		return a, func() string {
			for _, p := range a.Prices {
				m.price(place{p.Type, p.Zone}, spotPrice{p.Price, parseTime(p.At)})
			}
			return a.NextToken
		}
	})
}

// price keeps the latest.
func (m *market) price(p place, s spotPrice) {
	if have, ok := m.spot[p]; !ok || s.at.After(have.at) {
		m.spot[p] = s
	}
}

// types are the names of the kinds, each once; of spot kinds only, if so.
func (d *Driver) types(spot bool) (names []string) {
	for _, k := range d.options.Kinds {
		if !spot || k.Spot {
			names = append(names, k.Type)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func list(form url.Values, prefix string, values []string) {
	for i, v := range values {
		form.Set(prefix+strconv.Itoa(i+1), v)
	}
}
