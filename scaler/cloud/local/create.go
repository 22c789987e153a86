package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"spillway/scaler/cloud"
)

// Create makes a batch, or completes the one its token stands for.
//
//	reserve: under the root's lock, ids and addresses are chosen and written
//	         as the token's batch
//	raise:   each machine under its own lock: its record, then switch, cgroup,
//	         init and link, each made if it is missing
//
// A death between any two of these steps is mended by the same call again, or
// by Delete. A machine that was deleted meanwhile is not made again.
func (d *Driver) Create(ctx context.Context, r cloud.CreateRequest) ([]cloud.Machine, error) {
	if err := ctx.Err(); err != nil {
		return nil, failed("create", cloud.Transient, err)
	}
	offer, err := d.check(&r)
	if err != nil {
		return nil, err
	}
	if err := d.able(); err != nil {
		return nil, failed("create", cloud.Auth, err)
	}
	var b *batch
	err = d.withRoot(ctx, func() error {
		b, err = d.reserve(ctx, &r)
		return err
	})
	if err != nil {
		return nil, wrapCreate(cloud.Transient, err)
	}
	var machines []cloud.Machine
	for _, s := range b.Slots {
		m, err := d.raise(ctx, &r, offer, s)
		if err != nil {
			return nil, wrapCreate(cloud.Ambiguous, err)
		}
		machines = append(machines, m)
	}
	return machines, nil
}

// wrapCreate is wrap where nothing can be NotFound.
func wrapCreate(kind cloud.Kind, err error) error {
	var sorted *cloud.Error
	if errors.As(err, &sorted) {
		return err
	}
	return failed("create", kind, err)
}

func (d *Driver) check(r *cloud.CreateRequest) (*cloud.Offering, error) {
	if err := r.Check(d.Describe()); err != nil {
		return nil, err
	}
	i := slices.IndexFunc(d.o.Offerings, func(f cloud.Offering) bool { return f.Type == r.Type && f.Zone == r.Zone })
	if i < 0 {
		return nil, failed("create", cloud.Invalid, fmt.Errorf("no offering %q in zone %q", r.Type, r.Zone))
	}
	for _, name := range r.Names {
		if len(name) > 63 || strings.ContainsFunc(name, notHost) {
			return nil, failed("create", cloud.Invalid, fmt.Errorf("%q is no host name", name))
		}
	}
	return &d.o.Offerings[i], nil
}

func notHost(c rune) bool {
	return (c < 'a' || c > 'z') && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && c != '-' && c != '.' && c != '_'
}

// reserve returns the batch of the request's token, made and written down if
// the token is new. The root is locked.
func (d *Driver) reserve(ctx context.Context, r *cloud.CreateRequest) (*batch, error) {
	asked := digest(fmt.Sprintf("%q %q %v %d %q", r.Type, r.Zone, r.Spot, r.Count, r.Names))
	b := &batch{}
	err := readJSON(d.batchFile(r.Token), b)
	switch {
	case err == nil && b.Request != asked:
		return nil, &cloud.Error{
			Kind: cloud.Invalid, Op: "create", What: cloud.UsedToken, Err: errors.New("the token was used for another request"),
		}
	case err == nil || !errors.Is(err, fs.ErrNotExist):
		return b, err
	}
	if b, err = d.newBatch(ctx, r, asked); err != nil {
		return nil, err
	}
	return b, writeJSON(d.batchFile(r.Token), b)
}

// newBatch chooses what a new token stands for. The root is locked.
func (d *Driver) newBatch(ctx context.Context, r *cloud.CreateRequest, asked string) (*batch, error) {
	for _, dir := range []string{"batches", "machines"} {
		if err := os.MkdirAll(filepath.Join(d.o.Root, dir), 0o711); err != nil {
			return nil, err
		}
	}
	all, err := d.survey()
	if err != nil {
		return nil, err
	}
	count, err := d.grant(r, all)
	if err != nil {
		return nil, err
	}
	n, err := d.network(ctx, all)
	if err != nil {
		return nil, err
	}
	indexes, err := n.addresses(count, all)
	if err != nil {
		return nil, err
	}
	b := &batch{Token: r.Token, Request: asked, Type: r.Type, Zone: r.Zone, Created: d.o.Now()}
	for i, index := range indexes {
		id := "local-" + digest(fmt.Sprintf("%s/%s/%d", d.o.Root, r.Token, i))[:12]
		b.Slots = append(b.Slots, slot{ID: id, Name: r.Names[i], Index: index})
	}
	return b, writeJSON(d.networkFile(), n)
}

