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

// oneAddress does what keepStronger does for consul.address and consul.addresses.
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
