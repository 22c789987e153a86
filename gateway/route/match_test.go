package route

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func mustCompile(t testing.TB, rules ...Rule) *Table {
	t.Helper()
	table, err := Compile(rules)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// match returns "upstream" of the rule for a request, "-" without one.
func match(table *Table, m *Match, method, host, path string) string {
	if !table.Match([]byte(host), []byte(path), []byte(method), m) {
		return "-"
	}
	return string(m.Upstream)
}

func TestHostAndPath(t *testing.T) {
	table := mustCompile(t,
		Rule{Host: "api.example.com", Path: "/v2/", Upstream: "api2"},
		Rule{Host: "api.example.com", Upstream: "api"},
		Rule{Path: "/fixed/", Upstream: "fixed"},
		Rule{Host: "*.example.com", Path: "/exact", PathExact: true, Upstream: "exact"},
		Rule{Host: "*.example.com", Upstream: "{host.1}"},
		Rule{Host: "[::1]", Upstream: "six"},
		Rule{Host: "*.a.example.org", Upstream: "deep"},
		Rule{Host: "*.example.org", Methods: []string{"GET", "HEAD"}, Upstream: "org-{host.1}-x-{host.1}"},
		Rule{Host: "only.test", Path: "/only", Upstream: "only"},
	)
	var m Match
	f := func(method, host, path, want string) {
		t.Helper()
		if got := match(table, &m, method, host, path); got != want {
			t.Errorf("%s %q %q: got %s, want %s", method, host, path, got, want)
		}
	}
	f("GET", "api.example.com", "/", "api")
	f("GET", "API.Example.COM:8080", "/v2/x", "api2")
	f("GET", "api.example.com.", "/v2", "api")
	f("GET", "api.example.com.:80", "/v2/", "api2")
	// The order of the file decides, not which is more exact.
	f("GET", "api.example.com", "/fixed/x", "api")
	f("GET", "www.example.com", "/fixed/x", "fixed")
	f("GET", "www.example.com", "/exact", "exact")
	f("GET", "www.example.com", "/exact/", "www")
	f("GET", "www.example.com", "/exac", "www")
	// A star is one or more labels, never none.
	f("GET", "A.b.Example.com:1", "", "a.b")
	f("GET", "example.com", "/", "-")
	f("GET", ".example.com", "/", "-")
	f("GET", "a..example.com", "/", "-")
	f("GET", "xexample.com", "/", "-")
	f("GET", strings.Repeat("a.", 200)+"example.com", "/", "-")
	// A longer wildcard does not hide a rule of a shorter one.
	f("GET", "x.a.example.org", "/", "deep")
	f("GET", "y.b.example.org", "/", "org-y.b-x-y.b")
	f("GET", "a.example.org", "/", "org-a-x-a")
	f("POST", "b.example.org", "/", "-")
	f("get", "b.example.org", "/", "-")
	// IPv6, no host, odd hosts.
	f("GET", "[::1]", "/", "six")
	f("GET", "[::1]:8080", "/", "six")
	f("GET", "[::1", "/", "-")
	f("GET", "", "/fixed/", "fixed")
	f("GET", ":80", "/", "-")
	f("GET", "only.test", "/other", "-")
	f("GET", "only.test", "/only/", "only")
	f("GET", "only.test", "/fixed/", "fixed")
	// Paths.
	f("GET", "", "/fixed", "-")
	f("GET", "", "/Fixed/", "-")
	f("GET", "", "/x/../fixed/", "fixed")
	f("GET", "", "/x/%2E%2e/fixed/", "fixed")
	f("GET", "", "/fixed/../x", "-")
	f("GET", "", "/fixed/%2e%2e/x", "-")
	f("GET", "", "/fixed/.%2e", "-")
	f("GET", "", "//fixed/", "-")
	f("OPTIONS", "", "*", "-")
	f("OPTIONS", "api.example.com", "*", "api")
}

func TestFirstRuleWins(t *testing.T) {
	table := mustCompile(t,
		Rule{Path: "/a", Upstream: "any-a"},
		Rule{Host: "*.x.test", Path: "/b", Upstream: "wild-b"},
		Rule{Host: "h.x.test", Path: "/a", Upstream: "never"},
		Rule{Host: "h.x.test", Path: "/b", Upstream: "never"},
		Rule{Host: "h.x.test", Connect: true, Upstream: "host"},
		Rule{Upstream: "rest"},
	)
	var m Match
	for _, c := range []struct {
		host, path, want string
		rule             int
		connect          bool
	}{
		{"h.x.test", "/a", "any-a", 0, false},
		{"h.x.test", "/b", "wild-b", 1, false},
		{"h.x.test", "/c", "host", 4, true},
		{"i.x.test", "/a", "any-a", 0, false},
		{"i.x.test", "/c", "rest", 5, false},
		{"x.test", "/b", "rest", 5, false},
	} {
		if got := match(table, &m, "GET", c.host, c.path); got != c.want || m.Rule != c.rule || m.Connect != c.connect {
			t.Errorf("%s%s: got %s by rule %d, connect %v", c.host, c.path, got, m.Rule, m.Connect)
		}
	}
}

// A table must answer as if all rules were tried in a row.
func TestIndexChangesNothing(t *testing.T) {
	hostsOf := []string{"", "a.b.c", "b.c", "*.b.c", "*.c", "*.a.b.c", "x.b.c"}
	paths := []string{"", "/", "/p", "/p/q"}
	var rules []Rule
	// 7 and 4 have no common factor with 13 and 5: all pairs come, in a mixed order.
	for i := range 28 {
		rules = append(rules, Rule{Host: hostsOf[i*13%7], Path: paths[(i*5+i/7)%4], PathExact: i%3 == 0 && paths[(i*5+i/7)%4] != "", Upstream: fmt.Sprint("u", i)})
	}
	for n := range rules {
		table := mustCompile(t, rules[n:]...)
		for suffix, list := range table.hosts.wild {
			if len(slices.Compact(slices.Clone(list))) != len(list) {
				t.Fatalf("from rule %d: %s lists rules twice: %v", n, suffix, list)
			}
		}
		var m Match
		for _, host := range []string{"a.b.c", "b.c", "c", "x.b.c", "y.b.c", "z.a.b.c", "q.c", "other", ""} {
			for _, path := range []string{"/", "/p", "/p/q", "/p/q/r", "/r"} {
				want := "-"
				for _, r := range rules[n:] {
					if naive(r, host, path) {
						want = r.Upstream
						break
					}
				}
				if got := match(table, &m, "GET", host, path); got != want {
					t.Fatalf("from rule %d: %s%s: got %s, want %s", n, host, path, got, want)
				}
			}
		}
	}
}

func naive(r Rule, host, path string) bool {
	hostFits := r.Host == "" || r.Host == host || r.Host != "" && r.Host[0] == '*' && strings.HasSuffix(host, r.Host[1:]) && len(host) > len(r.Host)-1
	return hostFits && (path == r.Path || !r.PathExact && strings.HasPrefix(path, r.Path))
}

func TestRulesAreKept(t *testing.T) {
	rules := []Rule{{Name: "one", Host: "a.test", Path: "/x", Methods: []string{"GET"}, Upstream: "u", Connect: true}, {Upstream: "v"}}
	table := mustCompile(t, rules...)
	if diff := cmp.Diff(rules, table.Rules()); diff != "" {
		t.Error(diff)
	}
	if w := table.Warnings(); len(w) != 0 {
		t.Errorf("warnings: %q", w)
	}
}

func TestNoRulesMatchNothing(t *testing.T) {
	var m Match
	if got := match(mustCompile(t), &m, "GET", "a.test", "/"); got != "-" {
		t.Errorf("got %s", got)
	}
}

func BenchmarkMatch(b *testing.B) {
	var rules []Rule
	for i := range 1000 {
		rules = append(rules, Rule{Host: fmt.Sprintf("h%d.example.com", i), Upstream: "u"}, Rule{Host: fmt.Sprintf("*.w%d.example.com", i), Upstream: "{host.1}"})
	}
	table := mustCompile(b, append(rules, Rule{Path: "/fixed/", Upstream: "f"}, Rule{Upstream: "rest"})...)
	get := []byte("GET")
	for _, c := range []struct{ name, host, path string }{
		{"exact", "h500.example.com", "/index.html"},
		{"wildcard", "x.w500.example.com", "/index.html"},
		{"any", "127.0.0.1:8080", "/a/b/c/d/index.html"},
		{"upper_dots", "X.W500.example.com:80", "/a/../b"},
	} {
		b.Run(c.name, func(b *testing.B) {
			var m Match
			host, path := []byte(c.host), []byte(c.path)
			b.ReportAllocs()
			for b.Loop() {
				table.Match(host, path, get, &m)
			}
		})
	}
}
