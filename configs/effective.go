package configs

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Effective writes the whole configuration as YAML that Load reads back to the
// same, secrets excepted: those are "***". With provenance each value carries
// a comment that says where it comes from.
func Effective(c *Config, provenance bool) []byte {
	return effective(c, &c.book, provenance)
}

func effective(cfg any, b *book, provenance bool) []byte {
	w := writer{book: b, provenance: provenance}
	w.section(reflect.ValueOf(cfg).Elem(), "", 0)
	return w.out.Bytes()
}

// writer prints a configuration in the order of its declaration.
type writer struct {
	book       *book
	provenance bool
	out        bytes.Buffer
}

func (w *writer) line(depth int, text, path string) {
	w.out.WriteString(strings.Repeat("  ", depth))
	w.out.WriteString(text)
	if w.provenance && path != "" {
		w.out.WriteString("  # " + w.book.Origin(path).String())
	}
	w.out.WriteByte('\n')
}

// String is "default", "FILE:LINE:COL", or the name of the variable or flag.
func (o Origin) String() string {
	if o.From == "file" {
		return fmt.Sprintf("%s:%d:%d", o.File, o.Line, o.Col)
	}
	return o.From
}

func (w *writer) section(v reflect.Value, path string, depth int) {
	for _, f := range fieldsOf(v.Type()) {
		w.entry(f.name, v.Field(f.index), join(path, f.name), depth)
	}
}

// entry writes one key with its value.
func (w *writer) entry(key string, v reflect.Value, path string, depth int) {
	switch k := kindOf(v.Type()); {
	case k == kindSection:
		w.line(depth, key+":", "")
		w.section(v, path, depth+1)
	case k.scalar():
		w.line(depth, key+": "+formatYAML(v), path)
	case v.Len() == 0 && (k == kindNamed || k == kindTexts):
		w.line(depth, key+": {}", path)
	case v.Len() == 0:
		w.line(depth, key+": []", path)
	case k == kindNamed:
		w.line(depth, key+":", "")
		w.named(v, path, depth+1)
	case k == kindTexts:
		w.line(depth, key+":", "")
		w.texts(v, path, depth+1)
	case kindOf(v.Type().Elem()).scalar():
		w.line(depth, key+": "+flow(v), path)
	default:
		w.line(depth, key+":", "")
		w.list(v, path, depth+1)
	}
}

// sortedKeys are the keys of a map in order.
func sortedKeys(m reflect.Value) []reflect.Value {
	keys := m.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
	return keys
}

func (w *writer) texts(v reflect.Value, path string, depth int) {
	for _, key := range sortedKeys(v) {
		w.line(depth, quote(key.String())+": "+quote(v.MapIndex(key).String()), join(path, key.String()))
	}
}

func (w *writer) named(v reflect.Value, path string, depth int) {
	for _, key := range sortedKeys(v) {
		name := key.String()
		w.line(depth, quote(name)+":", "")
		w.section(v.MapIndex(key), join(path, name), depth+1)
	}
}

// list writes sections as "-" followed by their keys.
func (w *writer) list(v reflect.Value, path string, depth int) {
	for i := range v.Len() {
		w.line(depth, "-", "")
		w.section(v.Index(i), item(path, i), depth+1)
	}
}

func flow(v reflect.Value) string {
	parts := make([]string, v.Len())
	for i := range parts {
		parts[i] = formatYAML(v.Index(i))
	}
	return "[" + strings.Join(parts, ", ") + "]"
}

// formatScalar is the text parseScalar reads back. A secret is masked.
func formatScalar(v reflect.Value) string {
	switch x := v.Interface().(type) {
	case time.Duration:
		return formatDuration(x)
	case Size:
		return x.String()
	case Secret:
		return x.String()
	case netip.Prefix:
		return x.String()
	case ServerLine:
		return x.String()
	case bool:
		return strconv.FormatBool(x)
	case int:
		return strconv.Itoa(x)
	case float64:
		return strconv.FormatFloat(x, 'f', -1, 64)
	}
	return v.String()
}

func formatYAML(v reflect.Value) string {
	text := formatScalar(v)
	switch kindOf(v.Type()) {
	case kindBool, kindInt, kindFloat, kindDuration, kindSize:
		return text
	}
	return quote(text)
}

// quote leaves plain words alone and writes everything else as JSON does,
// which YAML reads.
func quote(s string) string {
	if isPlain(s) {
		return s
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		return strconv.Quote(s)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// isPlain accepts words that no reader of YAML takes for anything else.
func isPlain(s string) bool {
	switch strings.ToLower(s) {
	case "true", "false", "null", "yes", "no", "on", "off", "y", "n":
		return false
	}
	if s == "" || strings.ContainsFunc(s, func(r rune) bool { return notHostRune(r) && r != '/' && r != '.' }) {
		return false
	}
	return s[0] >= 'a' && s[0] <= 'z' || s[0] >= 'A' && s[0] <= 'Z' || s[0] == '/'
}
