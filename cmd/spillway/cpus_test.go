package main

import (
	"testing"
	"testing/fstest"
)

func TestUsableCPUs(t *testing.T) {
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	for name, c := range map[string]struct {
		root fstest.MapFS
		want int
	}{
		"no cgroups":        {fstest.MapFS{}, 8},
		"v2 without quota":  {fstest.MapFS{"proc/self/cgroup": file("0::/a\n"), "sys/fs/cgroup/a/cpu.max": file("max 100000\n")}, 8},
		"v2":                {fstest.MapFS{"proc/self/cgroup": file("0::/a\n"), "sys/fs/cgroup/a/cpu.max": file("300000 100000\n")}, 3},
		"a part of a CPU":   {fstest.MapFS{"proc/self/cgroup": file("0::/a\n"), "sys/fs/cgroup/a/cpu.max": file("150000 100000\n")}, 2},
		"less than one":     {fstest.MapFS{"proc/self/cgroup": file("0::/a\n"), "sys/fs/cgroup/a/cpu.max": file("10000 100000\n")}, 1},
		"more than there":   {fstest.MapFS{"proc/self/cgroup": file("0::/a\n"), "sys/fs/cgroup/a/cpu.max": file("1600000 100000\n")}, 8},
		"set above":         {fstest.MapFS{"proc/self/cgroup": file("0::/a/b\n"), "sys/fs/cgroup/a/cpu.max": file("200000 100000\n"), "sys/fs/cgroup/a/b/cpu.max": file("max 100000\n")}, 2},
		"a container's own": {fstest.MapFS{"proc/self/cgroup": file("0::/\n"), "sys/fs/cgroup/cpu.max": file("100000 100000\n")}, 1},
		"v1": {fstest.MapFS{
			"proc/self/cgroup":                      file("4:memory:/a\n3:cpu,cpuacct:/a\n"),
			"sys/fs/cgroup/cpu/a/cpu.cfs_quota_us":  file("250000\n"),
			"sys/fs/cgroup/cpu/a/cpu.cfs_period_us": file("100000\n"),
		}, 3},
		"v1 without quota": {fstest.MapFS{
			"proc/self/cgroup":                      file("3:cpu:/a\n"),
			"sys/fs/cgroup/cpu/a/cpu.cfs_quota_us":  file("-1\n"),
			"sys/fs/cgroup/cpu/a/cpu.cfs_period_us": file("100000\n"),
		}, 8},
		"nonsense": {fstest.MapFS{"proc/self/cgroup": file("x\n0::/a\n"), "sys/fs/cgroup/a/cpu.max": file("lots\n")}, 8},
	} {
		if got := usableCPUs(8, c.root); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
	if got := loopsFor(3, fstest.MapFS{}); got != 3 {
		t.Errorf("configured 3: %d", got)
	}
}
