//go:build !race

package route

import "testing"

func TestMatchAllocatesNothing(t *testing.T) {
	table := mustCompile(t,
		Rule{Host: "a.test", Path: "/p", Methods: []string{"GET"}, Upstream: "u"},
		Rule{Host: "*.test", Upstream: "x-{host.1}"},
		Rule{Upstream: "rest"})
	var m Match
	get := []byte("GET")
	for _, c := range [][2]string{{"a.test", "/p"}, {"A.test:80", "/p/../p"}, {"B.c.Test", "/%2e/x"}, {"other", ""}} {
		host, path := []byte(c[0]), []byte(c[1])
		if n := testing.AllocsPerRun(100, func() { table.Match(host, path, get, &m) }); n != 0 {
			t.Errorf("%q: %v allocations", c, n)
		}
	}
}
