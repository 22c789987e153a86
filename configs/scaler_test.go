package configs

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

const (
	scalerExample = "examples/scaler.yaml"
	exampleImage  = "nginx:1.27-alpine"
	scalerHead    = `# Every key of the scaler with its default and meaning. Generated from the
# configs package; do not edit. A real file needs only what differs: see
# scaler-local.yaml.
`
)

// exampleScaler is what the example shows: a host that is there already, local
// machines on top, and one app on both.
func exampleScaler() *Scaler {
	s := DefaultScaler()
	own, rented := defaultProvider(), defaultProvider()
	own.Driver, own.Hosts = "static", []ScalerHost{{Engine: "unix:///var/run/docker.sock", CPU: 2, Memory: 2 << 30, Labels: map[string]string{"zone": "here"}}}
	rented.Driver, rented.Offerings = "local", []ScalerOffering{
		{Type: "small", Zones: []string{"a", "b"}, CPU: 1, Memory: 512 << 20, PriceHour: 0.02},
		{Type: "large", Zones: []string{"a"}, CPU: 2, Memory: 1 << 30, PriceHour: 0.04},
	}
	s.Providers = map[string]ScalerProvider{"own": own, "rented": rented}
	s.Profiles = map[string]ScalerProfile{
		"base": {
			Files: []ScalerFile{{Path: "/etc/motd", Content: "rented by the scaler\n", Mode: "0644"}},
		},
		"web": {Base: "base", Images: []string{exampleImage}},
	}
	private, public := defaultMachines(), defaultMachines()
	private.Providers, private.Min, private.Max, private.Strategy = []string{"own"}, 1, 1, "spread"
	public.Providers, public.Profile = []string{"rented"}, "web"
	s.Machines = map[string]ScalerMachines{"private": private, "public": public}
	s.Apps = map[string]ScalerApp{"web": exampleApp()}
	s.Join.Listen, s.Join.Advertise = "0.0.0.0:9912", "https://spillway-host:9912"
	s.normalize()
	return s
}

func exampleApp() ScalerApp {
	a := DefaultScalerApp()
	a.Container.Image, a.Container.Ports = exampleImage, []ScalerPort{{Container: 80}}
	a.Container.Env = map[string]string{"NGINX_ENTRYPOINT_QUIET_LOGS": "1"}
	a.Pools = []ScalerPool{{Machines: "private", Min: 1}, {Machines: "public"}}
	a.Policy.Schedules = []ScalerSchedule{{Name: "evening show", Cron: "30 19 * * fri", Duration: 3 * time.Hour, Zone: "Asia/Shanghai", Units: 6}}
	return a
}

// scalerWriter writes a configuration: of each kind of section the first one in
// full with its comments, of others only what differs from the default.
type scalerWriter struct {
	example
	seen map[reflect.Type]bool
}

func (w *scalerWriter) section(v reflect.Value, depth int) {
	if w.seen[v.Type()] {
		w.brief(v, depth)
		return
	}
	w.seen[v.Type()] = true
	for i, f := range fieldsOf(v.Type()) {
		if depth == 0 || i > 0 {
			w.line(0, "")
		}
		for _, l := range wrap(w.docs.of(v.Type(), f), 76-2*depth) {
			w.line(depth, "# "+l)
		}
		w.entry(f.name, v.Field(f.index), depth)
	}
}

func (w *scalerWriter) brief(v reflect.Value, depth int) {
	d := elementDefault(v.Type(), &node{})
	for _, f := range fieldsOf(v.Type()) {
		if fv := v.Field(f.index); !cmp.Equal(d.Field(f.index).Interface(), fv.Interface(), cmpopts.EquateEmpty()) {
			w.entry(f.name, fv, depth)
		}
	}
}

