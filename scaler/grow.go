package scaler

import (
	"maps"
	"math"
	"net"
	"strconv"

	"spillway/scaler/fleet"
	"spillway/scaler/placement"
)

// tiny is what is lost to rounding of units.
const tiny = 1e-6

// grow brings an app up to want units with what costs least time first: drains
// taken back, room on machines that are there, machines taken back from their
// drain or woken, machines that are booting, and orders for the rest. Within
// each, pools are filled in the app's order.
func (d *draft) grow(a *App, want float64) {
	t := d.tallies[a.Name]
	d.undrain(a, t, want)
	d.mem.pending[a.Name] = 0
	for n := range a.Pools {
		ap := &a.Pools[n]
		if short := ap.Min - t.byPool[ap.Name]; short > 0 {
			d.fill(a, ap, t, short)
		}
	}
	for _, step := range []func(*App, *AppPool, int) int{d.place, d.wake, d.await, d.buy} {
		for n := range a.Pools {
			ap := &a.Pools[n]
			d.growIn(a, ap, t, want, step)
		}
	}
}

// fill brings n instances into one pool, whatever the app's size.
func (d *draft) fill(a *App, ap *AppPool, t *tally, n int) {
	for _, step := range []func(*App, *AppPool, int) int{d.place, d.wake, d.await, d.buy} {
		if n > 0 {
			got := step(a, ap, n)
			n -= got
			d.gain(a, ap, t, got)
		}
	}
}

// growIn takes one step in one pool, as far as the app is short of want.
func (d *draft) growIn(a *App, ap *AppPool, t *tally, want float64, step func(*App, *AppPool, int) int) {
	n := d.short(a, ap, t, want)
	if n <= 0 {
		return
	}
	d.gain(a, ap, t, step(a, ap, n))
}

func (d *draft) gain(a *App, ap *AppPool, t *tally, n int) {
	t.booting += float64(n) * d.unit(a, ap)
	t.byPool[ap.Name] += n
}

// short is how many instances of a pool make up for what is missing.
func (d *draft) short(a *App, ap *AppPool, t *tally, want float64) int {
	missing := want - t.have()
	if missing <= tiny {
		return 0
	}
	n := int(math.Ceil(missing/d.unit(a, ap) - tiny))
	if ap.Max > 0 {
		n = min(n, ap.Max-t.byPool[ap.Name])
	}
	return n
}

// unit is the capacity of one more instance in a pool: that on the first kind
// of machine the pool has or can buy.
func (d *draft) unit(a *App, ap *AppPool) float64 {
	if a.Units > 0 {
		return a.Units
	}
	cpu, units := d.typical(ap.Machines)
	return max(unitsOn(a, a.Container.CPU, cpu, units), 0.01)
}

// typical is the size of a machine of the pool.
func (d *draft) typical(pool string) (cpu, units float64) {
	d.hosts(pool)
	for _, hosts := range [][]*placement.Host{d.ready[pool], d.coming[pool]} {
		for _, h := range hosts {
			m, ok := d.book.machines.get(h.ID)
			if ok && m.Units > 0 {
				return m.CPU, m.Units
			}
		}
	}
	if p := d.set.pool(pool); p != nil {
		for _, provider := range p.Providers {
			for _, o := range d.seen.offers[provider].list {
				if p.takes(&o) {
					return o.CPU, o.Units
				}
			}
		}
	}
	return 0, 0
}

// undrain takes drains back while the app is short.
func (d *draft) undrain(a *App, t *tally, want float64) {
	for _, id := range t.drainingIDs {
		i, _ := d.book.instances.get(id)
		if want-t.have() <= tiny || !d.mayStay(&i) {
			continue
		}
		i.Want = fleet.WantServe
		d.book.instances.put(id, i)
		d.keepMachine(i.Machine)
		d.stepInstance(id)
		units := d.units(&i)
		t.ready += units
		t.draining -= units
		t.byPool[i.Pool]++
		d.note(action{Kind: "undrain", App: a.Name, Pool: i.Pool, Target: id, Count: 1})
	}
}

// mayStay reports whether nothing but the controller's own plan empties the
// machine of a draining instance.
func (d *draft) mayStay(i *fleet.Instance) bool {
	m, ok := d.book.machines.get(i.Machine)
	if !ok || d.personal(m.ID) {
		return false
	}
	switch m.State {
	case fleet.MachineReady, fleet.MachineCordoned, fleet.MachineDraining:
		return true
	}
	return false
}

// personal reports whether somebody else wants a machine away: a person, or its
// cloud.
func (d *draft) personal(machine string) bool {
	if _, ordered := d.book.nodes.get(machine); ordered {
		return true
	}
	m, _ := d.book.machines.get(machine)
	_, noticed := d.seen.notices[m.CloudID]
	return noticed
}

// keepMachine takes back the controller's own plan to release a machine.
func (d *draft) keepMachine(id string) {
	m, ok := d.book.machines.get(id)
	if !ok || (m.Want != fleet.WantDrain && m.Want != fleet.WantStop) {
		return
	}
	m.Want = fleet.WantKeep
	d.book.machines.put(id, m)
	d.stepMachine(id)
	delete(d.mem.emptySince, id)
}

