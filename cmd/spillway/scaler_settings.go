package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"spillway/configs"
	"spillway/scaler"
	"spillway/scaler/fleet"
	"spillway/scaler/hostinit"
	"spillway/scaler/placement"
	"spillway/scaler/registry"
)

// scalerSettings are what the controller is to keep true, as the file says it.
func scalerSettings(c *configs.Scaler) (*scaler.Settings, error) {
	s := &scaler.Settings{
		Cluster: c.Cluster, DryRun: c.DryRun, Timings: scalerTimings(&c.Timings),
		HourMost: c.Money.PerHour, DayMost: c.Money.PerDay, UnitsMost: map[string]float64{},
		Pace: scaler.Pace{
			List: c.Timings.List, Call: c.Timings.Call, Sweep: c.Timings.Sweep,
			Engines: min(c.Timings.List, fleet.Defaults().EngineSilent/6), Registry: c.Timings.Tick,
			Backoff: c.Timings.OfferingBackoff, BackoffMost: c.Timings.OfferingBackoffMax,
		},
	}
	for name, p := range c.Providers {
		s.UnitsMost[name] = p.MaxUnits
	}
	for _, name := range slices.Sorted(maps.Keys(c.Machines)) {
		p, err := scalerPool(c, name)
		if err != nil {
			return nil, err
		}
		s.Pools = append(s.Pools, *p)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Apps)) {
		a, err := scalerApp(c, name)
		if err != nil {
			return nil, err
		}
		s.Apps = append(s.Apps, *a)
	}
	return s, nil
}

func scalerTimings(c *configs.ScalerTimings) fleet.Timings {
	t := fleet.Defaults()
	t.Call, t.Boot, t.Join, t.Prepare, t.Starting = c.Call, c.Booting, c.Joining, c.Preparing, c.Waking
	t.Start, t.Register, t.Check, t.Remove = c.Starting, c.Registering, c.Checking, c.Stopping
	t.EngineDead = max(c.EngineDead, t.EngineSilent)
	t.Spare = c.Lease
	t.Backoff = fleet.Backoff{First: c.RetryMin, Most: c.RetryMax}
	return t
}

func scalerPool(c *configs.Scaler, name string) (*scaler.Pool, error) {
	m := c.Machines[name]
	p := &scaler.Pool{
		Name: name, Providers: m.Providers, Types: m.Types, Zones: m.Zones, Spot: m.Spot, Min: m.Min, Max: m.Max,
		Spare: m.SpareUnits, Warm: m.WarmStopped, Pack: m.Strategy == "pack", Slots: m.Slots,
		PortFrom: m.PortFrom, PortTo: m.PortTo, Labels: m.Labels, Quarantine: m.Quarantine,
		ReleaseBefore: m.ReleaseBefore, Batch: m.MaxBatch, Boot: m.Booting, Join: m.Joining,
		Init: runsInit(c, &m),
	}
	if p.Init {
		profile, err := hostProfile(c, m.Profile)
		if err != nil {
			return nil, err
		}
		if p.Profile, err = profile.Hash(); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// runsInit reports whether a pool's machines start with our init: those with a
// profile, and those of the local driver once there is somewhere to phone home.
func runsInit(c *configs.Scaler, m *configs.ScalerMachines) bool {
	if !joinListens(c) {
		return false
	}
	return m.Profile != "" || slices.ContainsFunc(m.Providers, func(name string) bool {
		return c.Providers[name].Driver == "local"
	})
}

func joinListens(c *configs.Scaler) bool { return c.Join.Listen != "" && c.Join.Listen != "off" }

// hostProfile is the profile of that name, or one that adds nothing.
func hostProfile(c *configs.Scaler, name string) (*hostinit.Profile, error) {
	layers := hostLayers(c)
	if name == "" {
		layers[""] = hostinit.Layer{}
		name = "plain"
		layers[name] = hostinit.Layer{}
	}
	return hostinit.Resolve(layers, name)
}

func scalerApp(c *configs.Scaler, name string) (*scaler.App, error) {
	a := c.Apps[name]
	p, err := scalerPolicy(&a.Policy)
	if err != nil {
		return nil, fmt.Errorf("app %q: %w", name, err)
	}
	s := &scaler.App{
		Name: name, Upstream: cmp.Or(a.Upstream, name), Service: appService(&a, name), Units: a.Units, Weight: a.Weight,
		Policy: *p, Drain: a.Drain.Deadline, Paused: a.Paused, Container: scalerContainer(&a.Container),
	}
	for _, pool := range a.Pools {
		s.Pools = append(s.Pools, scaler.AppPool{
			Name: cmp.Or(pool.Name, pool.Machines), Machines: pool.Machines, Min: pool.Min, Max: pool.Max, Stateful: pool.Stateful,
			MaxPerMachine: pool.MaxPerHost, SpreadBy: pool.SpreadBy, Labels: labelValues(pool.Labels),
		})
	}
	return s, nil
}

// appService is what the app is called in the registry: the last part of the
// keys of the KV source, else the service.
func appService(a *configs.ScalerApp, name string) string {
	if a.Source == configs.SourceKV {
		_, last := keyParts(a, name)
		return last
	}
	return cmp.Or(a.Service, name)
}

// keyParts splits the prefix of an app's keys into what package registry calls
// prefix and service.
func keyParts(a *configs.ScalerApp, name string) (prefix, last string) {
	key := strings.Trim(cmp.Or(a.Key, "upstreams/"+cmp.Or(a.Upstream, name)), "/")
	at := strings.LastIndexByte(key, '/')
	if at < 0 {
		return "", key
	}
	return key[:at], key[at+1:]
}

// labelValues are the labels a machine must have; values are separated by
// commas.
func labelValues(labels map[string]string) map[string][]string {
	all := map[string][]string{}
	for k, list := range labels {
		for _, v := range strings.Split(list, ",") {
			all[k] = append(all[k], strings.TrimSpace(v))
		}
	}
	return all
}

func scalerContainer(c *configs.ScalerContainer) scaler.Container {
	s := scaler.Container{
		Image: c.Image, Sources: c.Sources, Command: c.Command, CPU: c.CPU, Memory: int64(c.Memory), PPS: c.PPS,
		Link: c.LinkMbit, Arch: c.Arch, Network: c.Network, Stop: c.StopGrace, ReadOnly: c.ReadOnly, Labels: c.Labels,
		Check: registry.Check{HTTP: c.Check.HTTP, TCP: c.Check.HTTP == "", Interval: c.Check.Interval, Timeout: c.Check.Timeout},
	}
	for _, k := range slices.Sorted(maps.Keys(c.Env)) {
		s.Env = append(s.Env, k+"="+c.Env[k])
	}
	for i, p := range c.Ports {
		if i == 0 {
			s.Port, s.HostPort = p.Container, p.Host
			continue
		}
		s.Ports = append(s.Ports, placement.Port{Container: p.Container, Host: p.Host})
	}
	return s
}
