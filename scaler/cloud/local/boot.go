package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// initWait is how long a machine's first program may take to hold its lock.
const initWait = 10 * time.Second

// step is where a test ends the work as a SIGKILL would.
func (d *Driver) step(name string) error {
	if d.crash == nil {
		return nil
	}
	return d.crash(name)
}

// boot makes a machine run that may be made in part, and writes down that it
// did. The machine is locked.
func (d *Driver) boot(ctx context.Context, r *record) error {
	if err := d.step("record"); err != nil {
		return err
	}
	if err := d.withRoot(ctx, func() error { return d.ensureSwitch(ctx) }); err != nil {
		return err
	}
	if err := d.step("switch"); err != nil {
		return err
	}
	if err := d.cgroups.ensure(r.Cgroup, r.CPU, r.Memory); err != nil {
		return err
	}
	if err := d.step("cgroup"); err != nil {
		return err
	}
	pid, fresh, err := d.ensureInit(ctx, r)
	if err != nil {
		return err
	}
	if err := d.step("init"); err != nil {
		return err
	}
	if err := d.ensureLink(ctx, r, pid, fresh); err != nil {
		return err
	}
	if err := d.step("link"); err != nil {
		return err
	}
	r.Started = d.o.Now()
	return r.save(d.machineDir(r.ID))
}

// ensureInit starts the machine's first program unless it runs.
func (d *Driver) ensureInit(ctx context.Context, r *record) (pid int, fresh bool, err error) {
	dir := d.machineDir(r.ID)
	lock := filepath.Join(dir, "run", "init.lock")
	if pid, err = holder(lock); err != nil || pid != 0 {
		return pid, false, err
	}
	if err := clearEnded(dir); err != nil {
		return 0, false, err
	}
	child, err := d.launch(dir)
	if err != nil {
		return 0, false, err
	}
	ctx, cancel := context.WithTimeout(ctx, initWait)
	defer cancel()
	err = poll(ctx, func() (bool, error) {
		if pid, err = holder(lock); err != nil || pid != 0 {
			return true, err
		}
		d.reap()
		if !d.isChild(child) {
			return true, fmt.Errorf("cannot boot the machine: its init ended, see %q", filepath.Join(dir, "log", "init.log"))
		}
		return false, nil
	})
	return pid, true, err
}

// launch starts the machine's first program in namespaces of its own. It is
// in a session of its own and writes to a file, so that nothing of it depends
// on this process.
func (d *Driver) launch(dir string) (pid int, err error) {
	log, err := os.OpenFile(filepath.Join(dir, "log", "init.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, err
	}
	defer log.Close()
	program, err := exec.LookPath(d.o.Init[0])
	if err != nil {
		return 0, fmt.Errorf("cannot find the machines' init: %w", err)
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return 0, err
	}
	defer null.Close()
	// Held over the start, so that reap knows the child before it can end.
	d.mu.Lock()
	defer d.mu.Unlock()
	p, err := os.StartProcess(program, append(slices.Clone(d.o.Init), dir), &os.ProcAttr{
		Dir: "/", Files: []*os.File{null, log, log},
		Sys: &syscall.SysProcAttr{
			Setsid:     true,
			Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC,
		},
	})
	if err != nil {
		return 0, fmt.Errorf("cannot start %q in namespaces of its own: %w", program, err)
	}
	pid = p.Pid
	d.children[pid] = true
	return pid, p.Release()
}

// reap collects children that ended. Machines whose parent died are the
// system's to collect.
func (d *Driver) reap() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for pid := range d.children {
		got, err := unix.Wait4(pid, nil, unix.WNOHANG, nil)
		if got == pid || errors.Is(err, unix.ECHILD) {
			delete(d.children, pid)
		}
	}
}

func (d *Driver) isChild(pid int) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.children[pid]
}
