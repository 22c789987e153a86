package configs

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// profiles checks that every base exists and that none is its own ancestor.
func (k *scalerChecker) profiles() {
	names := slices.Sorted(maps.Keys(k.s.Profiles))
	for _, name := range names {
		path, p := join("profiles", name), k.s.Profiles[name]
		k.name(path, name)
		k.known(path+".base", p.Base, "profile", names, true)
		if k.circular(name) {
			k.fail(path+".base", fmt.Sprintf("%q, whose base leads back here", p.Base), "a profile that does not build on this one", "")
		}
		if p.DockerOptions != "" && !isObject(p.DockerOptions) {
			k.fail(path+".docker_options", "no JSON object", `an object such as '{"live-restore": true}'`, "")
		}
		for i, f := range p.Files {
			k.file(item(path+".files", i), f)
		}
	}
}

func (k *scalerChecker) circular(name string) bool {
	seen := map[string]bool{}
	for at := name; at != ""; at = k.s.Profiles[at].Base {
		if seen[at] {
			return at == name
		}
		seen[at] = true
	}
	return false
}

func isObject(text string) bool {
	var object map[string]any
	return json.Unmarshal([]byte(text), &object) == nil && object != nil
}

func (k *scalerChecker) file(path string, f ScalerFile) {
	if !strings.HasPrefix(f.Path, "/") {
		k.fail(path+".path", strconv.Quote(f.Path), "an absolute path", "")
	}
	if _, err := strconv.ParseUint(f.Mode, 8, 12); err != nil {
		k.fail(path+".mode", strconv.Quote(f.Mode), "octal permissions such as 0644", "")
	}
}

// known checks a reference to something declared under a name.
func (k *scalerChecker) known(path, name, what string, names []string, optional bool) {
	if name == "" && optional || slices.Contains(names, name) {
		return
	}
	found := fmt.Sprintf("unknown %s %q", what, name)
	if name == "" {
		found = "nothing"
	}
	allowed := strings.Join(names, ", ")
	if allowed == "" {
		allowed = "a " + what + " of this file (there is none)"
	}
	k.fail(path, found, allowed, nearest(name, names))
}

func (k *scalerChecker) machines(path, name string, m *ScalerMachines) {
	k.name(path, name)
	if len(m.Providers) == 0 {
		k.fail(path+".providers", "nothing", "at least one of "+strings.Join(k.s.ProviderNames(), ", "), "")
	}
	for i, p := range m.Providers {
		k.known(item(path+".providers", i), p, "provider", k.s.ProviderNames(), false)
	}
	k.known(path+".profile", m.Profile, "profile", slices.Sorted(maps.Keys(k.s.Profiles)), true)
	if m.Min > m.Max {
		k.fail(path+".min", strconv.Itoa(m.Min), "at most max", "")
	}
	if m.PortFrom > m.PortTo {
		k.fail(path+".port_from", strconv.Itoa(m.PortFrom), "at most port_to", "")
	}
}

func (k *scalerChecker) app(path, name string, a *ScalerApp) {
	k.name(path, name)
	if !validUpstreamName(a.Upstream) {
		k.fail(path+".upstream", strconv.Quote(a.Upstream), "letters, digits, dots, dashes and underscores, at most 128", "")
	}
	if a.Key != "" && a.Source != SourceKV {
		k.fail(path+".key", "key with source "+a.Source, "key with source kv", "")
	}
	if a.Key != "" && strings.HasPrefix(a.Key, "/") {
		k.fail(path+".key", strconv.Quote(a.Key), `a prefix such as "upstreams/web/"`, strings.TrimLeft(a.Key, "/"))
	}
	k.queries(path, a)
	k.container(path+".container", &a.Container)
	k.policy(path+".policy", &a.Policy)
	k.pools(path, a)
	if a.Units == 0 {
		k.fail(path+".units", "0 units and no cpu", "units or container.cpu above 0", "")
	}
}

func (k *scalerChecker) queries(path string, a *ScalerApp) {
	given := a.Queries.Arrivals != "" || a.Queries.InFlight != "" || a.Queries.P95 != ""
	if a.Signal != SignalPrometheus {
		if given {
			k.fail(path+".queries", "queries with signal "+a.Signal, "queries with signal prometheus", "")
		}
		return
	}
	k.required(path+".queries.arrivals", a.Queries.Arrivals, "a query in PromQL")
	k.required(path+".queries.in_flight", a.Queries.InFlight, "a query in PromQL")
	k.required(path+".queries.p95", a.Queries.P95, "a query in PromQL")
	k.required("prometheus.url", k.s.Prometheus.URL, "the URL of the server that "+path+" asks")
}

