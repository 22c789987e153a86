package scaler

import (
	"maps"
	"math"
	"slices"
	"time"

	"spillway/scaler/fleet"
	"spillway/scaler/placement"
)

// draft is a plan in the making: the view, and the machines with what the plan
// has reserved on them so far.
type draft struct {
	*view
	planner placement.Planner
	tallies map[string]*tally
	// ready hosts take containers now; coming ones are booting or about to be
	// ordered, and only stand for the machines they will be. By pool, in the
	// order of ids; made when first asked for.
	ready, coming map[string][]*placement.Host
	built         map[string]bool
	byMachine     map[string]*placement.Host // ready ones
	rates         map[string]float64         // by app; made when first asked for
}

func (v *view) draft(planner placement.Planner) *draft {
	return &draft{
		view: v, planner: planner, tallies: v.count(),
		ready: map[string][]*placement.Host{}, coming: map[string][]*placement.Host{},
		built: map[string]bool{}, byMachine: map[string]*placement.Host{},
	}
}

// hosts makes the hosts of a pool, once.
func (d *draft) hosts(pool string) {
	if d.built[pool] {
		return
	}
	d.built[pool] = true
	for _, m := range d.book.machines.all() {
		if m.Pool != pool || d.leaves(m.ID) {
			continue
		}
		switch m.State {
		case fleet.MachineReady, fleet.MachineCordoned:
			h := d.host(&m)
			d.byMachine[m.ID] = h
			d.ready[pool] = append(d.ready[pool], h)
		case fleet.MachineLost:
		default:
			d.coming[pool] = append(d.coming[pool], d.host(&m))
		}
	}
}

// host is a machine as placement sees it, with what stands on it.
func (d *draft) host(m *fleet.Machine) *placement.Host {
	p := d.set.pool(m.Pool)
	if p == nil {
		p = &Pool{}
	}
	h := &placement.Host{
		ID: m.ID, Labels: m.Labels, CPU: m.CPU, Memory: m.Memory, MaxPPS: m.MaxPPS, Arch: m.Arch, Price: m.Price,
		Paid: true, Slots: p.Slots, Link: -1, PortFrom: p.PortFrom, PortTo: p.PortTo,
		Ports: map[int]bool{}, Apps: map[string]int{}, Images: map[string]bool{}, Failed: d.mem.blamed[m.ID],
	}
	h.Ready, h.Why = d.takes(m)
	for _, id := range d.on[m.ID] {
		if i, ok := d.book.instances.get(id); ok {
			d.occupy(h, &i)
		}
	}
	return h
}

// takes reports whether a machine takes new containers now, and why not.
func (d *draft) takes(m *fleet.Machine) (ok bool, why string) {
	e := d.seen.engines[m.ID]
	switch {
	case m.State != fleet.MachineReady:
		return false, "machine is " + string(m.State)
	case m.Want == fleet.WantCordon:
		return false, "machine is cordoned"
	case e.begun.IsZero():
		return false, "engine has not been heard of yet"
	case !e.down.IsZero():
		return false, "engine does not answer: " + e.failing.Error()
	}
	return true, ""
}

// occupy reserves what an instance uses.
func (d *draft) occupy(h *placement.Host, i *fleet.Instance) {
	h.UsedCPU += i.CPU
	h.UsedMemory += i.Memory
	h.Containers++
	h.Apps[i.App]++
	h.Images[i.Image] = true
	for _, port := range i.Ports {
		h.Ports[port] = true
	}
	if a := d.set.app(i.App); a != nil {
		h.UsedPPS += a.Container.PPS
	}
}

// fits is how many more instances of an app a host has room for. It knows CPU,
// memory, slots, packets and the app's own limit; ports and labels are the
// planner's affair once the machine is there.
func fits(h *placement.Host, a *App, ap *AppPool) int {
	c := &a.Container
	n := math.MaxInt
	if c.CPU > 0 {
		n = min(n, int((h.CPU-h.UsedCPU)/c.CPU+1e-6))
	}
	if c.Memory > 0 {
		n = min(n, int((h.Memory-h.UsedMemory)/c.Memory))
	}
	if h.Slots > 0 {
		n = min(n, h.Slots-h.Containers)
	}
	if c.PPS > 0 && h.MaxPPS > 0 {
		n = min(n, (h.MaxPPS-h.UsedPPS)/c.PPS)
	}
	if most := perMachine(a, ap); most > 0 {
		n = min(n, most-h.Apps[a.Name])
	}
	return max(n, 0)
}

// perMachine is the most instances of an app on one machine: one that has no
// measure of its size gets a machine of its own, and so does one with a fixed
// port.
func perMachine(a *App, ap *AppPool) int {
	c := &a.Container
	if ap.MaxPerMachine > 0 {
		return ap.MaxPerMachine
	}
	if (c.CPU == 0 && c.Memory == 0) || c.HostPort != 0 || c.Network == "host" {
		return 1
	}
	return 0
}

// reserve sets room for n instances aside.
func reserve(h *placement.Host, a *App, n int) {
	c := &a.Container
	h.UsedCPU += float64(n) * c.CPU
	h.UsedMemory += int64(n) * c.Memory
	h.UsedPPS += n * c.PPS
	h.Containers += n
	h.Apps[a.Name] += n
}

// values copies the hosts for a planner, which gets them by value.
func values(hosts []*placement.Host) []placement.Host {
	all := make([]placement.Host, 0, len(hosts))
	for _, h := range hosts {
		all = append(all, *h)
	}
	return all
}

// sortedMap walks a map in the order of its keys.
func sortedMap[V any](m map[string]V) func(yield func(string, V) bool) {
	return func(yield func(string, V) bool) {
		for _, k := range slices.Sorted(maps.Keys(m)) {
			if !yield(k, m[k]) {
				return
			}
		}
	}
}

// idle is how long a machine has been empty; it counts from when this
// controller first saw it so.
func (d *draft) idle(machine string) time.Duration {
	since, ok := d.mem.emptySince[machine]
	if !ok {
		d.mem.emptySince[machine] = d.now
		return 0
	}
	return d.now.Sub(since)
}
