package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"

	"spillway/scaler/cloud"
)

// Sweep ends every machine below a root and removes everything that belongs to
// it, the root directory included. No driver may work there meanwhile.
func Sweep(ctx context.Context, root string) error {
	d, err := rootOnly(root)
	if err != nil {
		return err
	}
	all, err := d.records()
	if err != nil {
		return fmt.Errorf("cannot sweep %q: %w", root, err)
	}
	for _, r := range all {
		if err := d.Delete(ctx, r.ID); err != nil && cloud.KindOf(err) != cloud.NotFound {
			return fmt.Errorf("cannot sweep %q: %w", root, err)
		}
	}
	if _, err := os.Stat(d.o.Root); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	err = d.withRoot(ctx, func() error {
		return errors.Join(d.removeSwitch(ctx), d.cgroups.remove(ctx, "/"+d.name()))
	})
	if err != nil {
		return fmt.Errorf("cannot sweep %q: %w", root, err)
	}
	return os.RemoveAll(d.o.Root)
}

// rootOnly is a driver that can look and delete.
func rootOnly(root string) (*Driver, error) {
	return New(Options{Root: root, Init: []string{"none"}})
}

// Leftovers lists what there is of machines below a root: directories,
// processes, mounts, cgroups and links, a line each. Empty: nothing is left.
// What a root keeps without machines (its network, remembered tokens) is not
// listed.
func Leftovers(root string) ([]string, error) {
	d, err := rootOnly(root)
	if err != nil {
		return nil, err
	}
	var left []string
	entries, err := os.ReadDir(filepath.Join(d.o.Root, "machines"))
	if ignore(err, fs.ErrNotExist) != nil {
		return nil, err
	}
	for _, e := range entries {
		left = append(left, "directory "+d.machineDir(e.Name()))
	}
	for _, mount := range d.cgroups.roots() {
		if group := filepath.Join(mount, d.name()); exists(group) {
			left = append(left, "cgroup "+group)
		}
	}
	if _, err := net.InterfaceByName(d.hostLink()); err == nil {
		left = append(left, "link "+d.hostLink())
	}
	processes, err := processesOf(d.o.Root)
	if err != nil {
		return nil, err
	}
	mounts, err := mountsBelow(d.o.Root)
	return append(append(left, processes...), mounts...), err
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// processesOf lists processes that name the root in their arguments: inits and
// engines do.
func processesOf(root string) ([]string, error) {
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return nil, err
	}
	var found []string
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err == nil && strings.Contains(string(text), filepath.Join(root, "machines")+"/") {
			found = append(found, "process "+strings.Split(file, "/")[2]+" "+strings.ReplaceAll(string(text), "\x00", " "))
		}
	}
	return found, nil
}

// mountsBelow lists mounts this process sees at or below the root. A pinned
// namespace is one of them.
func mountsBelow(root string) ([]string, error) {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	var found []string
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) > 4 && strings.HasPrefix(fields[4], root+"/") {
			found = append(found, "mount "+fields[4])
		}
	}
	return found, nil
}
