package scaler

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"spillway/scaler/api"
	"spillway/scaler/fleet"
)

// Backend is the controller as the API sees it.
type Backend struct {
	c    *Controller
	node string
}

// Backend returns the controller's API side; node names this process.
func (c *Controller) Backend(node string) *Backend { return &Backend{c, node} }

// Leader implements api.Backend.
func (b *Backend) Leader() (self bool, address string) {
	s := b.c.env.Leader.State()
	return s.Leading, s.Leader
}

// Ready implements api.Backend: a leader has read its ledger and ticked without
// an error lately; whoever follows is ready to take over.
func (b *Backend) Ready() (ok bool, detail string) {
	b.c.mu.Lock()
	defer b.c.mu.Unlock()
	switch {
	case b.c.ticks.at.IsZero():
		return false, "no tick yet"
	case b.c.ticks.err != nil:
		return false, b.c.ticks.err.Error()
	case b.c.state == loading:
		return false, "reading the ledger"
	}
	return true, string(b.c.state)
}

// seen is the last tick's view, for a reader that holds the lock.
func (c *Controller) seen() (*view, error) {
	if c.state != steering || c.seenW == nil {
		return nil, fmt.Errorf("cannot tell: this scaler does not lead: %w", api.ErrNotLeader)
	}
	return c.seenW, nil
}

// Status implements api.Backend.
func (b *Backend) Status(context.Context) (api.Status, error) {
	c := b.c
	c.mu.Lock()
	defer c.mu.Unlock()
	s := api.Status{
		Cluster: c.set.Cluster, Node: b.node, Leader: c.state != following, DryRun: c.set.DryRun, Tick: c.ticks.at,
		Apps: []api.App{}, Pools: []api.Pool{}, Orders: []api.Order{},
	}
	v, err := c.seen()
	if err != nil {
		return s, nil
	}
	tallies := v.count()
	for i := range c.set.Apps {
		a := &c.set.Apps[i]
		s.Apps = append(s.Apps, c.showApp(v, a, tallies[a.Name]))
	}
	for i := range c.set.Pools {
		s.Pools = append(s.Pools, v.showPool(&c.set.Pools[i]))
	}
	for _, o := range v.book.orders.all() {
		if o.State == fleet.OrderIntended || o.State == fleet.OrderAmbiguous {
			s.Orders = append(s.Orders, showOrder(&o))
		}
	}
	s.Spend = v.showSpend()
	s.Alarms = c.alarms(v)
	return s, nil
}

func (c *Controller) showApp(v *view, a *App, t *tally) api.App {
	d := c.plans[a.Name]
	snap := v.signals[a.Name]
	shown := api.App{
		Name: a.Name, Want: d.Want, Ready: t.ready + t.moving, Booting: t.booting + v.mem.pending[a.Name], Draining: t.draining,
		States: map[string]int{}, Coverage: coverage(snap.Reporting, snap.Expected), LeadMS: v.lead(a).Milliseconds(),
		Flags: d.Flags, Override: v.showOverride(a.Name),
	}
	for state, n := range t.states {
		shown.States[string(state)] = n
	}
	if n := len(snap.Seconds); n > 0 {
		last := &snap.Seconds[n-1]
		shown.Rate, shown.InFlight = last.Arrivals, last.InFlight
		shown.P95 = float64(last.P95.Microseconds()) / 1000
	}
	if next := v.announcement(a); next.Ordered > 0 {
		shown.ETA = &next.ETA
	}
	return shown
}

func (v *view) showOverride(app string) *api.Override {
	rec, ok := v.book.apps.get(app)
	if !ok || !v.now.Before(rec.Until) || (rec.Manual == 0 && !rec.Paused) {
		return nil
	}
	return &api.Override{App: app, Pool: rec.Pool, Delta: rec.Delta, Paused: rec.Paused, Until: rec.Until, By: rec.By, Reason: rec.Why}
}

