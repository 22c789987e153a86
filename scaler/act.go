package scaler

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"spillway/scaler/cloud"
	"spillway/scaler/docker"
	"spillway/scaler/fleet"
	"spillway/scaler/registry"
)

// Labels on containers beside those of package docker: enough to make an
// instance's record again from the container alone.
const (
	labelPool    = "spillway.pool"
	labelAddress = "spillway.address"
	labelPorts   = "spillway.ports"
	labelCPU     = "spillway.cpu"
	labelMemory  = "spillway.memory"
	labelWeight  = "spillway.weight"
)

// Meta of a registry entry.
const (
	metaCluster = "spillway_cluster"
	metaApp     = "spillway_app"
	metaMachine = "spillway_machine"
)

// actor performs effects, at most one at a time for each record.
type actor struct {
	env  *Env
	set  *Settings
	obs  *observer
	busy *keys
}

// job is an effect with the records it needs, as they were committed.
type job struct {
	effect   fleet.Effect
	order    fleet.Order
	machine  fleet.Machine // of an order: its first slot
	instance fleet.Instance
}

// dispatch starts the job unless one is under way for its record.
func (a *actor) dispatch(j job) {
	if !a.busy.take(j.effect.ID) {
		return
	}
	a.env.Go(a.key(j), func() {
		defer a.busy.release(j.effect.ID)
		a.around(j.effect, false)
		begun := a.env.Now()
		err := a.perform(j)
		a.around(j.effect, true)
		a.finish(j, err, a.env.Now().Sub(begun))
	})
}

func (a *actor) around(e fleet.Effect, after bool) {
	if a.env.Around != nil {
		a.env.Around(e, after)
	}
}

// key names what the job must not make wait.
func (a *actor) key(j job) string {
	switch j.effect.Kind {
	case fleet.CreateMachines:
		return "cloud/" + j.order.Provider
	case fleet.StartMachine, fleet.StopMachine, fleet.DeleteMachine:
		return "cloud/" + j.machine.Provider
	case fleet.PrepareMachine:
		return "engine/" + j.machine.ID
	case fleet.EnsureContainer, fleet.RemoveContainer:
		return "engine/" + j.instance.Machine
	}
	return "registry"
}

func (a *actor) perform(j job) error {
	ctx, cancel := context.WithTimeout(context.Background(), a.limit(j.effect.Kind))
	defer cancel()
	if destroys(j.effect.Kind) {
		if err := a.env.Leader.Verify(ctx); err != nil {
			return err
		}
	}
	switch j.effect.Kind {
	case fleet.CreateMachines:
		decided, _ := j.machine.Stage(stageDecided)
		return a.create(ctx, j.order, decided)
	case fleet.StartMachine, fleet.StopMachine, fleet.DeleteMachine:
		return a.power(ctx, j.effect.Kind, j.machine)
	case fleet.PrepareMachine:
		return a.prepare(ctx, j.machine)
	case fleet.EnsureContainer, fleet.RemoveContainer:
		return a.container(ctx, j.effect.Kind, j.instance, j.machine)
	}
	return a.service(ctx, j.effect.Kind, j.instance)
}

// limit of an effect: images take longer than anything else.
func (a *actor) limit(k fleet.Kind) time.Duration {
	switch k {
	case fleet.EnsureContainer:
		return max(a.set.Pace.Call, a.set.Timings.Start)
	case fleet.PrepareMachine:
		return max(a.set.Pace.Call, a.set.Timings.Prepare)
	}
	return a.set.Pace.Call
}

// destroys reports whether an effect cannot be taken back.
func destroys(k fleet.Kind) bool {
	return k == fleet.DeleteMachine || k == fleet.StopMachine || k == fleet.RemoveContainer || k == fleet.Deregister
}

// finish notes the outcome where the next tick sees it.
func (a *actor) finish(j job, err error, took time.Duration) {
	out := outcome(j.effect.Kind, err, a.env.Now())
	a.obs.outcome(j.effect.ID, out)
	switch j.effect.Kind {
	case fleet.EnsureContainer, fleet.RemoveContainer:
		a.obs.changed("engine/" + j.instance.Machine)
	case fleet.CreateMachines:
		a.obs.changed("cloud/" + j.order.Provider)
	}
	result := "ok"
	if err != nil {
		result = err.Error()
		a.env.Log.Warn("cannot finish effect", "effect", j.effect.Kind, "id", j.effect.ID, "error", err)
	}
	if a.env.Meter != nil {
		a.env.Meter.Effect(j.effect.Kind, out.ErrKind, took)
	}
	if a.env.Audit != nil {
		a.env.Audit(Event{At: out.At, What: string(j.effect.Kind), ID: j.effect.ID, Result: result})
	}
}

// outcome sorts an error for the state machines.
func outcome(k fleet.Kind, err error, now time.Time) fleet.Outcome {
	out := fleet.Outcome{Kind: k, At: now, OK: err == nil}
	if err == nil {
		return out
	}
	out.Err, out.ErrKind = err.Error(), errKind(k, err)
	var e *cloud.Error
	if errors.As(err, &e) {
		out.Retry = e.After
	}
	return out
}

// errKind sorts an error as the part does that the effect is about.
func errKind(k fleet.Kind, err error) string {
	switch k {
	case fleet.PrepareMachine, fleet.EnsureContainer, fleet.RemoveContainer:
		return docker.Kind(err)
	case fleet.Register, fleet.DrainService, fleet.UndrainService, fleet.Deregister:
		return registry.Kind(err)
	}
	return cloud.KindOf(err).String()
}

