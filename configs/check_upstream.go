package configs

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

func (k *checker) upstream(name string, u *Upstream) {
	path := join("upstreams", name)
	if !validUpstreamName(name) {
		k.fail(path, fmt.Sprintf("name %q", name), "letters, digits, dots, dashes and underscores, at most 128", "")
	}
	k.source(path, u)
	k.unusedKeys(path, u)
	k.health(path, u)
	k.flap(path+".flap", &u.Flap)
	k.balance(path, u)
	k.sticky(path+".sticky", &u.Sticky)
	if _, ok := u.Discovers(); ok && u.Dump != "" && !strings.Contains(u.Dump, "{name}") {
		k.fail(path+".dump", strconv.Quote(u.Dump), "a path with {name}, since each discovered upstream has its own", "")
	}
	if strings.HasSuffix(u.Dump, "/") {
		k.fail(path+".dump", strconv.Quote(u.Dump), "the path of a file", u.Dump+"{name}.conf")
	}
}

// balance checks what policies by key ask for.
func (k *checker) balance(path string, u *Upstream) {
	if !slices.Contains([]string{"hash", "hash_consistent", "maglev", "hash_bounded"}, u.Balance) {
		return
	}
	k.hashKey(path+".hash_key", u.HashKey)
	if u.Subset > 0 {
		k.fail(path+".subset", "subset with balance "+u.Balance, "subset with a policy that does not choose by hash_key", "")
	}
}

func (k *checker) sticky(path string, s *Sticky) {
	switch {
	case s.Cookie == "" && (s.Key != "" || s.TTL != 0):
		k.required(path+".cookie", "", "the name of a cookie")
	case s.Cookie != "" && !isToken(s.Cookie):
		k.fail(path+".cookie", strconv.Quote(s.Cookie), "the name of a cookie", "")
	case s.TTL != 0 && s.TTL < time.Second:
		k.fail(path+".ttl", s.TTL.String(), "0 or at least 1s", "")
	}
}

func validUpstreamName(name string) bool {
	return name != "" && len(name) <= 128 && !strings.ContainsFunc(name, func(r rune) bool { return notHostRune(r) && r != '.' })
}

// source checks that the upstream says where its servers are.
func (k *checker) source(path string, u *Upstream) {
	switch u.Source {
	case SourceStatic:
		k.servers(path+".servers", u.Servers)
	case SourceFile:
		k.required(path+".file", u.File, "the path of a list of servers")
	case SourceConsulKV:
		k.kvKey(path+".key", u.Key)
	case SourceConsulCatalog, SourceConsulHealth:
		k.service(path+".service", u.Service)
	default:
		k.fail(path+".source", "nothing", strings.Join(sources(), ", "), guessSource(u))
	}
}

func guessSource(u *Upstream) string {
	switch {
	case u.Key != "":
		return SourceConsulKV
	case u.Service != "":
		return SourceConsulHealth
	case u.File != "":
		return SourceFile
	}
	return ""
}

func (k *checker) servers(path string, servers []ServerLine) {
	if len(servers) == 0 {
		k.fail(path, "no server", "a list, each "+allowedServer, "")
	}
	seen := map[string]bool{}
	for i, s := range servers {
		if seen[s.Addr] && s.Addr != "" {
			k.fail(item(path, i), fmt.Sprintf("%q twice", s.Addr), "each address once", "")
		}
		seen[s.Addr] = true
	}
}

func (k *checker) kvKey(path, key string) {
	const allowed = `a prefix such as "upstreams/web/", or "upstreams/*" to discover upstreams`
	if key == "" {
		k.fail(path, "nothing", allowed, "")
		return
	}
	bare := strings.TrimPrefix(strings.TrimLeft(key, "/"), "v1/kv/")
	prefix := strings.TrimSuffix(bare, "/*")
	if bare != key || prefix == "" || strings.Contains(prefix, "*") || strings.Contains(bare, "//") {
		hint := ""
		if bare != key {
			hint = bare
		}
		k.fail(path, strconv.Quote(key), allowed, hint)
	}
}

func (k *checker) service(path, service string) {
	if i := strings.LastIndexByte(service, '/'); i >= 0 {
		k.fail(path, strconv.Quote(service), "the name of a service", service[i+1:])
		return
	}
	k.required(path, service, "the name of a service")
}

// unusedKeys reports keys that mean nothing to the source: most likely the
// source is not the one that was meant.
func (k *checker) unusedKeys(path string, u *Upstream) {
	if u.Source == "" {
		return
	}
	consul := []string{SourceConsulKV, SourceConsulCatalog, SourceConsulHealth}
	keys := []struct {
		name    string
		given   bool
		sources []string
	}{
		{"key", u.Key != "", consul[:1]},
		{"service", u.Service != "", consul[1:]},
		{"tag", u.Tag != "", consul[1:]},
		{"datacenter", u.Datacenter != "", consul},
		{"file", u.File != "", []string{SourceFile}},
		{"servers", len(u.Servers) > 0, []string{SourceStatic}},
	}
	for _, key := range keys {
		if key.given && !slices.Contains(key.sources, u.Source) {
			k.fail(path+"."+key.name, key.name+" with source "+u.Source, key.name+" with source "+strings.Join(key.sources, ", "), "")
		}
	}
}

func (k *checker) hashKey(path, key string) {
	fixed := []string{"$remote_addr", "$request_uri", "$uri", "$host"}
	if slices.Contains(fixed, key) {
		return
	}
	for _, prefix := range []string{"$http_", "$arg_", "$cookie_"} {
		if name, ok := strings.CutPrefix(key, prefix); ok && isToken(name) {
			return
		}
	}
	k.fail(path, strconv.Quote(key), strings.Join(fixed, ", ")+", $http_NAME, $arg_NAME, $cookie_NAME", nearest(key, fixed))
}

// dumps checks that no two upstreams write one file.
func (k *checker) dumps() {
	owner := map[string]string{}
	for _, name := range k.c.UpstreamNames() {
		u := k.c.Upstreams[name]
		if u.Dump == "" {
			continue
		}
		file := strings.ReplaceAll(u.Dump, "{name}", name)
		if first, taken := owner[file]; taken {
			k.fail(join("upstreams", name)+".dump", strconv.Quote(u.Dump), "a file of its own (upstream "+first+" writes this one)", "")
		}
		owner[file] = name
	}
}
