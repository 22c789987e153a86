package fleet

import (
	"bytes"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var rewrite = flag.Bool("rewrite", false, "write what is generated into docs/scaler-states.md")

const page = "../../docs/scaler-states.md"

// The pictures and tables of the page are those of the code. They stand between
// lines "<!-- begin NAME -->" and "<!-- end NAME -->".
func TestPageOfStatesIsThatOfTheCode(t *testing.T) {
	have, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	want := have
	for name, text := range map[string]string{
		"picture of orders":    picture(t, "order.go"),
		"picture of machines":  picture(t, "machine.go"),
		"picture of instances": picture(t, "instance.go"),
		"orders":               edgeTable(OrderEdges()),
		"machines":             edgeTable(MachineEdges()),
		"instances":            edgeTable(InstanceEdges()),
		"timings":              timingTable(t),
	} {
		want = replace(t, want, name, text)
	}
	if *rewrite {
		if err := os.WriteFile(page, want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(string(want), string(have)); diff != "" {
		t.Errorf("%s is not that of the code (go test ./scaler/fleet -run Page -rewrite):\n%s", page, diff)
	}
}

func replace(t *testing.T, doc []byte, name, text string) []byte {
	t.Helper()
	begin, end := fmt.Sprintf("<!-- begin %s -->\n", name), fmt.Sprintf("<!-- end %s -->\n", name)
	i, j := bytes.Index(doc, []byte(begin)), bytes.Index(doc, []byte(end))
	if i < 0 || j < i {
		t.Fatalf("%s has no place for %q", page, name)
	}
	return []byte(string(doc[:i]) + begin + text + string(doc[j:]))
}

func edgeTable(edges []Edge) string {
	var b strings.Builder
	b.WriteString("| from | to | when |\n| --- | --- | --- |\n")
	for _, e := range edges {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", e.From, e.To, e.When)
	}
	return b.String()
}

// picture is the indented block in the comment above Step.
func picture(t *testing.T, file string) string {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range f.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok && fn.Name.Name == "Step" {
			return "```text\n" + indented(fn.Doc.Text()) + "```\n"
		}
	}
	t.Fatalf("no Step in %s", file)
	return ""
}

// indented are the lines from the first to the last that begin with a tab.
func indented(comment string) string {
	lines := strings.Split(comment, "\n")
	first, last := -1, -1
	for n, line := range lines {
		if strings.HasPrefix(line, "\t") {
			if first < 0 {
				first = n
			}
			last = n
		}
	}
	var b strings.Builder
	for _, line := range lines[first : last+1] {
		b.WriteString(strings.TrimPrefix(line, "\t") + "\n")
	}
	return b.String()
}

// timingTable shows the comments of Timings; each of a duration ends with its
// default.
func timingTable(t *testing.T) string {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), "timings.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	fields := f.Scope.Lookup("Timings").Decl.(*ast.TypeSpec).Type.(*ast.StructType).Fields.List
	space := regexp.MustCompile(`\s+`)
	var b strings.Builder
	b.WriteString("| name | meaning and default |\n| --- | --- |\n")
	for _, field := range fields {
		fmt.Fprintf(&b, "| %s | %s |\n", field.Names[0].Name, strings.TrimSpace(space.ReplaceAllString(field.Doc.Text(), " ")))
	}
	return b.String()
}
