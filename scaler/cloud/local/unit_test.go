package local

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"spillway/scaler/cloud"
)

func TestHierarchiesAreFoundInEachVersion(t *testing.T) {
	const (
		one = `30 24 0:26 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct
31 24 0:27 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory
32 24 0:28 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd
`
		two = "35 24 0:30 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
	)
	tests := []struct {
		name, text string
		unified    string
		roots      []string
		err        string
	}{
		{"version 1", one, "", []string{"/sys/fs/cgroup/cpu", "/sys/fs/cgroup/memory", "/sys/fs/cgroup/systemd"}, ""},
		{"version 2", two, "/sys/fs/cgroup", []string{"/sys/fs/cgroup"}, ""},
		{"both", one + strings.Replace(two, "/cgroup rw", "/cgroup/unified rw", 1), "", []string{"/sys/fs/cgroup/cpu", "/sys/fs/cgroup/memory", "/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified"}, ""},
		{"none", "24 1 0:20 / /proc rw - proc proc rw\n\nx\n", "", nil, "no cgroups are mounted"},
		{"no memory", strings.SplitAfter(one, "\n")[0], "", nil, "no cgroup has the cpu and memory controllers"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "mountinfo")
			if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			h, err := findHierarchies(path)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("error %v, want %q", err, tt.err)
				}
				return
			}
			if err != nil || h.unified != tt.unified || !slices.Equal(h.roots(), tt.roots) {
				t.Errorf("got %+v with %q, %v", h, h.roots(), err)
			}
		})
	}
}

func FuzzParseHierarchies(f *testing.F) {
	f.Add("30 24 0:26 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,memory\n35 24 0:30 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n")
	f.Fuzz(func(t *testing.T, text string) {
		h, err := parseHierarchies(strings.NewReader(text))
		if err == nil && (len(h.roots()) == 0 || h.unified == "" && (h.mounts["cpu"] == "" || h.mounts["memory"] == "")) {
			t.Errorf("%q gave %+v, which limits nothing", text, h)
		}
	})
}

// fakeUnified is a cgroup2 tree of plain files for a parent and its child.
func fakeUnified(t *testing.T, group string) *hierarchies {
	t.Helper()
	root := t.TempDir()
	for _, level := range []string{"", filepath.Dir(group), group} {
		if err := os.MkdirAll(filepath.Join(root, level), 0o700); err != nil {
			t.Fatal(err)
		}
		for _, f := range []string{"cgroup.subtree_control", "cpu.max", "memory.max", "memory.swap.max", "cgroup.procs"} {
			if err := os.WriteFile(filepath.Join(root, level, f), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	return &hierarchies{unified: root, mounts: map[string]string{"unified": root}}
}

func TestVersionTwoLimitsTheGroupAndKeepsProcessesInALeaf(t *testing.T) {
	const group = "/spillway-x/m1"
	h := fakeUnified(t, group)
	if err := h.ensure(group, 0.25, 256<<20); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{"cpu.max": "25000 100000", "memory.max": "268435456", "memory.swap.max": "0"} {
		if got, err := os.ReadFile(filepath.Join(h.unified, group, file)); string(got) != want || err != nil {
			t.Errorf("%s is %q, %v, want %q", file, got, err, want)
		}
	}
	if got := h.procs(group); len(got) != 1 || got[0] != filepath.Join(h.unified, group, "init", "cgroup.procs") {
		t.Errorf("processes go to %q", got)
	}
	if !exists(filepath.Join(h.unified, group, "init")) {
		t.Error("there is no leaf for processes")
	}
}

func TestProcessesOfAGroupAreThoseOfItsTree(t *testing.T) {
	const group = "/spillway-x/m1"
	h := fakeUnified(t, group)
	deep := filepath.Join(h.unified, group, "container")
	if err := os.MkdirAll(deep, 0o700); err != nil {
		t.Fatal(err)
	}
	for dir, text := range map[string]string{filepath.Join(h.unified, group): "7\n", deep: "9\n8\n", h.unified: "1\n"} {
		if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := h.pids(group)
	if err != nil || !slices.Equal(got, []int{7, 8, 9}) {
		t.Errorf("got %v, %v", got, err)
	}
	if none, err := h.pids("/spillway-x/gone"); err != nil || len(none) != 0 {
		t.Errorf("a group that is gone has %v, %v", none, err)
	}
}

func TestAddressesAreDistinctAndComeBackLate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		prefix := netip.MustParsePrefix("10.99.0.0/28")
		n := &network{Prefix: prefix}
		used := map[int]bool{}
		var all []*record
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			count := rapid.IntRange(1, 3).Draw(t, "count")
			got, err := n.addresses(count, all)
			if err != nil {
				if len(all)+count <= 13 {
					t.Fatalf("%d used, %d more: %v", len(all), count, err)
				}
				continue
			}
			for _, index := range got {
				if a := n.at(index).Addr(); used[index] || index < 2 || !prefix.Contains(a) || a == netip.MustParseAddr("10.99.0.15") {
					t.Fatalf("gave %d (%s)", index, a)
				}
				used[index] = true
				all = append(all, &record{Index: index})
			}
			if len(all) > 0 && rapid.Bool().Draw(t, "delete") {
				delete(used, all[0].Index)
				all = all[1:]
			}
		}
	})
}

