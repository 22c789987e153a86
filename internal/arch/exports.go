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

const whyExports = "no third-party type in an exported signature outside the package that owns the dependency: " +
	"callers would depend on it too"

// Owners may show types of a dependency in their exported signatures: the homes
// of rule 7, and these for dependencies that several packages use.
var Owners = map[string][]string{
	"github.com/valyala/fasthttp": {"gateway/admin"},
}

// CheckExports returns the exported declarations that show a type of a
// dependency (rule 8). It reads syntax alone: what an exported variable gets
// its type from by inference is only seen in a composite literal.
func CheckExports(g *Graph, rules []Rule) ([]Violation, error) {
	owners := homes(rules)
	var found []Violation
	for _, rel := range g.own() {
		p := g.of(rel)
		if p.Name == "main" {
			continue
		}
		for _, name := range append(p.GoFiles, p.CgoFiles...) {
			c := exportCheck{graph: g, rel: rel, owners: owners, files: token.NewFileSet()}
			if err := c.file(filepath.Join(p.Dir, name)); err != nil {
				return nil, err
			}
			found = append(found, c.found...)
		}
	}
	return found, nil
}

func homes(rules []Rule) map[string][]string {
	all := map[string][]string{}
	for dependency, owners := range Owners {
		all[dependency] = owners
	}
	for _, r := range rules {
		for dependency, owners := range r.Homes {
			all[dependency] = owners
		}
	}
	return all
}

// exportCheck looks through one file.
type exportCheck struct {
	graph   *Graph
	rel     string
	owners  map[string][]string
	files   *token.FileSet
	foreign map[string]string // name in this file -> import path of a dependency
	found   []Violation
}

func (c *exportCheck) file(path string) error {
	f, err := parser.ParseFile(c.files, path, nil, parser.SkipObjectResolution)
	if err != nil {
		return fmt.Errorf("cannot read %q: %w", path, err)
	}
	c.foreign = map[string]string{}
	for _, spec := range f.Imports {
		c.note(spec)
	}
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			c.function(d)
		case *ast.GenDecl:
			c.general(d)
		}
	}
	return nil
}

// note remembers an import of a dependency that this package does not own.
func (c *exportCheck) note(spec *ast.ImportSpec) {
	path, _ := strconv.Unquote(spec.Path.Value)
	_, own := c.graph.relative(path)
	if own || c.graph.standard(path) {
		return
	}
	for dependency, owners := range c.owners {
		if strings.HasPrefix(path, dependency) && matchAny(owners, c.rel) {
			return
		}
	}
	c.foreign[c.nameOf(spec, path)] = path
}

func (c *exportCheck) nameOf(spec *ast.ImportSpec, path string) string {
	if spec.Name != nil {
		return spec.Name.Name
	}
	if p := c.graph.packages[path]; p != nil && p.Name != "" {
		return p.Name
	}
	return path[strings.LastIndexByte(path, '/')+1:]
}

func (c *exportCheck) function(d *ast.FuncDecl) {
	if !d.Name.IsExported() || (d.Recv != nil && !exportedReceiver(d.Recv)) {
		return
	}
	c.visible(d.Name.Name, d.Type)
}

func exportedReceiver(recv *ast.FieldList) bool {
	exported := false
	ast.Inspect(recv.List[0].Type, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok && !exported {
			exported = id.IsExported()
			return false
		}
		return true
	})
	return exported
}

func (c *exportCheck) general(d *ast.GenDecl) {
	for _, spec := range d.Specs {
		switch s := spec.(type) {
		case *ast.TypeSpec:
			if s.Name.IsExported() {
				c.typeParams(s)
				c.visible(s.Name.Name, s.Type)
			}
		case *ast.ValueSpec:
			c.values(s)
		}
	}
}

func (c *exportCheck) typeParams(s *ast.TypeSpec) {
	if s.TypeParams != nil {
		c.visible(s.Name.Name, s.TypeParams)
	}
}

func (c *exportCheck) values(s *ast.ValueSpec) {
	for i, name := range s.Names {
		if !name.IsExported() {
			continue
		}
		if s.Type != nil {
			c.visible(name.Name, s.Type)
		} else if i < len(s.Values) {
			c.literal(name.Name, s.Values[i])
		}
	}
}

// literal sees the type of `var X = pkg.T{...}` and `var X = &pkg.T{...}`.
func (c *exportCheck) literal(of string, value ast.Expr) {
	if u, ok := value.(*ast.UnaryExpr); ok {
		value = u.X
	}
	if lit, ok := value.(*ast.CompositeLit); ok && lit.Type != nil {
		c.visible(of, lit.Type)
	}
}

// visible reports dependencies in a type as far as other packages can see it:
// unexported struct fields and methods are left out.
func (c *exportCheck) visible(of string, node ast.Node) {
	ast.Inspect(node, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.StructType:
			c.fields(of, n.Fields)
			return false
		case *ast.InterfaceType:
			c.fields(of, n.Methods)
			return false
		case *ast.SelectorExpr:
			c.selector(of, n)
			return false
		}
		return true
	})
}

func (c *exportCheck) fields(of string, list *ast.FieldList) {
	for _, f := range list.List {
		if len(f.Names) == 0 {
			c.visible(of, f.Type) // embedded: its methods are promoted
		}
		for _, name := range f.Names {
			if name.IsExported() {
				c.visible(of+"."+name.Name, f.Type)
				break // one type for all names
			}
		}
	}
}

func (c *exportCheck) selector(of string, s *ast.SelectorExpr) {
	id, ok := s.X.(*ast.Ident)
	if !ok || c.foreign[id.Name] == "" {
		return
	}
	at := c.files.Position(s.Pos())
	c.found = append(c.found, Violation{
		Rule:  "8",
		Where: fmt.Sprintf("%s/%s:%d", c.rel, filepath.Base(at.Filename), at.Line),
		What:  fmt.Sprintf("%s shows %s.%s of %s", of, id.Name, s.Sel.Name, c.foreign[id.Name]),
		Why:   whyExports,
	})
}
