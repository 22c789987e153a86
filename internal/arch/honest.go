package arch

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
)

// Allow is the comment that excuses the line it ends or precedes:
//
//	//arch:allow sleep: the kernel gives no event for what is awaited here
//
// The word is skip, sleep or unfinished; the reason is required.
const Allow = "//arch:allow "

// The three things a test suite must not hide behind.
var whyHonest = map[string]string{
	"skip":       "a skipped test tests nothing, and nobody reads the skips",
	"sleep":      "sleep is no synchronisation: wait for the event, or use testing/synctest",
	"unfinished": "code that panics where it should work must not be merged",
}

// CheckHonest returns skipped tests, sleeps in tests and unfinished code.
func CheckHonest(g *Graph) ([]Violation, error) {
	var found []Violation
	for _, rel := range g.own() {
		p := g.of(rel)
		for _, names := range [][]string{p.GoFiles, p.CgoFiles, p.TestGoFiles, p.XTestGoFiles, p.IgnoredGoFiles} {
			for _, name := range names {
				more, err := honestFile(rel, filepath.Join(p.Dir, name))
				if err != nil {
					return nil, err
				}
				found = append(found, more...)
			}
		}
	}
	return found, nil
}

func honestFile(rel, path string) ([]Violation, error) {
	files := token.NewFileSet()
	f, err := parser.ParseFile(files, path, nil, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, fmt.Errorf("cannot read %q: %w", path, err)
	}
	return honestSyntax(files, f, rel), nil
}

func honestSyntax(files *token.FileSet, f *ast.File, rel string) []Violation {
	test := strings.HasSuffix(files.Position(f.Pos()).Filename, "_test.go")
	excused, found := excuses(files, f, rel)
	ast.Inspect(f, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		if isCall(call, "synctest", "Test") {
			return false // time is virtual inside
		}
		word, what := fault(call, test)
		at := files.Position(call.Pos())
		if word != "" && !excused[excuse{word, at.Line}] {
			found = append(found, Violation{"tests", place(rel, at), what, whyHonest[word]})
		}
		return true
	})
	return found
}

// fault says which of the three a call is, if any.
func fault(call *ast.CallExpr, test bool) (word, what string) {
	if id, ok := call.Fun.(*ast.Ident); ok && id.Name == "panic" && len(call.Args) == 1 {
		if text := strings.ToLower(stringOf(call.Args[0])); strings.HasPrefix(text, "not impl") || strings.HasPrefix(text, "todo") {
			return "unfinished", "panics with " + strconv.Quote(text)
		}
	}
	if !test {
		return "", ""
	}
	if isCall(call, "time", "Sleep") {
		return "sleep", "sleeps"
	}
	if sel, ok := call.Fun.(*ast.SelectorExpr); ok {
		switch sel.Sel.Name {
		case "Skip", "Skipf", "SkipNow":
			return "skip", "skips the test"
		}
	}
	return "", ""
}

func stringOf(e ast.Expr) string {
	lit, ok := e.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return ""
	}
	text, _ := strconv.Unquote(lit.Value)
	return text
}

func isCall(call *ast.CallExpr, pkg, name string) bool {
	sel, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || sel.Sel.Name != name {
		return false
	}
	id, ok := sel.X.(*ast.Ident)
	return ok && id.Name == pkg
}

type excuse struct {
	word string
	line int
}

// excuses collects the Allow comments; one without a known word and a reason is
// a violation itself.
func excuses(files *token.FileSet, f *ast.File, rel string) (map[excuse]bool, []Violation) {
	excused := map[excuse]bool{}
	var found []Violation
	for _, group := range f.Comments {
		for _, c := range group.List {
			text, ok := strings.CutPrefix(c.Text, Allow)
			if !ok {
				continue
			}
			at := files.Position(c.Pos())
			word, reason, _ := strings.Cut(text, ":")
			if whyHonest[word] == "" || strings.TrimSpace(reason) == "" {
				found = append(found, Violation{"tests", place(rel, at), "excuse without a known word and a reason: " + c.Text, "an exception must be arguable"})
				continue
			}
			// On the line itself, or above it, with more comment between.
			excused[excuse{word, at.Line}] = true
			excused[excuse{word, files.Position(group.End()).Line + 1}] = true
		}
	}
	return excused, found
}

func place(rel string, at token.Position) string {
	return fmt.Sprintf("%s/%s:%d", rel, filepath.Base(at.Filename), at.Line)
}
