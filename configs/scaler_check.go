package configs

import (
	"fmt"
	"net/netip"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Validate checks a configuration that was built or changed in Go; one from
// LoadScaler is valid. The error is of type Errors.
func (s *Scaler) Validate() error {
	k := scalerChecker{judge{book: &s.book}, s}
	k.values(reflect.ValueOf(s).Elem(), rules{}, "")
	k.all()
	if len(k.errs) > 0 {
		return k.errs.ordered()
	}
	return nil
}

// scalerChecker judges the configuration of a scaler.
type scalerChecker struct {
	judge
	s *Scaler
}

func (k *scalerChecker) all() {
	k.name("cluster", k.s.Cluster)
	k.servers()
	k.tokens()
	k.consul()
	for _, name := range k.s.ProviderNames() {
		p := k.s.Providers[name]
		k.provider(join("providers", name), name, &p)
	}
	k.profiles()
	for _, name := range k.s.MachinesNames() {
		m := k.s.Machines[name]
		k.machines(join("machines", name), name, &m)
	}
	if len(k.s.Apps) == 0 {
		k.fail("apps", "no app", "at least one", "")
	}
	for _, name := range k.s.AppNames() {
		a := k.s.Apps[name]
		k.app(join("apps", name), name, &a)
	}
	k.services()
}

const allowedName = "lower-case letters, digits and dashes, at most 40, a letter first"

// name checks what becomes part of host names, tags and keys.
func (k *scalerChecker) name(path, name string) {
	ok := name != "" && len(name) <= 40 && name[0] >= 'a' && name[0] <= 'z'
	for _, r := range name {
		ok = ok && (r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-')
	}
	if !ok {
		k.fail(path, fmt.Sprintf("name %q", name), allowedName, "")
	}
}

func (k *scalerChecker) servers() {
	for _, x := range [][2]string{{"api.listen", k.s.API.Listen}, {"join.listen", k.s.Join.Listen}} {
		if x[1] != "" {
			k.listenAddress(x[0], x[1])
		}
	}
	for _, x := range [][2]string{
		{"api.advertise", k.s.API.Advertise},
		{"join.advertise", k.s.Join.Advertise},
		{"prometheus.url", k.s.Prometheus.URL},
	} {
		if x[1] != "" {
			k.url(x[0], x[1])
		}
	}
	if (k.s.Join.CAFile == "") != (k.s.Join.CAKeyFile == "") {
		k.fail("join.ca_file", "ca_file or ca_key_file alone", "both or none", "")
	}
	k.required("state_dir", k.s.StateDir, "a directory")
}

func (k *scalerChecker) url(path, text string) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil {
		k.fail(path, strconv.Quote(text), "a URL such as http://10.0.0.5:9911", "")
	}
}

func (k *scalerChecker) tokens() {
	s := k.s
	k.exclusive("api.token", "api.token_file", s.API.Token != "" && s.API.TokenFile != "")
	k.exclusive("consul.token", "consul.token_file", s.Consul.Token != "" && s.Consul.TokenFile != "")
	k.exclusive("gateways.token", "gateways.token_file", s.Gateways.Token != "" && s.Gateways.TokenFile != "")
	k.exclusive("prometheus.token", "prometheus.token_file", s.Prometheus.Token != "" && s.Prometheus.TokenFile != "")
}

func (k *scalerChecker) consul() {
	c := &k.s.Consul
	k.consulAddress("consul.address", c.Address)
	k.certificate("consul.tls", c.TLS.CertFile, c.TLS.KeyFile)
	if c.Prefix == "" || strings.HasPrefix(c.Prefix, "/") || !strings.HasSuffix(c.Prefix, "/") || strings.Contains(c.Prefix, "//") {
		k.fail("consul.prefix", strconv.Quote(c.Prefix), "a prefix such as spillway/scaler/", strings.Trim(c.Prefix, "/")+"/")
	}
	k.required("gateways.service", k.s.Gateways.Service, "the name of a service")
	if t := &k.s.Timings; t.RetryMin > t.RetryMax {
		k.fail("timings.retry_min", formatDuration(t.RetryMin), "at most retry_max", "")
	}
	if t := &k.s.Timings; t.OfferingBackoff > t.OfferingBackoffMax {
		k.fail("timings.offering_backoff", formatDuration(t.OfferingBackoff), "at most offering_backoff_max", "")
	}
}

func (k *scalerChecker) provider(path, name string, p *ScalerProvider) {
	k.name(path, name)
	k.unusedKeys(path, p)
	switch p.Driver {
	case "":
		k.fail(path+".driver", "nothing", "static, local, sim, exec, ec2, aliyun, openstack, hetzner", "")
	case "static":
		if len(p.Hosts) == 0 {
			k.fail(path+".hosts", "no host", "at least one", "")
		}
	case "local":
		k.subnet(path+".subnet", p.Subnet)
		k.offerings(path+".offerings", p.Offerings)
	case "sim":
		k.offerings(path+".offerings", p.Offerings)
	case "exec":
		if len(p.Command) == 0 {
			k.fail(path+".command", "nothing", "a program and its arguments", "")
		}
	case "ec2":
		k.kinds(path+".offerings", p.Offerings)
		k.ec2(path+".ec2", &p.EC2)
	case "aliyun":
		k.kinds(path+".offerings", p.Offerings)
		k.aliyun(path+".aliyun", &p.Aliyun)
	case "openstack":
		k.kinds(path+".offerings", p.Offerings)
		k.openstack(path+".openstack", &p.OpenStack)
	case "hetzner":
		k.kinds(path+".offerings", p.Offerings)
		k.hetzner(path+".hetzner", &p.Hetzner)
	}
	for i := range p.Hosts {
		k.host(item(path+".hosts", i), &p.Hosts[i])
	}
}

// unusedKeys reports keys that mean nothing to the driver.
func (k *scalerChecker) unusedKeys(path string, p *ScalerProvider) {
	keys := []struct {
		name    string
		given   bool
		drivers []string
	}{
		{"hosts", len(p.Hosts) > 0, []string{"static"}},
		{"offerings", len(p.Offerings) > 0, []string{"local", "sim", "ec2", "aliyun", "openstack", "hetzner"}},
		{"ec2", p.EC2.Region != "", []string{"ec2"}},
		{"aliyun", p.Aliyun.Region != "", []string{"aliyun"}},
		{"openstack", p.OpenStack.Image != "", []string{"openstack"}},
		{"hetzner", p.Hetzner.Image != "", []string{"hetzner"}},
		{"command", len(p.Command) > 0, []string{"exec"}},
		{"env", len(p.Env) > 0, []string{"exec"}},
		{"dockerd", p.Dockerd != "", []string{"local"}},
		{"dir", p.Dir != "", []string{"local"}},
	}
	for _, key := range keys {
		if p.Driver != "" && key.given && !slices.Contains(key.drivers, p.Driver) {
			k.fail(path+"."+key.name, key.name+" with driver "+p.Driver, key.name+" with driver "+strings.Join(key.drivers, ", "), "")
		}
	}
}

func (k *scalerChecker) subnet(path, text string) {
	p, err := netip.ParsePrefix(text)
	if err != nil || !p.Addr().Is4() || p.Bits() > 28 {
		k.fail(path, strconv.Quote(text), "an IPv4 network of at least /28, such as 10.213.0.0/16", "")
	}
}

func (k *scalerChecker) offerings(path string, list []ScalerOffering) {
	k.kinds(path, list)
	for i, o := range list {
		if o.CPU == 0 || o.Memory == 0 {
			k.fail(item(path, i), "no cpu or no memory", "cpu and memory above 0", "")
		}
	}
}

// kinds checks that each kind of machine is there once.
func (k *scalerChecker) kinds(path string, list []ScalerOffering) {
	if len(list) == 0 {
		k.fail(path, "no offering", "at least one, such as {type: small, cpu: 1, memory: 1GiB}", "")
	}
	seen := map[string]bool{}
	for i, o := range list {
		sub := item(path, i)
		k.required(sub+".type", o.Type, "the name of a kind of machine")
		key := fmt.Sprint(o.Type, o.Spot)
		if seen[key] && o.Type != "" {
			k.fail(sub+".type", fmt.Sprintf("%q twice", o.Type), "each kind once", "")
		}
		seen[key] = true
	}
}

func (k *scalerChecker) host(path string, h *ScalerHost) {
	scheme, rest, _ := strings.Cut(h.Engine, "://")
	if scheme != "tcp" && scheme != "unix" || rest == "" {
		k.fail(path+".engine", strconv.Quote(h.Engine), "tcp://IP:2376 or unix:///path", "")
	}
	k.certificate(path, h.CertFile, h.KeyFile)
	if h.Address != "" {
		if _, err := netip.ParseAddr(h.Address); err != nil {
			k.fail(path+".address", strconv.Quote(h.Address), "an IP address", "")
		}
	}
	if h.CPU == 0 || h.Memory == 0 {
		k.fail(path, "no cpu or no memory", "cpu and memory above 0", "")
	}
}
