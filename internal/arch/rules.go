package arch

import (
	"fmt"
	"strings"
)

// Violation is one place that breaks a rule.
type Violation struct {
	Rule  string // "2", as docs/architecture.md numbers them
	Where string // package, or file:line
	What  string
	Why   string
}

func (v Violation) String() string {
	return fmt.Sprintf("%s: %s (rule %s: %s)", v.Where, v.What, v.Rule, v.Why)
}

// Rule restricts what packages may import. Exactly one of Only, Never, Parent
// and Homes is set.
type Rule struct {
	Number string
	// Of are the packages it holds for: "gateway/http1", "upsync/..." (that
	// package and all below), "..." (all).
	Of []string
	// Except are packages it does not hold for.
	Except []string

	// Only lists the packages of this module that may be imported, directly.
	Only []string
	// ThirdParty allows dependencies beside Only; the standard library is
	// always allowed.
	ThirdParty bool
	// Never lists packages of this module that may not be reached, not even
	// through another package.
	Never []string
	// Parent forbids importing the package whose folder this one is in.
	Parent bool
	// Homes lists the only packages that may import a dependency, by prefix of
	// the import path.
	Homes map[string][]string

	Why string
}

// nothing stands for an Only list without entries.
var nothing = []string{}

// Folders are the top-level folders that hold packages.
var Folders = []string{"gateway", "upsync", "scaler", "bench", "configs", "cmd", "internal"}

// Rules are the import rules of docs/architecture.md, under the same numbers.
// Rule 8 is Exports; rule 1's second half is below, its first half is that
// there is no other rule for cmd.
var Rules = []Rule{
	{
		Number: "1", Of: []string{"..."}, Never: []string{"cmd/..."},
		Why: "cmd wires packages together; what another package needs of it belongs elsewhere",
	},
	{
		Number: "2", Of: []string{"gateway/http1", "gateway/route", "gateway/upstream", "scaler/policy", "scaler/placement", "scaler/fleet", "bench/hist"},
		Only: nothing,
		Why:  "it is pure: standard library only, so that it can be fuzzed, reused and understood alone",
	},
	{
		Number: "2", Of: []string{"gateway/balance"}, Only: []string{"gateway/upstream"},
		Why: "a picker sees a snapshot and nothing else of the gateway",
	},
	{
		Number: "2", Of: []string{"gateway/health"}, Only: []string{"gateway/upstream", "internal/..."}, ThirdParty: true,
		Why: "health judges servers; it knows nothing of the engine or of configuration",
	},
	{
		Number: "3", Of: []string{"..."}, Except: []string{"scaler/cloud/..."}, Parent: true,
		Why: "a parent assembles its sub-packages; the other direction is a cycle in waiting (drivers have rule 5)",
	},
	{
		Number: "3", Of: []string{"gateway/..."}, Never: []string{"upsync/..."},
		Why: "cmd glues gateway and upsync; either must work without the other",
	},
	{
		Number: "4", Of: []string{"upsync/..."}, Only: []string{"upsync/...", "gateway/upstream", "internal/..."}, ThirdParty: true,
		Why: "any Go service can use upsync for client-side discovery without the gateway",
	},
	{
		Number: "4", Of: []string{"internal/..."}, Only: []string{"internal/..."}, ThirdParty: true,
		Why: "upsync, bench and drivers may use internal, so it must not lead them to other packages",
	},
	{
		Number: "5", Of: []string{"scaler/..."}, Never: []string{"gateway/...", "upsync/..."},
		Why: "the scaler speaks HTTP to gateways and runs elsewhere",
	},
	{
		Number: "5", Of: []string{"scaler/cloud/..."}, Except: []string{"scaler/cloud"},
		Only: []string{"scaler/cloud", "internal/..."}, ThirdParty: true,
		Why: "a driver depends on the contract alone, so that drivers come and go by themselves",
	},
	{
		Number: "5", Of: []string{"scaler/cloud"}, Only: []string{"internal/..."}, ThirdParty: true,
		Why: "the contract imports no driver",
	},
	{
		Number: "6", Of: []string{"bench/..."}, Never: []string{"gateway/...", "scaler/..."},
		Why: "bench measures black boxes, others' and ours alike",
	},
	{
		Number: "7", Of: []string{"..."},
		Homes: map[string][]string{
			"github.com/hashicorp/consul/": {"upsync/consul", "scaler/leader", "scaler/ledger", "scaler/registry"},
			"github.com/docker/":           {"scaler/docker"},
			"github.com/containerd/":       {"scaler/docker"},
			"github.com/distribution/":     {"scaler/docker"},
			"github.com/aws/":              {"scaler/cloud/ec2", "scaler/cloud/cloudfake"},
			"github.com/gophercloud/":      {"scaler/cloud/openstack"},
			"github.com/hetznercloud/":     {"scaler/cloud/hetzner"},
			"github.com/prometheus/":       {"gateway/metrics", "upsync/metrics", "scaler/metrics"},
			"github.com/goccy/go-yaml":     {"configs", "cmd/...", "bench/scenario"},
			"github.com/spf13/pflag":       {"configs", "cmd/..."},
			"github.com/google/go-cmp/":    nothing,
			"go.uber.org/goleak":           nothing,
			"pgregory.net/rapid":           nothing,
		},
		Why: "each dependency has one home (test libraries: tests), so that it can be replaced there",
	},
}

