package scaler

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"spillway/scaler/cloud"
	"spillway/scaler/docker"
	"spillway/scaler/fleet"
	"spillway/scaler/registry"
)

// facts are what was last seen of the world. The values are replaced, never
// changed, so that a view may keep them.
type facts struct {
	listings map[string]listing         // by provider
	offers   map[string]offers          // by provider
	engines  map[string]engineSeen      // by machine
	services map[string]service         // by registry service
	made     map[string][]cloud.Machine // by order: what Create answered
	from     map[string]string          // by order: whom it was made by
	outcomes map[string]fleet.Outcome   // by record: the last effect's
	notices  map[string]cloud.Event     // by cloud id: machines that will be taken away
}

// listing is the last complete list of a provider's machines with our tag.
type listing struct {
	begun    time.Time
	machines map[string]cloud.Machine // by cloud id
	rounds   int                      // complete ones since the start
	failing  error                    // of the last try
}

type offers struct {
	at   time.Time
	list []cloud.Offering
}

// engineSeen is the last list of an engine that answered.
type engineSeen struct {
	begun      time.Time
	containers map[string]docker.Container // by name
	down       time.Time                   // the first of the failures in a row; zero: none
	failing    error                       // of the last try
}

// service is the last read of a registry service.
type service struct {
	begun   time.Time
	entries map[string]registry.Entry // by instance id
	rounds  int
	failing error
}

func newFacts() *facts {
	return &facts{
		listings: map[string]listing{}, offers: map[string]offers{}, engines: map[string]engineSeen{},
		services: map[string]service{}, made: map[string][]cloud.Machine{}, outcomes: map[string]fleet.Outcome{},
		notices: map[string]cloud.Event{}, from: map[string]string{},
	}
}

// observer keeps facts fresh: it looks at each thing at its own pace, one look
// at a time each, so that one that hangs delays nothing but itself.
type observer struct {
	env  *Env
	set  *Settings
	mu   sync.Mutex
	seen *facts
	// started and busy are by key of the look; the ticking goroutine starts
	// looks, their own end them.
	started map[string]time.Time
	busy    map[string]bool
}

func newObserver(env *Env, set *Settings) *observer {
	return &observer{env: env, set: set, seen: newFacts(), started: map[string]time.Time{}, busy: map[string]bool{}}
}

// look is one thing to be looked at.
type look struct {
	key   string // also Env.Go's
	every time.Duration
	run   func(ctx context.Context)
}

// start begins every look that is due.
func (o *observer) start(looks []look) {
	for _, l := range looks {
		if o.begin(l) {
			o.env.Go(l.key, func() {
				defer o.end(l)
				ctx, cancel := context.WithTimeout(context.Background(), o.set.Pace.Call)
				defer cancel()
				l.run(ctx)
			})
		}
	}
}

func (o *observer) begin(l look) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := o.env.Now()
	if last, ok := o.started[l.key]; o.busy[l.key] || (ok && now.Sub(last) < l.every) {
		return false
	}
	o.started[l.key] = now
	o.busy[l.key] = true
	return true
}

func (o *observer) end(l look) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.busy, l.key)
}

// looks lists what has to be looked at now: providers, services, gateways, and
// the engines of the machines that have one.
func (o *observer) looks(machines []fleet.Machine) []look {
	p := o.set.Pace
	var all []look
	for _, name := range slices.Sorted(maps.Keys(o.env.Clouds)) {
		driver := o.env.Clouds[name]
		all = append(all,
			look{"cloud/" + name, p.List, func(ctx context.Context) { o.list(ctx, name, driver) }},
			look{"offers/" + name, time.Minute, func(ctx context.Context) { o.offerings(ctx, name, driver) }})
		if w, ok := driver.(cloud.Watcher); ok {
			all = append(all, look{"events/" + name, p.List, func(ctx context.Context) { o.events(ctx, w) }})
		}
	}
	for i := range o.set.Apps {
		app := &o.set.Apps[i]
		all = append(all, look{"registry/" + app.Service, p.Registry, func(ctx context.Context) { o.entries(ctx, app.Service) }})
	}
	for _, m := range machines {
		all = append(all, look{"engine/" + m.ID, p.Engines, func(ctx context.Context) { o.engine(ctx, m) }})
	}
	return all
}

