package scaler

import (
	"slices"
	"time"

	"spillway/scaler/policy"
)

// why is a decision with what became of it.
type why struct {
	policy.Decision
	Refused map[string]int `json:",omitempty"`
	Reasons []string       `json:",omitempty"`
	Actions []action       `json:",omitempty"`
}

// decisionRing is the decisions of an app that the ledger keeps: those that
// changed something.
type decisionRing struct {
	Whys []why
}

// Bounds of what is remembered of decisions.
const (
	ringBytes    = 48 << 10
	historyTicks = 1800
)

// history is the decisions of an app in memory, all of them.
type history struct{ whys []why }

func (h *history) add(w why) {
	h.whys = append(h.whys, w)
	if len(h.whys) > 2*historyTicks {
		h.whys = slices.Clone(h.whys[len(h.whys)-historyTicks:])
	}
}

// at is the last one not after t; the newest for the zero time.
func (h *history) at(t time.Time) (why, bool) {
	for n := len(h.whys) - 1; n >= 0; n-- {
		if t.IsZero() || !h.whys[n].At.After(t) {
			return h.whys[n], true
		}
	}
	return why{}, false
}

// remember keeps why everything was decided, in memory each tick and in the
// ledger when something changed.
func (c *Controller) remember(v *view, decisions map[string]policy.Decision) {
	c.seenW, c.plans = v, decisions
	news := !c.set.DryRun
	for app, d := range decisions {
		w := why{Decision: d}
		w.At = v.now
		if r := v.rejects[app]; r != nil {
			w.Refused, w.Reasons = r.Counts, r.Reasons
		}
		for _, a := range v.actions {
			if a.App == app || a.App == "" {
				w.Actions = append(w.Actions, a)
			}
		}
		h := c.whys[app]
		if h == nil {
			h = &history{}
			c.whys[app] = h
		}
		last, known := h.at(time.Time{})
		h.add(w)
		if !known || differs(&last, &w) {
			v.record(app, w)
		}
		news = news || !known || last.Want != w.Want || len(last.Actions) != len(w.Actions)
	}
	if !news {
		return // a dry run plans the same again and again
	}
	for _, a := range v.actions {
		c.env.Log.Info("plan", "action", a.Kind, "app", a.App, "pool", a.Pool, "target", a.Target, "count", a.Count, "why", a.Why)
	}
}

// differs reports whether a decision says something new.
func differs(a, b *why) bool {
	return a.Want != b.Want || a.Winner != b.Winner || !slices.Equal(a.Flags, b.Flags) || len(b.Actions) > 0
}

// record puts a decision into the ledger's ring, which drops its oldest.
func (v *view) record(app string, w why) {
	ring, _ := v.book.decisions.get(app)
	ring.Whys = append(slices.Clone(ring.Whys), w.short())
	for len(ring.Whys) > 1 && len(encode(ring)) > ringBytes {
		ring.Whys = ring.Whys[len(ring.Whys)/4+1:]
	}
	v.book.decisions.put(app, ring)
}

// short leaves out what fills the ring without telling more.
func (w why) short() why {
	const most = 8
	if len(w.Actions) > most {
		w.Actions = w.Actions[:most]
	}
	if len(w.Reasons) > most {
		w.Reasons = w.Reasons[:most]
	}
	return w
}
