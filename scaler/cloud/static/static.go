// Package static is the driver of machines that are ours already: hosts listed
// in the configuration, at price 0. Create hands out hosts that are free, in
// the order of the configuration, Delete gives them back.
//
// Which host is handed out, to whom and with which tags is all that it
// remembers, in a small file (see store.go). Whoever loses that file can tell
// it again from the scaler's records: Adopt. It never touches a host.
//
// A Driver runs no goroutine. Several processes of one computer may share a
// file.
package static

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"spillway/scaler/cloud"
)

// Host is one owned machine.
type Host struct {
	ID      string // unique; what the scaler calls it
	Address string // IP by which the scaler and gateways reach it
	// Type names hosts of one size; empty: made from the size, "4c-8192m".
	// Hosts of one type and zone are alike.
	Type, Zone string
	CPU        float64 // cores
	Memory     int64   // bytes
	Units      float64 // capacity in reference cores; 0: CPU
	MaxPPS     int     // packets a second, 0 unknown
	Arch       string  // empty: amd64
	// Labels are shown as tags of the machine, below those of the request.
	Labels map[string]string
}

// Options of a Driver.
type Options struct {
	Name  string // of the driver; empty: "static"
	Hosts []Host
	// File keeps the assignments; empty: memory does.
	File string
	Now  func() time.Time
}

// Driver implements cloud.Driver.
type Driver struct {
	name  string
	hosts []Host
	store store
	now   func() time.Time
}

// New checks the hosts and reads the assignments. Assignments of hosts that are
// no longer configured are kept and not shown.
func New(o Options) (*Driver, error) {
	d := &Driver{name: cmp.Or(o.Name, "static"), now: o.Now}
	if d.now == nil {
		d.now = time.Now
	}
	for _, h := range o.Hosts {
		d.hosts = append(d.hosts, h.orDefault())
	}
	if err := checkHosts(d.hosts); err != nil {
		return nil, err
	}
	d.store = &memory{}
	if o.File != "" {
		d.store = &file{path: o.File}
	}
	return d, d.store.view(func(assignments) {})
}

func (h Host) orDefault() Host {
	if h.Type == "" {
		h.Type = fmt.Sprintf("%gc-%dm", h.CPU, h.Memory>>20)
	}
	if h.Units == 0 {
		h.Units = h.CPU
	}
	h.Arch = cmp.Or(h.Arch, "amd64")
	h.Labels = maps.Clone(h.Labels)
	return h
}

func checkHosts(hosts []Host) error {
	ids, addresses, likes := map[string]bool{}, map[string]bool{}, map[offeringKey]Host{}
	for _, h := range hosts {
		switch k := h.key(); {
		case h.ID == "" || h.Address == "":
			return fmt.Errorf("cannot use host %q at %q: it needs an id and an address", h.ID, h.Address)
		case h.CPU <= 0 || h.Memory <= 0:
			return fmt.Errorf("cannot use host %q: it needs cpu and memory", h.ID)
		case ids[h.ID]:
			return fmt.Errorf("cannot use host %q: it is listed twice", h.ID)
		case addresses[h.Address]:
			return fmt.Errorf("cannot use host %q: address %s is another host's", h.ID, h.Address)
		case likes[k].ID != "" && !h.like(likes[k]):
			return fmt.Errorf("cannot use host %q: it is of type %q like %q, and of another size", h.ID, h.Type, likes[k].ID)
		default:
			ids[h.ID], addresses[h.Address], likes[k] = true, true, h
		}
	}
	return nil
}

type offeringKey struct{ typ, zone string }

func (h Host) key() offeringKey { return offeringKey{h.Type, h.Zone} }

func (h Host) like(o Host) bool {
	return h.CPU == o.CPU && h.Memory == o.Memory && h.Units == o.Units && h.MaxPPS == o.MaxPPS && h.Arch == o.Arch
}

// Describe implements cloud.Driver. A token is remembered for as long as one of
// its hosts is handed out.
func (d *Driver) Describe() cloud.Description {
	return cloud.Description{Name: d.name, MaxBatch: max(1, len(d.hosts)), ClientToken: true, Owned: true}
}

// Offerings implements cloud.Driver: one for each type and zone.
func (d *Driver) Offerings(ctx context.Context) ([]cloud.Offering, error) {
	var all []cloud.Offering
	err := d.read(ctx, cloud.OpOfferings, func(a assignments) {
		at := map[offeringKey]int{}
		for _, h := range d.hosts {
			i, ok := at[h.key()]
			if !ok {
				i = len(all)
				at[h.key()] = i
				all = append(all, h.offering())
			}
			if _, taken := a[h.ID]; !taken {
				all[i].Available, all[i].Reason = true, ""
			}
		}
	})
	return all, err
}

func (h Host) offering() cloud.Offering {
	return cloud.Offering{
		Type: h.Type, Zone: h.Zone, CPU: h.CPU, Memory: h.Memory, Units: h.Units, MaxPPS: h.MaxPPS, Arch: h.Arch,
		Reason: "every host is in use",
	}
}