func (o *observer) list(ctx context.Context, name string, d cloud.Driver) {
	begun := o.env.Now()
	machines, err := d.List(ctx, map[string]string{cloud.TagCluster: o.set.Cluster})
	o.mu.Lock()
	defer o.mu.Unlock()
	l := o.seen.listings[name]
	l.failing = err
	if err == nil {
		l.begun, l.machines = begun, byID(machines)
		l.rounds++
	}
	o.seen.listings[name] = l
}

func byID(machines []cloud.Machine) map[string]cloud.Machine {
	m := make(map[string]cloud.Machine, len(machines))
	for i := range machines {
		m[machines[i].ID] = machines[i]
	}
	return m
}

func (o *observer) offerings(ctx context.Context, name string, d cloud.Driver) {
	list, err := d.Offerings(ctx)
	if err != nil {
		o.env.Log.Warn("cannot list offerings", "provider", name, "error", err)
		o.again("offers/"+name, time.Minute-5*time.Second)
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.seen.offers[name] = offers{o.env.Now(), list}
}

// again makes a look due earlier than its pace has it.
func (o *observer) again(key string, by time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.started[key] = o.started[key].Add(-by)
}

func (o *observer) events(ctx context.Context, w cloud.Watcher) {
	events, err := w.Events(ctx)
	if err != nil {
		return // the next look asks again; List shows what is gone
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, e := range events {
		o.seen.notices[e.ID] = e
	}
}

func (o *observer) entries(ctx context.Context, name string) {
	begun := o.env.Now()
	list, err := o.env.Registry.Entries(ctx, name)
	o.mu.Lock()
	defer o.mu.Unlock()
	s := o.seen.services[name]
	s.failing = err
	if err == nil {
		s.begun = begun
		s.entries = make(map[string]registry.Entry, len(list))
		for _, e := range list {
			s.entries[e.ID] = e
		}
		s.rounds++
	}
	o.seen.services[name] = s
}

func (o *observer) engine(ctx context.Context, m fleet.Machine) {
	begun := o.env.Now()
	list, err := o.env.Engines.List(ctx, o.env.EngineOf(m), o.set.Cluster)
	o.mu.Lock()
	defer o.mu.Unlock()
	s := o.seen.engines[m.ID]
	s.failing = err
	if err != nil && s.down.IsZero() {
		s.down = begun
	}
	if err == nil {
		s.begun, s.down = begun, time.Time{}
		s.containers = make(map[string]docker.Container, len(list))
		for _, c := range list {
			s.containers[c.Name] = c
		}
	}
	o.seen.engines[m.ID] = s
}

// outcome notes how an effect on a record ended.
func (o *observer) outcome(id string, out fleet.Outcome) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.seen.outcomes[id] = out
}

// created notes what Create answered.
func (o *observer) created(order, provider string, machines []cloud.Machine) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.seen.made[order], o.seen.from[order] = machines, provider
}

// changed makes the next look at an engine or a service due at once, because
// an effect has just changed it.
func (o *observer) changed(key string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.started, key)
}

// facts copies what has been seen; the values are shared and not changed.
func (o *observer) facts() *facts {
	o.mu.Lock()
	defer o.mu.Unlock()
	return &facts{
		listings: maps.Clone(o.seen.listings), offers: maps.Clone(o.seen.offers), engines: maps.Clone(o.seen.engines),
		services: maps.Clone(o.seen.services), made: maps.Clone(o.seen.made),
		outcomes: maps.Clone(o.seen.outcomes), notices: maps.Clone(o.seen.notices),
	}
}

// forget drops what was seen of records that are no more.
func (o *observer) forget(alive func(id string) bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	gone := func(id string) bool { return !alive(id) }
	maps.DeleteFunc(o.seen.engines, func(id string, _ engineSeen) bool { return gone(id) })
	maps.DeleteFunc(o.seen.made, func(id string, _ []cloud.Machine) bool { return gone(id) })
	maps.DeleteFunc(o.seen.from, func(id, _ string) bool { return gone(id) })
	maps.DeleteFunc(o.seen.outcomes, func(id string, _ fleet.Outcome) bool { return gone(id) })
}
