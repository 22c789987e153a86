package scaler

import (
	"encoding/json"
	"hash/fnv"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"spillway/scaler/cloud"
	"spillway/scaler/docker"
	"spillway/scaler/fleet"
	"spillway/scaler/registry"
)

// adopt makes records of what is ours by its tags, labels or meta and has none:
// after a lost ledger that is everything. What nobody wants is drained and
// released later like anything else; it is never deleted for lack of a record.
func (v *view) adopt() {
	v.adoptMachines()
	v.adoptContainers()
	v.adoptEntries()
}

func (v *view) adoptMachines() {
	known := v.cloudIDs()
	for provider, l := range sortedMap(v.seen.listings) {
		for id, c := range sortedMap(l.machines) {
			if !known[provider+" "+id] && v.mayAdopt(&c) {
				v.adoptMachine(provider, &c)
			}
		}
	}
}

// cloudIDs are the machines that have a record, or a slot of an order.
func (v *view) cloudIDs() map[string]bool {
	known := map[string]bool{}
	for _, m := range v.book.machines.all() {
		if m.CloudID != "" {
			known[m.Provider+" "+m.CloudID] = true
		}
	}
	for _, o := range v.book.orders.all() {
		for slot, b := range o.Bound {
			if _, ok := v.book.machines.get(slot); ok {
				known[o.Provider+" "+b.CloudID] = true
			}
		}
	}
	return known
}

// mayAdopt leaves alone what is ending, what was just buried, and the machines
// of orders that are about to bind them.
func (v *view) mayAdopt(c *cloud.Machine) bool {
	if c.State == cloud.Deleted || c.State == cloud.Deleting {
		return false
	}
	if _, buried := v.mem.buried[c.ID]; buried {
		return false
	}
	o, ok := v.book.orders.get(c.Tags[cloud.TagOrder])
	return !ok || o.State == fleet.OrderBound || o.State == fleet.OrderRefused
}

func (v *view) adoptMachine(provider string, c *cloud.Machine) {
	m := fleet.Machine{
		ID: v.freeID(c), Pool: c.Tags[cloud.TagPool], Provider: provider, Order: c.Tags[cloud.TagOrder],
		Type: c.Type, Zone: c.Zone, State: fleet.MachineBooting, Since: v.now, Reason: "adopted from the cloud's list",
		CloudID: c.ID, Address: c.Address, Profile: c.Tags[cloud.TagProfile], Adopted: true,
		Owned: v.about[provider].Owned, Billed: c.Created,
	}
	if c.State == cloud.Stopped {
		m.State, m.Want = fleet.MachineWarmStopped, fleet.WantStop
	}
	v.describe(&m)
	v.book.machines.put(m.ID, m)
	v.note(action{Kind: "adopt", Pool: m.Pool, Target: m.ID, Count: 1, Why: "listed as " + c.ID + " without a record"})
}

// freeID is the machine's name, unless a record has it already.
func (v *view) freeID(c *cloud.Machine) string {
	if _, taken := v.book.machines.get(c.Name); c.Name != "" && !taken {
		return c.Name
	}
	h := fnv.New32a()
	h.Write([]byte(c.ID))
	return c.Tags[cloud.TagPool] + "-x" + strconv.FormatUint(uint64(h.Sum32()), 36)
}

// describe fills in what the offering says of a machine of that type.
func (v *view) describe(m *fleet.Machine) {
	for _, o := range v.seen.offers[m.Provider].list {
		if o.Type == m.Type && (o.Zone == m.Zone || m.Zone == "") {
			m.CPU, m.Memory, m.Units, m.MaxPPS, m.Arch = o.CPU, o.Memory, o.Units, o.MaxPPS, o.Arch
			m.Price, m.Quantum = o.PriceHour, o.Quantum
			break
		}
	}
	m.Labels = v.labels(m)
}

// labels of a machine, as filters see them.
func (v *view) labels(m *fleet.Machine) map[string]string {
	l := map[string]string{}
	if p := v.set.pool(m.Pool); p != nil {
		for k, value := range p.Labels {
			l[k] = value
		}
	}
	l["idc"], l["zone"], l["pool"], l["type"] = m.Provider, m.Zone, m.Pool, m.Type
	return l
}

func (v *view) adoptContainers() {
	for id, m := range v.book.machines.all() {
		seen := v.seen.engines[id]
		if !seen.down.IsZero() || v.now.Sub(seen.begun) > 3*v.set.Pace.Engines {
			continue // an old list proves nothing
		}
		for _, name := range v.unknown(seen.containers) {
			if c := seen.containers[name]; v.persists("container/" + name) {
				v.adoptContainer(&m, &c)
			}
		}
	}
}