// Create implements cloud.Driver. Hosts that are free are handed out in the
// order of the configuration, perhaps fewer than asked for.
func (d *Driver) Create(ctx context.Context, r cloud.CreateRequest) ([]cloud.Machine, error) {
	if err := r.Check(d.Describe()); err != nil {
		return nil, err
	}
	if err := d.known(&r); err != nil {
		return nil, err
	}
	var made []cloud.Machine
	err := d.write(ctx, cloud.OpCreate, func(a assignments) (err error) {
		made, err = d.assign(a, &r)
		return err
	})
	if err != nil {
		return nil, err
	}
	return made, nil
}

// known refuses types and zones that no host has.
func (d *Driver) known(r *cloud.CreateRequest) error {
	zone := false
	for _, h := range d.hosts {
		if h.Zone == r.Zone && h.Type == r.Type && !r.Spot {
			return nil
		}
		zone = zone || h.Zone == r.Zone
	}
	if !zone {
		return failure(cloud.Invalid, cloud.OpCreate, "zone", fmt.Sprintf("no host is in zone %q", r.Zone))
	}
	return failure(cloud.Invalid, cloud.OpCreate, "type", fmt.Sprintf("no host in zone %q is of type %q", r.Zone, r.Type))
}

func (d *Driver) assign(a assignments, r *cloud.CreateRequest) ([]cloud.Machine, error) {
	made, used, err := d.again(a, r)
	if used || err != nil {
		return made, err
	}
	now := d.now().UTC()
	for _, h := range d.hosts {
		if _, taken := a[h.ID]; taken || h.Type != r.Type || h.Zone != r.Zone || len(made) == r.Count {
			continue
		}
		a[h.ID] = assignment{
			Token: r.Token, Request: fingerprint(r), Name: r.Names[len(made)], Tags: maps.Clone(r.Tags), Created: now,
		}
		made = append(made, h.machine(a[h.ID]))
	}
	if len(made) == 0 {
		return nil, failure(cloud.NoCapacity, cloud.OpCreate, r.Type+" in "+r.Zone, "every host is in use")
	}
	return made, nil
}

// again returns the hosts that the token has got already.
func (d *Driver) again(a assignments, r *cloud.CreateRequest) (made []cloud.Machine, used bool, err error) {
	for _, h := range d.hosts {
		as, ok := a[h.ID]
		if !ok || as.Token != r.Token {
			continue
		}
		if as.Request != fingerprint(r) {
			return nil, true, failure(cloud.Invalid, cloud.OpCreate, cloud.UsedToken, "it was used for another request")
		}
		made = append(made, h.machine(as))
	}
	return made, len(made) > 0, nil
}

func fingerprint(r *cloud.CreateRequest) string {
	return fmt.Sprintf("%d %s", r.Count, strings.Join(r.Names, " "))
}

func (h Host) machine(as assignment) cloud.Machine {
	tags := maps.Clone(h.Labels)
	if tags == nil {
		tags = map[string]string{}
	}
	maps.Copy(tags, as.Tags)
	return cloud.Machine{
		ID: h.ID, Name: as.Name, Type: h.Type, Zone: h.Zone, State: cloud.Running, Address: h.Address,
		Created: as.Created, Tags: tags,
	}
}

// List implements cloud.Driver: the hosts that are handed out.
func (d *Driver) List(ctx context.Context, tags map[string]string) ([]cloud.Machine, error) {
	var found []cloud.Machine
	err := d.read(ctx, cloud.OpList, func(a assignments) {
		for _, h := range d.hosts {
			as, ok := a[h.ID]
			if !ok {
				continue
			}
			if m := h.machine(as); m.HasTags(tags) {
				found = append(found, m)
			}
		}
	})
	return found, err
}

// Delete implements cloud.Driver: the host is free again.
func (d *Driver) Delete(ctx context.Context, id string) error {
	return d.write(ctx, cloud.OpDelete, func(a assignments) error {
		if _, ok := a[id]; !ok || !d.has(id) {
			return failure(cloud.NotFound, cloud.OpDelete, id, "the host is not in use")
		}
		delete(a, id)
		return nil
	})
}

func (d *Driver) has(id string) bool {
	return slices.ContainsFunc(d.hosts, func(h Host) bool { return h.ID == id })
}

// Adopt marks hosts as handed out that the scaler's records say are in use and
// this driver has no assignment for: its file was lost, or another computer's
// scaler handed them out. Machines that are not its hosts are left alone.
func (d *Driver) Adopt(ctx context.Context, machines []cloud.Machine) error {
	return d.write(ctx, "adopt", func(a assignments) error {
		for _, m := range machines {
			if _, taken := a[m.ID]; !taken && d.has(m.ID) {
				a[m.ID] = assignment{Name: m.Name, Tags: maps.Clone(m.Tags), Created: m.Created.UTC()}
			}
		}
		return nil
	})
}

var _ cloud.Driver = (*Driver)(nil)