func (k *scalerChecker) container(path string, c *ScalerContainer) {
	k.required(path+".image", c.Image, "the name of an image")
	if len(c.Ports) == 0 {
		k.fail(path+".ports", "no port", "at least the one that serves", "")
	}
	seen := map[int]bool{}
	for i, p := range c.Ports {
		sub := item(path+".ports", i) + ".container"
		if p.Container == 0 {
			k.fail(sub, "nothing", "a port from 1 to 65535", "")
		} else if seen[p.Container] {
			k.fail(sub, fmt.Sprintf("%d twice", p.Container), "each port once", "")
		}
		seen[p.Container] = true
	}
	if c.Network == "" || c.Network == "none" && len(c.Ports) > 0 {
		k.fail(path+".network", strconv.Quote(c.Network), "bridge, host or the name of a network: ports are served", "")
	}
	if p := c.Check.HTTP; p != "" && !strings.HasPrefix(p, "/") {
		k.fail(path+".check.http", strconv.Quote(p), "a path", "/"+p)
	}
}

// policy checks what keeps the rules from contradicting each other; package
// policy checks the schedules' texts.
func (k *scalerChecker) policy(path string, p *ScalerPolicy) {
	if p.Min > p.Max {
		k.fail(path+".min", formatFloat(p.Min), "at most max, which is "+formatFloat(p.Max), "")
	}
	if p.Max <= 0 {
		k.fail(path+".max", formatFloat(p.Max), "a number above 0", "")
	}
	if p.PanicRatio > 0 && p.PanicRatio < 1.1 {
		k.fail(path+".panic_ratio", formatFloat(p.PanicRatio), "0 or at least 1.1", "")
	}
	if p.Fast > p.Slow {
		k.fail(path+".fast", formatDuration(p.Fast), "at most slow", "")
	}
	if p.SeasonDays > 0 && p.SeasonMin > p.SeasonDays {
		k.fail(path+".season_min", strconv.Itoa(p.SeasonMin), "at most season_days", "")
	}
	k.step(path+".step_up", p.StepUp)
	k.step(path+".step_down", p.StepDown)
	for i, s := range p.Schedules {
		sub := item(path+".schedules", i)
		k.required(sub+".cron", s.Cron, `when it begins, such as "30 19 * * fri"`)
		if s.Duration < time.Minute || s.Duration > 31*24*time.Hour {
			k.fail(sub+".duration", formatDuration(s.Duration), "from 1m to 744h", "")
		}
	}
}

func (k *scalerChecker) step(path string, s ScalerStep) {
	if s.Share == 0 && s.Units == 0 {
		k.fail(path, "neither share nor units", "one of them above 0", "")
	}
}

func formatFloat(x float64) string { return strconv.FormatFloat(x, 'f', -1, 64) }

func (k *scalerChecker) pools(path string, a *ScalerApp) {
	if len(a.Pools) == 0 {
		k.fail(path+".pools", "no pool", "at least one of "+strings.Join(k.s.MachinesNames(), ", "), "")
	}
	seen := map[string]bool{}
	for i, p := range a.Pools {
		sub := item(path+".pools", i)
		k.known(sub+".machines", p.Machines, "pool of machines", k.s.MachinesNames(), false)
		if p.Name != "" {
			k.name(sub+".name", p.Name)
		}
		if seen[p.Name] {
			k.fail(sub+".name", fmt.Sprintf("%q twice", p.Name), "each name once", "")
		}
		seen[p.Name] = true
		if p.Max > 0 && p.Min > p.Max {
			k.fail(sub+".min", strconv.Itoa(p.Min), "at most max", "")
		}
	}
}

// services checks that no two apps share a service, a key or an upstream: each
// would take the other's instances for its own.
func (k *scalerChecker) services() {
	owner := map[string]string{}
	for _, name := range k.s.AppNames() {
		a := k.s.Apps[name]
		uses := map[string]string{"upstream": a.Upstream, "service": a.Service}
		if a.Source == SourceKV {
			uses = map[string]string{"upstream": a.Upstream, "key": a.Key}
		}
		for _, key := range slices.Sorted(maps.Keys(uses)) {
			id := key + " " + uses[key]
			if first, taken := owner[id]; taken {
				k.fail(join("apps", name)+"."+key, strconv.Quote(uses[key]), "one of its own (app "+first+" has this one)", "")
			}
			owner[id] = name
		}
	}
}
