package route

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFaultsAreNamed(t *testing.T) {
	long := strings.Repeat("a", 64)
	for _, c := range []struct {
		rule Rule
		key  string
		want string // part of what is said to be allowed; "" if the rule is good
	}{
		{Rule{Host: "a.example.com"}, "", ""},
		{Rule{Host: "127.0.0.1"}, "", ""},
		{Rule{Host: "[2001:db8::1]"}, "", ""},
		{Rule{Host: "_x.y-z.xn--bcher-kva"}, "", ""},
		{Rule{Host: "*.com"}, "", ""},
		{Rule{Host: "A.example.com"}, "host", "lower case, such as a.example.com"},
		{Rule{Host: "a.example.com:80"}, "host", "without a port"},
		{Rule{Host: "[::1]:80"}, "host", "without a port"},
		{Rule{Host: "::1"}, "host", "without a port"},
		{Rule{Host: "[1.2.3.4]"}, "host", "IPv6"},
		{Rule{Host: "[fe80::1%eth0]"}, "host", "IPv6"},
		{Rule{Host: "[0:0::1]"}, "host", "[::1]"},
		{Rule{Host: "*"}, "host", "no host at all"},
		{Rule{Host: "*a.test"}, "host", "first label only"},
		{Rule{Host: "a.*.test"}, "host", "first label only"},
		{Rule{Host: "*.*.test"}, "host", "first label only"},
		{Rule{Host: "*."}, "host", "labels"},
		{Rule{Host: "a..test"}, "host", "labels"},
		{Rule{Host: ".test"}, "host", "labels"},
		{Rule{Host: "a.test."}, "host", "final dot"},
		{Rule{Host: "bücher.test"}, "host", "xn--"},
		{Rule{Host: "a b.test"}, "host", "labels"},
		{Rule{Host: "-a.test"}, "host", "labels"},
		{Rule{Host: long + ".test"}, "host", "63"},
		{Rule{Host: strings.Repeat("aaa.", 63) + "aa"}, "host", "253"},
		{Rule{Path: "/a b"}, "path", "visible ASCII"},
		{Rule{Path: "/é"}, "path", "visible ASCII"},
		{Rule{Path: "a/"}, "path", "starts with /"},
		{Rule{Path: "/a?b"}, "path", "without query"},
		{Rule{Path: "/a/../b"}, "path", "removed"},
		{Rule{Path: "/%2e/b"}, "path", "removed"},
		{Rule{Path: "/a/.", PathExact: true}, "path", "removed"},
		{Rule{PathExact: true}, "path", "exact"},
		{Rule{Path: "/."}, "", ""}, // of /.well-known
		{Rule{Path: "/a//b"}, "", ""},
		{Rule{Methods: []string{"GET", "M-SEARCH"}}, "", ""},
		{Rule{Methods: []string{"get"}}, "methods", "upper-case"},
		{Rule{Methods: []string{""}}, "methods", "upper-case"},
		{Rule{Methods: []string{"GET,POST"}}, "methods", "upper-case"},
		{Rule{Upstream: "{host.1}"}, "upstream", "only with a host"},
		{Rule{Host: "*.test", Upstream: "{host.1}"}, "", ""},
		{Rule{Host: "a.test", Upstream: "{host.1}"}, "upstream", "only with a host"},
		{Rule{Host: "*.test", Upstream: "{host.2}"}, "upstream", "no other braces than {host.1}"},
		{Rule{Host: "*.test", Upstream: "{host.1}}"}, "upstream", "no other braces"},
		{Rule{Upstream: "a b"}, "upstream", "without spaces"},
	} {
		if c.rule.Upstream == "" {
			c.rule.Upstream = "web"
		}
		_, err := Compile([]Rule{{Upstream: "good"}, c.rule})
		if c.key == "" {
			if err != nil {
				t.Errorf("%+v: %v", c.rule, err)
			}
			continue
		}
		var fault *Error
		if !errors.As(err, &fault) || fault.Rule != 1 || fault.Key != c.key || !strings.Contains(fault.Want, c.want) {
			t.Errorf("%+v: got %v, want a fault of %s with %q", c.rule, err, c.key, c.want)
		}
	}
}

func TestAllFaultsAreReported(t *testing.T) {
	_, err := Compile([]Rule{{Host: "A"}, {Path: "x", Upstream: "u"}})
	want := `routes[0].host: invalid value "A": want lower case, such as a
routes[0].upstream: invalid value "": want the name of an upstream
routes[1].path: invalid value "x": want a path that starts with /`
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

func TestWarnings(t *testing.T) {
	get, both := []string{"GET"}, []string{"POST", "GET"}
	f := func(want []int, rules ...Rule) {
		t.Helper()
		for i := range rules {
			rules[i].Upstream = "u"
		}
		table := mustCompile(t, rules...)
		var got []int
		for _, w := range table.Warnings() {
			for i := range rules {
				if strings.HasPrefix(w, table.label(i)+" can never match: ") {
					got = append(got, i)
				}
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%+v: %s", rules, diff)
		}
	}
	f(nil, Rule{Host: "a.test"}, Rule{})
	f([]int{1}, Rule{}, Rule{Host: "a.test"})
	f([]int{1, 2}, Rule{}, Rule{}, Rule{Path: "/x"})
	f([]int{1}, Rule{Host: "*.test"}, Rule{Host: "a.b.test"})
	f([]int{1}, Rule{Host: "*.test"}, Rule{Host: "*.b.test"})
	f(nil, Rule{Host: "*.b.test"}, Rule{Host: "*.test"}, Rule{Host: "test"})
	f(nil, Rule{Path: "/"}, Rule{}) // the second takes "OPTIONS *"
	f([]int{1}, Rule{Path: "/a"}, Rule{Path: "/ab"})
	f(nil, Rule{Path: "/ab"}, Rule{Path: "/a"})
	f([]int{1}, Rule{Path: "/a"}, Rule{Path: "/a", PathExact: true})
	f(nil, Rule{Path: "/a", PathExact: true}, Rule{Path: "/a"})
	f([]int{1}, Rule{Path: "/a", PathExact: true}, Rule{Path: "/a", PathExact: true})
	f(nil, Rule{Methods: get}, Rule{})
	f([]int{1}, Rule{Methods: both}, Rule{Methods: get})
	f(nil, Rule{Methods: get}, Rule{Methods: both})

	named := mustCompile(t, Rule{Name: "all", Upstream: "u"}, Rule{Upstream: "v"})
	want := []string{"routes[1] can never match: routes[0] (all) takes all its requests"}
	if diff := cmp.Diff(want, named.Warnings()); diff != "" {
		t.Error(diff)
	}
}
