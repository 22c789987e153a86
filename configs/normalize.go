package configs

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// normalize puts one form in place of several that mean the same.
func (c *Config) normalize() {
	for _, text := range []*string{&c.Admin.Listen, &c.Gateway.AccessLog.Path} {
		if *text == "off" {
			*text = ""
		}
	}
	c.oneAddress()
	c.keepStronger("consul.token", "consul.token_file", (*string)(&c.Consul.Token), &c.Consul.TokenFile)
	c.keepStronger("admin.token", "admin.token_file", (*string)(&c.Admin.Token), &c.Admin.TokenFile)
	for _, name := range c.UpstreamNames() {
		u := c.Upstreams[name]
		c.normalizeUpstream(&u, join("upstreams", name))
		c.Upstreams[name] = u
	}
	for i := range c.Routes {
		r := &c.Routes[i]
		r.Host = canonicalHost(r.Host)
		if r.Name == "" {
			r.Name = fmt.Sprintf("route-%d", i+1)
		}
	}
}

// canonicalHost is a host in lower case, without a final dot, and for an IPv6
// address the short form in brackets.
func canonicalHost(host string) string {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	a, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]"))
	if err == nil && a.Is6() && a.Zone() == "" {
		return "[" + a.String() + "]"
	}
	return host
}

// keepStronger settles two options that exclude each other when they come
// from different places: a token from the environment replaces a token_file
// of the file. Two from one place are a mistake, which check reports.
func (c *Config) keepStronger(pathA, pathB string, a, b *string) {
	if *a == "" || *b == "" {
		return
	}
	switch ra, rb := c.Origin(pathA).rank, c.Origin(pathB).rank; {
	case ra > rb:
		*b = ""
	case rb > ra:
		*a = ""
	}
}

// oneAddress does the same for consul.address and consul.addresses.
func (c *Config) oneAddress() {
	if c.Consul.Address == "" || len(c.Consul.Addresses) == 0 {
		return
	}
	switch one, many := c.Origin("consul.address").rank, c.Origin("consul.addresses").rank; {
	case one > many:
		c.Consul.Addresses = nil
	case many > one:
		c.Consul.Address = ""
	}
}

// UpstreamNames are the names of the declared upstreams in order.
func (c *Config) UpstreamNames() []string {
	names := make([]string, 0, len(c.Upstreams))
	for name := range c.Upstreams {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (c *Config) normalizeUpstream(u *Upstream, path string) {
	if u.Balance == "ip_hash" {
		u.HashKey = "$remote_addr"
	}
	u.Balance = canonicalBalance(u.Balance)
	if u.Source == SourceConsulKV && u.Key != "" && !strings.HasSuffix(u.Key, "/") && !strings.HasSuffix(u.Key, "*") {
		c.warn(path+".key", fmt.Sprintf("%q without a final slash", u.Key), fmt.Sprintf("it is read as %q; nginx-upsync also takes the servers of %q", u.Key+"/", u.Key+"2/"))
		u.Key += "/"
	}
	for i := range u.Servers {
		s := &u.Servers[i]
		if s.MaxFails < 0 {
			s.MaxFails = u.MaxFails
		}
		if s.FailTimeout < 0 {
			s.FailTimeout = u.FailTimeout
		}
	}
}

// canonicalBalance translates the words of nginx and nginx-upsync.
func canonicalBalance(word string) string {
	switch word {
	case "roundrobin":
		return "round_robin"
	case "leastconn":
		return "least_conn"
	case "random":
		return "random_two"
	case "ip_hash", "hash_modula":
		return "hash"
	case "hash_ketama", "ketama":
		return "hash_consistent"
	}
	return word
}

func (c *Config) warn(path, found, remark string) {
	e := c.at(path)
	e.Found, e.Allowed = found, remark
	c.warnings = append(c.warnings, e)
}

// at is a mistake at the place of an option, or at that of the section that
// should hold it.
func (c *Config) at(path string) *Error {
	e := &Error{Key: path}
	for p := path; ; p = parent(p) {
		o, ok := c.origins[p]
		switch {
		case ok && o.From == "file":
			e.File, e.Line, e.Col = o.File, o.Line, o.Col
			return e
		case ok:
			e.From = o.From
			return e
		case p == "":
			return e
		}
	}
}
