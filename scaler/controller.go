package scaler

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"spillway/scaler/cloud"
	"spillway/scaler/fleet"
	"spillway/scaler/ledger"
	"spillway/scaler/policy"
	"spillway/scaler/signal"
)

// Controller keeps Settings true. Its state, beside what Env holds, is a copy
// of the ledger and what is in memory:
//
//	            leads                ledger read
//	following ----------> loading -------------------> steering --+
//	    ^                  |   ^                         |  |     | tick
//	    |   does not lead  |   | conflict, doubt, wiped  |  ^-----+
//	    +------------------+   +-------------------------+
//	    ^                                                |
//	    +------------- fenced, does not lead ------------+
//	                                                     |
//	                 over <-- nothing is left of a cluster that was to end
//
// Following it does nothing and keeps its memory. Loading reads the ledger and
// changes nothing; an empty ledger under a controller that has records is a
// wiped one, and is written anew. Steering is the tick of the package comment;
// what destroys is held back until Pace.Rounds complete observations.
//
// Methods may be called from any goroutine; ticks take turns.
type Controller struct {
	env Env
	set Settings

	mu    sync.Mutex // everything below
	state state
	fence ledger.Fence // of the last load
	book  *book
	mem   *memory
	obs   *observer
	watch atomic.Pointer[observer] // obs, for those who do not wait for a tick
	act   *actor
	about map[string]cloud.Description
	seenW *view // of the last tick, for questions
	plans map[string]policy.Decision
	whys  map[string]*history
	ticks tickStats
	// spent is a stopwatch: how long thinking takes is not Env.Now's affair.
	spent func() time.Duration
}

type state string

const (
	following state = "following"
	loading   state = "loading"
	steering  state = "steering"
	over      state = "over"
)

// tickStats is about the last tick.
type tickStats struct {
	at    time.Time
	think time.Duration // deciding and planning, without I/O
	err   error
}

// New returns a controller that has done nothing yet. It checks that the
// settings name only what is there.
func New(set Settings, env Env) (*Controller, error) {
	set.Pace.defaults()
	if err := set.check(env.Clouds); err != nil {
		return nil, err
	}
	c := &Controller{
		env: env, set: set, state: following, book: newBook(), mem: newMemory(),
		about: map[string]cloud.Description{}, whys: map[string]*history{},
	}
	begun := time.Now()
	c.spent = func() time.Duration { return time.Since(begun) }
	for name, d := range env.Clouds {
		c.about[name] = d.Describe()
	}
	c.act = &actor{env: &c.env, set: &c.set, busy: newKeys()}
	c.look()
	return c, nil
}

// look begins observing anew.
func (c *Controller) look() {
	c.obs = newObserver(&c.env, &c.set)
	c.act.obs = c.obs
	c.watch.Store(c.obs)
	c.mem.watched = c.env.Now()
}

// check refuses settings that name what is not there.
func (s *Settings) check(clouds map[string]cloud.Driver) error {
	for i := range s.Pools {
		p := &s.Pools[i]
		for _, name := range p.Providers {
			if clouds[name] == nil {
				return fmt.Errorf("cannot use pool %q: provider %q is not there", p.Name, name)
			}
		}
	}
	for i := range s.Apps {
		a := &s.Apps[i]
		for _, ap := range a.Pools {
			if s.pool(ap.Machines) == nil {
				return fmt.Errorf("cannot use app %q: pool %q is not there", a.Name, ap.Machines)
			}
		}
	}
	return nil
}

