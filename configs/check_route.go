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
	}
	k.unused()
}

func (k *checker) routeHost(path, host string) {
	name := strings.TrimPrefix(host, "*.")
	if host == "" || validHostname(name) || isHostAddr(host) {
		return
	}
	hint := ""
	if bare, _, ok := splitServerAddr(name); ok && validHostname(bare) {
		hint = strings.TrimSuffix(host, name) + bare
	}
	k.fail(path, strconv.Quote(host), "a host such as api.example.com, *.example.com, or nothing for any", hint)
}

// isHostAddr accepts an IPv4 address, and an IPv6 address in brackets.
func isHostAddr(host string) bool {
	inner, bracket := strings.CutPrefix(host, "[")
	if bracket {
		inner = strings.TrimSuffix(inner, "]")
	}
	a, err := netip.ParseAddr(inner)
	return err == nil && a.Zone() == "" && a.Is6() == bracket
}

func (k *checker) routePath(path string, r *Route) {
	const allowed = "a path that begins with /, in visible ASCII, without query and dot segments"
	if r.Path == "" {
		if r.PathExact {
			k.fail(path+".path_exact", "path_exact without path", "both or none", "")
		}
		return
	}
	bad := strings.ContainsFunc(r.Path, func(c rune) bool { return c <= ' ' || c >= 0x7f || c == '?' || c == '#' })
	switch {
	case r.Path[0] != '/':
		k.fail(path+".path", strconv.Quote(r.Path), allowed, "/"+strings.TrimLeft(r.Path, "*^~ "))
	case bad || hasDotSegment(r.Path, r.PathExact):
		k.fail(path+".path", strconv.Quote(r.Path), allowed, "")
	}
}

// hasDotSegment reports "." and "..", also percent-encoded. As a prefix, "/."
// may be the start of "/.well-known": the last segment is not whole then.
func hasDotSegment(path string, exact bool) bool {
	segments := strings.Split(strings.ReplaceAll(strings.ToLower(path), "%2e", "."), "/")
	if !exact {
		segments = segments[:len(segments)-1]
	}
	return slices.Contains(segments, ".") || slices.Contains(segments, "..")
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
	if rest := strings.ReplaceAll(r.Upstream, hostCapture, ""); rest != "" && !validUpstreamName(rest) {
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