// unknown are the containers without a record.
func (v *view) unknown(containers map[string]docker.Container) (names []string) {
	for name := range containers {
		if _, known := v.book.instances.get(name); !known {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// persists reports whether an orphan has been seen for longer than a list may
// be old: a record that was just dropped leaves its container in old lists.
func (v *view) persists(key string) bool {
	first, ok := v.mem.orphans[key]
	if !ok {
		v.mem.orphans[key] = v.now
		return v.mem.fresh
	}
	return v.mem.fresh || v.now.Sub(first) > 2*v.set.Pace.Engines+v.set.Pace.Registry
}

func (v *view) adoptContainer(m *fleet.Machine, c *docker.Container) {
	app := c.Labels[docker.LabelApp]
	if v.set.app(app) == nil || c.Labels[docker.LabelInstance] == "" {
		return // run by a person, or by an app that has left the settings
	}
	i := fleet.Instance{
		ID: c.Name, App: app, Pool: c.Labels[labelPool], Machine: m.ID, State: fleet.InstanceStarting, Since: v.now,
		Reason: "adopted from the engine's list", Image: c.Image, Address: c.Labels[labelAddress],
	}
	i.CPU, _ = strconv.ParseFloat(c.Labels[labelCPU], 64)
	i.Memory, _ = strconv.ParseInt(c.Labels[labelMemory], 10, 64)
	i.Weight, _ = strconv.Atoi(c.Labels[labelWeight])
	if err := json.Unmarshal([]byte(c.Labels[labelPorts]), &i.Ports); err != nil {
		i.Ports = nil
	}
	v.takeIn(i)
}

// takeIn gives an adopted instance its record, and keeps its number from being
// given again.
func (v *view) takeIn(i fleet.Instance) {
	delete(v.mem.orphans, "container/"+i.ID)
	v.book.instances.put(i.ID, i)
	v.on[i.Machine] = append(v.on[i.Machine], i.ID)
	if n, err := strconv.Atoi(i.ID[strings.LastIndexByte(i.ID, '-')+1:]); err == nil {
		a, _ := v.book.apps.get(i.App)
		a.Next = max(a.Next, n+1)
		v.book.apps.put(i.App, a)
	}
	v.note(action{Kind: "adopt", App: i.App, Target: i.ID, Count: 1, Why: i.Reason})
}

// adoptEntries takes registrations in whose container is gone for sure, so that
// they leave by the same states as any other.
func (v *view) adoptEntries() {
	for n := range v.set.Apps {
		app := &v.set.Apps[n]
		for id, e := range sortedMap(v.seen.services[app.Service].entries) {
			if _, known := v.book.instances.get(id); known || e.Meta[metaCluster] != v.set.Cluster {
				continue
			}
			if v.containerGone(&e) && v.persists("entry/"+id) && v.maySweep("entry/"+id) {
				v.takeIn(fleet.Instance{
					ID: id, App: app.Name, Machine: e.Meta[metaMachine], State: fleet.InstanceLeaving, Since: v.now,
					Reason: "registered without a container", Address: e.Address, Weight: e.Weight, Want: fleet.WantDrain,
				})
			}
		}
	}
}

// containerGone reports whether an engine that answers, or the list of its
// cloud, proves that a registered instance does not run.
func (v *view) containerGone(e *registry.Entry) bool {
	if e.Passing {
		return false // somebody answers there
	}
	machine := e.Meta[metaMachine]
	seen := v.seen.engines[machine]
	if !seen.begun.IsZero() {
		_, runs := seen.containers[e.ID]
		return !runs && seen.down.IsZero()
	}
	_, exists := v.book.machines.get(machine)
	return !exists && v.allListed()
}

func (v *view) allListed() bool {
	for provider := range v.about {
		if !v.settledFor(provider) {
			return false
		}
	}
	return true
}

// maySweep keeps the removal of orphans below its rate.
func (v *view) maySweep(key string) bool {
	v.mem.swept = slices.DeleteFunc(v.mem.swept, func(t time.Time) bool { return v.now.Sub(t) >= time.Minute })
	if len(v.mem.swept) >= v.set.Pace.Sweep {
		return false
	}
	v.mem.swept = append(v.mem.swept, v.now)
	delete(v.mem.orphans, key)
	return true
}

// memoryKept is how long what is only in memory matters at most.
const memoryKept = 10 * time.Minute

// tidy forgets what is too old to matter, and what is about records that are no
// more.
func (v *view) tidy() {
	old := func(_ string, at time.Time) bool { return v.now.Sub(at) > memoryKept }
	maps.DeleteFunc(v.mem.buried, old)
	maps.DeleteFunc(v.mem.orphans, old)
	maps.DeleteFunc(v.mem.wrote, func(id string, _ bool) bool { return !v.alive(id) })
	maps.DeleteFunc(v.mem.placedAt, func(id string, _ time.Time) bool { return !v.alive(id) })
	maps.DeleteFunc(v.mem.emptySince, func(id string, _ time.Time) bool { return !v.alive(id) })
	for machine, apps := range v.mem.blamed {
		for app, at := range apps {
			if old(app, at) {
				delete(apps, app)
			}
		}
		if len(apps) == 0 {
			delete(v.mem.blamed, machine)
		}
	}
}
