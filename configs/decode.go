package configs

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Origin says where a value comes from.
type Origin struct {
	// From is "default", "file", or the name of the variable or flag.
	From string
	// File, Line and Col are set when From is "file".
	File      string
	Line, Col int

	rank rank
}

// rank orders the places a value may come from, the strongest last.
type rank int

const (
	rankDefault rank = iota
	rankConsulEnv
	rankFile
	rankEnv
	rankFlag
)

// decoder lays one source of values after another over a configuration and
// remembers where each came from.
type decoder struct {
	root reflect.Value // the struct that is filled
	book *book         // of that struct
	env  string        // what the names of its variables begin with
	file string        // name of the file in messages, "" without one
	errs Errors
}

// newDecoder fills the struct that cfg points to.
func newDecoder(cfg any, b *book, env string) *decoder {
	b.origins = map[string]Origin{}
	return &decoder{root: reflect.ValueOf(cfg).Elem(), book: b, env: env}
}

// fail records a mistake at a place in the file.
func (d *decoder) fail(line, col int, key string, v *valueError) {
	if len(d.errs) < maxCollected {
		d.errs = append(d.errs, &Error{File: d.file, Line: line, Col: col, Key: key, Found: shorten(v.found), Allowed: v.allowed, Hint: v.hint})
	}
}

func (d *decoder) place(path string, line, col int) {
	d.book.origins[path] = Origin{From: "file", File: d.file, Line: line, Col: col, rank: rankFile}
}

// document decodes the root of a file.
func (d *decoder) document(root *node) {
	d.place("", 1, 1)
	if root == nil {
		return
	}
	d.value(root, d.root, rules{}, "")
}

// value decodes n into v. Nothing (a key without a value) leaves the default.
func (d *decoder) value(n *node, v reflect.Value, r rules, path string) {
	if path != "" {
		d.place(path, n.line, n.col)
	}
	if n.kind == nodeNull {
		return
	}
	switch kindOf(v.Type()) {
	case kindSection:
		d.section(n, v, path)
	case kindList:
		d.list(n, v, r, path)
	case kindNamed:
		d.named(n, v, path)
	case kindTexts:
		d.texts(n, v, path)
	default:
		d.scalar(n, v, r, path)
	}
}

func (d *decoder) wrongType(n *node, t reflect.Type, r rules, path string) {
	found, hint := n.found(), ""
	if kindOf(t) == kindBool {
		hint = boolHint(n.text)
	}
	if t == reflect.TypeFor[Secret]() {
		found = "something else"
	}
	d.fail(n.line, n.col, path, &valueError{found: found, allowed: allowedFor(t, r), hint: hint})
}

func (d *decoder) scalar(n *node, v reflect.Value, r rules, path string) {
	if !fits(n.kind, kindOf(v.Type())) {
		d.wrongType(n, v.Type(), r, path)
		return
	}
	parsed, err := parseScalar(v.Type(), r, n.text)
	if err != nil {
		if n.kind != nodeString && err.found == strconv.Quote(n.text) {
			err.found = n.text
		}
		d.fail(n.line, n.col, path, err)
		return
	}
	v.Set(parsed)
}

// fits reports whether a YAML value of kind n may stand for an option of kind
// k. Texts take numbers as written (a datacenter named 1), but not true or
// null, which YAML makes of words that were meant as text or not at all.
func fits(n nodeKind, k kind) bool {
	switch k {
	case kindBool:
		return n == nodeBool
	case kindInt:
		return n == nodeInt
	case kindFloat:
		return n == nodeInt || n == nodeFloat
	case kindDuration, kindSize:
		return n == nodeString || n == nodeInt
	}
	return n == nodeString || n == nodeInt || n == nodeFloat
}

