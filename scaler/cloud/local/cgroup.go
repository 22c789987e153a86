package local

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// hierarchies are the mounted cgroup trees.
type hierarchies struct {
	// unified is the mount point of a cgroup2 that has the controllers; empty
	// on computers that mount each of version 1 for itself.
	unified string
	// mounts are all mount points in which a machine's processes are placed,
	// by name of the controller ("cpu", "name=systemd", "unified").
	mounts map[string]string
}

// findHierarchies reads a mountinfo file.
func findHierarchies(mountinfo string) (*hierarchies, error) {
	f, err := os.Open(mountinfo)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	h, err := parseHierarchies(f)
	if err != nil {
		return nil, fmt.Errorf("cannot limit machines: %w", err)
	}
	return h, nil
}

// parseHierarchies finds cgroups in lines such as
//
//	36 35 0:31 / /sys/fs/cgroup/cpu rw shared:9 - cgroup cgroup rw,cpu
//
// Where version 1 has the controllers, a version 2 beside it holds processes
// alone.
func parseHierarchies(mountinfo io.Reader) (*hierarchies, error) {
	h := &hierarchies{mounts: map[string]string{}}
	two := ""
	lines := bufio.NewScanner(mountinfo)
	for lines.Scan() {
		before, after, _ := strings.Cut(lines.Text(), " - ")
		left, right := strings.Fields(before), strings.Fields(after)
		if len(left) < 5 || len(right) < 3 {
			continue
		}
		switch right[0] {
		case "cgroup2":
			two = left[4]
		case "cgroup":
			for option := range strings.SplitSeq(right[2], ",") {
				h.mounts[option] = left[4] // some options are no controllers: no harm
			}
		}
	}
	one := h.mounts["cpu"] != "" && h.mounts["memory"] != ""
	switch {
	case lines.Err() != nil:
		return nil, lines.Err()
	case two == "" && len(h.mounts) == 0:
		return nil, errors.New("no cgroups are mounted")
	case two == "" && !one:
		return nil, errors.New("no cgroup has the cpu and memory controllers")
	case two != "":
		h.mounts["unified"] = two
	}
	if !one {
		h.unified = two
	}
	return h, nil
}

// roots returns the mount points, each once.
func (h *hierarchies) roots() []string {
	var all []string
	for _, mount := range h.mounts {
		all = append(all, mount)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// procs returns the files a machine's init writes itself into. In version 2 a
// group with limits on its children holds no process itself.
func (h *hierarchies) procs(group string) []string {
	var all []string
	for _, mount := range h.roots() {
		leaf := ""
		if mount == h.unified {
			leaf = "init"
		}
		all = append(all, filepath.Join(mount, group, leaf, "cgroup.procs"))
	}
	return all
}

// ensure makes a machine's group in every hierarchy, with its limits.
func (h *hierarchies) ensure(group string, cores float64, memory int64) error {
	for _, file := range h.procs(group) {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return fmt.Errorf("cannot make a cgroup: %w", err)
		}
	}
	if h.unified != "" {
		return h.limitUnified(group, cores, memory)
	}
	return h.limitEach(group, cores, memory)
}

// cpuPeriod is the kernel's default, in microseconds.
const cpuPeriod = 100_000

func quota(cores float64) int { return max(1000, int(math.Round(cores*cpuPeriod))) }

func (h *hierarchies) limitEach(group string, cores float64, memory int64) error {
	if set := h.mounts["cpuset"]; set != "" {
		for _, level := range []string{filepath.Dir(group), group} {
			for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
				if err := inherit(filepath.Join(set, level), file); err != nil {
					return err
				}
			}
		}
	}
	// Kernels before 5.11 count children only if told so; later ones always do.
	hierarchy := filepath.Join(h.mounts["memory"], group, "memory.use_hierarchy")
	_ = os.WriteFile(hierarchy, []byte("1"), 0)
	return errors.Join(
		setLimit(filepath.Join(h.mounts["cpu"], group, "cpu.cfs_period_us"), strconv.Itoa(cpuPeriod)),
		setLimit(filepath.Join(h.mounts["cpu"], group, "cpu.cfs_quota_us"), strconv.Itoa(quota(cores))),
		setLimit(filepath.Join(h.mounts["memory"], group, "memory.limit_in_bytes"), strconv.FormatInt(memory, 10)),
	)
}

// inherit copies a value that a new cpuset lacks and needs from its parent.
func inherit(dir, file string) error {
	have, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil || len(strings.TrimSpace(string(have))) > 0 {
		return err
	}
	parent, err := os.ReadFile(filepath.Join(filepath.Dir(dir), file))
	if err != nil {
		return err
	}
	return setLimit(filepath.Join(dir, file), strings.TrimSpace(string(parent)))
}

func (h *hierarchies) limitUnified(group string, cores float64, memory int64) error {
	for _, level := range []string{"", filepath.Dir(group), group} {
		control := filepath.Join(h.unified, level, "cgroup.subtree_control")
		for _, controller := range []string{"cpu", "memory"} {
			if err := setLimit(control, "+"+controller); err != nil {
				return err
			}
		}
		for _, controller := range []string{"pids", "io", "cpuset"} {
			_ = setLimit(control, "+"+controller) // containers can do without
		}
	}
	_ = setLimit(filepath.Join(h.unified, group, "memory.swap.max"), "0") // absent without swap
	return errors.Join(
		setLimit(filepath.Join(h.unified, group, "cpu.max"), fmt.Sprintf("%d %d", quota(cores), cpuPeriod)),
		setLimit(filepath.Join(h.unified, group, "memory.max"), strconv.FormatInt(memory, 10)),
	)
}

func setLimit(path, value string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
	if err == nil {
		_, err = f.WriteString(value)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		return fmt.Errorf("cannot set %q to %q: %w", path, value, err)
	}
	return nil
}

// pids returns the processes of a group and of the groups below it.
func (h *hierarchies) pids(group string) ([]int, error) {
	seen := map[int]bool{}
	for _, mount := range h.roots() {
		err := filepath.WalkDir(filepath.Join(mount, group), func(path string, e fs.DirEntry, err error) error {
			if err != nil || !e.IsDir() {
				return ignore(err, fs.ErrNotExist)
			}
			text, err := os.ReadFile(filepath.Join(path, "cgroup.procs"))
			for _, word := range strings.Fields(string(text)) {
				if pid, err := strconv.Atoi(word); err == nil && pid > 0 {
					seen[pid] = true
				}
			}
			return ignore(ignore(err, fs.ErrNotExist), unix.ENODEV)
		})
		if err != nil {
			return nil, fmt.Errorf("cannot list processes of %q: %w", group, err)
		}
	}
	var all []int
	for pid := range seen {
		all = append(all, pid)
	}
	slices.Sort(all)
	return all, nil
}

// remove deletes a group and the groups below it, which hold no process; the
// kernel may need a moment to see that.
func (h *hierarchies) remove(ctx context.Context, group string) error {
	for _, mount := range h.roots() {
		top := filepath.Join(mount, group)
		err := poll(ctx, func() (bool, error) {
			err := removeTree(top)
			return err == nil, ignore(err, unix.EBUSY)
		})
		if err != nil {
			return fmt.Errorf("cannot remove cgroup %q: %w", top, err)
		}
	}
	return nil
}

// removeTree removes directories from the leaves up; a cgroup's files go with
// their directory.
func removeTree(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return ignore(err, fs.ErrNotExist)
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := removeTree(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return ignore(unix.Rmdir(dir), unix.ENOENT)
}
