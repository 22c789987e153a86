package configs

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var rewrite = flag.Bool("rewrite", false, "write the generated and the golden files anew")

// golden compares what was generated with the file that is checked in.
func golden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *rewrite {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s is out of date, run: go test ./configs -rewrite\n%s", path, diff)
	}
}

// docs are the comments of the structs: "Gateway.Loops" and "Gateway".
type docs map[string]string

func readDocs(t *testing.T) docs {
	t.Helper()
	d := docs{}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if spec, ok := n.(*ast.TypeSpec); ok {
				d.add(spec)
			}
			return true
		})
	}
	return d
}

func (d docs) add(spec *ast.TypeSpec) {
	st, ok := spec.Type.(*ast.StructType)
	if !ok {
		return
	}
	for _, f := range st.Fields.List {
		for _, name := range f.Names {
			d[spec.Name.Name+"."+name.Name] = strings.Join(strings.Fields(f.Doc.Text()), " ")
		}
	}
}

func (d docs) of(t reflect.Type, f field) string { return d[t.Name()+"."+f.goes] }

func TestEveryOptionIsDocumented(t *testing.T) {
	d := readDocs(t)
	for _, cfg := range []any{Default(), DefaultScaler()} {
		eachStruct(cfg, func(_ string, v reflect.Value) {
			for _, f := range fieldsOf(v.Type()) {
				if doc := d.of(v.Type(), f); !strings.HasSuffix(doc, ".") {
					t.Errorf("%s.%s: found the comment %q, want at least one sentence", v.Type().Name(), f.goes, doc)
				}
			}
		})
	}
}

// eachStruct visits the sections in the order of the reference, those by name
// and in lists with their defaults.
func eachStruct(cfg any, f func(path string, v reflect.Value)) {
	var walk func(path string, v reflect.Value)
	walk = func(path string, v reflect.Value) {
		f(path, v)
		for _, fd := range fieldsOf(v.Type()) {
			sub, fv := strings.TrimPrefix(path+"."+fd.name, "."), v.Field(fd.index)
			switch kindOf(fd.typ) {
			case kindSection:
				walk(sub, fv)
			case kindNamed:
				walk(sub+".NAME", elementDefault(fd.typ.Elem(), &node{}))
			case kindList:
				if elem := fd.typ.Elem(); kindOf(elem) == kindSection {
					walk(sub+"[]", elementDefault(elem, &node{}))
				}
			}
		}
	}
	walk("", reflect.ValueOf(cfg).Elem())
}

func TestGeneratedReference(t *testing.T) {
	golden(t, "REFERENCE.md", reference(readDocs(t), Default(), referenceHead, envPrefix))
}

func TestGeneratedScalerReference(t *testing.T) {
	golden(t, "REFERENCE-scaler.md", reference(readDocs(t), DefaultScaler(), scalerReferenceHead, scalerPrefix))
}

// reference is the table of every section.
func reference(d docs, cfg any, head, env string) []byte {
	var b bytes.Buffer
	b.WriteString(head)
	eachStruct(cfg, func(path string, v reflect.Value) {
		title := path
		if path == "" {
			title = "The file"
		}
		fmt.Fprintf(&b, "\n## %s\n\n| key | value | default | meaning |\n|---|---|---|---|\n", title)
		for _, f := range fieldsOf(v.Type()) {
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s%s |\n", f.name, cell(valueText(f)), defaultText(v.Field(f.index)),
				cell(d.of(v.Type(), f)), envText(env, path, f))
		}
	})
	return b.Bytes()
}

const referenceHead = `# Configuration reference

Generated from the comments, tags and defaults in this folder; do not edit
(go test ./configs -rewrite writes it anew).

A file is one YAML document; JSON is accepted, and so are anchors and ` + "`<<:`" + `.
Flags win over the environment, the environment over the file, the file over
Consul's own variables, those over the defaults. The variable of an option is
SPILLWAY_ and its path in capitals with underscores; lists in it are separated
by commas, an empty one counts as unset.

Durations are written ` + "`500ms`, `30s`, `1m30s`, `1h`" + `; sizes ` + "`512`, `64KiB`, `10MiB`, `1GiB`" + `.
Where a list is allowed, one value alone is a list of one.
`

const scalerReferenceHead = `# Configuration reference of the scaler

Generated from the comments, tags and defaults in this folder; do not edit
(go test ./configs -rewrite writes it anew). [examples/scaler.yaml](examples/scaler.yaml)
has every key in place.

Everything [REFERENCE.md](REFERENCE.md) says of files, durations, sizes and lists holds here too. The
variable of an option is SPILLWAY_SCALER_ and its path in capitals with underscores; what is
below a NAME or in a list of sections has none. Capacity is counted in units: cores of a reference
machine of your choice. Money is in the currency of the offerings' prices.
`

func cell(s string) string { return strings.ReplaceAll(s, "|", "\\|") }

