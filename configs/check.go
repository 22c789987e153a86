package configs

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Validate checks a configuration that was built or changed in Go; one from
// Load is valid. The error is of type Errors.
func (c *Config) Validate() error {
	k := checker{judge{book: &c.book}, c}
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
	k := checker{judge{book: &c.book}, c}
	k.all()
	return k.independent(before)
}

// checker judges the configuration of a gateway.
type checker struct {
	judge
	c *Config
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
	k.registration(a)
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
	k.certificate("consul.tls", c.TLS.CertFile, c.TLS.KeyFile)
}

// isToken reports whether s is a token of RFC 9110 5.6.2.
func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return notHostRune(r) && !strings.ContainsRune("!#$%&'*+.^`|~", r)
	})
}
