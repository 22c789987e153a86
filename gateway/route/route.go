// Package route decides which upstream a request goes to.
//
// The rules of a configuration are compiled to an immutable Table once; Match
// finds the first rule, in the order of the file, that fits a request, and
// allocates nothing. Rules are indexed by host, so that many virtual hosts
// cost no more than one; rules of one host are tried in a row.
//
// The package never changes what is forwarded: hosts and paths are normalised
// for matching only. It owns no state, does no I/O and starts no goroutine.
// Errors of a configuration name the rule, the key, what was found and what
// is allowed; rules that can never match are warned of.
package route

import (
	"bytes"
	"slices"
	"strings"
)

// Rule is one entry of "routes". A request must fit all it says.
type Rule struct {
	// Name is shown in logs and warnings, it may be empty.
	Name string
	// Host is "" (any), "a.example.com" (exact) or "*.example.com", where the
	// star stands for one or more labels. Lower case, without a port.
	Host string
	// Path is a plain string prefix, as of an nginx location ("/a" takes
	// "/ab" too), with PathExact the whole path. "" is any. The query is no
	// part of it. Percent-encoding is compared as it was received, but for
	// dot segments.
	Path      string
	PathExact bool
	// Methods are upper-case names, none is any. GET does not include HEAD.
	Methods []string
	// Upstream names the pool; "{host.1}" in it stands for what the star of
	// Host matched, in lower case.
	Upstream string
	// Connect allows CONNECT on this route. It is no condition.
	Connect bool
}

// Match is the result of Table.Match. Use one again and again: it keeps its
// buffers, and the next Match overwrites what Upstream points to.
type Match struct {
	Rule     int    // index of the rule, in the order of the file
	Upstream []byte // name of the pool; do not change it
	Connect  bool   // the rule allows CONNECT

	host, path, name []byte // buffers
}

// Table is compiled rules. It is immutable and safe for use by several
// goroutines.
type Table struct {
	rules    []Rule
	compiled []rule
	hosts    hosts
	warnings []string
}

// rule is what matching needs of a Rule, its host apart.
type rule struct {
	path    []byte
	exact   bool
	methods []string
	connect bool
	// upstream is the name between the captures: one part if there is none.
	upstream [][]byte
	suffix   int // length of the host after the star
}

const capture = "{host.1}"

// Compile checks the rules and makes a table of them. The error joins one
// *Error for each fault found.
func Compile(rules []Rule) (*Table, error) {
	if err := check(rules); err != nil {
		return nil, err
	}
	t := &Table{rules: slices.Clone(rules)}
	for i := range rules {
		t.compiled = append(t.compiled, compile(&rules[i]))
	}
	t.hosts = newHosts(rules)
	t.warnings = t.shadowed()
	return t, nil
}

func compile(r *Rule) rule {
	c := rule{path: []byte(r.Path), exact: r.PathExact, methods: slices.Clone(r.Methods), connect: r.Connect}
	for _, part := range strings.Split(r.Upstream, capture) {
		c.upstream = append(c.upstream, []byte(part))
	}
	if suffix, ok := strings.CutPrefix(r.Host, "*"); ok {
		c.suffix = len(suffix)
	}
	return c
}

// Match finds the first rule for a request and fills m. Host may carry a port
// and be of any case; path is as received, without the query, empty for "/";
// method is compared as it is. It reports whether there is a rule; without
// one m says nothing.
func (t *Table) Match(host, path, method []byte, m *Match) bool {
	host = m.normalHost(host)
	path = m.normalPath(path)
	for _, i := range t.hosts.lookup(host) {
		r := &t.compiled[i]
		if !r.fits(path, method) {
			continue
		}
		m.Rule, m.Connect = int(i), r.connect
		m.Upstream = m.upstream(r, host)
		return true
	}
	return false
}

func (r *rule) fits(path, method []byte) bool {
	if r.exact && len(path) != len(r.path) || !bytes.HasPrefix(path, r.path) {
		return false
	}
	if len(r.methods) == 0 {
		return true
	}
	for _, m := range r.methods {
		if string(method) == m {
			return true
		}
	}
	return false
}

// upstream returns the rule's upstream with the capture put in.
func (m *Match) upstream(r *rule, host []byte) []byte {
	if len(r.upstream) == 1 {
		return r.upstream[0]
	}
	captured := host[:len(host)-r.suffix]
	m.name = append(m.name[:0], r.upstream[0]...)
	for _, part := range r.upstream[1:] {
		m.name = append(m.name, captured...)
		m.name = append(m.name, part...)
	}
	return m.name
}

// Rules returns the rules in the order of the file. Do not change them.
func (t *Table) Rules() []Rule { return t.rules }

// Warnings says which rules can never match, because an earlier one takes all
// their requests. Each is a sentence that names both rules.
func (t *Table) Warnings() []string { return t.warnings }
