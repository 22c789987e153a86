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
// Load is valid. The error is of type Errors.
func (c *Config) Validate() error {
	k := checker{c: c}
	k.values(reflect.ValueOf(c).Elem(), rules{}, "")
	k.all()
	if len(k.errs) > 0 {
		return k.errs.ordered()
	}
	return nil
}

// check judges what reading could not: values that depend on each other. It
// leaves out what follows from the mistakes found before.
func (c *Config) check(before Errors) Errors {
	k := checker{c: c}
	k.all()
	return slices.DeleteFunc(k.errs, func(e *Error) bool {
		return slices.ContainsFunc(before, func(b *Error) bool { return follows(e, b, c) })
	})
}

// follows reports whether e may be a consequence of b: it is about the same
// option, or about one that is missing where b found something unreadable.
func follows(e, b *Error, c *Config) bool {
	if b.Key == e.Key {
		return true
	}
	if b.Key == "" {
		_, present := c.origins[e.Key]
		return !present
	}
	rest, under := strings.CutPrefix(e.Key, b.Key)
	return under && (rest[0] == '.' || rest[0] == '[')
}

// checker collects what is wrong with a configuration.
type checker struct {
	c    *Config
	errs Errors
}

func (k *checker) fail(path, found, allowed, hint string) {
	if len(k.errs) < maxCollected {
		e := k.c.at(path)
		e.Found, e.Allowed, e.Hint = shorten(found), allowed, hint
		k.errs = append(k.errs, e)
	}
}

func (k *checker) failValue(path string, err *valueError) {
	k.fail(path, err.found, err.allowed, err.hint)
}

func (k *checker) all() {
	k.gateway()
	k.admin()
	k.consul()
	for _, name := range k.c.UpstreamNames() {
		u := k.c.Upstreams[name]
		k.upstream(name, &u)
	}
	k.dumps()
	k.routes()
}

// values checks the rules of the tags, which Load has done while reading.
func (k *checker) values(v reflect.Value, r rules, path string) {
	switch kindOf(v.Type()) {
	case kindSection:
		for _, f := range fieldsOf(v.Type()) {
			k.values(v.Field(f.index), f.rules, join(path, f.name))
		}
	case kindList:
		for i := range v.Len() {
			k.values(v.Index(i), r, item(path, i))
		}
	case kindNamed:
		for _, key := range v.MapKeys() {
			k.values(v.MapIndex(key), r, join(path, key.String()))
		}
	default:
		if _, err := parseScalar(v.Type(), r, formatScalar(v)); err != nil && !isUnset(v) {
			k.failValue(path, err)
		}
	}
}

// isUnset: an upstream without a source is reported by the check of its source.
func isUnset(v reflect.Value) bool { return v.Kind() == reflect.String && v.String() == "" }

func (k *checker) gateway() {
	g := &k.c.Gateway
	if len(g.Listen) == 0 {
		k.fail("gateway.listen", "an empty list", "at least one address", "")
	}
	seen := map[string]bool{}
	for i, l := range g.Listen {
		path := join(item("gateway.listen", i), "address")
		k.listenAddress(path, l.Address)
		if seen[l.Address] && !strings.HasSuffix(l.Address, ":0") {
			k.fail(path, fmt.Sprintf("%q twice", l.Address), "each address once", "")
		}
		seen[l.Address] = true
	}
	if via := g.Forwarded.Via; via != "" && !isToken(via) {
		k.fail("gateway.forwarded.via", strconv.Quote(via), "a name of letters, digits, dots and dashes", "")
	}
	k.accessLogFormat(g.AccessLog.Format)
}

func (k *checker) accessLogFormat(format string) {
	named := []string{"combined", "common", "json"}
	if !slices.Contains(named, format) && !strings.Contains(format, "$") {
		k.fail("gateway.access_log.format", strconv.Quote(format), "combined, common, json or a text with $variables", nearest(format, named))
	}
}

func (k *checker) admin() {
	a := &k.c.Admin
	if a.Listen != "" {
		k.listenAddress("admin.listen", a.Listen)
	}
	k.exclusive("admin.token", "admin.token_file", a.Token != "" && a.TokenFile != "")
}

// exclusive reports two options of which only one may be given.
func (k *checker) exclusive(a, b string, both bool) {
	if both {
		k.fail(b, "both "+a+" and "+b, "one of them", "")
	}
}

// listenAddress checks IP:port, [IPv6]:port, :port and unix:/path.
func (k *checker) listenAddress(path, addr string) {
	if sock, ok := strings.CutPrefix(addr, "unix:"); ok {
		if !validSocketPath(sock) {
			k.fail(path, strconv.Quote(addr), "unix:/path of at most 107 bytes", "")
		}
		return
	}
	ap := addr
	if strings.HasPrefix(addr, ":") {
		ap = "0.0.0.0" + addr
	}
	if _, err := netip.ParseAddrPort(ap); err == nil {
		return
	}
	k.fail(path, strconv.Quote(addr), "IP:port, [IPv6]:port, :port or unix:/path", listenHint(addr))
}

// listenHint guesses what was meant with "8080", "*:8080" and "localhost:80".
func listenHint(addr string) string {
	if _, err := strconv.ParseUint(addr, 10, 16); err == nil {
		return ":" + addr
	}
	if port, ok := strings.CutPrefix(addr, "*:"); ok {
		return ":" + port
	}
	if port, ok := strings.CutPrefix(addr, "localhost:"); ok {
		return "127.0.0.1:" + port
	}
	return ""
}

func (k *checker) consul() {
	c := &k.c.Consul
	given := k.c.Origin("consul.address").rank > rankDefault
	k.exclusive("consul.address", "consul.addresses", given && c.Address != "" && len(c.Addresses) > 0)
	k.exclusive("consul.token", "consul.token_file", c.Token != "" && c.TokenFile != "")
	if c.Address != "" || given && len(c.Addresses) == 0 {
		k.consulAddress("consul.address", c.Address)
	}
	for i, a := range c.Addresses {
		k.consulAddress(item("consul.addresses", i), a)
	}
	if (c.TLS.CertFile == "") != (c.TLS.KeyFile == "") {
		have, lack := "cert_file", "key_file"
		if c.TLS.CertFile == "" {
			have, lack = lack, have
		}
		k.fail("consul.tls."+have, have+" without "+lack, "both or none", "")
	}
}

const allowedConsul = "host:port, http://host:port, https://host:port or unix:///path"

func (k *checker) consulAddress(path, addr string) {
	found := strconv.Quote(addr)
	if i := strings.LastIndexByte(addr, '@'); i >= 0 {
		k.fail(path, strconv.Quote("***"+addr[i:]), allowedConsul+" (a token goes to consul.token)", "")
		return
	}
	if sock, ok := strings.CutPrefix(addr, "unix://"); ok {
		if !validSocketPath(sock) {
			k.fail(path, found, allowedConsul, "")
		}
		return
	}
	scheme, host, hasScheme := strings.Cut(addr, "://")
	if !hasScheme {
		scheme, host = "http", addr
	}
	u, err := url.Parse(scheme + "://" + host)
	switch {
	case err != nil || scheme != "http" && scheme != "https" || u.Hostname() == "" || u.Host != host:
		k.fail(path, found, allowedConsul, "")
	case u.Port() == "" && !hasScheme:
		k.fail(path, found, allowedConsul, host+":8500")
	}
}

// isToken reports whether s is a token of RFC 9110 5.6.2.
func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return notHostRune(r) && !strings.ContainsRune("!#$%&'*+.^`|~", r)
	})
}
