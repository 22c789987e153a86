package local

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// pool is where the networks of roots come from that were given none.
var pool = netip.MustParsePrefix("10.213.0.0/16")

const bridge, uplink = "br0", "up0"

func (d *Driver) networkFile() string { return filepath.Join(d.o.Root, "network.json") }

// switchFile pins the switch's network namespace.
func (d *Driver) switchFile() string { return filepath.Join(d.o.Root, "switch") }

// name stands for the root wherever the kernel wants a name.
func (d *Driver) name() string { return "spillway-" + digest(d.o.Root)[:8] }

// hostLink is this computer's end of the cable to the switch.
func (d *Driver) hostLink() string { return "sp" + digest(d.o.Root)[:8] }

func portName(index int) string { return "m" + strconv.Itoa(index) }

// at is the address of an index, with the network's length.
func (n *network) at(index int) netip.Prefix {
	a := n.Prefix.Masked().Addr().As4()
	v := uint32(a[0])<<24 | uint32(a[1])<<16 | uint32(a[2])<<8 | uint32(a[3])
	v += uint32(index)
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)}), n.Prefix.Bits())
}

// size is how many indexes there are; 0, 1 and the last are not machines'.
func (n *network) size() int { return 1 << (32 - n.Prefix.Bits()) }

// addresses chooses count free indexes of n, beginning behind the last one
// given, so that an address comes back as late as possible.
func (n *network) addresses(count int, all []*record) ([]int, error) {
	used := map[int]bool{}
	for _, r := range all {
		used[r.Index] = true
	}
	var chosen []int
	last := n.size() - 2
	for tries := 0; tries < last && len(chosen) < count; tries++ {
		index := max(n.Next, 2)
		n.Next = index + 1
		if n.Next > last {
			n.Next = 2
		}
		if !used[index] {
			used[index] = true
			chosen = append(chosen, index)
		}
	}
	if len(chosen) < count {
		return nil, fmt.Errorf("cannot find %d free addresses in %s", count, n.Prefix)
	}
	return chosen, nil
}

// network returns the root's network. A root without machines has none: it is
// chosen now, and the switch brought up in the same breath, so that the next
// one to choose sees that it is taken. The root is locked.
func (d *Driver) network(ctx context.Context, all []*record) (*network, error) {
	n := &network{}
	err := readJSON(d.networkFile(), n)
	if ignore(err, fs.ErrNotExist) != nil {
		return nil, err
	}
	if _, down := net.InterfaceByName(d.hostLink()); err == nil && (len(all) > 0 || down == nil) {
		if d.o.Network.IsValid() && n.Prefix != d.o.Network.Masked() {
			return nil, fmt.Errorf("cannot use network %s: the machines in %q have %s", d.o.Network, d.o.Root, n.Prefix)
		}
		return n, nil
	}
	return n, choosing(ctx, func() error {
		if err := d.findNetwork(n); err != nil {
			return err
		}
		if err := writeJSON(d.networkFile(), n); err != nil {
			return err
		}
		return d.ensureSwitch(ctx)
	})
}

// findNetwork takes the network that was asked for, or a free /24 of the pool:
// one that no interface of this computer is in.
func (d *Driver) findNetwork(n *network) error {
	taken, err := net.InterfaceAddrs()
	if err != nil {
		return fmt.Errorf("cannot list addresses: %w", err)
	}
	if d.o.Network.IsValid() {
		n.Prefix = d.o.Network.Masked()
		if overlaps(n.Prefix, taken) {
			return fmt.Errorf("cannot use network %s: this computer has an address in it", n.Prefix)
		}
		return nil
	}
	start, _ := strconv.ParseUint(digest(d.o.Root)[:8], 16, 32)
	base := pool.Addr().As4()
	for i := range 256 {
		base[2] = byte(start + uint64(i))
		n.Prefix = netip.PrefixFrom(netip.AddrFrom4(base), 24)
		if !overlaps(n.Prefix, taken) {
			return nil
		}
	}
	return fmt.Errorf("cannot find a free network in %s", pool)
}

func overlaps(p netip.Prefix, taken []net.Addr) bool {
	for _, a := range taken {
		if other, err := netip.ParsePrefix(a.String()); err == nil && other.Overlaps(p) {
			return true
		}
	}
	return false
}

