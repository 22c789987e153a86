package configs

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// What a file may ask of the parser. Its time grows with the square of the
// nesting, and an alias repeats whole sections; no configuration comes near.
const (
	maxFileBytes = 4 << 20
	maxNesting   = 32
	maxNodes     = 1 << 20
)

type nodeKind int

const (
	nodeNull nodeKind = iota
	nodeString
	nodeInt
	nodeFloat
	nodeBool
	nodeList
	nodeMap
)

// node is one value of a document, with anchors, aliases, merge keys and tags
// resolved. Positions count from 1; those of an aliased value are the
// anchor's. Nodes are not changed once built, so that aliases can share them.
type node struct {
	kind      nodeKind
	line, col int
	text      string // scalars: as written, without quotes
	pairs     []pair
	items     []*node
	size      int // nodes below and including this one, aliases counted in full
}

// pair is one key of a mapping.
type pair struct {
	key       string
	line, col int
	value     *node
}

// found describes the value in an error.
func (n *node) found() string {
	switch n.kind {
	case nodeNull:
		return "nothing"
	case nodeList:
		return "a list"
	case nodeMap:
		return "a mapping"
	case nodeString:
		return strconv.Quote(n.text)
	}
	return n.text
}

// parseTree reads one YAML document. The root is nil for an empty document and
// for one that is no YAML; mistakes such as a key given twice leave a tree that
// can be looked at for more.
func parseTree(data []byte) (root *node, errs Errors) {
	body, err := parseDocument(data)
	if err != nil {
		return nil, Errors{err}
	}
	if body == nil {
		return nil, nil
	}
	b := builder{anchors: map[string]*node{}}
	root = b.build(body)
	if root.size > maxNodes || b.merged > maxNodes {
		return nil, Errors{{Line: root.line, Col: root.col, Found: "aliases that repeat too much", Allowed: fmt.Sprintf("%d values in all", maxNodes)}}
	}
	return root, b.errs
}

// parseDocument returns the body of the only document, nil if it is empty.
func parseDocument(data []byte) (body ast.Node, err *Error) {
	// The parser has panicked on damaged input before; a file must not end
	// the process that re-reads it.
	defer func() {
		if p := recover(); p != nil {
			body, err = nil, &Error{Line: 1, Col: 1, Found: fmt.Sprintf("no YAML (%v)", p)}
		}
	}()
	data, err = checkText(data)
	if err != nil {
		return nil, err
	}
	tokens := lexer.Tokenize(string(data))
	if err := checkNesting(tokens); err != nil {
		return nil, err
	}
	file, perr := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if perr != nil {
		return nil, syntaxError(perr)
	}
	return onlyDocument(file)
}

// checkText refuses what is no text and removes a byte order mark.
func checkText(data []byte) ([]byte, *Error) {
	if len(data) > maxFileBytes {
		return nil, &Error{Line: 1, Col: 1, Found: fmt.Sprintf("a file of %d bytes", len(data)), Allowed: fmt.Sprintf("at most %d", maxFileBytes)}
	}
	data = []byte(strings.TrimPrefix(string(data), "\uFEFF"))
	line, col := 1, 1
	for i := 0; i < len(data); {
		r, n := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && n == 1 || r == 0 {
			return nil, &Error{Line: line, Col: col, Found: fmt.Sprintf("byte 0x%02x", data[i]), Allowed: "UTF-8 text"}
		}
		col++
		if r == '\n' {
			line, col = line+1, 1
		}
		i += n
	}
	return data, nil
}

// checkNesting bounds what can nest without indentation: flow collections and
// entries of sequences on one line.
func checkNesting(tokens token.Tokens) *Error {
	flow, entries, line := 0, 0, 0
	for _, t := range tokens {
		if t.Position.Line != line {
			line, entries = t.Position.Line, 0
		}
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			flow++
		case token.SequenceEndType, token.MappingEndType:
			flow = max(0, flow-1)
		case token.SequenceEntryType, token.MappingKeyType, token.AnchorType, token.TagType:
			entries++
		}
		if flow > maxNesting || entries > 8*maxNesting {
			return &Error{Line: t.Position.Line, Col: t.Position.Column, Found: "values nested too deep", Allowed: fmt.Sprintf("%d levels", maxNesting)}
		}
	}
	return nil
}

