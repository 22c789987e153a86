package scaler

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"

	"spillway/scaler/api"
	"spillway/scaler/docker"
	"spillway/scaler/placement"
)

// where finds the engine that runs a container.
func (b *Backend) where(name string) (docker.Engine, error) {
	c := b.c
	c.mu.Lock()
	defer c.mu.Unlock()
	v, err := c.seen()
	if err != nil {
		return docker.Engine{}, err
	}
	if i, ok := c.book.instances.get(name); ok {
		if m, ok := c.book.machines.get(i.Machine); ok {
			return c.env.EngineOf(m), nil
		}
	}
	for id, m := range c.book.machines.all() {
		if _, ok := v.seen.engines[id].containers[name]; ok {
			return c.env.EngineOf(m), nil
		}
	}
	return docker.Engine{}, fmt.Errorf("container %q: %w", name, api.ErrNotFound)
}

// Exec implements api.Backend.
func (b *Backend) Exec(ctx context.Context, r api.ExecRequest, s api.Streams) (int, error) {
	e, err := b.where(r.Instance)
	if err != nil {
		return 0, err
	}
	b.audit("exec", r.Instance, r.By, fmt.Sprint(r.Command))
	return b.c.env.Engines.Exec(ctx, e, r.Instance, docker.ExecSpec{
		Command: r.Command, TTY: r.TTY, In: s.In, Out: s.Out, Err: s.Err, Resize: s.Resize,
	})
}

// Logs implements api.Backend.
func (b *Backend) Logs(ctx context.Context, r api.LogsRequest, out io.Writer) error {
	e, err := b.where(r.Instance)
	if err != nil {
		return err
	}
	return b.c.env.Engines.Logs(ctx, e, r.Instance, r.Tail, r.Follow, out)
}

// Run implements api.Backend. The container carries the cluster's label and no
// app's: it keeps its machine from being released, and nothing else is done
// about it.
func (b *Backend) Run(ctx context.Context, r api.RunRequest, s api.Streams) (api.RunResult, error) {
	name := r.Name
	if name == "" {
		name = "run-" + strconv.FormatUint(rand.Uint64(), 36)
	}
	e, spec, node, err := b.placeRun(r, name)
	if err != nil {
		return api.RunResult{}, err
	}
	b.audit("run", name, r.By, r.Image+" "+fmt.Sprint(r.Command))
	engines := b.c.env.Engines
	if err := engines.Image(ctx, e, r.Image, nil); err != nil {
		return api.RunResult{}, fmt.Errorf("cannot run %q: %w", r.Image, err)
	}
	if _, err := engines.Ensure(ctx, e, spec); err != nil {
		return api.RunResult{}, fmt.Errorf("cannot run %q: %w", r.Image, err)
	}
	result := api.RunResult{Instance: api.Instance{ID: name, Node: node, Image: r.Image, State: "running", Ports: spec.Ports}}
	if r.Detach {
		return result, nil
	}
	return b.follow(ctx, e, name, s, result)
}

// follow copies a container's output until it ends, and removes it.
func (b *Backend) follow(ctx context.Context, e docker.Engine, name string, s api.Streams, result api.RunResult) (api.RunResult, error) {
	engines := b.c.env.Engines
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), b.c.set.Pace.Call)
		defer cancel()
		if err := engines.Remove(ctx, e, name, 0); err != nil {
			b.c.env.Log.Warn("cannot remove container", "name", name, "error", err)
		}
	}()
	if err := engines.Logs(ctx, e, name, -1, true, s.Out); err != nil {
		return result, fmt.Errorf("cannot follow %q: %w", name, err)
	}
	list, err := engines.List(ctx, e, b.c.set.Cluster)
	if err != nil {
		return result, fmt.Errorf("cannot tell how %q ended: %w", name, err)
	}
	for _, k := range list {
		if k.Name == name {
			result.Exit, result.Instance.State = k.ExitCode, "exited"
		}
	}
	return result, nil
}

// placeRun finds a machine for a container that belongs to no app.
func (b *Backend) placeRun(r api.RunRequest, name string) (docker.Engine, docker.Spec, string, error) {
	c := b.c
	c.mu.Lock()
	defer c.mu.Unlock()
	v, err := c.seen()
	if err != nil {
		return docker.Engine{}, docker.Spec{}, "", err
	}
	d := v.draft(c.env.Planner)
	var hosts []placement.Host
	for i := range c.set.Pools {
		d.hosts(c.set.Pools[i].Name)
		hosts = append(hosts, values(d.ready[c.set.Pools[i].Name])...)
	}
	ask := placement.Ask{ID: name, App: name, CPU: r.CPU, Memory: r.Memory, Image: r.Image, Labels: map[string][]string{}, Network: r.Network}
	for k, value := range r.Labels {
		ask.Labels[k] = []string{value}
	}
	for inside, host := range r.Ports {
		ask.Ports = append(ask.Ports, placement.Port{Container: inside, Host: host})
	}
	plan := c.env.Planner.Plan(hosts, []placement.Ask{ask}, v.now)
	if len(plan.Assigned) == 0 {
		return docker.Engine{}, docker.Spec{}, "", fmt.Errorf("no machine takes it: %v: %w", plan.Counts, api.ErrConflict)
	}
	m, _ := c.book.machines.get(plan.Assigned[0].Host)
	spec := docker.Spec{
		Name: name, Image: r.Image, Command: r.Command, Env: r.Env, CPU: r.CPU, Memory: r.Memory, Network: r.Network,
		Ports: plan.Assigned[0].Ports, Labels: map[string]string{docker.LabelCluster: c.set.Cluster},
	}
	return c.env.EngineOf(m), spec, m.ID, nil
}

func (b *Backend) audit(what, id, by, why string) {
	if b.c.env.Audit != nil {
		b.c.env.Audit(Event{At: b.c.env.Now(), What: what, ID: id, By: by, Why: why, Result: "begun"})
	}
}
