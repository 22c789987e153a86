package scaler

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"spillway/scaler/cloud"
	"spillway/scaler/cloud/sim"
	"spillway/scaler/cloud/static"
	"spillway/scaler/docker"
	"spillway/scaler/fleet"
	"spillway/scaler/leader"
	"spillway/scaler/ledger"
	"spillway/scaler/placement"
	"spillway/scaler/policy"
	"spillway/scaler/registry"
	"spillway/scaler/signal"
)

// world is everything around a controller, on a virtual clock: a simulated
// cloud and owned hosts, engines with containers, a registry whose checks pass
// once a container has run for a while, and gateways that follow the registry
// with a delay, spread a load that is a function of time and tell what they see.
// It outlives the controllers in it. Everything runs on the test's goroutine.
type world struct {
	t       testing.TB
	clock   *sim.Clock
	begun   time.Time
	cloud   *sim.Cloud
	clouds  map[string]cloud.Driver
	engines *engines
	reg     *registrar
	gates   *gateways
	store   *ledger.Memory
	vote    *leader.Memory
	set     Settings
	control *Controller
	// around is Env.Around of the next controller.
	around func(e fleet.Effect, after bool)
	name   string // of the case, for failures
	seed   uint64
	// provider is what the rented cloud is like; nil: quick.
	provider *sim.Provider
	asked    map[string]int // machines of each order, by the records that were written
	events   []string
	log      *slog.Logger
}

// load is requests a second at a time since the beginning.
type load func(at time.Duration) float64

// spike is the demand of most tests: ten times the load for ten minutes.
func spike(at time.Duration) float64 {
	if at >= 2*time.Minute && at < 12*time.Minute {
		return 600
	}
	return 60
}

type option func(*world)

func newWorld(t testing.TB, l load, options ...option) *world {
	start := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	w := &world{t: t, clock: sim.NewClock(start), begun: start, set: testSettings(), log: slog.New(slog.DiscardHandler), asked: map[string]int{}, seed: 1}
	for _, o := range options {
		o(w)
	}
	w.store = ledger.NewMemory()
	w.vote = leader.NewMemory(w.store)
	provider := quick()
	if w.provider != nil {
		provider = *w.provider
	}
	w.cloud = sim.New(provider, sim.Options{Clock: w.clock.Still(), Seed: w.seed})
	w.clouds = map[string]cloud.Driver{"rent": w.wrap(w.cloud)}
	owned, err := static.New(static.Options{Now: w.clock.Now, Hosts: []static.Host{{ID: "own-1", Address: "192.168.0.1", Zone: "home", CPU: 2, Memory: 8 << 30}}})
	if err != nil {
		t.Fatal(err)
	}
	w.clouds["own"] = w.wrap(owned)
	w.engines = &engines{w: w, containers: map[string]map[string]*container{}}
	w.reg = &registrar{w: w, entries: map[string]*entry{}}
	w.gates = &gateways{w: w, load: l, expected: 2, reporting: 2, delay: time.Second, inFlight: map[string]float64{}}
	w.restart()
	return w
}

func (w *world) wrap(d cloud.Driver) cloud.Driver {
	return cloud.Wrap(d, cloud.Options{Clock: cloud.Clock{Now: w.clock.Now, Sleep: w.sleep}, Random: func() float64 { return 0.5 }})
}

// sleep is how a wrapper waits: the controller waits with it, traffic goes on.
func (w *world) sleep(ctx context.Context, d time.Duration) error {
	for ; d > 0 && ctx.Err() == nil; d -= time.Second {
		w.clock.Advance(min(d, time.Second))
		w.gates.second()
	}
	return ctx.Err()
}

// quick is a cloud with two zones and short boots.
func quick() sim.Provider {
	p := sim.EC2()
	p.Limits = nil
	p.Latency = sim.Dist{}
	p.ListLag = 5 * time.Second
	p.Boot = sim.Boot{
		Running: sim.LogNormal(4*time.Second, 6*time.Second), Address: sim.LogNormal(time.Second, 2*time.Second),
		PhoneHome: sim.LogNormal(5*time.Second, 8*time.Second), Settle: sim.LogNormal(4*time.Second, 6*time.Second),
		Restart: sim.LogNormal(3*time.Second, 5*time.Second), Stop: sim.LogNormal(3*time.Second, 5*time.Second),
		Terminate: sim.LogNormal(3*time.Second, 5*time.Second),
	}
	p.Offerings = nil
	for _, zone := range []string{"a", "b"} {
		p.Offerings = append(p.Offerings, cloud.Offering{
			Type: "c2", Zone: zone, CPU: 2, Memory: 4 << 30, Units: 2, Arch: "amd64", PriceHour: 0.1, Available: true,
		})
	}
	return p
}

