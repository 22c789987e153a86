package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	"spillway/configs"
	"spillway/scaler/cloud"
	"spillway/scaler/cloud/exec"
	"spillway/scaler/cloud/local"
	"spillway/scaler/cloud/sim"
	"spillway/scaler/cloud/static"
	"spillway/scaler/docker"
	"spillway/scaler/fleet"
	"spillway/scaler/hostinit/join"
)

// paceWait is how long a call waits for its turn under a provider's limits.
const paceWait = 20 * time.Second

// providers are the drivers by name: wrapped, as the controller uses them, and
// bare those of which more is wanted than a driver does.
type providers struct {
	clouds map[string]cloud.Driver
	owned  map[string]*static.Driver
	local  map[string]*local.Driver
}

// scalerClouds makes the providers, each behind the standard wrappers.
func scalerClouds(ctx context.Context, c *configs.Scaler, audit func(line []byte), count func(provider, op, kind string, took time.Duration)) (*providers, error) {
	all := &providers{map[string]cloud.Driver{}, map[string]*static.Driver{}, map[string]*local.Driver{}}
	for _, name := range slices.Sorted(maps.Keys(c.Providers)) {
		p := c.Providers[name]
		d, err := newDriver(ctx, c, name, &p)
		if err != nil {
			return nil, fmt.Errorf("provider %q: %w", name, err)
		}
		switch bare := d.(type) {
		case *static.Driver:
			all.owned[name] = bare
		case *local.Driver:
			all.local[name] = bare
		}
		all.clouds[name] = cloud.Wrap(d, cloud.Options{
			DryRun: c.DryRun, Audit: audit, MaxWait: paceWait,
			Count: func(op, kind string, took time.Duration) { count(name, op, kind, took) },
		})
	}
	return all, nil
}

// handOut tells the owners of hosts which of them the ledger has in use: their
// own file may be another computer's.
func handOut(ctx context.Context, log *slog.Logger, cluster string, owned map[string]*static.Driver, machines []fleet.Machine) {
	for name, d := range owned {
		var used []cloud.Machine
		for _, m := range machines {
			if m.Provider == name {
				used = append(used, cloud.Machine{ID: m.CloudID, Name: m.ID, Created: m.Billed, Tags: map[string]string{
					cloud.TagCluster: cluster, cloud.TagPool: m.Pool, cloud.TagOrder: m.Order, cloud.TagProfile: m.Profile,
				}})
			}
		}
		if err := d.Adopt(ctx, used); err != nil {
			log.Warn("cannot mark hosts as in use", "provider", name, "error", err)
		}
	}
}

func newDriver(ctx context.Context, c *configs.Scaler, name string, p *configs.ScalerProvider) (cloud.Driver, error) {
	switch p.Driver {
	case "static":
		return static.New(static.Options{Name: name, Hosts: staticHosts(p), File: filepath.Join(c.StateDir, "static-"+name+".json")})
	case "local":
		return newLocal(c, name, p)
	case "exec":
		return exec.New(ctx, exec.Options{Command: p.Command, Env: environment(p.Env), Timeout: p.Timeout})
	case "sim":
		return newSim(p), nil
	case "ec2":
		return newEC2(name, p)
	case "aliyun":
		return newAliyun(ctx, c, name, p)
	case "openstack":
		return newOpenStack(name, p)
	case "hetzner":
		return newHetzner(name, p)
	}
	return nil, fmt.Errorf("unknown driver %q", p.Driver)
}

func environment(env map[string]string) (list []string) {
	for _, k := range slices.Sorted(maps.Keys(env)) {
		list = append(list, k+"="+env[k])
	}
	return list
}

func staticHosts(p *configs.ScalerProvider) (hosts []static.Host) {
	for i := range p.Hosts {
		h := &p.Hosts[i]
		hosts = append(hosts, static.Host{
			ID: hostName(h), Address: hostAddress(h), Zone: h.Zone, CPU: h.CPU, Memory: int64(h.Memory), Units: h.Units, Labels: h.Labels,
		})
	}
	return hosts
}

// hostAddress is where gateways reach a host's containers.
func hostAddress(h *configs.ScalerHost) string {
	if h.Address != "" {
		return h.Address
	}
	if at, err := netip.ParseAddrPort(trimScheme(h.Engine)); err == nil {
		return at.Addr().String()
	}
	return "127.0.0.1"
}

func hostName(h *configs.ScalerHost) string { return cmp.Or(h.Name, hostAddress(h)) }

