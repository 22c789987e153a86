package arch

import (
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestExportsCatchDependenciesOthersCanSee(t *testing.T) {
	tests := []struct {
		name, decl string
		want       string // in the only violation; empty: none
	}{
		{"parameter", "func F(c *api.Client) {}", "F shows api.Client"},
		{"result in a callback", "func F(f func() []api.KVPair) {}", "F shows api.KVPair"},
		{"type parameter", "type T[X api.Lister] struct{}", "T shows api.Lister"},
		{"method of an exported type", "type T int\nfunc (t *T) M() api.QueryMeta { panic(0) }", "M shows api.QueryMeta"},
		{"exported field", "type T struct { C *api.Client }", "T.C shows api.Client"},
		{"embedded", "type T struct { *api.Client }", "T shows api.Client"},
		{"exported interface method", "type T interface { M(api.Client) }", "T.M shows api.Client"},
		{"alias", "type T = api.Client", "T shows api.Client"},
		{"variable", "var V map[string]*api.Client", "V shows api.Client"},
		{"variable from a literal", "var V = &api.Client{}", "V shows api.Client"},
		{"unexported function", "func f(c *api.Client) {}", ""},
		{"method of an unexported type", "type t int\nfunc (t *t) M(c api.Client) {}", ""},
		{"unexported field", "type T struct { c *api.Client }", ""},
		{"unexported method", "type T interface { m(api.Client) }", ""},
		{"body", "func F() { api.New() }", ""},
		{"standard library", "func F(r *http.Request) {}", ""},
		{"own package", "func F(r *route.Table) {}", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := exportsOf(t, "upsync", tt.decl)
			if tt.want == "" && len(got) > 0 || tt.want != "" && (len(got) != 1 || !strings.Contains(got[0].What, tt.want)) {
				t.Errorf("got %v, want %q", got, tt.want)
			}
		})
	}
	if got := exportsOf(t, "upsync/consul", "func F(c *api.Client) {}"); len(got) > 0 {
		t.Errorf("the owner may show it, got %v", got)
	}
}

func exportsOf(t *testing.T, rel, decl string) []Violation {
	t.Helper()
	source := "package x\nimport (\n\"net/http\"\n\"github.com/hashicorp/consul/api\"\n\"spillway/gateway/route\"\n)\n" + decl
	path := filepath.Join(t.TempDir(), "x.go")
	if err := os.WriteFile(path, []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	c := exportCheck{graph: graphOf("spillway/x: net/http"), rel: rel, owners: homes(Rules), files: token.NewFileSet()}
	if err := c.file(path); err != nil {
		t.Fatal(err)
	}
	return c.found
}

func TestHonestCatchesWhatHides(t *testing.T) {
	tests := []struct {
		name, file, body string
		want             string
	}{
		{"skip", "x_test.go", `t.Skip("later")`, "skips"},
		{"skip in a benchmark", "x_test.go", `b.SkipNow()`, "skips"},
		{"sleep", "x_test.go", `time.Sleep(1)`, "sleeps"},
		{"sleep in production", "x.go", `time.Sleep(1)`, ""},
		{"sleep in virtual time", "x_test.go", `synctest.Test(t, func(t *testing.T) { time.Sleep(1) })`, ""},
		{"sleep with a reason", "x_test.go", "//arch:allow sleep: the kernel tells nobody\ntime.Sleep(1)", ""},
		{"reason at the end of the line", "x_test.go", "time.Sleep(1) //arch:allow sleep: the kernel tells nobody", ""},
		{"reason with more comment", "x_test.go", "//arch:allow sleep: the kernel\n// tells nobody\ntime.Sleep(1)", ""},
		{"reason for something else", "x_test.go", "//arch:allow skip: no\ntime.Sleep(1)", "sleeps"},
		{"reason too far away", "x_test.go", "//arch:allow sleep: no\n\nx()\ntime.Sleep(1)", "sleeps"},
		{"no reason", "x_test.go", "//arch:allow sleep:\nx()", "excuse without"},
		{"unknown word", "x_test.go", "//arch:allow nap: tired\nx()", "excuse without"},
		{"unfinished", "x.go", `panic("not implemented")`, "panics"},
		{"other panic", "x.go", `panic("BUG: unreachable")`, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			files := token.NewFileSet()
			f, err := parser.ParseFile(files, tt.file, "package x\nfunc f() {\n"+tt.body+"\n}\n", parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			got := honestSyntax(files, f, "x")
			if tt.want == "" && len(got) > 0 || tt.want != "" && (len(got) != 1 || !strings.Contains(got[0].What, tt.want)) {
				t.Errorf("got %v, want %q", got, tt.want)
			}
		})
	}
}
