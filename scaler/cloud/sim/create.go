package sim

import (
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"spillway/scaler/cloud"
)

// batch is what a token stands for.
type batch struct {
	request string // fingerprint
	ids     []string
	refusal error
	at      time.Time
}

// Create implements cloud.Driver.
func (c *Cloud) Create(ctx context.Context, r cloud.CreateRequest) ([]cloud.Machine, error) {
	if err := r.Check(c.provider.Description); err != nil {
		return nil, err
	}
	var made []cloud.Machine
	place := Place{r.Type, r.Zone, r.Spot}
	err := c.call(ctx, request{op: cloud.OpCreate, place: place, machines: r.Count}, func(now time.Time) error {
		answer, err := c.create(now, &r)
		if made == nil { // a request delivered twice is answered by its first
			made = answer
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return made, nil
}

func (c *Cloud) create(now time.Time, r *cloud.CreateRequest) ([]cloud.Machine, error) {
	offering, err := c.find(r)
	if err != nil {
		return nil, err
	}
	if b, ok := c.remembered(now, r); ok {
		return c.again(now, b, r)
	}
	names, made, err := c.namesLeft(now, r)
	if err != nil || len(names) == 0 {
		return made, err
	}
	n, err := c.grant(now, offering, len(names))
	if err != nil {
		if cloud.KindOf(err) == cloud.NoCapacity && c.provider.StockSpendsToken {
			c.remember(now, r, nil, err)
		}
		return nil, err
	}
	for _, name := range names[:n] {
		made = append(made, c.add(now, offering, name, r).seen(now))
	}
	c.remember(now, r, made, nil)
	return made, nil
}

func (c *Cloud) find(r *cloud.CreateRequest) (cloud.Offering, error) {
	zone := false
	for _, o := range c.provider.Offerings {
		if o.Type == r.Type && o.Zone == r.Zone && o.Spot == r.Spot {
			return o, nil
		}
		zone = zone || o.Zone == r.Zone
	}
	if !zone {
		return cloud.Offering{}, failure(cloud.Invalid, cloud.OpCreate, "zone", fmt.Sprintf("there is no zone %q", r.Zone))
	}
	return cloud.Offering{}, failure(cloud.Invalid, cloud.OpCreate, "type", fmt.Sprintf("there is no %q in zone %q", r.Type, r.Zone))
}

func (c *Cloud) tokenKey(r *cloud.CreateRequest) string {
	if c.provider.TokenZonal {
		return r.Zone + "/" + r.Token
	}
	return r.Token
}

func (c *Cloud) remembered(now time.Time, r *cloud.CreateRequest) (batch, bool) {
	b, ok := c.tokens[c.tokenKey(r)]
	if !ok || !c.provider.ClientToken {
		return batch{}, false
	}
	if life := c.provider.TokenLife; life > 0 && now.Sub(b.at) >= life {
		return batch{}, false
	}
	return b, true
}

func (c *Cloud) remember(now time.Time, r *cloud.CreateRequest, made []cloud.Machine, refusal error) {
	b := batch{request: fingerprint(r), at: now, refusal: refusal}
	for _, m := range made {
		b.ids = append(b.ids, m.ID)
	}
	c.tokens[c.tokenKey(r)] = b
}

// again answers a token that was used before.
func (c *Cloud) again(now time.Time, b batch, r *cloud.CreateRequest) ([]cloud.Machine, error) {
	if b.request != fingerprint(r) {
		return nil, failure(cloud.Invalid, cloud.OpCreate, cloud.UsedToken, "it was used for another request")
	}
	if b.refusal != nil {
		return nil, b.refusal
	}
	var made []cloud.Machine
	for _, id := range b.ids {
		made = append(made, c.byID[id].seen(now))
	}
	return made, nil
}

func fingerprint(r *cloud.CreateRequest) string {
	return fmt.Sprintf("%q %q %t %d %q %q %x", r.Type, r.Zone, r.Spot, r.Count, r.Names, r.Tags, r.UserData)
}

// namesLeft are the names that no machine bears. Where names are unique,
// machines of the same order that bear the others are the answer already.
func (c *Cloud) namesLeft(now time.Time, r *cloud.CreateRequest) (left []string, made []cloud.Machine, err error) {
	if !c.provider.UniqueNames {
		return r.Names, nil, nil
	}
	for _, name := range r.Names {
		i := slices.IndexFunc(c.machines, func(m *machine) bool { return m.name == name && m.alive(now) })
		switch {
		case i < 0:
			left = append(left, name)
		case c.machines[i].tags[cloud.TagOrder] == r.Tags[cloud.TagOrder]:
			made = append(made, c.machines[i].seen(now))
		default:
			return nil, nil, failure(cloud.Invalid, cloud.OpCreate, "name", fmt.Sprintf("name %q is taken", name))
		}
	}
	return left, made, nil
}

// grant is how many machines of the n there are.
func (c *Cloud) grant(now time.Time, o cloud.Offering, n int) (int, error) {
	place := Place{o.Type, o.Zone, o.Spot}
	r := request{op: cloud.OpCreate, place: place}
	if _, ok := c.strikes(QuotaHit, r, now); ok {
		return 0, failure(cloud.Quota, cloud.OpCreate, "machines", "the account's limit is reached")
	}
	if _, ok := c.strikes(NoStock, r, now); ok {
		return 0, c.noStock(cloud.OpCreate, place)
	}
	within, what := c.withinQuota(now, o, n)
	if within <= 0 {
		return 0, failure(cloud.Quota, cloud.OpCreate, what, "the account's limit is reached")
	}
	n = min(within, c.inStock(now, place, n))
	if n <= 0 {
		return 0, c.noStock(cloud.OpCreate, place)
	}
	if f, ok := c.strikes(Partial, r, now); ok {
		n = max(1, min(n, f.part(n)))
	}
	return n, nil
}

func (c *Cloud) noStock(op string, p Place) error {
	return failure(cloud.NoCapacity, op, p.Type+" in "+p.Zone, "out of stock")
}

// withinQuota is how many of n the quotas leave, and which of them binds.
func (c *Cloud) withinQuota(now time.Time, o cloud.Offering, n int) (int, string) {
	machines, cpu := 0, 0.0
	for _, m := range c.machines {
		if m.alive(now) {
			machines++
		}
		if m.occupies(now) {
			cpu += m.offering.CPU
		}
	}
	what := "machines"
	if most := c.provider.MaxMachines; most > 0 {
		n = min(n, most-machines)
	}
	if most := c.provider.MaxCPU; most > 0 && o.CPU > 0 {
		if left := int((most - cpu) / o.CPU); left < n {
			n, what = left, "cpu"
		}
	}
	return n, what
}

// inStock is how many of n the place has.
func (c *Cloud) inStock(now time.Time, p Place, n int) int {
	stock, limited := c.provider.Stock[p]
	if !limited {
		return n
	}
	for _, m := range c.machines {
		if m.offering.Type == p.Type && m.offering.Zone == p.Zone && m.offering.Spot == p.Spot && m.occupies(now) {
			stock--
		}
	}
	return min(n, max(stock, 0))
}

// add makes one machine.
func (c *Cloud) add(now time.Time, o cloud.Offering, name string, r *cloud.CreateRequest) *machine {
	n := uint64(len(c.machines)) + 1
	m := &machine{
		name: name, offering: o, tags: maps.Clone(r.Tags), userData: slices.Clone(r.UserData),
		random:  rand.New(rand.NewPCG(c.seed, n)),
		created: now, notice: never, deleting: never, ended: never,
	}
	m.id = fmt.Sprintf("i-%016x", m.random.Uint64())
	m.address = c.addressOf(n)
	m.lag = time.Duration(m.random.Float64() * float64(c.provider.ListLag))
	b := c.provider.Boot
	m.boot(now, b.Running, b.Address, b.PhoneHome, b.Settle)
	c.machines = append(c.machines, m)
	c.byID[m.id] = m
	c.afflict(m, now)
	return m
}

// addressOf counts on from the network: unique for 2^32 machines.
func (c *Cloud) addressOf(n uint64) string {
	var base [4]byte
	base[0] = 10
	if a := c.provider.Network; a.Is4() {
		base = a.As4()
	}
	binary.BigEndian.PutUint32(base[:], binary.BigEndian.Uint32(base[:])+uint32(n))
	return fmt.Sprintf("%d.%d.%d.%d", base[0], base[1], base[2], base[3])
}