func (d *decoder) section(n *node, v reflect.Value, path string) {
	if n.kind != nodeMap {
		if f, ok := shortField(v.Type()); ok && n.kind != nodeList {
			d.value(n, v.Field(f.index), f.rules, join(path, f.name))
			return
		}
		d.wrongType(n, v.Type(), rules{}, path)
		return
	}
	fields := fieldsOf(v.Type())
	for _, p := range n.pairs {
		f, ok := fieldNamed(fields, p.key)
		if !ok {
			d.unknownKey(p, fields, path)
			continue
		}
		sub := join(path, f.name)
		d.value(p.value, v.Field(f.index), f.rules, sub)
		if !kindOf(f.typ).scalar() || p.value.kind == nodeNull {
			d.place(sub, p.line, p.col)
		}
	}
}

func fieldNamed(fields []field, name string) (field, bool) {
	for _, f := range fields {
		if f.name == name {
			return f, true
		}
	}
	return field{}, false
}

func (d *decoder) unknownKey(p pair, fields []field, path string) {
	names := fieldNames(fields)
	d.fail(p.line, p.col, path, &valueError{
		found:   fmt.Sprintf("unknown key %q", p.key),
		allowed: strings.Join(names, ", "),
		hint:    nearest(p.key, names),
	})
}

// list decodes a list; one value alone stands for a list of one.
func (d *decoder) list(n *node, v reflect.Value, r rules, path string) {
	items := n.items
	elem := v.Type().Elem()
	if n.kind != nodeList {
		if !kindOf(elem).scalar() && !hasShort(elem) {
			d.wrongType(n, v.Type(), r, path)
			return
		}
		items = []*node{n}
	}
	out := reflect.MakeSlice(v.Type(), len(items), len(items))
	for i, it := range items {
		if it.kind == nodeNull {
			d.wrongType(it, elem, r, item(path, i))
			continue
		}
		out.Index(i).Set(elementDefault(elem, it))
		d.value(it, out.Index(i), r, item(path, i))
	}
	v.Set(out)
}

// elementDefault is what an element of a list or of a mapping from names is
// before n is read into it.
func elementDefault(t reflect.Type, n *node) reflect.Value {
	if t == reflect.TypeFor[Upstream]() {
		return reflect.ValueOf(DefaultUpstream(sourceOf(n)))
	}
	return scalerElement(t)
}

// texts decodes a mapping from names to texts.
func (d *decoder) texts(n *node, v reflect.Value, path string) {
	if n.kind != nodeMap {
		d.wrongType(n, v.Type(), rules{}, path)
		return
	}
	out := reflect.MakeMap(v.Type())
	for _, p := range n.pairs {
		sub := join(path, p.key)
		if !fits(p.value.kind, kindString) {
			d.wrongType(p.value, v.Type().Elem(), rules{}, sub)
			continue
		}
		d.place(sub, p.value.line, p.value.col)
		out.SetMapIndex(reflect.ValueOf(p.key), reflect.ValueOf(p.value.text))
	}
	v.Set(out)
}

// named decodes sections by name, such as the upstreams.
func (d *decoder) named(n *node, v reflect.Value, path string) {
	if n.kind != nodeMap {
		d.wrongType(n, v.Type(), rules{}, path)
		return
	}
	for _, p := range n.pairs {
		elem := reflect.New(v.Type().Elem()).Elem()
		elem.Set(elementDefault(elem.Type(), p.value))
		sub := join(path, p.key)
		d.value(p.value, elem, rules{}, sub)
		d.place(sub, p.line, p.col)
		if v.IsNil() {
			v.Set(reflect.MakeMap(v.Type()))
		}
		v.SetMapIndex(reflect.ValueOf(p.key), elem)
	}
}

// sourceOf looks ahead to the source of an upstream, on which defaults depend.
// It is "" when there is none, or none that is known.
func sourceOf(n *node) string {
	source := ""
	for _, p := range n.pairs {
		switch {
		case p.key == "source" && slices.Contains(sources(), p.value.text):
			return p.value.text
		case p.key == "source" && p.value.kind != nodeNull:
			return ""
		case p.key == "servers":
			source = SourceStatic
		}
	}
	return source
}
