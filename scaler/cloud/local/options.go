package local

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"spillway/scaler/cloud"
)

// Options of a Driver.
type Options struct {
	// Root is the directory of everything. Its filesystem must carry overlayfs
	// (ext4, xfs); not below /run, which every machine has for itself. Drivers
	// of one root see the same machines, also from several processes.
	Root string
	// Network is the machines' network; its first address is this computer's.
	// Zero: a free /24 of 10.213.0.0/16, kept as long as there are machines.
	Network netip.Prefix
	// Offerings are the kinds of machines, one for each type and zone.
	// Available and Reason are filled in by the driver, and Arch if empty.
	Offerings []cloud.Offering
	// Stock is how many machines may run in a zone (key "ZONE") or of an
	// offering ("TYPE/ZONE"); what is not named has no limit but Machines.
	Stock map[string]int
	// Machines is the quota in all, stopped ones included. Default 64.
	Machines int
	// MaxBatch is the most machines of one Create. Default 10.
	MaxBatch int
	// Init is the machine's first program and its arguments; the machine's
	// directory is appended. It must call Enter before anything else.
	Init []string
	// Dockerd is the engine's program. Default "dockerd".
	Dockerd string
	// Now is the clock. Default time.Now.
	Now func() time.Time
}

const (
	defaultMachines = 64
	defaultBatch    = 10
	userDataMax     = 64 << 10
	// maxRoot leaves room for /machines/local-0123456789ab/run/docker.sock in
	// the 108 bytes of a socket's name.
	maxRoot = 107 - 45
	// remember is how long a token is known after its Create.
	remember = 24 * time.Hour
	// promise is how long a machine that a Create chose and did not make holds
	// stock, quota and its address.
	promise = time.Minute
)

// withDefaults returns o completed, or what is wrong with it.
func (o Options) withDefaults() (Options, error) {
	root, err := filepath.Abs(o.Root)
	switch {
	case o.Root == "" || err != nil:
		return o, errors.New("cannot keep machines: no root directory given")
	case strings.HasPrefix(root+"/", "/run/") || strings.HasPrefix(root+"/", "/var/run/"):
		return o, fmt.Errorf("cannot keep machines in %q: every machine has a /run of its own", root)
	case strings.ContainsAny(root, ":,\\ \n"):
		return o, fmt.Errorf("cannot keep machines in %q: mount options cannot name it", root)
	case len(root) > maxRoot:
		return o, fmt.Errorf("cannot keep machines in %q: longer than %d bytes, sockets below it would have no name", root, maxRoot)
	case len(o.Init) == 0:
		return o, errors.New("cannot start machines: no init program given")
	case o.Network.IsValid() && (!o.Network.Addr().Is4() || o.Network.Bits() > 28):
		return o, fmt.Errorf("cannot use network %s: want IPv4 and a prefix of at most 28 bits", o.Network)
	}
	o.Root = root
	if o.Machines == 0 {
		o.Machines = defaultMachines
	}
	if o.MaxBatch == 0 {
		o.MaxBatch = defaultBatch
	}
	if o.Dockerd == "" {
		o.Dockerd = "dockerd"
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	o.Offerings = slices.Clone(o.Offerings)
	for i := range o.Offerings {
		if o.Offerings[i].Arch == "" {
			o.Offerings[i].Arch = runtime.GOARCH
		}
	}
	return o, o.checkOfferings()
}

func (o *Options) checkOfferings() error {
	seen := map[[2]string]bool{}
	for _, f := range o.Offerings {
		key := [2]string{f.Type, f.Zone}
		switch {
		case f.Type == "" || f.Zone == "":
			return errors.New("cannot offer a machine without type or zone")
		case seen[key]:
			return fmt.Errorf("cannot offer %s in %s twice", f.Type, f.Zone)
		case f.CPU <= 0 || f.Memory < 64<<20:
			return fmt.Errorf("cannot offer %s in %s: it needs CPU and at least 64 MiB", f.Type, f.Zone)
		}
		seen[key] = true
	}
	return nil
}
