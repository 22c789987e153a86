package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// HostName is the name by which a machine knows the computer it is on.
const HostName = "spillway-host"

// Device is a machine's network interface.
const Device = "eth0"

// PIDFile is where a machine's engine keeps its process id.
const PIDFile = "/run/docker.pid"

// Owns are the directories a machine has for itself; the other files are this
// computer's.
func Owns() []string { return []string{"/etc", "/run"} }

// Inside is a machine seen from within, by its first program.
type Inside struct {
	ID, Name   string
	Address    netip.Prefix
	Gateway    netip.Addr // the computer it is on
	Type, Zone string
	CPU        float64
	Memory     int64
	// Dir is the machine's disk, Socket where its engine shall listen for
	// programs of this computer.
	Dir, Socket string
	UserData    []byte
	// Engine is the engine's program and the flags that make it live in this
	// machine; where it listens and TLS are the caller's.
	Engine []string
}

// Runner executes a program; the first program of a machine collects all
// processes, so it says how.
type Runner func(ctx context.Context, program string, args ...string) error

// Enter makes this process the first program of the machine whose directory is
// dir: it takes the machine's lock and place in the cgroups, and makes the
// mounts its own. It must run before any other goroutine does anything. It
// fails if the machine is not wanted to run or runs already.
func Enter(dir string) (*Inside, error) {
	if err := holdLock(filepath.Join(dir, "run", "init.lock")); err != nil {
		return nil, err
	}
	r, err := readRecord(dir)
	if err != nil {
		return nil, err
	}
	if r.Want != wantRunning {
		return nil, fmt.Errorf("cannot boot machine %s: it shall be %s", r.ID, r.Want)
	}
	h, err := findHierarchies("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	for _, file := range h.procs(r.Cgroup) {
		if err := setLimit(file, "0"); err != nil {
			return nil, err
		}
	}
	data, err := os.ReadFile(filepath.Join(dir, "user-data"))
	if err != nil {
		return nil, err
	}
	if err := mounts(dir); err != nil {
		return nil, err
	}
	if err := unix.Sethostname([]byte(r.Name)); err != nil {
		return nil, fmt.Errorf("cannot set the host name: %w", err)
	}
	return inside(dir, r, data), writeNames(r)
}

func inside(dir string, r *record, data []byte) *Inside {
	return &Inside{
		ID: r.ID, Name: r.Name, Address: r.Address, Gateway: r.Gateway, Type: r.Type, Zone: r.Zone,
		CPU: r.CPU, Memory: r.Memory, Dir: dir, Socket: socketOf(dir), UserData: data,
		Engine: []string{
			r.Dockerd, "--data-root", filepath.Join(dir, "data"),
			// The machine's own /run, empty at every boot: no stale pid file or
			// state of a former life, and no engine of the computer to be seen.
			"--exec-root", "/run/docker", "--pidfile", PIDFile,
			"--exec-opt", "native.cgroupdriver=cgroupfs", "--cgroup-parent", r.Cgroup,
			// The same in all machines: nobody outside sees these.
			"--bip", "172.30.0.1/24", "--default-address-pool", "base=172.31.0.0/16,size=24",
			"--userland-proxy=false", "--ip6tables=false", "--storage-driver", "overlay2",
		},
	}
}

// mounts makes the mount namespace the machine's: its own processes, /run and
// /etc, and nothing that happens here is seen outside.
func mounts(dir string) error {
	etc := fmt.Sprintf("lowerdir=/etc,upperdir=%[1]s/etc/upper,workdir=%[1]s/etc/work", dir)
	for _, m := range []struct {
		source, target, kind string
		flags                uintptr
		data                 string
	}{
		{"", "/", "", unix.MS_REC | unix.MS_PRIVATE, ""},
		{"proc", "/proc", "proc", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, ""},
		{"etc", "/etc", "overlay", 0, etc},
		{"run", "/run", "tmpfs", unix.MS_NOSUID | unix.MS_NODEV, "mode=755"},
	} {
		if err := unix.Mount(m.source, m.target, m.kind, m.flags, m.data); err != nil {
			return fmt.Errorf("cannot mount the machine's %s: %w", m.target, err)
		}
	}
	return ownEngine(dir)
}

// ownEngine hides this computer's /etc/docker at a machine's first boot: its
// engine has a configuration and an identity of its own.
func ownEngine(dir string) error {
	if exists(filepath.Join(dir, "etc", "upper", "docker")) {
		return nil
	}
	if err := os.RemoveAll("/etc/docker"); err != nil {
		return err
	}
	return os.MkdirAll("/etc/docker", 0o755)
}

// writeNames gives the machine its name and that of the computer it is on.
func writeNames(r *record) error {
	hosts := fmt.Sprintf("127.0.0.1 localhost\n%s %s\n%s %s\n", r.Address.Addr(), r.Name, r.Gateway, HostName)
	if err := writeFile("/etc/hosts", []byte(hosts)); err != nil {
		return err
	}
	if err := os.Chmod("/etc/hosts", 0o644); err != nil {
		return err
	}
	return os.WriteFile("/etc/hostname", []byte(r.Name+"\n"), 0o644)
}

// Connect waits for the machine's cable and gives it its address.
func (in *Inside) Connect(ctx context.Context, run Runner) error {
	err := poll(ctx, func() (bool, error) {
		_, err := net.InterfaceByName(Device)
		return err == nil, nil
	})
	if err != nil {
		return fmt.Errorf("no cable was plugged in: %w", err)
	}
	for _, line := range []string{
		"link set lo up",
		"addr replace " + in.Address.String() + " dev " + Device,
		"link set " + Device + " up",
		"route replace default via " + in.Gateway.String() + " dev " + Device,
	} {
		if err := run(ctx, "ip", strings.Fields(line)...); err != nil {
			return err
		}
	}
	return nil
}

// End writes down why the machine ends by itself; its process exits next.
func (in *Inside) End(reason string) error { return writeFile(endedFile(in.Dir), []byte(reason)) }

func endedFile(dir string) string { return filepath.Join(dir, "run", "ended") }

// readEnded returns why a machine ended by itself, "" if it did not.
func readEnded(dir string) string {
	text, err := os.ReadFile(endedFile(dir))
	if err != nil {
		return ""
	}
	return string(text)
}

func clearEnded(dir string) error {
	err := os.Remove(endedFile(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
