package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"spillway/scaler/cloud"
)

// endWait is how long the kernel may take to end a machine's processes.
const endWait = 20 * time.Second

// Delete ends a machine and removes everything of it: processes, namespaces
// and mounts with them, its link, cgroup and directory; with the last machine
// the switch goes too. When it returns nil all of that is done.
func (d *Driver) Delete(ctx context.Context, id string) error {
	if id == "" || id != filepath.Base(id) || id[0] == '.' {
		return failed("delete", cloud.NotFound, fmt.Errorf("%q is no machine", id))
	}
	ctx, cancel := context.WithTimeout(ctx, endWait)
	defer cancel()
	err := d.withMachine(ctx, id, func(r *record) error { return d.end(ctx, r) })
	// Also if there is no such machine: an end that was cut short is completed
	// by its repetition.
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		err = errors.Join(err, d.withRoot(ctx, func() error { return d.sweepSwitch(ctx) }))
	}
	return wrap("delete", cloud.Transient, err)
}

// end removes a machine. It is locked.
func (d *Driver) end(ctx context.Context, r *record) error {
	dir := d.machineDir(r.ID)
	if r.Want != wantDeleting {
		r.Want = wantDeleting
		if err := r.save(dir); err != nil {
			return err
		}
	}
	if err := d.step("delete"); err != nil {
		return err
	}
	if err := d.withRoot(ctx, func() error { return d.markDeleted(r) }); err != nil {
		return err
	}
	if err := d.kill(ctx, r); err != nil {
		return err
	}
	if err := d.step("kill"); err != nil {
		return err
	}
	if isNamespace(d.switchFile()) {
		if err := d.unplug(ctx, portName(r.Index)); err != nil {
			return err
		}
	}
	if err := d.cgroups.remove(ctx, r.Cgroup); err != nil {
		return err
	}
	if err := d.step("cgroup-removed"); err != nil {
		return err
	}
	return removeMachine(dir)
}

// removeMachine removes a machine's directory, its record last: what is left
// by a death in between can be deleted again, or is swept by its hidden name.
func removeMachine(dir string) error {
	for _, name := range []string{"data", "etc"} {
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	hidden := filepath.Join(filepath.Dir(dir), ".gone-"+filepath.Base(dir))
	if err := os.Rename(dir, hidden); err != nil {
		return err
	}
	return os.RemoveAll(hidden)
}

// markDeleted keeps the machine's token from making it again. The root is
// locked.
func (d *Driver) markDeleted(r *record) error {
	b := &batch{}
	if err := readJSON(d.batchFile(r.Token), b); err != nil {
		return ignore(err, fs.ErrNotExist) // forgotten by now
	}
	for i := range b.Slots {
		if b.Slots[i].ID == r.ID {
			b.Slots[i].Deleted = true
		}
	}
	return writeJSON(d.batchFile(r.Token), b)
}

// kill ends all processes of a machine: with its init the kernel ends every
// process of its namespace; whatever escaped is in its cgroup.
func (d *Driver) kill(ctx context.Context, r *record) error {
	lock := filepath.Join(d.machineDir(r.ID), "run", "init.lock")
	return poll(ctx, func() (bool, error) {
		pid, err := holder(lock)
		if err != nil {
			return true, err
		}
		pids, err := d.cgroups.pids(r.Cgroup)
		if err != nil {
			return true, err
		}
		if pid != 0 {
			pids = append(pids, pid)
		}
		for _, pid := range pids {
			if err := ignore(unix.Kill(pid, unix.SIGKILL), unix.ESRCH); err != nil {
				return true, fmt.Errorf("cannot kill process %d: %w", pid, err)
			}
		}
		d.reap()
		return len(pids) == 0, nil
	})
}

// sweepSwitch removes what deaths left behind of directories and, if no
// machine is left, the switch. The root is locked.
func (d *Driver) sweepSwitch(ctx context.Context) error {
	entries, err := os.ReadDir(filepath.Join(d.o.Root, "machines"))
	if err != nil {
		return ignore(err, fs.ErrNotExist)
	}
	machines := 0
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") {
			machines++
		} else if err := os.RemoveAll(d.machineDir(e.Name())); err != nil {
			return err
		}
	}
	if machines > 0 {
		return nil
	}
	if err := d.removeSwitch(ctx); err != nil {
		return err
	}
	return d.cgroups.remove(ctx, "/"+d.name())
}