// ensureSwitch makes what is missing of the switch. The root is locked.
func (d *Driver) ensureSwitch(ctx context.Context) error {
	n := &network{}
	if err := readJSON(d.networkFile(), n); err != nil {
		return err
	}
	if err := d.ensureNamespace(ctx); err != nil {
		return err
	}
	if d.inSwitch(ctx, "link", "show", bridge) != nil {
		if err := d.inSwitch(ctx, "link", "add", bridge, "type", "bridge"); err != nil {
			return err
		}
	}
	if _, err := net.InterfaceByName(d.hostLink()); err != nil {
		err := run(ctx, "", "ip", "link", "add", d.hostLink(), "type", "veth", "peer", "name", uplink, "netns", d.switchFile())
		if err != nil {
			return err
		}
	}
	inside := fmt.Sprintf("link set %s up\nlink set %s master %s\nlink set %s up\n", bridge, uplink, bridge, uplink)
	if err := run(ctx, inside, "nsenter", "--net="+d.switchFile(), "ip", "-batch", "-"); err != nil {
		return err
	}
	outside := fmt.Sprintf("addr replace %s dev %s\nlink set %s up\n", n.at(1), d.hostLink(), d.hostLink())
	return run(ctx, outside, "ip", "-batch", "-")
}

// ensureNamespace makes the switch's namespace and pins it by a mount.
func (d *Driver) ensureNamespace(ctx context.Context) error {
	path := d.switchFile()
	if isNamespace(path) {
		return nil
	}
	f, err := os.OpenFile(path, os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	f.Close()
	return run(ctx, "", "unshare", "--net="+path, "true")
}

// isNamespace reports whether a namespace is mounted on path.
func isNamespace(path string) bool {
	var s unix.Statfs_t
	return unix.Statfs(path, &s) == nil && s.Type == unix.NSFS_MAGIC
}

// ensureLink plugs a machine into the switch. With fresh, the machine was just
// started and what is in its port belongs to its former life.
func (d *Driver) ensureLink(ctx context.Context, r *record, pid int, fresh bool) error {
	port := portName(r.Index)
	if fresh {
		if err := d.unplug(ctx, port); err != nil {
			return err
		}
	} else if d.inSwitch(ctx, "link", "show", port) == nil {
		return d.inSwitch(ctx, "link", "set", port, "master", bridge, "up")
	}
	// An address that is used again keeps its hardware address too, so that
	// nobody's neighbour table is wrong.
	a := r.Address.Addr().As4()
	mac := net.HardwareAddr{0x02, 0x73, a[0], a[1], a[2], a[3]}
	err := d.inSwitch(ctx, "link", "add", port, "type", "veth", "peer", "name", Device,
		"address", mac.String(), "netns", strconv.Itoa(pid))
	if err != nil {
		return err
	}
	return d.inSwitch(ctx, "link", "set", port, "master", bridge, "up")
}

// unplug takes a machine's cable out of the switch. It is usually gone with
// its other end, which the kernel may be about to see.
func (d *Driver) unplug(ctx context.Context, port string) error {
	if d.inSwitch(ctx, "link", "show", port) != nil {
		return nil
	}
	err := d.inSwitch(ctx, "link", "del", port)
	if err != nil && d.inSwitch(ctx, "link", "show", port) != nil {
		return nil
	}
	return err
}

// inSwitch runs ip in the switch's namespace.
func (d *Driver) inSwitch(ctx context.Context, args ...string) error {
	return run(ctx, "", "nsenter", append([]string{"--net=" + d.switchFile(), "ip"}, args...)...)
}

// removeSwitch takes the switch away. The root is locked.
func (d *Driver) removeSwitch(ctx context.Context) error {
	if _, err := net.InterfaceByName(d.hostLink()); err == nil {
		if err := run(ctx, "", "ip", "link", "del", d.hostLink()); err != nil {
			return err
		}
	}
	if isNamespace(d.switchFile()) {
		if err := unix.Unmount(d.switchFile(), unix.MNT_DETACH); err != nil {
			return fmt.Errorf("cannot unmount %q: %w", d.switchFile(), err)
		}
	}
	return ignore(os.Remove(d.switchFile()), fs.ErrNotExist)
}

// run executes a program and returns what it complained about.
func run(ctx context.Context, input, program string, args ...string) error {
	path, err := lookup(program)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("cannot run %s %s: %w: %s", program, strings.Join(args, " "), err, bytes.TrimSpace(out))
	}
	return nil
}

// lookup finds a program, also where Debian keeps those of root.
func lookup(program string) (path string, err error) {
	for _, dir := range []string{"", "/usr/sbin/", "/sbin/"} {
		if path, err = exec.LookPath(dir + program); err == nil {
			return path, nil
		}
		if strings.Contains(program, "/") {
			break
		}
	}
	return "", fmt.Errorf("cannot find program %q: install it", program)
}
