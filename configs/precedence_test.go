package configs

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
)

const routed = `
upstreams: {web: {servers: ["10.0.0.1:80"]}}
routes: [{upstream: web}]
`

func environ(pairs ...string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		for _, p := range pairs {
			if v, ok := strings.CutPrefix(p, name+"="); ok {
				return v, true
			}
		}
		return "", false
	}
}

func parseFlags(t *testing.T, args ...string) *FlagValues {
	t.Helper()
	fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
	f := Flags(fs)
	if err := fs.Parse(args); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestStrongerSourcesWin(t *testing.T) {
	const file = "consul: {address: file:1}" + routed
	tests := []struct {
		name, file string
		env, args  []string
		want, from string
	}{
		{"default", routed, nil, nil, "127.0.0.1:8500", "default"},
		{"consul's variable over default", routed, []string{"CONSUL_HTTP_ADDR=consul:1"}, nil, "consul:1", "CONSUL_HTTP_ADDR"},
		{"file over consul's variable", file, []string{"CONSUL_HTTP_ADDR=consul:1"}, nil, "file:1", "f.yml:1:19"},
		{"environment over file", file, []string{"SPILLWAY_CONSUL_ADDRESS=env:1"}, nil, "env:1", "SPILLWAY_CONSUL_ADDRESS"},
		{"flag over environment", file, []string{"SPILLWAY_CONSUL_ADDRESS=env:1"}, []string{"--consul=flag:1"}, "flag:1", "--consul"},
		{"an empty variable is unset", file, []string{"SPILLWAY_CONSUL_ADDRESS="}, nil, "file:1", "f.yml:1:19"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := mustLoad(t, Source{Path: "f.yml", Data: []byte(tt.file), Env: environ(tt.env...), Flags: parseFlags(t, tt.args...)})
			if got := c.Consul.Address; got != tt.want {
				t.Errorf("found address %s, want %s", got, tt.want)
			}
			if got := c.Origin("consul.address").String(); got != tt.from {
				t.Errorf("found origin %s, want %s", got, tt.from)
			}
		})
	}
}

func TestFlagsSetTheirOptions(t *testing.T) {
	path := filepath.Join(t.TempDir(), "spillway.yaml")
	if err := os.WriteFile(path, []byte("gateway: {listen: [':1', ':2'], loops: 9}"+routed), 0o600); err != nil {
		t.Fatal(err)
	}
	c := mustLoad(t, Source{Flags: parseFlags(t, "-c", path, "--listen", "127.0.0.1:0", "--listen=[::1]:0", "--loops", "0", "--admin=off")})
	want := []Listen{{"127.0.0.1:0"}, {"[::1]:0"}}
	if diff := cmp.Diff(want, c.Gateway.Listen); diff != "" {
		t.Errorf("gateway.listen (-want +got):\n%s", diff)
	}
	if c.Gateway.Loops != 0 || c.Admin.Listen != "" {
		t.Errorf("found loops %d and admin %q, want 0 and none", c.Gateway.Loops, c.Admin.Listen)
	}
}

func TestMistakesOutsideTheFileNameTheirSource(t *testing.T) {
	_, err := Load(Source{
		Path: "f.yml", Data: []byte(routed),
		Env:   environ("SPILLWAY_LOG_LEVEL=loud", "SPILLWAY_GATEWAY_TRUSTED_PROXIES=10.0.0.0/8,x", "CONSUL_HTTP_SSL=maybe", "SPILLWAY_ADMIN_LISTEN=9901"),
		Flags: parseFlags(t, "--loops=-1", "--listen=80"),
	})
	want := `CONSUL_HTTP_SSL: consul.scheme: found "maybe", allowed: true or false
SPILLWAY_GATEWAY_TRUSTED_PROXIES: gateway.trusted_proxies: found "x", allowed: a network such as 10.0.0.0/8, or an address
SPILLWAY_LOG_LEVEL: log.level: found "loud", allowed: debug, info, warn, error
--loops: gateway.loops: found "-1", allowed: a whole number from 0 to 256
--listen: gateway.listen[0].address: found "80", allowed: IP:port, [IPv6]:port, :port or unix:/path; did you mean ":80"?
SPILLWAY_ADMIN_LISTEN: admin.listen: found "9901", allowed: IP:port, [IPv6]:port, :port or unix:/path; did you mean ":9901"?`
	if diff := cmp.Diff(want, fmt.Sprint(err)); diff != "" {
		t.Errorf("errors (-want +got):\n%s", diff)
	}
}