func valueText(f field) string {
	t, list := f.typ, ""
	if kindOf(t) == kindList {
		t, list = t.Elem(), "list of "
	}
	switch k := kindOf(t); {
	case f.rules.enum != nil:
		words := make([]string, len(f.rules.enum))
		for i, w := range f.rules.enum {
			words[i] = "`" + w + "`"
			if w == "" {
				words[i] = `""`
			}
		}
		return list + strings.Join(words, ", ")
	case k == kindSection && list != "":
		return "list of sections"
	case k == kindSection:
		return "section"
	case k == kindNamed:
		return "sections by name"
	case k == kindTexts:
		return "texts by name"
	default:
		return list + kindName(k) + rangeText(f.rules)
	}
}

func kindName(k kind) string {
	return map[kind]string{
		kindString: "text", kindSecret: "secret", kindBool: "true or false", kindInt: "number",
		kindFloat:    "number with fraction",
		kindDuration: "duration", kindSize: "size", kindPrefix: "network", kindServer: "server",
	}[k]
}

func defaultText(v reflect.Value) string {
	switch k := kindOf(v.Type()); {
	case k == kindSection || k == kindNamed || k == kindTexts:
		return ""
	case k == kindList && v.Len() == 0:
		return "`[]`"
	case k == kindList && kindOf(v.Type().Elem()) == kindSection:
		return "`[" + v.Index(0).Field(0).String() + "]`"
	case k == kindList:
		return "`" + flow(v) + "`"
	}
	if s := formatScalar(v); s != "" {
		return "`" + s + "`"
	}
	return ""
}

func envText(prefix, path string, f field) string {
	switch k := kindOf(f.typ); {
	case strings.ContainsAny(path, "[N"), k == kindSection, k == kindNamed, k == kindTexts:
		return ""
	case path == "" && prefix == envPrefix: // routes
		return ""
	}
	return " `" + envName(prefix, strings.TrimPrefix(path+"."+f.name, ".")) + "`"
}

func TestGeneratedSchema(t *testing.T) {
	text := schemaText(t, Default(), "Spillway configuration")
	golden(t, "schema.json", text)
	if !*rewrite && !bytes.Equal(JSONSchema(), text) {
		t.Error("JSONSchema differs from schema.json")
	}
}

func TestGeneratedScalerSchema(t *testing.T) {
	text := schemaText(t, DefaultScaler(), "Configuration of Spillway's scaler")
	golden(t, "schema-scaler.json", text)
	if !*rewrite && !bytes.Equal(ScalerJSONSchema(), text) {
		t.Error("ScalerJSONSchema differs from schema-scaler.json")
	}
}

func schemaText(t *testing.T, cfg any, title string) []byte {
	t.Helper()
	s := readDocs(t).section(reflect.ValueOf(cfg).Elem())
	s["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	s["title"] = title
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(s); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

type object = map[string]any

func (d docs) section(v reflect.Value) object {
	props := object{}
	for _, f := range fieldsOf(v.Type()) {
		s := d.schema(f.typ, f.rules, v.Field(f.index))
		s["description"] = d.of(v.Type(), f)
		props[f.name] = s
	}
	return object{"type": "object", "additionalProperties": false, "properties": props}
}

func (d docs) schema(t reflect.Type, r rules, def reflect.Value) object {
	switch k := kindOf(t); k {
	case kindSection:
		s := d.section(def)
		if f, ok := shortField(t); ok {
			return object{"anyOf": []any{d.schema(f.typ, f.rules, def.Field(f.index)), s}}
		}
		return s
	case kindNamed:
		return object{"type": "object", "additionalProperties": d.section(elementDefault(t.Elem(), &node{}))}
	case kindTexts:
		return object{"type": "object", "additionalProperties": object{"type": []string{"string", "number"}}}
	case kindList:
		elem := d.schema(t.Elem(), r, elementDefault(t.Elem(), &node{}))
		list := object{"type": "array", "items": elem}
		if kindOf(t.Elem()).scalar() || hasShort(t.Elem()) {
			return object{"anyOf": []any{list, elem}}
		}
		return list
	default:
		s := scalarSchema(k, r)
		if def.IsValid() && formatScalar(def) != "" && !def.IsZero() {
			s["default"] = jsonDefault(k, def)
		}
		return s
	}
}

func jsonDefault(k kind, v reflect.Value) any {
	if k == kindBool || k == kindInt || k == kindFloat {
		return v.Interface()
	}
	return formatScalar(v)
}

func scalarSchema(k kind, r rules) object {
	switch k {
	case kindBool:
		return object{"type": "boolean"}
	case kindInt, kindFloat:
		s := object{"type": map[kind]string{kindInt: "integer", kindFloat: "number"}[k]}
		for name, text := range map[string]string{"minimum": r.min, "maximum": r.max} {
			if text != "" {
				s[name] = json.Number(text)
			}
		}
		return s
	case kindDuration:
		return object{"type": []string{"string", "integer"}, "pattern": `^(0|([0-9]+(\.[0-9]+)?(ns|us|ms|s|m|h))+)$`, "maximum": 0, "minimum": 0}
	case kindSize:
		return object{"type": []string{"string", "integer"}, "pattern": `^[0-9]+(B|KiB|MiB|GiB|TiB|[kmgKMG])?$`, "minimum": 0}
	}
	s := object{"type": "string"}
	if r.enum != nil {
		s["enum"] = append(append([]string{}, r.enum...), r.also...)
	}
	return s
}
