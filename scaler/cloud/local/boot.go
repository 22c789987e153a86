package local

import (
	"context"
	"errors"
	"fmt"
	"os"
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

// resumeWait is how long a list waits for a machine that somebody works on.
const resumeWait = 3 * pollEvery

// resume goes on making machines whose making ended with the process that did
// it. A cloud does so by itself; here it falls to whoever lists them, because
// nobody creates a machine again that is listed. A driver that offers nothing
// only looks. Failures show in the machine's state, and the next list tries
// again.
func (d *Driver) resume(ctx context.Context, all []*record) {
	for _, r := range all {
		if len(d.o.Offerings) == 0 || r.Want != wantRunning || !r.Started.IsZero() {
			continue
		}
		brief, cancel := context.WithTimeout(ctx, resumeWait)
		_ = d.withMachine(brief, r.ID, func(now *record) error {
			if now.Want != wantRunning || !now.Started.IsZero() {
				return nil
			}
			err := d.boot(ctx, now)
			*r = *now
			return err
		})
		cancel()
	}
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
	program, err := lookup(d.o.Init[0])
	if err != nil {
		return 0, err
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
		// Nothing of ours: the scaler's environment holds its secrets.
		Env: []string{"PATH=" + os.Getenv("PATH") + ":/usr/sbin:/sbin", "HOME=/root"},
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

// able returns why no machine can be made here.
func (d *Driver) able() error {
	if os.Geteuid() != 0 {
		return errors.New("cannot make machines: only root can")
	}
	for _, program := range []string{d.o.Dockerd, "ip", "nsenter", "unshare", "iptables"} {
		if _, err := lookup(program); err != nil {
			return err
		}
	}
	return nil
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