func (a *actor) create(ctx context.Context, o fleet.Order, decided time.Time) error {
	pool := a.set.pool(o.Pool)
	if pool == nil {
		return &cloud.Error{Kind: cloud.Invalid, Op: cloud.OpCreate, What: "pool " + o.Pool + " is not in the settings"}
	}
	driver, err := a.driver(o.Provider)
	if err != nil {
		return err
	}
	r := cloud.CreateRequest{
		Token: cloud.Token(a.set.Cluster, o.Pool, o.Epoch, o.Zone, o.Batch, o.Attempt),
		Type:  o.Type, Zone: o.Zone, Spot: o.Spot, Count: len(o.Slots), Names: o.Slots,
		Tags: a.tags(o, pool),
	}
	if a.env.UserData != nil {
		if r.UserData, err = a.env.UserData(o, pool, decided); err != nil {
			return err
		}
	}
	machines, err := driver.Create(ctx, r)
	if len(machines) > 0 {
		a.obs.created(o.ID, o.Provider, machines)
	}
	return err
}

func (a *actor) tags(o fleet.Order, p *Pool) map[string]string {
	return map[string]string{
		cloud.TagCluster: a.set.Cluster, cloud.TagPool: o.Pool, cloud.TagOrder: o.ID, cloud.TagProfile: p.Profile,
	}
}

func (a *actor) driver(name string) (cloud.Driver, error) {
	if d := a.env.Clouds[name]; d != nil {
		return d, nil
	}
	return nil, fmt.Errorf("cannot reach provider %q: it is not in the settings", name)
}

func (a *actor) power(ctx context.Context, k fleet.Kind, m fleet.Machine) error {
	driver, err := a.driver(m.Provider)
	if err != nil {
		return err
	}
	if k == fleet.DeleteMachine {
		return driver.Delete(ctx, m.CloudID)
	}
	s, ok := driver.(cloud.Stopper)
	if !ok {
		return &cloud.Error{Kind: cloud.Invalid, Op: "stop or start", What: m.Provider + " cannot"}
	}
	if k == fleet.StartMachine {
		return s.Start(ctx, m.CloudID)
	}
	return s.Stop(ctx, m.CloudID)
}

// prepare makes a new machine ready for the first container: its engine
// answers over TLS, and it has the images of every app that may run there.
func (a *actor) prepare(ctx context.Context, m fleet.Machine) error {
	e := a.env.EngineOf(m)
	if err := a.env.Engines.Ping(ctx, e); err != nil {
		return err
	}
	for i := range a.set.Apps {
		app := &a.set.Apps[i]
		if !app.uses(m.Pool) {
			continue
		}
		if err := a.env.Engines.Image(ctx, e, app.Container.Image, app.Container.Sources); err != nil {
			return err
		}
	}
	return nil
}

func (a *actor) container(ctx context.Context, k fleet.Kind, i fleet.Instance, m fleet.Machine) error {
	e := a.env.EngineOf(m)
	app := a.set.app(i.App)
	if k == fleet.RemoveContainer {
		grace := 10 * time.Second
		if app != nil {
			grace = app.Container.Stop
		}
		return a.env.Engines.Remove(ctx, e, i.ID, grace)
	}
	if app == nil {
		return fmt.Errorf("cannot start instance %q: app %q is not in the settings", i.ID, i.App)
	}
	if err := a.env.Engines.Image(ctx, e, i.Image, app.Container.Sources); err != nil {
		return err
	}
	_, err := a.env.Engines.Ensure(ctx, e, a.spec(app, i))
	return err
}

func (a *actor) spec(app *App, i fleet.Instance) docker.Spec {
	c := &app.Container
	labels := maps.Clone(c.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	maps.Copy(labels, map[string]string{
		docker.LabelCluster: a.set.Cluster, docker.LabelInstance: i.ID, docker.LabelApp: i.App,
		labelPool: i.Pool, labelAddress: i.Address, labelPorts: string(encode(i.Ports)),
		labelCPU: strconv.FormatFloat(i.CPU, 'g', -1, 64), labelMemory: strconv.FormatInt(i.Memory, 10),
		labelWeight: strconv.Itoa(i.Weight),
	})
	return docker.Spec{
		Name: i.ID, Image: i.Image, Command: c.Command, Env: c.Env, CPU: i.CPU, Memory: i.Memory,
		Network: c.Network, Ports: i.Ports, Stop: c.Stop, Restart: true, ReadOnly: c.ReadOnly, Labels: labels,
	}
}

func (a *actor) service(ctx context.Context, k fleet.Kind, i fleet.Instance) error {
	name := a.serviceOf(i.App)
	switch k {
	case fleet.Register:
		return a.env.Registry.Register(ctx, a.registration(name, i))
	case fleet.DrainService:
		return a.env.Registry.Drain(ctx, name, i.ID, i.Reason)
	case fleet.UndrainService:
		return a.env.Registry.Undrain(ctx, name, i.ID)
	case fleet.Deregister:
		return a.env.Registry.Deregister(ctx, name, i.ID)
	}
	return fmt.Errorf("cannot perform effect %q: unknown kind", k)
}

// serviceOf is the registry's name of an app; one that left the settings is
// taken by its own name.
func (a *actor) serviceOf(app string) string {
	if s := a.set.app(app); s != nil {
		return s.Service
	}
	return app
}

func (a *actor) registration(name string, i fleet.Instance) registry.Registration {
	r := registry.Registration{
		ID: i.ID, Service: name, Address: i.Address, Weight: i.Weight,
		Meta: map[string]string{metaCluster: a.set.Cluster, metaApp: i.App, metaMachine: i.Machine},
	}
	if app := a.set.app(i.App); app != nil {
		r.Check = app.Container.Check
	}
	return r
}

// uses reports whether the app may run on machines of that pool.
func (a *App) uses(pool string) bool {
	return slices.ContainsFunc(a.Pools, func(p AppPool) bool { return p.Machines == pool })
}
