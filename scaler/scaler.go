// Package scaler buys, fills, drains and gives back machines as the load at
// the gateways asks for it.
//
// A Controller is one loop of ticks. Each tick observes (what the clouds list,
// what the engines run, what the registry and the gateways say), steps the
// state machine of every record, decides a size for every app, plans how to
// reach it, commits the changed records to the ledger by fenced check-and-set,
// and only then dispatches the effects those records call for. Everything
// between observing and committing is a function of one view and does no I/O.
//
// Effects are called for by states, not by transitions, and all are idempotent:
// a controller that dies anywhere loses nothing but time, and the next one goes
// on from the ledger, from the clouds' lists and from the containers' labels.
// An empty ledger means adopt; nothing is taken away in the first complete
// rounds of observation; a lost source of truth freezes what depends on it and
// nothing else.
//
// The package starts goroutines through Env.Go alone. It knows neither YAML nor
// HTTP nor any provider: cmd wires those.
package scaler

import (
	"context"
	"log/slog"
	"time"

	"spillway/scaler/cloud"
	"spillway/scaler/docker"
	"spillway/scaler/fleet"
	"spillway/scaler/leader"
	"spillway/scaler/ledger"
	"spillway/scaler/placement"
	"spillway/scaler/policy"
	"spillway/scaler/registry"
	"spillway/scaler/signal"
)

// Settings is what a controller is to keep true. The controller does not
// change it.
type Settings struct {
	Cluster string // tag and label of everything that is ours
	Pools   []Pool
	Apps    []App
	Timings fleet.Timings
	Pace    Pace
	// HourMost and DayMost bound the money of everything, 0: no limit. They
	// stop buying and end nothing.
	HourMost, DayMost float64
	// UnitsMost of a provider that may be had at once, missing: no limit.
	UnitsMost map[string]float64
	// DryRun decides and plans, and changes nothing anywhere.
	DryRun bool
}

// Pace is how often and how carefully the controller looks and acts.
type Pace struct {
	List     time.Duration // between two lists of a provider; default 5 s
	Engines  time.Duration // between two lists of an engine; default 5 s
	Registry time.Duration // between two reads of a service; default 2 s
	// Rounds of complete observation before anything is taken away after a
	// start; default 3.
	Rounds int
	// Sweep is the most machines and containers without an owner that are
	// removed in a minute; 0 only reports them.
	Sweep int
	// Backoff of an offering that was sold out or beyond the quota, and the
	// longest one; defaults 30 s and 10 min.
	Backoff, BackoffMost time.Duration
	// Call bounds one call to a provider, an engine or the registry;
	// default 60 s.
	Call time.Duration
}

// Pool is machines that are alike to the apps.
type Pool struct {
	Name string
	// Providers are keys of Env.Clouds; the next one is asked for what the one
	// before cannot give.
	Providers []string
	// Types and Zones that may be bought, the preferred first; empty: all.
	Types, Zones []string
	Spot         bool
	Min, Max     int     // machines; Max 0: no limit
	Spare        float64 // units kept ready and free
	Warm         int     // emptied machines kept stopped
	// Pack fills machines one after another; otherwise load is spread.
	Pack bool
	// Slots is the most containers of a machine, 0 no limit.
	Slots            int
	PortFrom, PortTo int
	Labels           map[string]string
	Profile          string // hash of the host profile new machines get
	// Init: its machines run our init and tell when that is done. Without it a
	// machine whose engine answers is taken for done.
	Init bool
	// Quarantine is the most failed machines that are kept for a person.
	Quarantine int
	// ReleaseBefore the end of the paid time, an empty machine is given back;
	// 0: at once, after Idle.
	ReleaseBefore time.Duration
	Idle          time.Duration // a machine stays empty that long first; default 10 s
	// Lead is the time from order to ready taken until it has been measured.
	Lead  time.Duration
	Batch int // most machines of one order, 0: what the provider takes
	// Boot and Join replace those of Settings.Timings unless 0.
	Boot, Join time.Duration
}

// App is a service whose size follows the load of one upstream.
type App struct {
	Name     string
	Upstream string // at the gateways
	Service  string // in the registry
	// Units of one instance; 0: its share of its machine's.
	Units float64
	// Weight of one instance at the gateways; 0: 100 for each unit.
	Weight int
	// Pools in the order in which they are filled; they are emptied in the
	// opposite order.
	Pools     []AppPool
	Container Container
	Policy    policy.Policy
	Drain     time.Duration // deadline of a drain; 0: that of Settings.Timings
	Paused    bool
}

