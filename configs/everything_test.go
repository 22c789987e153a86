package configs

import (
	"bytes"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

const everythingPath = "examples/everything.yaml"

// everything writes every key with its default below its documentation. What
// an upstream and a route cannot do without is made up.
func everything(t *testing.T) []byte {
	e := example{docs: readDocs(t)}
	e.out.WriteString("# Every key with its default. Generated from the configs package; do not edit.\n")
	c := Default()
	c.Upstreams = map[string]Upstream{"": exampleUpstream()}
	c.Routes = []Route{{Name: "route-1", Upstream: "static"}}
	e.section(reflect.ValueOf(c).Elem(), 0)
	return e.out.Bytes()
}

func exampleUpstream() Upstream {
	u := DefaultUpstream(SourceStatic)
	u.Servers = []ServerLine{{Addr: "127.0.0.1:9001", Weight: 1, MaxFails: -1, FailTimeout: -1}}
	return u
}

// otherSources are the shortest upstreams of the sources that the written-out
// one does not show.
const otherSources = `
  # The other sources, with the keys each of them needs.
  file: {source: file, file: /etc/spillway/servers.conf}
  kv: {source: consul-kv, key: upstreams/kv/}
  discovered: {source: consul-kv, key: upstreams/*}
  catalog: {source: consul-catalog, service: catalog}
  health: {source: consul-health, service: health}
`

type example struct {
	docs docs
	out  bytes.Buffer
}

func (e *example) line(depth int, text string) {
	e.out.WriteString(strings.TrimRight(strings.Repeat("  ", depth)+text, " ") + "\n")
}

func (e *example) section(v reflect.Value, depth int) {
	for i, f := range fieldsOf(v.Type()) {
		if depth == 0 || i > 0 {
			e.line(0, "")
		}
		for _, l := range wrap(e.docs.of(v.Type(), f), 76-2*depth) {
			e.line(depth, "# "+l)
		}
		e.entry(f.name, v.Field(f.index), depth)
	}
}

func (e *example) entry(key string, v reflect.Value, depth int) {
	switch kindOf(v.Type()) {
	case kindSection:
		e.line(depth, key+":")
		e.section(v, depth+1)
	case kindNamed:
		e.line(depth, key+":")
		e.line(depth+1, "static:")
		e.section(v.MapIndex(reflect.ValueOf("")), depth+2)
		e.out.WriteString(otherSources)
	case kindList:
		e.list(key, v, depth)
	case kindTexts:
		e.line(depth, key+": {}")
	default:
		e.line(depth, key+": "+formatYAML(v))
	}
}

func (e *example) list(key string, v reflect.Value, depth int) {
	if kindOf(v.Type().Elem()).scalar() {
		e.line(depth, key+": "+flow(v))
		return
	}
	e.line(depth, key+":")
	for i := range v.Len() {
		e.line(depth+1, "-")
		e.section(v.Index(i), depth+2)
	}
}

func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for _, w := range strings.Fields(text) {
		if line != "" && len(line)+1+len(w) > width {
			lines, line = append(lines, line), ""
		}
		line = strings.TrimPrefix(line+" "+w, " ")
	}
	return append(lines, line)
}

func TestEverythingIsGenerated(t *testing.T) {
	golden(t, everythingPath, everything(t))
}

func TestEverythingNamesEveryKey(t *testing.T) {
	c := mustLoad(t, Source{Path: everythingPath})
	eachStruct(Default(), func(path string, v reflect.Value) {
		path = strings.NewReplacer("NAME", "static", "[]", "[0]").Replace(path)
		for _, f := range fieldsOf(v.Type()) {
			if p := join("", f.name); c.Origin(strings.TrimPrefix(fmt.Sprintf("%s.%s", path, p), ".")).From != "file" {
				t.Errorf("found no %s.%s in %s", path, f.name, everythingPath)
			}
		}
	})
}

func TestEverythingIsTheDefault(t *testing.T) {
	c := mustLoad(t, Source{Path: everythingPath})
	same := func(what string, want, got any) {
		t.Helper()
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
			t.Errorf("%s differs from the default (-default +%s):\n%s", what, everythingPath, diff)
		}
	}
	d := Default()
	same("gateway", d.Gateway, c.Gateway)
	same("admin", d.Admin, c.Admin)
	same("log", d.Log, c.Log)
	same("consul", d.Consul, c.Consul)
	for _, name := range c.UpstreamNames() {
		u := c.Upstreams[name]
		want := DefaultUpstream(u.Source)
		want.Key, want.Service, want.File, want.Servers = u.Key, u.Service, u.File, u.Servers
		same("upstream "+name, want, u)
	}
}

func mustLoad(t *testing.T, src Source) *Config {
	t.Helper()
	c, err := Load(src)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
