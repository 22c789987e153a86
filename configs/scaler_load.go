package configs

import (
	"maps"
	"slices"
	"strings"
)

// scalerPrefix begins the variables of the scaler, so that a gateway and a
// scaler can share an environment.
const scalerPrefix = envPrefix + "SCALER_"

// ScalerEnvName is the variable that sets the option of that path:
// SPILLWAY_SCALER_API_LISTEN for api.listen.
func ScalerEnvName(path string) string { return envName(scalerPrefix, path) }

// LoadScaler reads, merges and validates a configuration of the scaler, as
// Load does one of a gateway. Variables begin with SPILLWAY_SCALER_; there are
// no flags but the path of the file.
func LoadScaler(src Source) (*Scaler, error) {
	s := DefaultScaler()
	d := newDecoder(s, &s.book, scalerPrefix)
	if err := d.read(src); err != nil {
		return nil, err
	}
	s.normalize()
	k := scalerChecker{judge{book: &s.book}, s}
	k.all()
	if errs := append(d.errs, k.independent(d.errs)...); len(errs) > 0 {
		return nil, errs.ordered()
	}
	return s, nil
}

// EffectiveScaler writes the whole configuration as YAML that LoadScaler reads
// back to the same, secrets excepted: those are "***". With provenance each
// value carries a comment that says where it comes from.
func EffectiveScaler(s *Scaler, provenance bool) []byte { return effective(s, &s.book, provenance) }

// AppNames are the names of the apps in order.
func (s *Scaler) AppNames() []string { return slices.Sorted(maps.Keys(s.Apps)) }

// MachinesNames are the names of the pools of machines in order.
func (s *Scaler) MachinesNames() []string { return slices.Sorted(maps.Keys(s.Machines)) }

// ProviderNames are the names of the providers in order.
func (s *Scaler) ProviderNames() []string { return slices.Sorted(maps.Keys(s.Providers)) }

// normalize puts in what follows from something else.
func (s *Scaler) normalize() {
	for _, text := range []*string{&s.API.Listen, &s.Join.Listen} {
		if *text == "off" {
			*text = ""
		}
	}
	s.Consul.Prefix = strings.ReplaceAll(s.Consul.Prefix, "{cluster}", s.Cluster)
	for _, x := range []struct {
		section string
		token   *Secret
		file    *string
	}{
		{"api", &s.API.Token, &s.API.TokenFile},
		{"consul", &s.Consul.Token, &s.Consul.TokenFile},
		{"gateways", &s.Gateways.Token, &s.Gateways.TokenFile},
		{"prometheus", &s.Prometheus.Token, &s.Prometheus.TokenFile},
	} {
		s.keepStronger(x.section+".token", x.section+".token_file", (*string)(x.token), x.file)
	}
	for _, name := range s.AppNames() {
		a := s.Apps[name]
		a.normalize(name)
		s.Apps[name] = a
	}
	for name, p := range s.Providers {
		p.normalize(name, s.StateDir)
		s.Providers[name] = p
	}
}

func (a *ScalerApp) normalize(name string) {
	setDefault(&a.Upstream, name)
	setDefault(&a.Service, name)
	if a.Source == SourceKV {
		setDefault(&a.Key, "upstreams/"+a.Upstream+"/")
		if !strings.HasSuffix(a.Key, "/") {
			a.Key += "/"
		}
	}
	if a.Units == 0 {
		a.Units = a.Container.CPU
	}
	for i := range a.Pools {
		setDefault(&a.Pools[i].Name, a.Pools[i].Machines)
	}
	for i := range a.Policy.Schedules {
		setDefault(&a.Policy.Schedules[i].Name, a.Policy.Schedules[i].Cron)
	}
	fill := strings.NewReplacer("{app}", name, "{upstream}", a.Upstream)
	for _, q := range []*string{&a.Queries.Arrivals, &a.Queries.InFlight, &a.Queries.P95, &a.Queries.Errors} {
		*q = fill.Replace(*q)
	}
}

func (p *ScalerProvider) normalize(name, stateDir string) {
	if p.Driver == "local" {
		setDefault(&p.Dir, strings.TrimSuffix(stateDir, "/")+"/local/"+name)
	}
	for i := range p.Hosts {
		h := &p.Hosts[i]
		if h.Units == 0 {
			h.Units = h.CPU
		}
	}
	if p.Driver != "local" && p.Driver != "sim" {
		return // a cloud tells its zones and sizes
	}
	for i := range p.Offerings {
		o := &p.Offerings[i]
		if o.Units == 0 {
			o.Units = o.CPU
		}
		if len(o.Zones) == 0 {
			o.Zones = []string{name}
		}
	}
}

func setDefault(dst *string, value string) {
	if *dst == "" {
		*dst = value
	}
}

// Endpoint is the address of Consul as a URL.
func (c *ScalerConsul) Endpoint() string {
	all := Consul{Address: c.Address, Scheme: c.Scheme, TLS: c.TLS}
	return all.Endpoints()[0]
}