func (v *view) showPool(p *Pool) api.Pool {
	shown := api.Pool{Name: p.Name, States: map[string]int{}}
	if len(p.Providers) > 0 {
		shown.Provider = p.Providers[0]
	}
	for _, m := range v.book.machines.all() {
		if m.Pool != p.Name {
			continue
		}
		shown.States[string(m.State)]++
		if m.State == fleet.MachineReady {
			shown.Units += m.Units
		}
		shown.PriceHour += fleet.Rate(m, v.now)
	}
	return shown
}

func showOrder(o *fleet.Order) api.Order {
	return api.Order{
		ID: o.ID, Pool: o.Pool, Type: o.Type, Zone: o.Zone, Count: len(o.Slots), State: string(o.State), Since: o.Since, Reason: o.Reason,
	}
}

func (v *view) showSpend() api.Spend {
	s := api.Spend{Hour: v.spentThisHour(), Day: v.spentToday(), LimitHour: v.set.HourMost, LimitDay: v.set.DayMost}
	for _, m := range v.book.machines.all() {
		s.RateHour += fleet.Rate(m, v.now)
	}
	return s
}

// alarms are what a person should know.
func (c *Controller) alarms(v *view) (all []string) {
	for name, l := range sortedMap(v.seen.listings) {
		if l.failing != nil {
			all = append(all, fmt.Sprintf("provider %s does not answer: %v", name, l.failing))
		}
	}
	for name, s := range sortedMap(v.seen.services) {
		if s.failing != nil {
			all = append(all, fmt.Sprintf("registry cannot read service %s: %v", name, s.failing))
		}
	}
	for app, d := range sortedMap(c.plans) {
		for _, flag := range d.Flags {
			all = append(all, "app "+app+": "+flag)
		}
	}
	for app, r := range sortedMap(v.rejects) {
		for _, reason := range r.Reasons[:min(3, len(r.Reasons))] {
			all = append(all, "app "+app+" is short: "+reason)
		}
	}
	for id, m := range v.book.machines.all() {
		p := v.set.pool(m.Pool)
		if p != nil && p.Profile != "" && m.Profile != "" && m.Profile != p.Profile && m.State == fleet.MachineReady {
			all = append(all, "machine "+id+" was made with another profile: replace it")
		}
	}
	return all
}

// Why implements api.Backend.
func (b *Backend) Why(_ context.Context, app string, at time.Time) (api.Why, error) {
	c := b.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.set.app(app) == nil {
		return api.Why{}, fmt.Errorf("app %q: %w", app, api.ErrNotFound)
	}
	if h := c.whys[app]; h != nil {
		if w, ok := h.at(at); ok {
			return showWhy(app, &w), nil
		}
	}
	ring, _ := c.book.decisions.get(app)
	if w, ok := (&history{ring.Whys}).at(at); ok {
		return showWhy(app, &w), nil
	}
	return api.Why{}, fmt.Errorf("no decision of app %q is known at %v: %w", app, at, api.ErrNotFound)
}

func showWhy(app string, w *why) api.Why {
	shown := api.Why{
		App: app, At: w.At, Want: w.Want, Have: w.Have, Urgent: w.Urgent, Winner: w.Winner, Inputs: w.Inputs, Flags: w.Flags,
		Candidates: []api.Candidate{}, Refused: w.Refused, Reasons: w.Reasons,
	}
	for _, k := range w.Candidates {
		shown.Candidates = append(shown.Candidates, api.Candidate{Rule: k.Rule, Units: k.Units, Why: k.Why})
	}
	for _, k := range w.Clamps {
		shown.Clamps = append(shown.Clamps, api.Clamp{Limit: k.Limit, From: k.From, To: k.To, Why: k.Why})
	}
	return shown
}

