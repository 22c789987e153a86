package route

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Error is one fault in one rule.
type Error struct {
	Rule  int    // index in the order of the file, from 0
	Key   string // "host", "path", "methods" or "upstream"
	Value string // what was found
	Want  string // what is allowed
}

// Error says all of it: routes[2].host: invalid value "A.example": want ...
func (e *Error) Error() string {
	return fmt.Sprintf("routes[%d].%s: invalid value %q: want %s", e.Rule, e.Key, e.Value, e.Want)
}

// check returns all faults of the rules, joined.
func check(rules []Rule) error {
	var faults []error
	for i := range rules {
		r := &rules[i]
		add := func(key, value, want string) {
			if want != "" {
				faults = append(faults, &Error{i, key, value, want})
			}
		}
		add("host", r.Host, checkHost(r.Host))
		add("path", r.Path, checkPath(r))
		for _, m := range r.Methods {
			add("methods", m, checkMethod(m))
		}
		add("upstream", r.Upstream, checkUpstream(r))
	}
	return errors.Join(faults...)
}

// The functions below return what is wanted instead, "" if the value is good.

func checkHost(host string) string {
	switch {
	case host == "":
		return ""
	case host == "*":
		return "a name, or no host at all to match any"
	case strings.ToLower(host) != host:
		return "lower case, such as " + strings.ToLower(host)
	case host[0] == '[':
		return checkIPv6(host)
	case strings.Contains(host, ":"):
		return "a host without a port"
	}
	name := strings.TrimPrefix(host, "*.")
	switch {
	case strings.Contains(name, "*"):
		return "the star as the first label only, such as *.example.com"
	case strings.HasSuffix(name, "."):
		return "a name without a final dot"
	case len(host) > maxName:
		return "a name of at most 253 bytes"
	}
	for label := range strings.SplitSeq(name, ".") {
		if len(label) == 0 || len(label) > 63 || strings.Trim(label, labelBytes) != "" || label[0] == '-' {
			return "labels of 1 to 63 letters, digits, '-' and '_' (other alphabets as xn--), such as www.example.com or *.example.com"
		}
	}
	return ""
}

const labelBytes = "abcdefghijklmnopqrstuvwxyz0123456789-_"

func checkIPv6(host string) string {
	inner, ok := strings.CutSuffix(host[1:], "]")
	addr, err := netip.ParseAddr(inner)
	switch {
	case !ok || err != nil || !addr.Is6() || addr.Zone() != "":
		return "an IPv6 address in brackets without a port, such as [::1]"
	case addr.String() != inner:
		return "the short form [" + addr.String() + "]"
	}
	return ""
}

func checkPath(r *Rule) string {
	switch {
	case r.Path == "" && r.PathExact:
		return "a path to be exact about, such as /"
	case r.Path == "":
		return ""
	case r.Path[0] != '/':
		return "a path that starts with /"
	case strings.ContainsAny(r.Path, "?#"):
		return "a path without query and fragment"
	case strings.ContainsFunc(r.Path, func(c rune) bool { return c <= ' ' || c >= 0x7f }):
		return "visible ASCII, other bytes percent-encoded as clients send them"
	case hasDotSegment([]byte(r.Path)) && (r.PathExact || !endsInDots(r.Path)):
		return "no . or .. segments: they are removed before matching"
	}
	return ""
}

// endsInDots reports whether only the last segment is a dot segment: as a
// prefix, "/." may still be the start of "/.well-known".
func endsInDots(path string) bool {
	return !hasDotSegment([]byte(path[:strings.LastIndexByte(path, '/')]))
}

func checkMethod(method string) string {
	token := func(c rune) bool {
		return 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.ContainsRune("!#$%&'*+-.^_`|~", c)
	}
	if method == "" || strings.ContainsFunc(method, func(c rune) bool { return !token(c) }) {
		return "upper-case method names, such as GET"
	}
	return ""
}

func checkUpstream(r *Rule) string {
	rest := strings.ReplaceAll(r.Upstream, capture, "")
	switch {
	case r.Upstream == "":
		return "the name of an upstream"
	case strings.ContainsAny(rest, "{}"):
		return "no other braces than " + capture
	case strings.ContainsFunc(rest, func(c rune) bool { return c <= ' ' || c == 0x7f }):
		return "a name without spaces and control characters"
	case rest != r.Upstream && !strings.HasPrefix(r.Host, "*."):
		return capture + " only with a host such as *.example.com"
	}
	return ""
}

// shadowed warns of rules that cannot match. It is certain of what it says,
// but does not see when several rules together cover one.
func (t *Table) shadowed() []string {
	var warnings []string
	for j := range t.rules {
		for _, i := range t.hosts.covering(t.rules[j].Host) {
			if int(i) >= j {
				break
			}
			if covers(&t.rules[i], &t.rules[j]) {
				warnings = append(warnings, fmt.Sprintf("%s can never match: %s takes all its requests", t.label(j), t.label(int(i))))
				break
			}
		}
	}
	return warnings
}

// covering returns the rules that take all of a rule's hosts.
func (h *hosts) covering(host string) []int32 {
	if host == "" {
		return h.any
	}
	if suffix, ok := strings.CutPrefix(host, "*"); ok {
		return h.wild[suffix]
	}
	return h.exact[host]
}

// covers reports whether a takes all paths and methods of b.
func covers(a, b *Rule) bool {
	if a.PathExact && !(b.PathExact && a.Path == b.Path) || !strings.HasPrefix(b.Path, a.Path) {
		return false
	}
	if len(a.Methods) == 0 {
		return true
	}
	return len(b.Methods) > 0 && !slices.ContainsFunc(b.Methods, func(m string) bool { return !slices.Contains(a.Methods, m) })
}

func (t *Table) label(i int) string {
	if name := t.rules[i].Name; name != "" {
		return fmt.Sprintf("routes[%d] (%s)", i, name)
	}
	return fmt.Sprintf("routes[%d]", i)
}
