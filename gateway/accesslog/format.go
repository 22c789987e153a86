package accesslog

import (
	"fmt"
	"slices"
	"strings"
)

// The named formats as nginx writes them down; "json" is in json.go.
const (
	combined = common + ` "$http_referer" "$http_user_agent"`
	common   = `$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent`
)

// Format is a compiled log format. It is immutable and may be shared.
type Format struct {
	ops     []op
	headers []string
	escape  escaping
}

// op is one piece of a line: a literal (emit is nil) or a variable.
type op struct {
	literal string
	emit    emitter
	// safe values are made of bytes that need no escaping.
	safe bool
	// missing stands for a value that is not there.
	missing string
	// quoted values stand between double quotes, unless they are missing.
	quoted bool
}

// Headers returns the names of the request fields the format needs, in lower
// case and each once; Entry.Headers has their values in this order.
func (f *Format) Headers() []string { return f.headers }

// Compile returns the format called "combined", "common" or "json", or else
// parses a string of text and variables as nginx's log_format has it:
//
//	$remote_addr "$request" ${status} $upstream_response_time
//
// It may begin with "escape=default ", "escape=json " or "escape=none ",
// which say how values are written and mean what they mean in nginx. An
// unknown variable is an error that names the nearest one.
func Compile(format string) (*Format, error) {
	switch format {
	case "combined":
		format = combined
	case "common":
		format = common
	case "json":
		return compileJSON(), nil
	}
	p := parser{f: &Format{}, known: variables(), src: format}
	if err := p.parse(); err != nil {
		return nil, fmt.Errorf("invalid access log format: %w", err)
	}
	return p.f, nil
}

// parser turns the text of a format into ops.
type parser struct {
	f     *Format
	known []variable
	src   string
	pos   int
}

func (p *parser) parse() error {
	if err := p.option(); err != nil {
		return err
	}
	vars := 0
	for p.pos < len(p.src) {
		if p.src[p.pos] != '$' {
			p.literal()
			continue
		}
		if err := p.variable(); err != nil {
			return err
		}
		vars++
	}
	if vars == 0 {
		return fmt.Errorf("%q has no $variable and is none of the named formats: combined, common, json", p.src)
	}
	return nil
}

// option reads the leading "escape=...".
func (p *parser) option() error {
	rest, ok := strings.CutPrefix(p.src, "escape=")
	if !ok {
		return nil
	}
	how, _, _ := strings.Cut(rest, " ")
	switch how {
	case "default":
		p.f.escape = escapeDefault
	case "json":
		p.f.escape = escapeJSON
	case "none":
		p.f.escape = escapeNone
	default:
		return fmt.Errorf("unknown escape=%s: want default, json or none", how)
	}
	p.pos = min(len("escape=")+len(how)+1, len(p.src))
	return nil
}

func (p *parser) literal() {
	text := p.src[p.pos:]
	if i := strings.IndexByte(text, '$'); i >= 0 {
		text = text[:i]
	}
	p.pos += len(text)
	p.f.ops = append(p.f.ops, op{literal: text})
}

// variable reads "$name" or "${name}".
func (p *parser) variable() error {
	at := p.pos + 1 // the column, from 1
	text := p.src[p.pos+1:]
	text, braced := strings.CutPrefix(text, "{")
	n := 0
	for n < len(text) && nameByte(text[n]) {
		n++
	}
	name := text[:n]
	p.pos += 1 + n
	if braced {
		if n == len(text) || text[n] != '}' {
			return fmt.Errorf("column %d: ${%s is not closed by }", at, name)
		}
		p.pos += 2
	}
	if name == "" {
		return fmt.Errorf("column %d: $ without a name", at)
	}
	return p.emit(name, at)
}

func nameByte(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

func (p *parser) emit(name string, at int) error {
	o := op{missing: p.f.escape.missing()}
	if field, ok := requestField(name); ok {
		o.emit = p.f.field(field)
		p.f.ops = append(p.f.ops, o)
		return nil
	}
	i := slices.IndexFunc(p.known, func(v variable) bool { return v.name == name })
	if i < 0 {
		return fmt.Errorf("column %d: unknown variable $%s: did you mean $%s?", at, name, nearest(name, p.known))
	}
	o.emit, o.safe = p.known[i].emit, p.known[i].safe
	p.f.ops = append(p.f.ops, o)
	return nil
}

// field returns the emitter of a request field and notes that the format
// needs it.
func (f *Format) field(name string) emitter {
	i := slices.Index(f.headers, name)
	if i < 0 {
		i = len(f.headers)
		f.headers = append(f.headers, name)
	}
	return func(dst []byte, e *Entry, _ *renderer) ([]byte, bool) {
		if i >= len(e.Headers) || e.Headers[i] == nil {
			return dst, false
		}
		return append(dst, e.Headers[i]...), true
	}
}

// requestField returns the field a variable stands for: $http_x_real_ip is
// x-real-ip.
func requestField(variable string) (name string, ok bool) {
	switch variable {
	case "content_type", "content_length":
		name = variable
	default:
		if name, ok = strings.CutPrefix(variable, "http_"); !ok || name == "" {
			return "", false
		}
	}
	return strings.ToLower(strings.ReplaceAll(name, "_", "-")), true
}

// nearest returns the name of the known variable with the fewest edits from
// name.
func nearest(name string, known []variable) string {
	best, least := "", len(name)+100
	for _, v := range known {
		if d := edits(name, v.name); d < least {
			best, least = v.name, d
		}
	}
	return best
}

// edits is the Levenshtein distance.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