// testSettings: an app of one-core instances that each serve 100 requests a
// second of 100 ms, on an owned host of two cores and rented machines of two.
func testSettings() Settings {
	p := policy.Default()
	p.Min, p.Max, p.Concurrency = 1, 40, 10
	p.Window, p.PanicHold, p.Lead = 2*time.Minute, time.Minute, 30*time.Second
	p.Down = policy.Step{Share: 0.5, Units: 2, Period: 15 * time.Second}
	if err := p.Validate(); err != nil {
		panic(err)
	}
	return Settings{
		Cluster: "test",
		Pools: []Pool{
			{Name: "own", Providers: []string{"own"}, PortFrom: 20000, PortTo: 20999},
			{Name: "rent", Init: true, Providers: []string{"rent"}, Pack: true, PortFrom: 20000, PortTo: 20999, Max: 30, Idle: 10 * time.Second, Lead: 30 * time.Second},
		},
		Apps: []App{{
			Name: "web", Upstream: "web", Service: "web",
			Pools:     []AppPool{{Name: "own", Machines: "own"}, {Name: "rent", Machines: "rent", SpreadBy: "zone"}},
			Container: Container{Image: "web:1", CPU: 1, Memory: 1 << 30, Port: 8080, Stop: 5 * time.Second},
			Policy:    p,
		}},
		Timings: testTimings(),
		Pace:    Pace{Sweep: 10},
	}
}

// testTimings suit a cloud that boots in a quarter of a minute.
func testTimings() fleet.Timings {
	t := fleet.Defaults()
	t.Boot, t.Join = time.Minute, time.Minute
	return t
}

// restart throws the controller away, with all it knew, and starts another.
func (w *world) restart() {
	candidate := w.vote.Candidate("test")
	w.vote.Elect(candidate, w.clock.Now())
	w.control = w.controller(candidate)
}

