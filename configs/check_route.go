package configs

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

func (k *checker) routes() {
	if len(k.c.Routes) == 0 {
		k.fail("routes", "no route", "at least one, such as {upstream: NAME}", "")
	}
	names := map[string]bool{}
	for i := range k.c.Routes {
		r, path := &k.c.Routes[i], item("routes", i)
		k.routeHost(path+".host", r.Host)
		k.routePath(path, r)
		k.routeMethods(path+".methods", r)
		k.routeUpstream(path+".upstream", r)
		if names[r.Name] {
			k.fail(path+".name", fmt.Sprintf("%q twice", r.Name), "each name once", "")
		}
		names[r.Name] = r.Name != ""
		k.shadowed(i)
	}
	k.unused()
}

func (k *checker) routeHost(path, host string) {
	name := strings.TrimPrefix(host, "*.")
	if host == "" || validHostname(name) {
		return
	}
	if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return
	}
	hint := ""
	if bare, _, ok := splitServerAddr(name); ok && validHostname(bare) {
		hint = strings.TrimSuffix(host, name) + bare
	}
	k.fail(path, strconv.Quote(host), "a host such as api.example.com, *.example.com, or nothing for any", hint)
}

func (k *checker) routePath(path string, r *Route) {
	const allowed = "a path that begins with /, without query, space or dot segments"
	if r.Path == "" {
		if r.PathExact {
			k.fail(path+".path_exact", "path_exact without path", "both or none", "")
		}
		return
	}
	bad := strings.ContainsFunc(r.Path, func(c rune) bool { return c <= ' ' || c == 0x7f || c == '?' || c == '#' })
	dots := slices.ContainsFunc(strings.Split(r.Path, "/"), func(s string) bool { return s == "." || s == ".." })
	switch {
	case r.Path[0] != '/':
		k.fail(path+".path", strconv.Quote(r.Path), allowed, "/"+strings.TrimLeft(r.Path, "*^~ "))
	case bad || dots:
		k.fail(path+".path", strconv.Quote(r.Path), allowed, "")
	}
}

func (k *checker) routeMethods(path string, r *Route) {
	known := []string{"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT"}
	for i, m := range r.Methods {
		switch {
		case !isToken(m) || m != strings.ToUpper(m):
			k.fail(item(path, i), strconv.Quote(m), "methods such as "+strings.Join(known, ", "), nearest(m, known))
		case m == "CONNECT" && !r.Connect:
			k.fail(item(path, i), strconv.Quote(m), "CONNECT where connect is true", "")
		}
	}
}

// hostCapture is the only placeholder of Route.Upstream.
const hostCapture = "{host.1}"

func (k *checker) routeUpstream(path string, r *Route) {
	switch {
	case r.Upstream == "":
		k.fail(path, "nothing", "the name of an upstream", "")
	case strings.ContainsAny(r.Upstream, "{}"):
		k.template(path, r)
	default:
		k.knownUpstream(path, r.Upstream)
	}
}

func (k *checker) template(path string, r *Route) {
	if strings.ContainsAny(strings.ReplaceAll(r.Upstream, hostCapture, ""), "{}") {
		k.fail(path, strconv.Quote(r.Upstream), "a name in which "+hostCapture+" is the only placeholder", "")
		return
	}
	if !strings.HasPrefix(r.Host, "*.") {
		k.fail(path, strconv.Quote(r.Upstream), hostCapture+" where host begins with *.", "")
	}
}

// knownUpstream checks a name in full; with discovery any name may appear
// later.
func (k *checker) knownUpstream(path, name string) {
	if _, ok := k.c.Upstreams[name]; ok || k.discovers() {
		return
	}
	names := k.c.UpstreamNames()
	allowed := "no upstream, since none is declared"
	if len(names) > 0 {
		allowed = strings.Join(names[:min(len(names), 20)], ", ")
	}
	if len(names) > 20 {
		allowed += fmt.Sprintf(" and %d more", len(names)-20)
	}
	k.fail(path, fmt.Sprintf("unknown upstream %q", name), allowed, nearest(name, names))
}

func (k *checker) discovers() bool {
	for _, u := range k.c.Upstreams {
		if _, ok := u.Discovers(); ok {
			return true
		}
	}
	return false
}

// shadowed warns of a route that an earlier one leaves nothing to.
func (k *checker) shadowed(i int) {
	r := &k.c.Routes[i]
	// Thousands of routes are generated, not written: nobody reads warnings.
	for j := range min(i, 1000) {
		if k.c.Routes[j].covers(r) {
			k.c.warn(item("routes", i), "route "+r.Name, "it is never reached: "+k.c.Routes[j].Name+" takes all its requests")
			return
		}
	}
}

// covers reports whether every request that o matches also matches r.
func (r *Route) covers(o *Route) bool {
	host := r.Host == "" || r.Host == o.Host || strings.HasPrefix(r.Host, "*.") && strings.HasSuffix(o.Host, r.Host[1:])
	path := r.Path == "" || !r.PathExact && strings.HasPrefix(o.Path, r.Path) || r.Path == o.Path && r.PathExact == o.PathExact
	methods := len(r.Methods) == 0 || len(o.Methods) > 0 && !slices.ContainsFunc(o.Methods, func(m string) bool { return !slices.Contains(r.Methods, m) })
	return host && path && methods && (r.Connect || !o.Connect)
}

// unused warns of upstreams that no route names.
func (k *checker) unused() {
	used := map[string]bool{}
	for _, r := range k.c.Routes {
		if strings.Contains(r.Upstream, "{") {
			return
		}
		used[r.Upstream] = true
	}
	for _, name := range k.c.UpstreamNames() {
		u := k.c.Upstreams[name]
		if _, ok := u.Discovers(); !ok && !used[name] {
			k.c.warn(join("upstreams", name), "upstream "+name, "no route names it")
		}
	}
}