// AppPool is the part of an app that runs on one pool of machines.
type AppPool struct {
	Name     string
	Machines string // Pool.Name
	Min, Max int    // instances; Max 0: no limit
	// Stateful instances are removed by nobody but a person.
	Stateful      bool
	MaxPerMachine int    // instances, 0 no limit
	SpreadBy      string // machine label
	Labels        map[string][]string
}

// Container is how one instance of an app runs.
type Container struct {
	Image string
	// Sources are where the image may be had, the nearest first.
	Sources    []string
	ImageBytes int64
	Command    []string
	Env        []string
	CPU        float64
	Memory     int64
	PPS        int
	Link       float64
	Arch       string
	Network    string
	// Port inside the container that gateways use; HostPort 0 lets the
	// scheduler choose one.
	Port, HostPort int
	// Ports are further ones.
	Ports    []placement.Port
	Stop     time.Duration
	ReadOnly bool
	Labels   map[string]string // beside ours
	Check    registry.Check
}

// Env is the world of a controller.
type Env struct {
	Now func() time.Time
	// Go runs f, concurrently in production and inline in tests. The key names
	// what must not wait for the rest: "cloud/NAME", "engine/ID", "registry".
	Go        func(key string, f func())
	Clouds    map[string]cloud.Driver // wrapped
	Engines   docker.Runtime
	EngineOf  func(fleet.Machine) docker.Engine
	Registry  registry.Registry
	Store     ledger.Store
	Leader    Leader
	Signals   signal.Source
	Announcer signal.Announcer
	Planner   placement.Planner
	// UserData of an order's machines, decided upon at that time; nil: none. The
	// same arguments must give the same text: a repeated order has to be the
	// same request.
	UserData func(o fleet.Order, p *Pool, decided time.Time) ([]byte, error)
	// Stages are what a machine itself told since it was born; nil: none.
	Stages func(fleet.Machine) []fleet.Stage
	Log    *slog.Logger
	// Loaded is told which machines the ledger has, each time it was read; nil:
	// nobody. Owners of hosts learn from it what is handed out.
	Loaded func([]fleet.Machine)
	// Audit is told of every effect and every order of a person; nil: nobody.
	Audit func(Event)
	// Meter is told what happens; nil: nobody.
	Meter Meter
	// Around, when not nil, is called before and after each effect. The tests
	// of crashes end the controller in it.
	Around func(e fleet.Effect, after bool)
}

// Leader says whether this controller leads.
type Leader interface {
	// State answers from memory; its Fence is the proof that writes carry.
	State() leader.State
	// Verify asks the store whether the fence still holds. It is called before
	// each call that destroys something.
	Verify(ctx context.Context) error
}

// Event is a line of the audit log.
type Event struct {
	At     time.Time `json:"at"`
	What   string    `json:"what"` // kind of effect, or "scale", "pause", ...
	ID     string    `json:"id"`
	By     string    `json:"by,omitempty"` // a person; empty: the controller
	Why    string    `json:"why,omitempty"`
	Result string    `json:"result,omitempty"` // "ok" or the error
}

// Meter counts. Implementations do not block.
type Meter interface {
	Effect(kind fleet.Kind, result string, took time.Duration)
	Tick(took time.Duration, phase string)
	Stage(pool, stage string, took time.Duration)
}

func (p *Pace) defaults() {
	p.List = orDuration(p.List, 5*time.Second)
	p.Engines = orDuration(p.Engines, 5*time.Second)
	p.Registry = orDuration(p.Registry, 2*time.Second)
	p.Call = orDuration(p.Call, time.Minute)
	if p.Rounds == 0 {
		p.Rounds = 3
	}
	p.Backoff = orDuration(p.Backoff, 30*time.Second)
	p.BackoffMost = orDuration(p.BackoffMost, 10*time.Minute)
}

func orDuration(d, otherwise time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return otherwise
}

// pool returns the pool of that name, nil when the settings have none.
func (s *Settings) pool(name string) *Pool {
	for i := range s.Pools {
		if s.Pools[i].Name == name {
			return &s.Pools[i]
		}
	}
	return nil
}

// app returns the app of that name, nil when the settings have none.
func (s *Settings) app(name string) *App {
	for i := range s.Apps {
		if s.Apps[i].Name == name {
			return &s.Apps[i]
		}
	}
	return nil
}