// CheckImports returns every import that breaks a rule.
func CheckImports(g *Graph, rules []Rule) []Violation {
	var found []Violation
	for _, rel := range g.own() {
		for i := range rules {
			r := &rules[i]
			if matchAny(r.Of, rel) && !matchAny(r.Except, rel) {
				found = append(found, r.check(g, rel)...)
			}
		}
	}
	return found
}

// CheckFolders returns packages outside the agreed top-level folders.
func CheckFolders(g *Graph) []Violation {
	var found []Violation
	for _, rel := range g.own() {
		top, _, _ := strings.Cut(rel, "/")
		if !matchAny(Folders, top) {
			found = append(found, Violation{"folders", rel, "stands in top-level folder " + top, "the folders are " + strings.Join(Folders, " ")})
		}
	}
	return found
}

func (r *Rule) check(g *Graph, rel string) []Violation {
	var whats []string
	switch {
	case r.Only != nil:
		whats = r.checkOnly(g, rel)
	case r.Never != nil:
		whats = r.checkNever(g, rel)
	case r.Parent:
		whats = r.checkParent(g, rel)
	default:
		whats = r.checkHomes(g, rel)
	}
	var found []Violation
	for _, what := range whats {
		found = append(found, Violation{Rule: r.Number, Where: rel, What: what, Why: r.Why})
	}
	return found
}

func (r *Rule) checkOnly(g *Graph, rel string) (whats []string) {
	for _, path := range g.of(rel).Imports {
		inside, own := g.relative(path)
		if g.standard(path) || (own && matchAny(r.Only, inside)) || (!own && r.ThirdParty) {
			continue
		}
		whats = append(whats, "imports "+path)
	}
	return whats
}

// checkNever follows imports to the end. A package inside the forbidden set is
// not held against itself.
func (r *Rule) checkNever(g *Graph, rel string) (whats []string) {
	if matchAny(r.Never, rel) {
		return nil
	}
	for _, never := range r.Never {
		way := g.chain(rel, func(other string) bool { return match(never, other) })
		if way != nil {
			whats = append(whats, "imports "+strings.Join(way[1:], ", which imports "))
		}
	}
	return whats
}

func (r *Rule) checkParent(g *Graph, rel string) (whats []string) {
	for _, path := range g.of(rel).Imports {
		if inside, own := g.relative(path); own && strings.HasPrefix(rel, inside+"/") {
			whats = append(whats, "imports its parent "+inside)
		}
	}
	return whats
}

func (r *Rule) checkHomes(g *Graph, rel string) (whats []string) {
	for _, path := range g.of(rel).Imports {
		for dependency, homes := range r.Homes {
			if strings.HasPrefix(path, dependency) && !matchAny(homes, rel) {
				whats = append(whats, fmt.Sprintf("imports %s, whose home is %v", path, homes))
			}
		}
	}
	return whats
}

// match reports whether a package is in a pattern: "a/b", "a/..." or "...".
func match(pattern, rel string) bool {
	prefix, tree := strings.CutSuffix(pattern, "...")
	if !tree {
		return pattern == rel
	}
	return strings.HasPrefix(rel+"/", prefix)
}

func matchAny(patterns []string, rel string) bool {
	for _, p := range patterns {
		if match(p, rel) {
			return true
		}
	}
	return false
}