func (w *scalerWriter) entry(key string, v reflect.Value, depth int) {
	switch k := kindOf(v.Type()); {
	case k == kindSection:
		w.line(depth, key+":")
		w.section(v, depth+1)
	case k.scalar():
		w.line(depth, key+": "+formatYAML(v))
	case v.Len() == 0 && (k == kindNamed || k == kindTexts):
		w.line(depth, key+": {}")
	case k == kindNamed:
		w.line(depth, key+":")
		for _, name := range sortedKeys(v) {
			w.line(depth+1, name.String()+":")
			w.section(v.MapIndex(name), depth+2)
		}
	case k == kindTexts:
		w.line(depth, key+":")
		for _, name := range sortedKeys(v) {
			w.line(depth+1, name.String()+": "+quote(v.MapIndex(name).String()))
		}
	case v.Len() == 0 || kindOf(v.Type().Elem()).scalar():
		w.line(depth, key+": "+flow(v))
	default:
		w.line(depth, key+":")
		for i := range v.Len() {
			w.line(depth+1, "-")
			w.section(v.Index(i), depth+2)
		}
	}
}

func TestScalerExampleIsGenerated(t *testing.T) {
	w := scalerWriter{example: example{docs: readDocs(t)}, seen: map[reflect.Type]bool{}}
	w.out.WriteString(scalerHead)
	w.section(reflect.ValueOf(exampleScaler()).Elem(), 0)
	golden(t, scalerExample, w.out.Bytes())
}

func loadScaler(t *testing.T, src Source) *Scaler {
	t.Helper()
	s, err := LoadScaler(src)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestScalerExampleNamesEveryKey(t *testing.T) {
	s := loadScaler(t, Source{Path: scalerExample})
	eachStruct(DefaultScaler(), func(path string, v reflect.Value) {
		for _, f := range fieldsOf(v.Type()) {
			pattern := regexp.QuoteMeta(strings.TrimPrefix(path+"."+f.name, "."))
			pattern = strings.NewReplacer("NAME", `[a-z]+`, `\[\]`, `\[\d+\]`).Replace(pattern)
			if !anyOrigin(s, regexp.MustCompile("^"+pattern+"$")) {
				t.Errorf("found no %s in %s", pattern, scalerExample)
			}
		}
	})
}

func anyOrigin(s *Scaler, path *regexp.Regexp) bool {
	for p, o := range s.origins {
		if o.From == "file" && path.MatchString(p) {
			return true
		}
	}
	return false
}

func TestScalerExamplesAreValid(t *testing.T) {
	for _, path := range fixtures(t, "examples/scaler*.yaml") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			s := loadScaler(t, Source{Path: path})
			if err := s.Validate(); err != nil {
				t.Errorf("Validate disagrees with LoadScaler: %v", err)
			}
			if w := s.Warnings(); len(w) > 0 {
				t.Errorf("found warnings: %v", w)
			}
			again := loadScaler(t, Source{Data: EffectiveScaler(s, true)})
			if diff := cmp.Diff(s, again, cmpopts.IgnoreUnexported(Scaler{}), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("written and read again (-was +is):\n%s", diff)
			}
		})
	}
}

func TestScalerExampleIsTheDefault(t *testing.T) {
	s, d := loadScaler(t, Source{Path: scalerExample}), DefaultScaler()
	d.Consul.Prefix = "spillway/scaler/spillway/"
	d.Join.Listen, d.Join.Advertise = s.Join.Listen, s.Join.Advertise
	for what, pair := range map[string][2]any{
		"api": {d.API, s.API}, "join": {d.Join, s.Join}, "consul": {d.Consul, s.Consul}, "gateways": {d.Gateways, s.Gateways},
		"timings": {d.Timings, s.Timings}, "money": {d.Money, s.Money}, "prometheus": {d.Prometheus, s.Prometheus},
	} {
		if diff := cmp.Diff(pair[0], pair[1]); diff != "" {
			t.Errorf("%s differs from the default (-default +example):\n%s", what, diff)
		}
	}
	p := s.Apps["web"].Policy
	p.Schedules = nil
	if diff := cmp.Diff(DefaultScalerPolicy(), p); diff != "" {
		t.Errorf("policy differs from the default (-default +example):\n%s", diff)
	}
}

func TestBadScalerFilesAreRefusedWithTheExactMessage(t *testing.T) {
	for _, path := range fixtures(t, "testdata/scaler_*.bad.yml") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			_, err = LoadScaler(Source{Path: filepath.Base(path), Data: data})
			var es Errors
			if !errors.As(err, &es) {
				t.Fatalf("found error %v, want one of type Errors", err)
			}
			checkPositions(t, es, filepath.Base(path))
			golden(t, strings.TrimSuffix(path, ".yml")+".txt", []byte(err.Error()+"\n"))
		})
	}
}

