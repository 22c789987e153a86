package scaler

import (
	"context"
	"fmt"
	"time"

	"spillway/scaler/api"
	"spillway/scaler/fleet"
)

// change lets a person's order change the book, writes it, and tells the audit
// log. A tick that is under way is waited for.
func (b *Backend) change(ctx context.Context, e Event, f func(v *view) error) error {
	c := b.c
	c.mu.Lock()
	defer c.mu.Unlock()
	v, err := c.seen()
	if err != nil {
		return err
	}
	v.now = c.env.Now()
	if c.set.DryRun {
		return fmt.Errorf("a dry run changes nothing: %w", api.ErrConflict)
	}
	if err := f(v); err != nil {
		return err
	}
	err = c.commit(ctx, v)
	if c.env.Audit != nil {
		e.At, e.Result = v.now, "ok"
		if err != nil {
			e.Result = err.Error()
		}
		c.env.Audit(e)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", api.ErrUnavailable, err)
	}
	return nil
}

// Scale implements api.Backend: the app is to have Delta instances more, or
// fewer, than it has now, for as long as the order holds.
func (b *Backend) Scale(ctx context.Context, r api.ScaleRequest) (o api.Override, err error) {
	e := Event{What: "scale", ID: r.App, By: r.By, Why: fmt.Sprintf("%+d for %v: %s", r.Delta, r.TTL, r.Reason)}
	err = b.change(ctx, e, func(v *view) error {
		a := v.set.app(r.App)
		if a == nil {
			return fmt.Errorf("app %q: %w", r.App, api.ErrNotFound)
		}
		if r.TTL <= 0 || r.Delta == 0 || len(a.Pools) == 0 {
			return fmt.Errorf("a delta and a time are needed: %w", api.ErrInvalid)
		}
		ap := &a.Pools[0]
		if r.Pool != "" {
			if ap = a.pool(r.Pool); ap == nil {
				return fmt.Errorf("pool %q of app %q: %w", r.Pool, r.App, api.ErrNotFound)
			}
		}
		d := v.draft(b.c.env.Planner)
		t := d.tallies[a.Name]
		units := t.have() + v.mem.pending[a.Name] + float64(r.Delta)*d.unit(a, ap)
		rec, _ := v.book.apps.get(a.Name)
		rec.Manual, rec.Delta, rec.Pool, rec.Paused = max(units, tiny), r.Delta, r.Pool, false
		rec.Until, rec.By, rec.Why = v.now.Add(r.TTL), r.By, r.Reason
		v.book.apps.put(a.Name, rec)
		o = *v.showOverride(a.Name)
		return nil
	})
	return o, err
}

// Pause implements api.Backend.
func (b *Backend) Pause(ctx context.Context, r api.PauseRequest) (o api.Override, err error) {
	key := orAll(r.App)
	e := Event{What: "pause", ID: key, By: r.By, Why: fmt.Sprintf("for %v: %s", r.TTL, r.Reason)}
	err = b.change(ctx, e, func(v *view) error {
		if r.App != "" && v.set.app(r.App) == nil {
			return fmt.Errorf("app %q: %w", r.App, api.ErrNotFound)
		}
		if r.TTL <= 0 {
			return fmt.Errorf("a time is needed: %w", api.ErrInvalid)
		}
		rec, _ := v.book.apps.get(key)
		rec.Paused, rec.Until, rec.By, rec.Why = true, v.now.Add(r.TTL), r.By, r.Reason
		v.book.apps.put(key, rec)
		o = *v.showOverride(key)
		o.App = r.App
		return nil
	})
	return o, err
}

func orAll(app string) string {
	if app == "" {
		return everyApp
	}
	return app
}

// Resume implements api.Backend.
func (b *Backend) Resume(ctx context.Context, r api.ResumeRequest) error {
	e := Event{What: "resume", ID: orAll(r.App), By: r.By, Why: r.Reason}
	return b.change(ctx, e, func(v *view) error {
		if r.App != "" && v.set.app(r.App) == nil {
			return fmt.Errorf("app %q: %w", r.App, api.ErrNotFound)
		}
		for key, rec := range v.book.apps.all() {
			if r.App != "" && key != r.App {
				continue
			}
			rec.Manual, rec.Delta, rec.Pool, rec.Paused, rec.Until = 0, 0, "", false, time.Time{}
			v.book.apps.put(key, rec)
		}
		return nil
	})
}

// NodeAction implements api.Backend. Drained and replaced machines keep their
// instances until others serve in their place, and are given back then.
func (b *Backend) NodeAction(ctx context.Context, r api.NodeRequest) (n api.Node, err error) {
	e := Event{What: r.Action, ID: r.ID, By: r.By, Why: r.Reason}
	err = b.change(ctx, e, func(v *view) error {
		m, ok := v.book.machines.get(r.ID)
		if !ok {
			return fmt.Errorf("machine %q: %w", r.ID, api.ErrNotFound)
		}
		switch r.Action {
		case api.Undrain:
			v.book.nodes.drop(r.ID)
			m.Want = fleet.WantKeep
		case api.Cordon, api.Drain, api.Replace:
			v.book.nodes.put(r.ID, nodeRecord{Action: r.Action, By: r.By, Why: r.Reason, At: v.now})
			m.Want = wanted(r.Action)
		default:
			return fmt.Errorf("action %q: %w", r.Action, api.ErrInvalid)
		}
		v.book.machines.put(r.ID, m)
		n = v.showNode(&m)
		return nil
	})
	return n, err
}

// Down ends the cluster: every instance is drained and removed, every machine
// given back, owned ones too, and then the ledger is deleted. It returns as
// soon as the order is written.
func (b *Backend) Down(ctx context.Context, by, reason string) error {
	e := Event{What: actionDown, ID: b.c.set.Cluster, By: by, Why: reason}
	return b.change(ctx, e, func(v *view) error {
		v.book.nodes.put(nodeDown, nodeRecord{Action: actionDown, By: by, Why: reason, At: v.now})
		return nil
	})
}
