package main

import (
	"io/fs"
	"math"
	"path"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// loopsFor is the number of event loops: as configured, or one for each CPU
// the process may use.
func loopsFor(configured int, root fs.FS) int {
	if configured > 0 {
		return configured
	}
	return usableCPUs(affinity(), root)
}

// affinity is how many CPUs the process may be scheduled on.
func affinity() int {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return runtime.NumCPU()
	}
	return max(1, set.Count())
}

// usableCPUs is cpus, or fewer if the control group has a smaller quota; a
// part of a CPU counts as a whole one. root is the file system from "/".
func usableCPUs(cpus int, root fs.FS) int {
	for _, quota := range quotas(root) {
		cpus = min(cpus, max(1, int(math.Ceil(quota))))
	}
	return cpus
}

// quotas are the CPU quotas of the process's control group and of all above
// it, in CPUs.
func quotas(root fs.FS) []float64 {
	groups, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return nil
	}
	var all []float64
	for line := range strings.Lines(string(groups)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		top, read := "sys/fs/cgroup/cpu", quotaV1
		switch {
		case parts[0] == "0" && parts[1] == "":
			top, read = "sys/fs/cgroup", quotaV2
		case !hasController(parts[1], "cpu"):
			continue
		}
		for dir := path.Join("/", parts[2]); ; dir = path.Dir(dir) {
			if q, ok := read(root, path.Join(top, dir)); ok {
				all = append(all, q)
			}
			if dir == "/" {
				break
			}
		}
	}
	return all
}

func hasController(list, name string) bool {
	for _, c := range strings.Split(list, ",") {
		if c == name {
			return true
		}
	}
	return false
}

// quotaV2 reads cpu.max: "QUOTA PERIOD" in microseconds, or "max PERIOD".
func quotaV2(root fs.FS, dir string) (float64, bool) {
	text, err := fs.ReadFile(root, path.Join(dir, "cpu.max"))
	if err != nil {
		return 0, false
	}
	words := strings.Fields(string(text))
	if len(words) != 2 {
		return 0, false
	}
	return ratio(words[0], words[1])
}

func quotaV1(root fs.FS, dir string) (float64, bool) {
	quota, err := fs.ReadFile(root, path.Join(dir, "cpu.cfs_quota_us"))
	if err != nil {
		return 0, false
	}
	period, err := fs.ReadFile(root, path.Join(dir, "cpu.cfs_period_us"))
	if err != nil {
		return 0, false
	}
	return ratio(strings.TrimSpace(string(quota)), strings.TrimSpace(string(period)))
}

// ratio is quota/period, not ok without a quota ("max", "-1").
func ratio(quota, period string) (float64, bool) {
	q, err := strconv.ParseFloat(quota, 64)
	if err != nil || q <= 0 {
		return 0, false
	}
	p, err := strconv.ParseFloat(period, 64)
	if err != nil || p <= 0 {
		return 0, false
	}
	return q / p, true
}

// raiseFiles raises the soft limit of open files to the hard one and returns
// it.
func raiseFiles() (uint64, error) {
	var lim unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &lim); err != nil {
		return 0, err
	}
	lim.Cur = lim.Max
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &lim); err != nil {
		return 0, err
	}
	return lim.Cur, nil
}