const smallScaler = `
providers: {p: {driver: sim, offerings: [{type: small, cpu: 2, memory: 1GiB}]}}
machines: {m: {providers: p}}
apps: {web: {container: {image: i, ports: [80]}, pools: [m]}}
`

func TestScalerFillsInWhatFollows(t *testing.T) {
	s := loadScaler(t, Source{Data: []byte(smallScaler)})
	web, o := s.Apps["web"], s.Providers["p"].Offerings[0]
	if web.Upstream != "web" || web.Service != "web" || web.Units != 1 || web.Pools[0].Name != "m" || web.Container.Ports[0].Container != 80 {
		t.Errorf("found app %+v", web)
	}
	if o.Units != 2 || len(o.Zones) != 1 || o.Zones[0] != "p" {
		t.Errorf("found offering %+v", o)
	}
	if diff := cmp.Diff(DefaultScalerPolicy(), web.Policy); diff != "" {
		t.Errorf("policy (-default +found):\n%s", diff)
	}
}

func TestScalerVariables(t *testing.T) {
	s := loadScaler(t, Source{Data: []byte("api: {token_file: /f}" + smallScaler), Env: environ(
		"CONSUL_HTTP_ADDR=consul:1", "CONSUL_HTTP_SSL=true", "SPILLWAY_SCALER_API_TOKEN=t", "SPILLWAY_SCALER_DRY_RUN=true",
		"SPILLWAY_SCALER_MONEY_PER_HOUR=2.5", "SPILLWAY_CONSUL_ADDRESS=gateway:1")})
	if got := s.Consul.Endpoint(); got != "https://consul:1" {
		t.Errorf("found Consul at %s, want https://consul:1", got)
	}
	if string(s.API.Token) != "t" || s.API.TokenFile != "" || !s.DryRun || s.Money.PerHour != 2.5 {
		t.Errorf("found api %+v, dry_run %v, money %+v", s.API, s.DryRun, s.Money)
	}
	_, err := LoadScaler(Source{Data: []byte(smallScaler), Env: environ("SPILLWAY_SCALER_MONEY_PER_HOUR=lots")})
	if want := `SPILLWAY_SCALER_MONEY_PER_HOUR: money.per_hour: found "lots", allowed: a number of at least 0`; fmt.Sprint(err) != want {
		t.Errorf("found %v, want %s", err, want)
	}
}

// Every option with one place in the file can be set by a variable of its own,
// and none is also one of the gateway's.
func TestEveryScalerOptionHasItsVariable(t *testing.T) {
	seen := map[string]bool{}
	eachLeaf(reflect.ValueOf(Default()).Elem(), "", func(path string, _ field, _ reflect.Value) { seen[EnvName(path)] = true })
	eachLeaf(reflect.ValueOf(DefaultScaler()).Elem(), "", func(path string, _ field, _ reflect.Value) {
		if name := ScalerEnvName(path); seen[name] {
			t.Errorf("%s has the variable %s, which is another one's", path, name)
		} else {
			seen[name] = true
		}
	})
}

// FuzzLoadScaler: no document makes LoadScaler panic, every mistake has a
// place, and what is accepted is valid and survives being written and read.
func FuzzLoadScaler(f *testing.F) {
	for _, pattern := range []string{"testdata/scaler*.yml", "examples/scaler*.yaml"} {
		paths, _ := filepath.Glob(pattern)
		for _, p := range paths {
			if data, err := os.ReadFile(p); err == nil {
				f.Add(data)
			}
		}
	}
	f.Add([]byte(smallScaler))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := LoadScaler(Source{Path: "f.yml", Data: bytes.Clone(data)})
		if err != nil {
			var es Errors
			if !errors.As(err, &es) {
				t.Fatalf("found %v, want Errors", err)
			}
			return
		}
		if err := s.Validate(); err != nil {
			t.Fatalf("LoadScaler accepts what Validate refuses: %v", err)
		}
		if _, err := LoadScaler(Source{Data: EffectiveScaler(s, true)}); err != nil {
			t.Fatalf("LoadScaler refuses what EffectiveScaler wrote: %v\n%s", err, EffectiveScaler(s, true))
		}
	})
}
