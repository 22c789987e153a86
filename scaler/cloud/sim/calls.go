package sim

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"spillway/scaler/cloud"
)

// Offerings implements cloud.Driver: availability is what the stock says now.
func (c *Cloud) Offerings(ctx context.Context) ([]cloud.Offering, error) {
	var all []cloud.Offering
	err := c.call(ctx, request{op: cloud.OpOfferings}, func(now time.Time) error {
		all = slices.Clone(c.provider.Offerings)
		for i := range all {
			o := &all[i]
			if c.inStock(now, Place{o.Type, o.Zone, o.Spot}, 1) == 0 {
				o.Available, o.Reason = false, "out of stock"
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// List implements cloud.Driver. Each machine is shown as it was some time ago,
// at most Description.ListLag.
func (c *Cloud) List(ctx context.Context, tags map[string]string) ([]cloud.Machine, error) {
	var found []cloud.Machine
	tags = maps.Clone(tags)
	err := c.call(ctx, request{op: cloud.OpList, calls: c.pages()}, func(now time.Time) error {
		found = nil
		for _, m := range c.machines {
			at := now.Add(-m.lag)
			if at.Before(m.created) || at.Sub(m.ended) >= c.provider.ShowDeleted {
				continue
			}
			if v := m.seen(at); v.HasTags(tags) {
				found = append(found, v)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// pages is how many requests a list takes.
func (c *Cloud) pages() int {
	if c.provider.Page <= 0 {
		return 1
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	shown, now := 0, c.clock.Now()
	for _, m := range c.machines {
		if now.Sub(m.ended) < c.provider.ShowDeleted {
			shown++
		}
	}
	return (shown + c.provider.Page - 1) / c.provider.Page
}

// Delete implements cloud.Driver.
func (c *Cloud) Delete(ctx context.Context, id string) error {
	return c.act(ctx, cloud.OpDelete, id, func(m *machine, r request, now time.Time) error {
		if _, ok := c.strikes(DeleteRefused, r, now); ok {
			return failure(cloud.Transient, cloud.OpDelete, id, "the machine cannot be deleted now")
		}
		if now.Before(m.deleting) {
			m.end(now, now.Add(c.provider.Boot.Terminate.draw(m.random)))
		}
		return nil
	})
}

// Stop implements cloud.Stopper.
func (c *Cloud) Stop(ctx context.Context, id string) error {
	return c.act(ctx, cloud.OpStop, id, func(m *machine, _ request, now time.Time) error {
		switch m.state(now) {
		case cloud.Stopped, cloud.Stopping:
		case cloud.Running:
			m.stopping = now
			m.stopped = now.Add(c.provider.Boot.Stop.draw(m.random))
		default:
			return failure(cloud.Invalid, cloud.OpStop, id, fmt.Sprintf("a machine that is %s cannot be stopped", m.state(now)))
		}
		return nil
	})
}

// Start implements cloud.Stopper. It takes from the stock again.
func (c *Cloud) Start(ctx context.Context, id string) error {
	return c.act(ctx, cloud.OpStart, id, func(m *machine, r request, now time.Time) error {
		switch m.state(now) {
		case cloud.Running, cloud.Pending:
			return nil
		case cloud.Stopped:
			return c.restart(m, r, now)
		}
		return failure(cloud.Invalid, cloud.OpStart, id, fmt.Sprintf("a machine that is %s cannot be started", m.state(now)))
	})
}

func (c *Cloud) restart(m *machine, r request, now time.Time) error {
	if _, ok := c.strikes(NoStock, r, now); ok || c.inStock(now, r.place, 1) == 0 {
		return c.noStock(cloud.OpStart, r.place)
	}
	b := c.provider.Boot
	if c.provider.StopFree {
		m.paid = append(m.paid, m.thisRun(now, true))
	} else {
		m.paid = append(m.paid, now.Sub(m.on))
	}
	m.boot(now, b.Restart, b.Address, b.PhoneHome, Dist{})
	return nil
}

// Events implements cloud.Watcher: the spot machines that will be taken back.
func (c *Cloud) Events(ctx context.Context) ([]cloud.Event, error) {
	var events []cloud.Event
	err := c.call(ctx, request{op: cloud.OpEvents}, func(now time.Time) error {
		events = nil
		for _, m := range c.machines {
			if !now.Before(m.notice) && m.alive(now) {
				events = append(events, cloud.Event{ID: m.id, Kind: "reclaim", At: m.ended})
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return events, nil
}

// act is a call about one machine that exists.
func (c *Cloud) act(ctx context.Context, op, id string, do func(*machine, request, time.Time) error) error {
	r := request{op: op, place: c.placeOf(id), machines: 1}
	return c.call(ctx, r, func(now time.Time) error {
		m := c.byID[id]
		if m == nil || !m.alive(now) {
			return failure(cloud.NotFound, op, id, "there is no such machine")
		}
		return do(m, r, now)
	})
}

func (c *Cloud) placeOf(id string) Place {
	c.mu.Lock()
	defer c.mu.Unlock()
	if m := c.byID[id]; m != nil {
		return Place{m.offering.Type, m.offering.Zone, m.offering.Spot}
	}
	return Place{}
}

var (
	_ cloud.Driver  = (*Cloud)(nil)
	_ cloud.Stopper = (*Cloud)(nil)
	_ cloud.Watcher = (*Cloud)(nil)
)