// Every option with one place in the file can be set by a variable of its own.
func TestEveryOptionHasItsVariable(t *testing.T) {
	samples := map[kind]string{
		kindString: "sample", kindSecret: "sample", kindBool: "true", kindInt: "9",
		kindFloat: "9.5", kindDuration: "61s", kindSize: "3KiB", kindPrefix: "192.0.2.0/24",
	}
	seen := map[string]string{}
	eachLeaf(reflect.ValueOf(Default()).Elem(), "", func(path string, f field, _ reflect.Value) {
		name := EnvName(path)
		if other, dup := seen[name]; dup {
			t.Errorf("%s and %s share the variable %s", path, other, name)
		}
		seen[name] = path
		c := Default()
		d := newDecoder(c, &c.book, envPrefix)
		sample := samples[kindOf(f.typ)]
		if kindOf(f.typ) == kindList && kindOf(f.typ.Elem()) == kindPrefix {
			sample = samples[kindPrefix]
		} else if sample == "" {
			sample = "sample"
		}
		if f.rules.min != "" {
			sample = f.rules.min
		}
		if f.rules.enum != nil {
			sample = f.rules.enum[len(f.rules.enum)-1]
		}
		d.environment(environ(name + "=" + sample))
		if len(d.errs) > 0 || c.Origin(path).From != name {
			t.Errorf("%s=%s: found %v and origin %v", name, sample, d.errs, c.Origin(path))
		}
		if !strings.Contains(string(Effective(c, true)), "# "+name+"\n") {
			t.Errorf("%s: Effective does not name the variable", name)
		}
	})
	if len(seen) < 40 {
		t.Errorf("found %d options, want more", len(seen))
	}
}

func TestConsulVariables(t *testing.T) {
	c := mustLoad(t, Source{Data: []byte(routed), Env: environ(
		"CONSUL_HTTP_ADDR=tcp://10.0.0.1:8501", "CONSUL_HTTP_SSL=1", "CONSUL_HTTP_SSL_VERIFY=false", "CONSUL_HTTP_TOKEN=t",
		"CONSUL_NAMESPACE=ns", "CONSUL_PARTITION=p", "CONSUL_CACERT=ca", "CONSUL_CLIENT_CERT=crt", "CONSUL_CLIENT_KEY=key",
		"CONSUL_TLS_SERVER_NAME=sn")})
	want := Consul{
		Address: "10.0.0.1:8501", Scheme: "https", Token: "t", Namespace: "ns", Partition: "p", Consistency: "stale",
		MaxStale: 30 * time.Second, Wait: 5 * time.Minute,
		ReadsPerSecond: Default().Consul.ReadsPerSecond,
		TLS:            TLS{CAFile: "ca", CertFile: "crt", KeyFile: "key", ServerName: "sn", InsecureSkipVerify: true},
	}
	if diff := cmp.Diff(want, c.Consul); diff != "" {
		t.Errorf("consul (-want +got):\n%s", diff)
	}
}

func TestStrongerSourceReplacesTheAlternative(t *testing.T) {
	tests := []struct {
		name, file       string
		env              []string
		token, tokenFile string
		endpoints        []string
	}{
		{"token of the environment", "consul: {token_file: /f}", []string{"SPILLWAY_CONSUL_TOKEN=t"}, "t", "", nil},
		{"token file of the file", "consul: {token_file: /f}", []string{"CONSUL_HTTP_TOKEN=t"}, "", "/f", nil},
		{"an empty key replaces nothing", `consul: {token: ""}`, []string{"CONSUL_HTTP_TOKEN_FILE=/f"}, "", "/f", nil},
		{"addresses of the file", "consul: {addresses: ['a:1', 'https://b:2']}", []string{"CONSUL_HTTP_ADDR=c:3"}, "", "", []string{"http://a:1", "https://b:2"}},
		{"address of the environment", "consul: {addresses: ['a:1', 'b:2']}", []string{"SPILLWAY_CONSUL_ADDRESS=c:3"}, "", "", []string{"http://c:3"}},
		{"addresses of the environment", "", []string{"SPILLWAY_CONSUL_ADDRESSES=a:1, unix:///b ,"}, "", "", []string{"http://a:1", "unix:///b"}},
		{"tls makes https", "consul: {address: 'a:1', tls: {ca_file: x}}", nil, "", "", []string{"https://a:1"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := mustLoad(t, Source{Data: []byte(tt.file + routed), Env: environ(tt.env...)})
			if string(c.Consul.Token) != tt.token || c.Consul.TokenFile != tt.tokenFile {
				t.Errorf("found token %q and file %q, want %q and %q", string(c.Consul.Token), c.Consul.TokenFile, tt.token, tt.tokenFile)
			}
			if tt.endpoints != nil {
				if diff := cmp.Diff(tt.endpoints, c.Consul.Endpoints()); diff != "" {
					t.Errorf("endpoints (-want +got):\n%s", diff)
				}
			}
		})
	}
}