// Run ticks every period until ctx ends. It leaves everything as it is then:
// what runs goes on without the controller.
func (c *Controller) Run(ctx context.Context, every time.Duration) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		if err := c.Tick(ctx); err != nil && ctx.Err() == nil {
			c.env.Log.Warn("cannot finish tick", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// Tick does one round. An error leaves the ledger to be read again; the next
// tick does so.
func (c *Controller) Tick(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	err := c.tick(ctx)
	c.ticks.at, c.ticks.err = c.env.Now(), err
	return err
}

func (c *Controller) tick(ctx context.Context) error {
	if c.state == over {
		return nil
	}
	lead := c.env.Leader.State()
	if !lead.Leading {
		c.enter(following)
		return nil
	}
	if c.state == following || lead.Fence != c.fence {
		c.enter(loading)
		c.look() // what was seen before may be old
		c.mem.wrote = map[string]bool{}
	}
	if c.state == loading {
		if err := c.load(ctx, lead.Fence); err != nil {
			return err
		}
	}
	return c.steer(ctx)
}

func (c *Controller) enter(s state) {
	if c.state != s {
		c.env.Log.Info("controller is "+string(s), "was", string(c.state))
	}
	c.state = s
}

// load reads the ledger. Records that only this controller's memory still has
// are written again: the ledger was wiped under it.
func (c *Controller) load(ctx context.Context, fence ledger.Fence) error {
	entries, err := c.env.Store.List(ctx, "")
	if err != nil {
		return fmt.Errorf("cannot read the ledger: %w", err)
	}
	c.fence = fence
	if len(entries) == 0 && c.book.size() > 0 {
		c.env.Log.Warn("the ledger is empty: writing it again from memory", "records", c.book.size())
		c.book.restore()
	} else {
		book := newBook()
		if err := book.read(entries); err != nil {
			return err
		}
		c.book, c.mem.fresh = book, len(entries) == 0
	}
	c.enter(steering)
	if c.env.Loaded != nil {
		c.env.Loaded(c.machines())
	}
	return nil
}

// machines are the records that have a machine.
func (c *Controller) machines() (all []fleet.Machine) {
	for _, m := range c.book.machines.all() {
		if m.CloudID != "" {
			all = append(all, m)
		}
	}
	return all
}

// steer is a tick of a leader that knows its ledger.
func (c *Controller) steer(ctx context.Context) error {
	c.obs.start(c.obs.looks(c.reachable()))
	v := c.view()
	begun := c.spent()
	decisions := v.think(c.env.Planner)
	c.ticks.think = c.spent() - begun
	c.remember(v, decisions)
	if c.env.Meter != nil {
		c.env.Meter.Tick(c.ticks.think, "think")
	}
	if c.set.DryRun {
		return nil // the view's book was a copy
	}
	if err := c.commit(ctx, v); err != nil {
		return err
	}
	for _, j := range v.jobs() {
		c.act.dispatch(j)
	}
	c.measure(v)
	c.announce(v, decisions)
	c.obs.forget(v.alive)
	return c.finish(ctx, v)
}

// measure tells how long the stages of machines took that have become ready.
func (c *Controller) measure(v *view) {
	if c.env.Meter == nil {
		return
	}
	for _, m := range v.arrived {
		decided, ok := m.Stage(stageDecided)
		for _, s := range m.Stages {
			if ok && s.Name != stageDecided {
				c.env.Meter.Stage(m.Pool, s.Name, s.At.Sub(decided))
			}
		}
	}
}

// reachable are the machines whose engine may answer.
func (c *Controller) reachable() []fleet.Machine {
	var all []fleet.Machine
	for _, m := range c.book.machines.all() {
		if m.Address == "" {
			continue
		}
		switch m.State {
		case fleet.MachinePlanned, fleet.MachineRequested, fleet.MachineWarmStopped, fleet.MachineDeleting, fleet.MachineGone:
			continue
		}
		all = append(all, m)
	}
	return all
}

// view gathers what is known now. In a dry run it has a book of its own.
func (c *Controller) view() *view {
	b := c.book
	if c.set.DryRun {
		b = c.book.clone()
	}
	v := &view{
		now: c.env.Now(), set: &c.set, book: b, seen: c.obs.facts(), mem: c.mem, about: c.about,
		signals: map[string]signal.Snapshot{}, told: c.env.Stages,
		effects: map[string]fleet.Effect{}, rejects: map[string]*refusal{},
	}
	v.acks, _ = c.env.Signals.(acker)
	for i := range c.set.Apps {
		a := &c.set.Apps[i]
		v.signals[a.Name] = c.env.Signals.Snapshot(a.Upstream, a.window())
	}
	return v
}

// commit writes what the tick changed. After an error nothing is done about it,
// and the ledger is read again: it may have other records than the book.
func (c *Controller) commit(ctx context.Context, v *view) error {
	ctx, cancel := context.WithTimeout(ctx, commitLimit)
	defer cancel()
	err := v.book.commit(ctx, c.env.Store, c.fence)
	if err == nil {
		return nil
	}
	c.enter(loading)
	if deposed(err) {
		c.enter(following)
	}
	return err
}

// commitLimit is the longest a tick waits for the ledger.
const commitLimit = 15 * time.Second

// alive reports whether a record of that id exists.
func (v *view) alive(id string) bool {
	if _, ok := v.book.machines.get(id); ok {
		return true
	}
	if _, ok := v.book.instances.get(id); ok {
		return true
	}
	_, ok := v.book.orders.get(id)
	return ok
}

// finish deletes the ledger of a cluster that was to end and has.
func (c *Controller) finish(ctx context.Context, v *view) error {
	if !v.ended() {
		return nil
	}
	entries, err := c.env.Store.List(ctx, "")
	if err != nil {
		return fmt.Errorf("cannot read the ledger: %w", err)
	}
	for len(entries) > 0 {
		n := min(len(entries), ledger.MaxOps)
		var ops []ledger.Op
		for _, e := range entries[:n] {
			ops = append(ops, ledger.Op{Key: e.Key, Index: e.Index, Delete: true})
		}
		if _, err := c.env.Store.Commit(ctx, c.fence, ops); err != nil {
			return fmt.Errorf("cannot delete the ledger: %w", err)
		}
		entries = entries[n:]
	}
	c.book = newBook()
	c.enter(over)
	return nil
}

// Over reports whether the cluster was to end and nothing is left of it.
func (c *Controller) Over() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state == over
}

// Listed returns what a provider's last list says of a machine of an order. It
// does not wait for a tick.
func (c *Controller) Listed(order, id string) (m cloud.Machine, provider string, ok bool) {
	o := c.watch.Load()
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, m := range o.seen.made[order] {
		if m.ID == id {
			return m, o.seen.from[order], true // not in a list yet
		}
	}
	for provider, l := range o.seen.listings {
		if m, ok := l.machines[id]; ok && m.Tags[cloud.TagOrder] == order {
			return m, provider, true
		}
	}
	return cloud.Machine{}, "", false
}

// PoolOf is the pool a listed machine was bought for.
func (c *Controller) PoolOf(m *cloud.Machine) string { return m.Tags[cloud.TagPool] }

// ServicesOn are the apps that may run on a pool's machines, with commas.
func (c *Controller) ServicesOn(pool string) string {
	var names []string
	for i := range c.set.Apps {
		if c.set.Apps[i].uses(pool) {
			names = append(names, c.set.Apps[i].Name)
		}
	}
	return strings.Join(names, ",")
}