// grant is how many of the machines asked for there is room for.
func (d *Driver) grant(r *cloud.CreateRequest, all []*record) (int, error) {
	quota := d.o.Machines - len(all)
	if quota <= 0 {
		return 0, &cloud.Error{Kind: cloud.Quota, Op: "create", What: fmt.Sprintf("machines %d", d.o.Machines)}
	}
	count := min(r.Count, quota, d.free(all, r.Type, r.Zone))
	if count <= 0 {
		return 0, &cloud.Error{Kind: cloud.NoCapacity, Op: "create", What: r.Type + " in " + r.Zone}
	}
	return count, nil
}

// survey returns the records of all machines and, for those that are promised
// by a batch and not made yet, records to be. It forgets old batches. The root
// is locked.
func (d *Driver) survey() ([]*record, error) {
	all, err := d.records()
	if err != nil {
		return nil, err
	}
	made := map[string]bool{}
	for _, r := range all {
		made[r.ID] = true
	}
	files, err := filepath.Glob(filepath.Join(d.o.Root, "batches", "*.json"))
	if err != nil {
		return nil, err
	}
	for _, path := range files {
		b := &batch{}
		if err := readJSON(path, b); err != nil {
			return nil, err
		}
		age, live := d.o.Now().Sub(b.Created), false
		for _, s := range b.Slots {
			live = live || made[s.ID]
			if !made[s.ID] && !s.Deleted && age < promise {
				all = append(all, &record{ID: s.ID, Type: b.Type, Zone: b.Zone, Index: s.Index, Want: wantRunning})
			}
		}
		if age > remember && !live {
			if err := os.Remove(path); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

// raise makes what is missing of one machine.
func (d *Driver) raise(ctx context.Context, r *cloud.CreateRequest, offer *cloud.Offering, s slot) (cloud.Machine, error) {
	gone := cloud.Machine{ID: s.ID, Name: s.Name, Type: r.Type, Zone: r.Zone, State: cloud.Deleted, Tags: maps.Clone(r.Tags)}
	if s.Deleted {
		return gone, nil
	}
	if err := d.step("intent"); err != nil {
		return gone, err
	}
	if err := d.writeIntent(ctx, r, offer, s); err != nil {
		return gone, err
	}
	m := gone
	err := d.withMachine(ctx, s.ID, func(rec *record) error {
		if rec.Want == wantRunning && (rec.Started.IsZero() || d.isRunning(s.ID)) {
			if err := d.boot(ctx, rec); err != nil {
				return err
			}
		}
		m = d.machine(rec)
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		return gone, nil // deleted while we waited
	}
	return m, err
}

// writeIntent makes the machine's directory with its record, at once and
// whole, unless it is there or the machine was deleted meanwhile.
func (d *Driver) writeIntent(ctx context.Context, r *cloud.CreateRequest, offer *cloud.Offering, s slot) error {
	return d.withRoot(ctx, func() error {
		b, dir := &batch{}, d.machineDir(s.ID)
		if err := readJSON(d.batchFile(r.Token), b); err != nil {
			return err
		}
		i := slices.IndexFunc(b.Slots, func(now slot) bool { return now.ID == s.ID })
		if _, err := os.Stat(dir); err == nil || i < 0 || b.Slots[i].Deleted {
			return nil
		}
		rec, err := d.newRecord(r, offer, s)
		if err != nil {
			return err
		}
		half := d.machineDir(".new-" + s.ID)
		if err := fill(half, rec, r.UserData); err != nil {
			return err
		}
		return os.Rename(half, dir)
	})
}

// fill makes what a machine's directory holds before its first boot.
func fill(dir string, rec *record, userData []byte) error {
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	for _, sub := range []string{"", "run", "log", "data", "etc/upper", "etc/work"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o711); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "user-data"), userData, 0o600); err != nil {
		return err
	}
	return rec.save(dir)
}

func (d *Driver) newRecord(r *cloud.CreateRequest, offer *cloud.Offering, s slot) (*record, error) {
	n := &network{}
	if err := readJSON(d.networkFile(), n); err != nil {
		return nil, err
	}
	return &record{
		ID: s.ID, Name: s.Name, Type: r.Type, Zone: r.Zone, Spot: r.Spot, Token: r.Token, Tags: maps.Clone(r.Tags),
		CPU: offer.CPU, Memory: offer.Memory, Index: s.Index,
		Address: n.at(s.Index), Gateway: n.at(1).Addr(),
		Cgroup: "/" + d.name() + "/" + s.ID, Dockerd: d.o.Dockerd, Want: wantRunning, Created: d.o.Now(),
	}, nil
}