func syntaxError(err error) *Error {
	e := &Error{Line: 1, Col: 1, Found: "no YAML: " + err.Error()}
	var syntax *yaml.SyntaxError
	if errors.As(err, &syntax) {
		e.Found = "no YAML: " + syntax.Message
		if syntax.Token != nil && syntax.Token.Position != nil {
			e.Line, e.Col = position(syntax.Token)
		}
	}
	return e
}

func position(t *token.Token) (line, col int) {
	return max(1, t.Position.Line), max(1, t.Position.Column)
}

// onlyDocument returns the body of the single document, nil if it is empty.
func onlyDocument(file *ast.File) (ast.Node, *Error) {
	var body ast.Node
	for _, doc := range file.Docs {
		if doc.Body == nil {
			continue
		}
		if _, directive := doc.Body.(*ast.DirectiveNode); directive {
			continue
		}
		if body != nil {
			line, col := position(doc.Body.GetToken())
			if doc.Start != nil {
				line, col = position(doc.Start)
			}
			return nil, &Error{Line: line, Col: col, Found: "a second document", Allowed: "one document a file"}
		}
		body = doc.Body
	}
	return body, nil
}

// builder turns the parser's tree into nodes.
type builder struct {
	anchors map[string]*node
	merged  int // pairs looked at for merge keys
	errs    Errors
}

func (b *builder) fail(t *token.Token, found, allowed string) *node {
	line, col := position(t)
	if len(b.errs) < maxCollected {
		b.errs = append(b.errs, &Error{Line: line, Col: col, Found: found, Allowed: allowed})
	}
	return &node{line: line, col: col, size: 1}
}

func (b *builder) build(n ast.Node) *node {
	switch n := n.(type) {
	case *ast.MappingNode:
		return b.mapping(n)
	case *ast.MappingValueNode:
		return b.mapping(&ast.MappingNode{BaseNode: n.BaseNode, Start: n.Start, Values: []*ast.MappingValueNode{n}})
	case *ast.SequenceNode:
		return b.list(n)
	case *ast.AnchorNode:
		v := b.build(n.Value)
		b.anchors[n.Name.GetToken().Value] = v
		return v
	case *ast.AliasNode:
		return b.alias(n)
	case *ast.TagNode:
		return b.tagged(n)
	case *ast.LiteralNode:
		return leaf(nodeString, n.Start, n.Value.Value)
	case *ast.StringNode:
		return leaf(nodeString, n.Token, n.Value)
	}
	return b.scalar(n)
}

func (b *builder) scalar(n ast.Node) *node {
	switch n := n.(type) {
	case *ast.NullNode:
		return leaf(nodeNull, n.Token, "")
	case *ast.IntegerNode:
		return leaf(nodeInt, n.Token, n.Token.Value)
	case *ast.FloatNode:
		return leaf(nodeFloat, n.Token, n.Token.Value)
	case *ast.InfinityNode:
		return leaf(nodeFloat, n.Token, n.Token.Value)
	case *ast.NanNode:
		return leaf(nodeFloat, n.Token, n.Token.Value)
	case *ast.BoolNode:
		return leaf(nodeBool, n.Token, strings.ToLower(n.Token.Value))
	}
	return b.fail(n.GetToken(), fmt.Sprintf("a YAML %s", n.Type()), "a text, number, list or mapping")
}

func leaf(kind nodeKind, t *token.Token, text string) *node {
	line, col := position(t)
	return &node{kind: kind, line: line, col: col, text: text, size: 1}
}