func (w *world) controller(l Leader) *Controller {
	c, err := New(w.set, Env{
		Now: w.clock.Now, Go: func(_ string, f func()) { f() }, Clouds: w.clouds, Engines: w.engines,
		EngineOf: func(m fleet.Machine) docker.Engine { return docker.Engine{ID: m.ID, Host: m.Address} },
		Registry: w.reg, Store: w.store, Leader: l, Signals: w.gates, Announcer: w.gates, Planner: placement.Default{},
		Stages: w.stages, Log: w.log, Around: func(e fleet.Effect, after bool) {
			if w.around != nil {
				w.around(e, after)
			}
		},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// stages are what the machine of that name told of its init.
func (w *world) stages(m fleet.Machine) []fleet.Stage {
	h, ok := w.cloud.Host(m.CloudID)
	if !ok {
		return nil
	}
	if _, settled := h.Init(w.clock.Now()); !settled {
		return nil
	}
	return []fleet.Stage{{Name: "phone-home", At: h.PhonesHome}, {Name: stageSettled, At: h.Settled}}
}

// run advances for d, a second at a time: gateways first, then the controller.
func (w *world) run(d time.Duration) {
	for end := w.clock.Now().Add(d); w.clock.Now().Before(end); {
		w.clock.Advance(time.Second)
		w.gates.second()
		w.tick()
	}
}

// crashed is the panic that ends a controller.
type crashed struct{}

func (w *world) tick() {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case crashed:
			w.restart()
		default:
			panic(r)
		}
	}()
	if err := w.control.Tick(context.Background()); err != nil {
		w.say("tick: %v", err)
	}
	for id, o := range w.control.book.orders.all() {
		w.asked[id] = len(o.Slots)
	}
}

func (w *world) say(format string, args ...any) {
	w.events = append(w.events, fmt.Sprintf("%6.0fs ", w.clock.Now().Sub(w.begun).Seconds())+fmt.Sprintf(format, args...))
}

// fail reports a violation with what led to it.
func (w *world) fail(format string, args ...any) {
	w.t.Helper()
	w.t.Errorf("%s: at %v: %s\n%s", w.name, w.clock.Now().Sub(w.begun), fmt.Sprintf(format, args...), strings.Join(w.events[max(0, len(w.events)-40):], "\n"))
}

// container of a fake engine.
type container struct {
	docker.Container
	spec docker.Spec
	at   time.Time
}

// engines are Docker Engines by address. One answers while its machine runs and
// its init is done.
type engines struct {
	w          *world
	containers map[string]map[string]*container // by machine address, by name
	hang       map[string]bool                  // addresses
	// settled machines by address, as they were at known.
	known   time.Time
	settled map[string]bool
}

var errNoAnswer = errors.New("context deadline exceeded")

func (e *engines) up(address string) bool {
	if e.hang[address] {
		return false
	}
	if strings.HasPrefix(address, "192.168.") {
		return true
	}
	now := e.w.clock.Now()
	if !e.known.Equal(now) {
		e.known, e.settled = now, map[string]bool{}
		for _, h := range e.w.cloud.Hosts() {
			_, e.settled[h.Address] = h.Init(now)
		}
	}
	return e.settled[address]
}

// on returns the containers of a machine; those of one that is gone are gone.
func (e *engines) on(address string) (map[string]*container, error) {
	if !e.up(address) {
		return nil, errNoAnswer
	}
	if e.containers[address] == nil {
		e.containers[address] = map[string]*container{}
	}
	return e.containers[address], nil
}

func (e *engines) Ping(_ context.Context, en docker.Engine) error {
	_, err := e.on(en.Host)
	return err
}

func (e *engines) Image(ctx context.Context, en docker.Engine, _ string, _ []string) error {
	return e.Ping(ctx, en)
}

func (e *engines) Ensure(_ context.Context, en docker.Engine, s docker.Spec) (docker.Container, error) {
	all, err := e.on(en.Host)
	if err != nil {
		return docker.Container{}, err
	}
	if c := all[s.Name]; c != nil {
		if fmt.Sprint(c.spec) != fmt.Sprint(s) {
			e.w.fail("container %s was replaced: %v is not %v", s.Name, c.spec, s)
		}
		return c.Container, nil
	}
	c := &container{docker.Container{ID: s.Name, Name: s.Name, Image: s.Image, Running: true, Labels: s.Labels}, s, e.w.clock.Now()}
	all[s.Name] = c
	e.w.say("container %s starts on %s", s.Name, en.ID)
	return c.Container, nil
}

func (e *engines) Remove(_ context.Context, en docker.Engine, name string, _ time.Duration) error {
	all, err := e.on(en.Host)
	if err != nil {
		return err
	}
	if c := all[name]; c != nil {
		e.w.gates.mustNotUse(c.Labels[labelAddress], "container "+name+" is removed")
		delete(all, name)
		e.w.say("container %s is removed", name)
	}
	return nil
}

func (e *engines) List(_ context.Context, en docker.Engine, cluster string) ([]docker.Container, error) {
	all, err := e.on(en.Host)
	if err != nil {
		return nil, err
	}
	var list []docker.Container
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if all[name].Labels[docker.LabelCluster] == cluster {
			list = append(list, all[name].Container)
		}
	}
	return list, nil
}

func (e *engines) Exec(context.Context, docker.Engine, string, docker.ExecSpec) (int, error) {
	return 0, errNoAnswer
}

func (e *engines) Logs(context.Context, docker.Engine, string, int, bool, io.Writer) error {
	return errNoAnswer
}

// serves reports whether a container of that address runs.
func (e *engines) serves(address string) (since time.Time, ok bool) {
	host, _, _ := strings.Cut(address, ":")
	if !e.alive(host) {
		return time.Time{}, false
	}
	for _, c := range e.containers[host] {
		if c.Labels[labelAddress] == address {
			return c.at, true
		}
	}
	return time.Time{}, false
}

// alive is up, also when the engine hangs: containers run on.
func (e *engines) alive(address string) bool {
	hang := e.hang
	e.hang = nil
	defer func() { e.hang = hang }()
	return e.up(address)
}

// entry of the fake registry.
type entry struct {
	registry.Registration
	draining bool
	at       time.Time
}

// registrar is a registry whose agent checks every instance each second.
type registrar struct {
	w       *world
	entries map[string]*entry
	down    bool
}

var errRegistry = errors.New("no answer from the registry")

// checkTakes is how long a container takes until its check passes.
const checkTakes = 2 * time.Second

func (r *registrar) passing(e *entry) bool {
	since, ok := r.w.engines.serves(e.Address)
	return ok && r.w.clock.Now().Sub(since) >= checkTakes
}

func (r *registrar) change(id string, f func(e *entry)) error {
	if r.down {
		return errRegistry
	}
	if e := r.entries[id]; e != nil {
		f(e)
	}
	return nil
}

func (r *registrar) Register(_ context.Context, g registry.Registration) error {
	if r.down {
		return errRegistry
	}
	if r.entries[g.ID] == nil {
		r.entries[g.ID] = &entry{Registration: g, at: r.w.clock.Now()}
		r.w.say("%s is registered", g.ID)
	}
	return nil
}