func trimScheme(engine string) string {
	const tcp = "tcp://"
	if len(engine) > len(tcp) && engine[:len(tcp)] == tcp {
		return engine[len(tcp):]
	}
	return engine
}

func newLocal(c *configs.Scaler, name string, p *configs.ScalerProvider) (cloud.Driver, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("cannot find this program: %w", err)
	}
	o := local.Options{
		Root: cmp.Or(p.Dir, filepath.Join(c.StateDir, "local", name)), Offerings: offerings(p), Stock: map[string]int{},
		Init: []string{self, "machine-init"}, Dockerd: p.Dockerd,
	}
	// A network of /16 is where the driver looks for a free /24 by itself.
	if network, err := netip.ParsePrefix(p.Subnet); err == nil && network.Bits() > 16 {
		o.Network = network
	}
	for _, k := range p.Offerings {
		for _, zone := range k.Zones {
			if k.Stock > 0 {
				o.Stock[k.Type+"/"+zone] = k.Stock
			}
		}
	}
	return local.New(o)
}

// offerings are the kinds of machines of the file, one for each zone.
func offerings(p *configs.ScalerProvider) (all []cloud.Offering) {
	for _, k := range p.Offerings {
		for _, zone := range k.Zones {
			all = append(all, cloud.Offering{
				Type: k.Type, Zone: zone, CPU: k.CPU, Memory: int64(k.Memory), Units: cmp.Or(k.Units, k.CPU), MaxPPS: k.MaxPPS,
				Arch: "amd64", PriceHour: k.PriceHour, Quantum: k.Quantum, Spot: k.Spot, Available: true,
			})
		}
	}
	return all
}

// newSim is a cloud that only pretends: for dry runs and drills of the file.
func newSim(p *configs.ScalerProvider) cloud.Driver {
	like := sim.OpenStack()
	switch p.Limits {
	case "ec2":
		like = sim.EC2()
	case "aliyun":
		like = sim.Aliyun()
	default:
		like.Limits = nil
	}
	if len(p.Offerings) > 0 {
		like.Offerings = offerings(p)
	}
	return sim.New(like, sim.Options{Clock: cloud.SystemClock(), Seed: uint64(p.Seed)})
}

// engineBook knows how each machine's engine is reached.
type engineBook struct {
	owned map[string]docker.Engine // by provider/host
	// sockets find the engines of local machines that do not run our init.
	sockets   map[string]func(id string) string // by provider
	ca        []byte
	cert, key []byte
}

// enginePort is where machines that ran our init answer.
const enginePort = "2376"

func newEngineBook(c *configs.Scaler, ca *join.CA, machines map[string]*local.Driver) (*engineBook, error) {
	b := &engineBook{owned: map[string]docker.Engine{}, sockets: map[string]func(string) string{}}
	for name, d := range machines {
		if ca == nil {
			b.sockets[name] = d.Socket
		}
	}
	for name, p := range c.Providers {
		for i := range p.Hosts {
			e, err := hostEngine(&p.Hosts[i])
			if err != nil {
				return nil, fmt.Errorf("provider %q: %w", name, err)
			}
			b.owned[name+"/"+hostName(&p.Hosts[i])] = e
		}
	}
	if ca == nil {
		return b, nil
	}
	var err error
	b.ca = ca.PEM()
	b.cert, b.key, err = ca.Client("spillway-scaler")
	return b, err
}

func hostEngine(h *configs.ScalerHost) (e docker.Engine, err error) {
	e.Host = h.Engine
	for _, f := range []struct {
		path string
		into *[]byte
	}{{h.CAFile, &e.CA}, {h.CertFile, &e.Cert}, {h.KeyFile, &e.Key}} {
		if f.path == "" {
			continue
		}
		if *f.into, err = os.ReadFile(f.path); err != nil {
			return e, fmt.Errorf("cannot read the certificates of host %q: %w", hostName(h), err)
		}
	}
	return e, nil
}

// of is the engine of a machine.
func (b *engineBook) of(m fleet.Machine) docker.Engine {
	if e, ok := b.owned[m.Provider+"/"+m.CloudID]; ok {
		e.ID = m.ID
		return e
	}
	if socket := b.sockets[m.Provider]; socket != nil {
		return docker.Engine{ID: m.ID, Host: "unix://" + socket(m.CloudID)}
	}
	return docker.Engine{ID: m.ID, Host: "tcp://" + m.Address + ":" + enginePort, CA: b.ca, Cert: b.cert, Key: b.key}
}