func TestANetworkThatIsTakenIsNotChosen(t *testing.T) {
	taken := []net.Addr{&net.IPNet{IP: net.ParseIP("10.213.7.1"), Mask: net.CIDRMask(24, 32)}, &net.IPNet{IP: net.ParseIP("::1"), Mask: net.CIDRMask(128, 128)}}
	if !overlaps(netip.MustParsePrefix("10.213.7.0/24"), taken) || overlaps(netip.MustParsePrefix("10.213.8.0/24"), taken) {
		t.Error("what is taken is not told from what is free")
	}
}

func TestOptionsThatCannotWorkAreRefused(t *testing.T) {
	good := Options{Root: "/tmp/x", Init: []string{"i"}}
	offer := cloud.Offering{Type: "t", Zone: "z", CPU: 1, Memory: 1 << 30}
	tests := map[string]struct {
		change func(*Options)
		want   string
	}{
		"no root":        {func(o *Options) { o.Root = "" }, "no root directory"},
		"below run":      {func(o *Options) { o.Root = "/run/x" }, "a /run of its own"},
		"comma":          {func(o *Options) { o.Root = "/tmp/a,b" }, "mount options cannot name it"},
		"long":           {func(o *Options) { o.Root = "/tmp/" + strings.Repeat("x", 80) }, "longer than 62 bytes"},
		"no init":        {func(o *Options) { o.Init = nil }, "no init program"},
		"IPv6":           {func(o *Options) { o.Network = netip.MustParsePrefix("fd00::/64") }, "want IPv4"},
		"tiny network":   {func(o *Options) { o.Network = netip.MustParsePrefix("10.0.0.0/30") }, "at most 28 bits"},
		"no zone":        {func(o *Options) { o.Offerings = []cloud.Offering{{Type: "t"}} }, "without type or zone"},
		"twice":          {func(o *Options) { o.Offerings = []cloud.Offering{offer, offer} }, "twice"},
		"without memory": {func(o *Options) { o.Offerings = []cloud.Offering{{Type: "t", Zone: "z", CPU: 1}} }, "at least 64 MiB"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			o := good
			tt.change(&o)
			if _, err := o.withDefaults(); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

func TestAPromiseNobodyKeepsIsForgotten(t *testing.T) {
	now := time.Unix(1e9, 0)
	d := &Driver{o: Options{Root: t.TempDir(), Now: func() time.Time { return now }}}
	if err := os.MkdirAll(filepath.Join(d.o.Root, "batches"), 0o700); err != nil {
		t.Fatal(err)
	}
	b := batch{Token: "t", Created: now, Zone: "a", Slots: []slot{{ID: "one", Index: 5}, {ID: "two", Index: 6, Deleted: true}}}
	if err := writeJSON(d.batchFile("t"), b); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		pass     time.Duration
		promised int
		known    bool
	}{{0, 1, true}, {promise, 0, true}, {remember, 0, false}} {
		now = now.Add(step.pass)
		all, err := d.survey()
		if err != nil || len(all) != step.promised || exists(d.batchFile("t")) != step.known {
			t.Errorf("after %v: %d promised, %v", step.pass, len(all), err)
		}
	}
}