func (r *registrar) Drain(_ context.Context, _, id, _ string) error {
	r.w.say("%s drains", id)
	return r.change(id, func(e *entry) { e.draining = true })
}

func (r *registrar) Undrain(_ context.Context, _, id string) error {
	return r.change(id, func(e *entry) { e.draining = false })
}

func (r *registrar) Deregister(_ context.Context, _, id string) error {
	return r.change(id, func(e *entry) {
		r.w.gates.mustNotUse(e.Address, id+" is deregistered")
		delete(r.entries, id)
		r.w.say("%s is deregistered", id)
	})
}

func (r *registrar) Entries(_ context.Context, service string) ([]registry.Entry, error) {
	if r.down {
		return nil, errRegistry
	}
	var all []registry.Entry
	for _, id := range slices.Sorted(maps.Keys(r.entries)) {
		if e := r.entries[id]; e.Service == service {
			all = append(all, registry.Entry{Registration: e.Registration, Passing: r.passing(e), Draining: e.draining})
		}
	}
	return all, nil
}

func (r *registrar) Gateways(context.Context) ([]registry.Gateway, error) { return nil, nil }

// critical are the entries in rotation whose check fails.
func (r *registrar) critical() (ids []string) {
	for id, e := range r.entries {
		if !r.passing(e) && !e.draining {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// gateways spread the load over what the registry showed a delay ago. A request
// takes a tenth of a second.
type gateways struct {
	w                   *world
	load                load
	delay               time.Duration
	expected, reporting int
	silent              bool // metrics are lost
	serving             []string
	shown               []shown
	inFlight            map[string]float64
	seconds             []signal.Second
	told                time.Time
	starved             int // seconds without a server
	announced           float64
}

// shown is what the registry showed at a time.
type shown struct {
	at      time.Time
	servers []string
}

// second is one second of traffic.
func (g *gateways) second() {
	now := g.w.clock.Now()
	g.follow(now)
	rate := g.load(now.Sub(g.w.begun))
	g.inFlight = map[string]float64{}
	for _, s := range g.serving {
		g.inFlight[s] = rate / float64(len(g.serving)) * 0.1
	}
	sec := signal.Second{At: now, Arrivals: rate, Completions: rate, InFlight: rate * 0.1, Reporting: g.reporting, Expected: g.expected}
	sec.P95 = 100 * time.Millisecond
	if len(g.serving) == 0 {
		sec.Completions, sec.Refused, sec.InFlight = 0, rate, 0
		g.starved++
	}
	if !g.silent {
		g.told = now
		g.seconds = append(g.seconds, sec)
		g.seconds = g.seconds[max(0, len(g.seconds)-120):]
	}
}

func (g *gateways) follow(now time.Time) {
	if !g.w.reg.down {
		var servers []string
		for _, id := range slices.Sorted(maps.Keys(g.w.reg.entries)) {
			if e := g.w.reg.entries[id]; g.w.reg.passing(e) && !e.draining {
				servers = append(servers, e.Address)
			}
		}
		g.shown = append(g.shown, shown{now, servers})
	}
	for len(g.shown) > 0 && now.Sub(g.shown[0].at) >= g.delay {
		g.serving = g.shown[0].servers
		g.shown = g.shown[1:]
	}
}

// mustNotUse fails the test if a server that is being taken away still gets
// requests, or has some in flight.
func (g *gateways) mustNotUse(address, why string) {
	if _, runs := g.w.engines.serves(address); !runs {
		return // it died by itself
	}
	if slices.Contains(g.serving, address) || g.inFlight[address] > 0 {
		g.w.fail("%s, and gateways still send it requests", why)
	}
}

func (g *gateways) Snapshot(upstream string, _ time.Duration) signal.Snapshot {
	now := g.w.clock.Now()
	s := signal.Snapshot{
		Upstream: upstream, Seconds: slices.Clone(g.seconds), Servers: map[string]signal.Server{}, Age: now.Sub(g.told),
		Reporting: g.reporting, Expected: g.expected, At: now,
	}
	if g.told.IsZero() {
		s.Reporting = 0
	}
	for _, a := range g.serving {
		s.Servers[a] = signal.Server{Address: a, InFlight: g.inFlight[a], Requests: g.inFlight[a] * 10, Serving: g.expected, Told: g.expected}
	}
	return s
}

func (g *gateways) Announce(_ context.Context, _ string, ordered float64, _ time.Time) error {
	g.announced = ordered
	return nil
}
