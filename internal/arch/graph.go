package arch

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
)

// Package is what the rules see of one package.
type Package struct {
	ImportPath   string
	Name         string // of the package clause
	Dir          string
	Standard     bool
	Imports      []string // of production files
	TestImports  []string
	XTestImports []string
	GoFiles      []string
	CgoFiles     []string
	TestGoFiles  []string
	XTestGoFiles []string
	// IgnoredGoFiles were left out by a build constraint, such as race.
	IgnoredGoFiles []string
}

// Graph is a module with all packages it depends on.
type Graph struct {
	Module   string
	packages map[string]*Package
}

// Load asks the go command for all packages below dir and what they import.
// Packages that do not compile are loaded as far as they can be read.
func Load(dir string) (*Graph, error) {
	module, err := goCommand(dir, "list", "-m")
	if err != nil {
		return nil, err
	}
	out, err := goCommand(dir, "list", "-e", "-deps", "-json=ImportPath,Name,Dir,Standard,Imports,TestImports,"+
		"XTestImports,GoFiles,CgoFiles,TestGoFiles,XTestGoFiles,IgnoredGoFiles", "./...")
	if err != nil {
		return nil, err
	}
	g := &Graph{Module: strings.TrimSpace(string(module)), packages: map[string]*Package{}}
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		p := &Package{}
		switch err := dec.Decode(p); {
		case errors.Is(err, io.EOF):
			return g, nil
		case err != nil:
			return nil, fmt.Errorf("cannot read the output of go list: %w", err)
		}
		g.packages[p.ImportPath] = p
	}
}

func goCommand(dir string, args ...string) ([]byte, error) {
	cmd := exec.Command("go", args...)
	cmd.Dir = dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("cannot run go %s: %w: %s", strings.Join(args, " "), err, stderr.String())
	}
	return out, nil
}

// own lists the module's packages by path relative to the module, sorted.
func (g *Graph) own() []string {
	var paths []string
	for path := range g.packages {
		if rel, ok := g.relative(path); ok {
			paths = append(paths, rel)
		}
	}
	slices.Sort(paths)
	return paths
}

// of returns one of the module's packages.
func (g *Graph) of(rel string) *Package { return g.packages[g.Module+"/"+rel] }

// relative is the path inside the module: "spillway/gateway/route" is
// "gateway/route".
func (g *Graph) relative(importPath string) (string, bool) {
	return strings.CutPrefix(importPath, g.Module+"/")
}

// standard reports packages of the standard library, "C" and "unsafe" included.
func (g *Graph) standard(importPath string) bool {
	p := g.packages[importPath]
	return importPath == "C" || (p != nil && p.Standard)
}

// chain is the shortest way of imports from one of the module's packages to one
// that wanted accepts, both ends included; nil if there is none.
func (g *Graph) chain(from string, wanted func(rel string) bool) []string {
	came := map[string]string{from: ""}
	for queue := []string{from}; len(queue) > 0; queue = queue[1:] {
		at := queue[0]
		if at != from && wanted(at) {
			return walkBack(came, at)
		}
		p := g.of(at)
		if p == nil {
			continue
		}
		for _, path := range p.Imports {
			next, ok := g.relative(path)
			if _, seen := came[next]; ok && !seen {
				came[next] = at
				queue = append(queue, next)
			}
		}
	}
	return nil
}

func walkBack(came map[string]string, at string) []string {
	var way []string
	for ; at != ""; at = came[at] {
		way = append(way, at)
	}
	slices.Reverse(way)
	return way
}
