package scaler

import (
	"context"
	"math"
	"time"

	"spillway/scaler/fleet"
	"spillway/scaler/policy"
)

// announcement is what gateways were told last.
type announcement struct {
	Ordered float64
	ETA     time.Time
	At      time.Time
}

// announceEvery repeats what is still true: gateways forget.
const announceEvery = 10 * time.Second

// announce tells gateways of capacity that is on its way, when it changed or
// has not been said for a while. That nothing is coming is said once.
func (c *Controller) announce(v *view, decisions map[string]policy.Decision) {
	if c.env.Announcer == nil {
		return
	}
	for i := range c.set.Apps {
		a := &c.set.Apps[i]
		next := v.announcement(a)
		last := c.mem.announced[a.Name]
		changed := math.Abs(next.Ordered-last.Ordered) > tiny
		if !changed && (next.Ordered == 0 || v.now.Sub(last.At) < announceEvery) {
			continue
		}
		c.mem.announced[a.Name] = next
		c.env.Go("announce/"+a.Name, func() {
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			if err := c.env.Announcer.Announce(ctx, a.Upstream, next.Ordered, next.ETA); err != nil {
				c.env.Log.Debug("cannot announce capacity", "app", a.Name, "error", err)
			}
		})
	}
}

// announcement is the capacity of an app that does not serve yet, and when all
// of it should: a measured lead after the youngest machine was ordered.
func (v *view) announcement(a *App) announcement {
	n := announcement{At: v.now, Ordered: v.mem.pending[a.Name]}
	youngest := time.Time{}
	for _, i := range v.book.instances.all() {
		if i.App == a.Name && i.Want != fleet.WantDrain && i.State != fleet.InstanceServing && alive(i.State) && i.State != fleet.InstanceDraining {
			n.Ordered += v.units(&i)
		}
	}
	if n.Ordered <= tiny {
		n.Ordered = 0
		return n
	}
	for _, m := range v.book.machines.all() {
		if at, ok := m.Stage(stageDecided); ok && m.Coming() && a.uses(m.Pool) && at.After(youngest) {
			youngest = at
		}
	}
	n.ETA = v.now.Add(time.Second)
	if lead := v.lead(a); !youngest.IsZero() && lead > 0 {
		if eta := youngest.Add(lead); eta.After(n.ETA) {
			n.ETA = eta
		}
	}
	return n
}