func (b *builder) list(n *ast.SequenceNode) *node {
	line, col := position(n.Start)
	out := &node{kind: nodeList, line: line, col: col, size: 1}
	for _, v := range n.Values {
		child := b.build(v)
		out.items = append(out.items, child)
		out.grow(child)
	}
	return out
}

// grow adds the size of a child; parseTree refuses what passes the bound.
func (n *node) grow(child *node) { n.size = min(maxNodes+1, n.size+child.size) }

func (b *builder) alias(n *ast.AliasNode) *node {
	name := n.Value.GetToken()
	v, ok := b.anchors[name.Value]
	if !ok {
		return b.fail(n.Start, "*"+name.Value, "a name that &NAME defined before")
	}
	return v
}

// tagged obeys the tags of strings and ignores those that change nothing here.
func (b *builder) tagged(n *ast.TagNode) *node {
	if n.Value == nil {
		return leaf(nodeNull, n.Start, "")
	}
	v := *b.build(n.Value)
	switch n.Start.Value {
	case "!!str":
		if v.kind != nodeList && v.kind != nodeMap {
			v.kind = nodeString
		}
	case "!!int", "!!bool", "!!float", "!!null", "!!map", "!!seq":
	default:
		return b.fail(n.Start, "tag "+n.Start.Value, "no tags but !!str, !!int, !!bool, !!float, !!null, !!map, !!seq")
	}
	return &v
}

func (b *builder) mapping(n *ast.MappingNode) *node {
	out := &node{kind: nodeMap, size: 1}
	out.line, out.col = mappingStart(n)
	seen := map[string]pair{}
	var merged []*node
	for _, mv := range n.Values {
		if mv.Key.IsMergeKey() {
			merged = append(merged, b.merge(mv)...)
			continue
		}
		p, ok := b.pair(mv)
		if !ok {
			continue
		}
		if first, dup := seen[p.key]; dup {
			b.fail(mv.Key.GetToken(), fmt.Sprintf("key %q twice", p.key), fmt.Sprintf("each key once (first at line %d)", first.line))
			continue
		}
		seen[p.key] = p
		out.pairs = append(out.pairs, p)
		out.grow(p.value)
	}
	for _, m := range merged {
		b.inherit(out, m, seen)
	}
	return out
}

// inherit adds the pairs of a merged mapping that are not set yet.
func (b *builder) inherit(out, from *node, seen map[string]pair) {
	if b.merged += len(from.pairs); b.merged > maxNodes {
		return
	}
	for _, p := range from.pairs {
		if _, set := seen[p.key]; set {
			continue
		}
		seen[p.key] = p
		out.pairs = append(out.pairs, p)
		out.grow(p.value)
	}
}

func mappingStart(n *ast.MappingNode) (line, col int) {
	if !n.IsFlowStyle && len(n.Values) > 0 {
		return position(n.Values[0].Key.GetToken())
	}
	return position(n.Start)
}

// merge returns the mappings that "<<: *NAME" or "<<: [*A, *B]" names.
func (b *builder) merge(mv *ast.MappingValueNode) []*node {
	v := b.build(mv.Value)
	list := []*node{v}
	if v.kind == nodeList {
		list = v.items
	}
	for _, m := range list {
		if m.kind != nodeMap {
			b.fail(mv.Key.GetToken(), "<<: with "+m.found(), "a mapping, or a list of mappings")
			return nil
		}
	}
	return list
}

func (b *builder) pair(mv *ast.MappingValueNode) (pair, bool) {
	t := mv.Key.GetToken()
	if mk, ok := mv.Key.(*ast.MappingKeyNode); ok && mk.Value != nil {
		t = mk.Value.GetToken()
	}
	switch key := mv.Key.(type) {
	case *ast.StringNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.MappingKeyNode:
	default:
		b.fail(t, fmt.Sprintf("a %s as a key", strings.ToLower(key.Type().String())), "a plain word")
		return pair{}, false
	}
	line, col := position(t)
	return pair{key: t.Value, line: line, col: col, value: b.build(mv.Value)}, true
}