// Plan implements api.Backend: a tick on copies, of which nothing is done.
func (b *Backend) Plan(context.Context) (api.Plan, error) {
	c := b.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, err := c.seen(); err != nil {
		return api.Plan{}, err
	}
	v := c.view()
	v.book, v.mem = c.book.clone(), c.mem.clone()
	decisions := v.think(c.env.Planner)
	p := api.Plan{At: v.now, Decisions: []api.Why{}, Actions: []api.Action{}}
	for app, d := range sortedMap(decisions) {
		w := why{Decision: d}
		if r := v.rejects[app]; r != nil {
			w.Refused, w.Reasons = r.Counts, r.Reasons
		}
		w.At = v.now
		p.Decisions = append(p.Decisions, showWhy(app, &w))
	}
	for _, a := range v.actions {
		p.Actions = append(p.Actions, api.Action(a))
	}
	return p, nil
}

// clone copies a memory so that a plan can be tried.
func (m *memory) clone() *memory {
	k := *m
	k.policy = map[string]*policyMemory{}
	for app, pm := range m.policy {
		copied := *pm
		k.policy[app] = &copied
	}
	k.last, k.pending, k.emptySince = maps.Clone(m.last), maps.Clone(m.pending), maps.Clone(m.emptySince)
	k.stock, k.wrote, k.buried = maps.Clone(m.stock), maps.Clone(m.wrote), maps.Clone(m.buried)
	k.orphans, k.announced, k.placedAt = maps.Clone(m.orphans), maps.Clone(m.announced), maps.Clone(m.placedAt)
	k.swept = slices.Clone(m.swept)
	k.blamed = map[string]map[string]time.Time{}
	for machine, apps := range m.blamed {
		k.blamed[machine] = maps.Clone(apps)
	}
	return &k
}

// Nodes implements api.Backend.
func (b *Backend) Nodes(context.Context) ([]api.Node, error) {
	c := b.c
	c.mu.Lock()
	defer c.mu.Unlock()
	v, err := c.seen()
	if err != nil {
		return nil, err
	}
	nodes := []api.Node{}
	for _, m := range c.book.machines.all() {
		nodes = append(nodes, v.showNode(&m))
	}
	return nodes, nil
}

func (v *view) showNode(m *fleet.Machine) api.Node {
	n := api.Node{
		ID: m.ID, Pool: m.Pool, Provider: m.Provider, Type: m.Type, Zone: m.Zone, State: string(m.State), Since: m.Since,
		Reason: m.Reason, CloudID: m.CloudID, Address: m.Address, Instances: len(v.on[m.ID]), PriceHour: m.Price,
	}
	for _, s := range m.Stages {
		n.Stages = append(n.Stages, api.Stage{Name: s.Name, At: s.At})
	}
	return n
}

// Ps implements api.Backend: instances of apps, and containers that persons
// started.
func (b *Backend) Ps(_ context.Context, app string) ([]api.Instance, error) {
	c := b.c
	c.mu.Lock()
	defer c.mu.Unlock()
	v, err := c.seen()
	if err != nil {
		return nil, err
	}
	all := []api.Instance{}
	for _, i := range c.book.instances.all() {
		if app == "" || i.App == app {
			all = append(all, showInstance(&i))
		}
	}
	if app == "" {
		all = append(all, v.strangers()...)
	}
	return all, nil
}

func showInstance(i *fleet.Instance) api.Instance {
	return api.Instance{
		ID: i.ID, App: i.App, Pool: i.Pool, Node: i.Machine, Image: i.Image, State: string(i.State), Since: i.Since,
		Reason: i.Reason, Address: i.Address, Ports: i.Ports,
	}
}

// strangers are containers of the cluster without a record.
func (v *view) strangers() (all []api.Instance) {
	for id := range v.book.machines.all() {
		for name, k := range sortedMap(v.seen.engines[id].containers) {
			if _, known := v.book.instances.get(name); !known {
				state := "exited"
				if k.Running {
					state = "running"
				}
				all = append(all, api.Instance{ID: name, Node: id, Image: k.Image, State: state})
			}
		}
	}
	return all
}

var _ api.Backend = (*Backend)(nil)
