package scaler

import (
	"context"
	"fmt"
	"log/slog"
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
