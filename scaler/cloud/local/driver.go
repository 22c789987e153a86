package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"spillway/scaler/cloud"
)

// Driver makes machines below one root. It is safe for concurrent use, also by
// several drivers of one root in several processes.
type Driver struct {
	o       Options
	cgroups *hierarchies

	mu       sync.Mutex
	children map[int]bool // processes started here, to be reaped
	// crash, in tests, ends work at a named step as a SIGKILL would.
	crash func(step string) error
}

var (
	_ cloud.Driver  = (*Driver)(nil)
	_ cloud.Stopper = (*Driver)(nil)
)

// New returns the driver of the machines below o.Root. It starts nothing.
func New(o Options) (*Driver, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	h, err := findHierarchies("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	return &Driver{o: o, cgroups: h, children: map[int]bool{}}, nil
}

// Describe tells what the driver can do.
func (d *Driver) Describe() cloud.Description {
	return cloud.Description{
		Name: "local", MaxBatch: d.o.MaxBatch, ClientToken: true, TokenZonal: false,
		StopFree: true, UserDataMax: userDataMax,
	}
}

// Offerings lists what the options offer; what is sold out says so.
func (d *Driver) Offerings(ctx context.Context) ([]cloud.Offering, error) {
	if err := ctx.Err(); err != nil {
		return nil, failed("list offerings of", cloud.Transient, err)
	}
	all, err := d.records()
	if err != nil {
		return nil, failed("list offerings of", cloud.Transient, err)
	}
	offers := slices.Clone(d.o.Offerings)
	for i := range offers {
		f := &offers[i]
		f.Available, f.Reason = true, ""
		if d.free(all, f.Type, f.Zone) <= 0 {
			f.Available, f.Reason = false, "no stock of "+f.Type+" in "+f.Zone
		}
	}
	return offers, nil
}

// free is how many more machines of a kind may run.
func (d *Driver) free(all []*record, kind, zone string) int {
	free := d.o.Machines
	for key, inKey := range map[string]func(*record) bool{
		zone:              func(r *record) bool { return r.Zone == zone },
		kind + "/" + zone: func(r *record) bool { return r.Zone == zone && r.Type == kind },
	} {
		stock, limited := d.o.Stock[key]
		if !limited {
			continue
		}
		for _, r := range all {
			if inKey(r) && r.Want == wantRunning {
				stock--
			}
		}
		free = min(free, stock)
	}
	return free
}

// List returns the machines that carry all the tags, by id.
func (d *Driver) List(ctx context.Context, tags map[string]string) ([]cloud.Machine, error) {
	if err := ctx.Err(); err != nil {
		return nil, failed("list", cloud.Transient, err)
	}
	d.reap()
	all, err := d.records()
	if err != nil {
		return nil, failed("list", cloud.Transient, err)
	}
	d.resume(ctx, all)
	var machines []cloud.Machine
	for _, r := range all {
		if m := d.machine(r); m.HasTags(tags) {
			machines = append(machines, m)
		}
	}
	return machines, nil
}

// machine is what a record and the kernel say of a machine.
func (d *Driver) machine(r *record) cloud.Machine {
	state, reason := d.state(r)
	return cloud.Machine{
		ID: r.ID, Name: r.Name, Type: r.Type, Zone: r.Zone, State: state, Reason: reason,
		Address: r.Address.Addr().String(), Created: r.Created, Spot: r.Spot, Tags: maps.Clone(r.Tags),
	}
}

// state of a machine.
//
//	Create -> pending -> running -> stopping -> stopped -> (Start) running
//	             \          |  \--- init ended by itself: stopped
//	              \         \------ init killed: failed
//	               \--------------- any -> deleting -> not listed
func (d *Driver) state(r *record) (cloud.State, string) {
	pid, err := holder(filepath.Join(d.machineDir(r.ID), "run", "init.lock"))
	switch {
	case err != nil:
		return cloud.Failed, err.Error()
	case r.Want == wantDeleting:
		return cloud.Deleting, ""
	case r.Want == wantStopped && pid != 0:
		return cloud.Stopping, ""
	case r.Want == wantStopped:
		return cloud.Stopped, ""
	case r.Started.IsZero():
		return cloud.Pending, ""
	case pid != 0:
		return cloud.Running, ""
	}
	if reason := readEnded(d.machineDir(r.ID)); reason != "" {
		return cloud.Stopped, reason
	}
	return cloud.Failed, "its init was killed"
}

// Stop asks a machine to end its containers and itself, and keeps its disk.
func (d *Driver) Stop(ctx context.Context, id string) error {
	err := d.withMachine(ctx, id, func(r *record) error {
		if r.Want == wantDeleting {
			return fs.ErrNotExist
		}
		r.Want = wantStopped
		if err := r.save(d.machineDir(id)); err != nil {
			return err
		}
		pid, err := holder(filepath.Join(d.machineDir(id), "run", "init.lock"))
		if err != nil || pid == 0 {
			return err
		}
		return ignore(unix.Kill(pid, unix.SIGTERM), unix.ESRCH)
	})
	d.reap()
	return wrap("stop", cloud.Transient, err)
}

// Start boots a stopped machine, if its zone has room for it.
func (d *Driver) Start(ctx context.Context, id string) error {
	err := d.withMachine(ctx, id, func(r *record) error {
		if r.Want == wantDeleting {
			return fs.ErrNotExist
		}
		if r.Want == wantRunning && d.isRunning(id) {
			return nil
		}
		if err := d.takeStock(ctx, r); err != nil {
			return err
		}
		return d.boot(ctx, r)
	})
	return wrap("start", cloud.Transient, err)
}

// takeStock makes a stopped machine count as running again.
func (d *Driver) takeStock(ctx context.Context, r *record) error {
	if r.Want == wantStopped && d.isRunning(r.ID) {
		return errors.New("it is still stopping")
	}
	return d.withRoot(ctx, func() error {
		all, err := d.records()
		if err != nil {
			return err
		}
		if r.Want != wantRunning && d.free(all, r.Type, r.Zone) <= 0 {
			return &cloud.Error{Kind: cloud.NoCapacity, Op: "start", What: r.Type + " in " + r.Zone}
		}
		r.Want = wantRunning
		return r.save(d.machineDir(r.ID))
	})
}

func (d *Driver) isRunning(id string) bool {
	pid, err := holder(filepath.Join(d.machineDir(id), "run", "init.lock"))
	return err == nil && pid != 0
}

func ignore(err, what error) error {
	if errors.Is(err, what) {
		return nil
	}
	return err
}

// failed is an error of the contract.
func failed(op string, kind cloud.Kind, err error) error {
	return &cloud.Error{Kind: kind, Op: op, Err: err}
}

// wrap sorts an error: what is missing is NotFound, the rest is kind unless it
// was sorted already.
func wrap(op string, kind cloud.Kind, err error) error {
	var sorted *cloud.Error
	switch {
	case err == nil || errors.As(err, &sorted):
		return err
	case errors.Is(err, fs.ErrNotExist):
		return failed(op, cloud.NotFound, err)
	}
	return failed(op, kind, fmt.Errorf("cannot %s the machine: %w", op, err))
}

// Root is the directory of everything.
func (d *Driver) Root() string { return d.o.Root }