// place puts instances on machines that are there.
func (d *draft) place(a *App, ap *AppPool, n int) int {
	d.hosts(ap.Machines)
	hosts := d.ready[ap.Machines]
	room := 0
	for _, h := range hosts {
		if h.Ready {
			room += min(fits(h, a, ap), n)
		}
	}
	// One ask more than there is room for tells why.
	asks := d.asks(a, ap, min(n, room+1))
	r := d.planner.Plan(values(hosts), asks, d.now)
	d.refuse(a, &r)
	if len(r.Assigned) > 0 {
		rec, _ := d.book.apps.get(a.Name)
		rec.Next += len(asks)
		d.book.apps.put(a.Name, rec)
	}
	for _, as := range r.Assigned {
		d.start(a, ap, as)
	}
	return len(r.Assigned)
}

// asks are the containers to be placed, under the names they will have.
func (d *draft) asks(a *App, ap *AppPool, n int) []placement.Ask {
	rec, _ := d.book.apps.get(a.Name)
	p, c := d.set.pool(ap.Machines), &a.Container
	asks := make([]placement.Ask, 0, n)
	for k := range n {
		asks = append(asks, placement.Ask{
			ID: a.Name + "-" + ap.Name + "-" + strconv.Itoa(rec.Next+k), App: a.Name,
			CPU: c.CPU, Memory: c.Memory, PPS: c.PPS, Link: c.Link, Arch: c.Arch, Image: c.Image, ImageBytes: c.ImageBytes,
			Labels: ap.Labels, Ports: c.ports(), MaxPerHost: perMachine(a, ap), SpreadBy: ap.SpreadBy,
			Pack: p != nil && p.Pack, Network: c.Network,
		})
	}
	return asks
}

func (c *Container) ports() []placement.Port {
	return append([]placement.Port{{Container: c.Port, Host: c.HostPort}}, c.Ports...)
}

// start writes the record of an instance that got its host.
func (d *draft) start(a *App, ap *AppPool, as placement.Assignment) {
	m, _ := d.book.machines.get(as.Host)
	i := fleet.Instance{
		ID: as.Ask, App: a.Name, Pool: ap.Name, Machine: m.ID, State: fleet.InstancePlanned, Since: d.now,
		Image: a.Container.Image, CPU: a.Container.CPU, Memory: a.Container.Memory,
		Ports: maps.Clone(as.Ports), Address: a.Container.address(m.Address, as.Ports),
	}
	i.Weight = a.Weight
	if i.Weight == 0 {
		i.Weight = max(1, int(math.Round(100*unitsOn(a, i.CPU, m.CPU, m.Units))))
	}
	d.book.instances.put(i.ID, i)
	d.on[m.ID] = append(d.on[m.ID], i.ID)
	if h := d.byMachine[m.ID]; h != nil {
		d.occupy(h, &i)
	}
	d.mem.placedAt[i.ID] = d.now
	delete(d.mem.emptySince, m.ID)
	d.stepInstance(i.ID)
	d.note(action{Kind: "place", App: a.Name, Pool: ap.Name, Target: m.ID, Count: 1})
}

// address is where gateways find an instance.
func (c *Container) address(machine string, ports map[int]int) string {
	port := ports[c.Port]
	if port == 0 {
		port = c.Port
	}
	return net.JoinHostPort(machine, strconv.Itoa(port))
}

// refuse keeps why instances were not placed.
func (d *draft) refuse(a *App, r *placement.Result) {
	if len(r.Rejected) == 0 {
		return
	}
	why := &refusal{Counts: r.Counts}
	for _, reason := range r.Rejected[0].Reasons {
		why.Reasons = append(why.Reasons, reason.Host+": "+reason.Filter+": "+reason.Why)
	}
	d.rejects[a.Name] = why
}

// wake takes machines back that were on their way out, the fullest first, and
// starts stopped ones.
func (d *draft) wake(a *App, ap *AppPool, n int) (got int) {
	for _, m := range d.book.machines.all() {
		if got >= n || m.Pool != ap.Machines || !d.wakes(&m) {
			continue
		}
		h := d.host(&m)
		k := min(n-got, fits(h, a, ap))
		if k == 0 {
			continue
		}
		d.keepMachine(m.ID)
		reserve(h, a, k)
		d.coming[m.Pool] = append(d.coming[m.Pool], h)
		d.mem.pending[a.Name] += float64(k) * d.unit(a, ap)
		got += k
		d.note(action{Kind: "start", App: a.Name, Pool: m.Pool, Target: m.ID, Count: k, Why: "taken back"})
	}
	return got
}

// wakes reports whether a machine on its way out can be had back.
func (d *draft) wakes(m *fleet.Machine) bool {
	if (m.Want != fleet.WantDrain && m.Want != fleet.WantStop) || d.personal(m.ID) {
		return false
	}
	switch m.State {
	case fleet.MachineReady, fleet.MachineCordoned, fleet.MachineDraining, fleet.MachineEmptied, fleet.MachineWarmStopped,
		fleet.MachineStarting:
		return true
	}
	return false
}

// await counts on machines that are booting.
func (d *draft) await(a *App, ap *AppPool, n int) (got int) {
	d.hosts(ap.Machines)
	for _, h := range d.coming[ap.Machines] {
		k := min(n-got, fits(h, a, ap))
		if k > 0 {
			reserve(h, a, k)
			got += k
		}
		if got >= n {
			break
		}
	}
	d.mem.pending[a.Name] += float64(got) * d.unit(a, ap)
	return got
}
