package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// pollEvery is how often things are looked at of which the kernel gives no
// event that several processes could wait for.
const pollEvery = 2 * time.Millisecond

// poll calls done until it says so, or the context ends; if that has ended
// already, done is not called.
func poll(ctx context.Context, done func() (bool, error)) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// locked runs f while path is locked against other processes and goroutines.
// The kernel drops the lock of a process that dies. If the file was removed or
// replaced while its lock was awaited, the error is fs.ErrNotExist.
func locked(ctx context.Context, path string, f func() error) error {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := flock(ctx, file); err != nil {
		return err
	}
	mine, err := file.Stat()
	if err != nil {
		return err
	}
	if now, err := os.Stat(path); err != nil || !os.SameFile(mine, now) {
		return fs.ErrNotExist
	}
	return f()
}

// choosing runs f while no other driver of this computer chooses a network.
// The lock is on a directory, which leaves no file behind.
func choosing(ctx context.Context, f func() error) error {
	dir, err := os.Open("/run")
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := flock(ctx, dir); err != nil {
		return err
	}
	return f()
}

// flock waits for the lock of a file, which is held until the file is closed.
func flock(ctx context.Context, file *os.File) error {
	err := poll(ctx, func() (bool, error) {
		switch err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); {
		case errors.Is(err, unix.EWOULDBLOCK), errors.Is(err, unix.EINTR):
			return false, nil
		default:
			return err == nil, err
		}
	})
	if err != nil {
		return fmt.Errorf("cannot lock %q: %w", file.Name(), err)
	}
	return nil
}

// withRoot runs f while no other driver allocates anything below the root.
func (d *Driver) withRoot(ctx context.Context, f func() error) error {
	if err := os.MkdirAll(d.o.Root, 0o711); err != nil {
		return err
	}
	return locked(ctx, filepath.Join(d.o.Root, "lock"), f)
}

// withMachine runs f while no other driver works on the machine, if it exists.
func (d *Driver) withMachine(ctx context.Context, id string, f func(r *record) error) error {
	dir := d.machineDir(id)
	if _, err := os.Stat(dir); err != nil {
		return err
	}
	return locked(ctx, filepath.Join(dir, "lock"), func() error {
		r, err := readRecord(dir)
		if err != nil {
			return err
		}
		return f(r)
	})
}

// holdLock takes the lock that says "this machine runs", for as long as this
// process lives. It is a record lock: the kernel tells others who holds it.
func holdLock(path string) error {
	// No os.File: closing any descriptor of the file would drop the lock, and
	// a finalizer closes one sooner or later.
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CREAT|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return fmt.Errorf("cannot open %q: %w", path, err)
	}
	l := unix.Flock_t{Type: unix.F_WRLCK}
	if err := unix.FcntlFlock(uintptr(fd), unix.F_SETLK, &l); err != nil {
		return fmt.Errorf("cannot be the machine's init, another one is: %w", err)
	}
	return nil
}

// holder returns the process that holds a lock taken by holdLock, 0 if none.
func holder(path string) (pid int, err error) {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer file.Close()
	l := unix.Flock_t{Type: unix.F_WRLCK}
	if err := unix.FcntlFlock(file.Fd(), unix.F_GETLK, &l); err != nil {
		return 0, fmt.Errorf("cannot see who holds %q: %w", path, err)
	}
	if l.Type == unix.F_UNLCK {
		return 0, nil
	}
	return int(l.Pid), nil
}
