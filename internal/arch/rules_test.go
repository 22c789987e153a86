package arch

import (
	"strings"
	"testing"
)

// graphOf makes a module "spillway" from lines "package: import import";
// imports without a dot in the first element and not of the module are the
// standard library's.
func graphOf(lines ...string) *Graph {
	g := &Graph{Module: "spillway", packages: map[string]*Package{}}
	for _, line := range lines {
		path, imports, _ := strings.Cut(line, ":")
		p := &Package{ImportPath: path, Imports: strings.Fields(imports)}
		g.packages[path] = p
		for _, i := range p.Imports {
			first, _, _ := strings.Cut(i, "/")
			if first != "spillway" && !strings.Contains(first, ".") {
				g.packages[i] = &Package{ImportPath: i, Standard: true}
			}
		}
	}
	return g
}

func TestEachRuleCatchesItsViolation(t *testing.T) {
	tests := []struct {
		name  string
		graph []string
		want  string // start of the only violation; empty: none
	}{
		{"clean", []string{"spillway/cmd/spillway: fmt spillway/gateway spillway/upsync github.com/spf13/pflag", "spillway/gateway: spillway/gateway/route", "spillway/gateway/route: strings"}, ""},
		{"1: cmd imported", []string{"spillway/gateway: spillway/cmd/spillway"}, "gateway: imports cmd/spillway (rule 1"},
		{"2: dependency in a pure package", []string{"spillway/gateway/http1: golang.org/x/net/http/httpguts"}, "gateway/http1: imports golang.org/x/net/http/httpguts (rule 2"},
		{"2: own package in a pure package", []string{"spillway/gateway/upstream: spillway/internal/netloop"}, "gateway/upstream: imports spillway/internal/netloop (rule 2"},
		{"2: balance may use upstream", []string{"spillway/gateway/balance: spillway/gateway/upstream math"}, ""},
		{"2: balance and no more", []string{"spillway/gateway/balance: spillway/gateway/route"}, "gateway/balance: imports spillway/gateway/route (rule 2"},
		{"2: health sees no engine", []string{"spillway/gateway/health: spillway/gateway/engine github.com/valyala/fasthttp"}, "gateway/health: imports spillway/gateway/engine (rule 2"},
		{"3: parent", []string{"spillway/gateway/engine: spillway/gateway"}, "gateway/engine: imports its parent gateway (rule 3"},
		{"3: a name that starts alike is no parent", []string{"spillway/gateway/engine: spillway/gateway/eng"}, ""},
		{
			"3: gateway reaches upsync",
			[]string{"spillway/gateway/admin: spillway/configs", "spillway/configs: spillway/upsync"},
			"gateway/admin: imports configs, which imports upsync (rule 3",
		},
		{"4: upsync and the engine", []string{"spillway/upsync: spillway/gateway/engine"}, "upsync: imports spillway/gateway/engine (rule 4"},
		{"4: upsync and configs", []string{"spillway/upsync/consul: spillway/configs"}, "upsync/consul: imports spillway/configs (rule 4"},
		{"4: upsync alone", []string{"spillway/upsync: spillway/gateway/upstream spillway/upsync/consul spillway/internal/buildinfo"}, ""},
		{"4: internal leads nowhere", []string{"spillway/internal/x: spillway/gateway/route"}, "internal/x: imports spillway/gateway/route (rule 4"},
		{"5: scaler and gateway", []string{"spillway/scaler/signal: spillway/gateway/metrics"}, "scaler/signal: imports gateway/metrics (rule 5"},
		{"5: driver and ledger", []string{"spillway/scaler/cloud/sim: spillway/scaler/cloud spillway/scaler/ledger"}, "scaler/cloud/sim: imports spillway/scaler/ledger (rule 5"},
		{"5: contract and driver", []string{"spillway/scaler/cloud: spillway/scaler/cloud/sim", "spillway/scaler/cloud/sim: spillway/internal/x"}, "scaler/cloud: imports spillway/scaler/cloud/sim (rule 5"},
		{
			"6: bench reaches the gateway",
			[]string{"spillway/bench/load: spillway/internal/netloop", "spillway/internal/netloop:", "spillway/bench/peers: spillway/gateway/engine"},
			"bench/peers: imports gateway/engine (rule 6",
		},
		{"7: yaml outside configs", []string{"spillway/bench/load: github.com/goccy/go-yaml"}, "bench/load: imports github.com/goccy/go-yaml, whose home is [configs cmd/... bench/scenario] (rule 7"},
		{"7: consul outside its home", []string{"spillway/upsync: github.com/hashicorp/consul/api"}, "upsync: imports github.com/hashicorp/consul/api"},
		{"7: consul at home", []string{"spillway/upsync/consul: github.com/hashicorp/consul/api"}, ""},
		{"7: test library in production", []string{"spillway/upsync: github.com/google/go-cmp/cmp"}, "upsync: imports github.com/google/go-cmp/cmp"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			found := CheckImports(graphOf(tt.graph...), Rules)
			switch {
			case tt.want == "" && len(found) > 0:
				t.Errorf("violations of nothing: %v", found)
			case tt.want != "" && (len(found) != 1 || !strings.HasPrefix(found[0].String(), tt.want)):
				t.Errorf("got %v, want one that starts with %q", found, tt.want)
			}
		})
	}
}

func TestFoldersCatchAStranger(t *testing.T) {
	found := CheckFolders(graphOf("spillway/gateway/route:", "spillway/pkg/utils:"))
	if len(found) != 1 || found[0].Where != "pkg/utils" {
		t.Errorf("got %v, want pkg/utils alone", found)
	}
}

func TestMatch(t *testing.T) {
	tests := []struct {
		pattern, rel string
		want         bool
	}{
		{"...", "gateway", true},
		{"gateway", "gateway", true},
		{"gateway", "gateway/route", false},
		{"gateway/...", "gateway", true},
		{"gateway/...", "gateway/route", true},
		{"gateway/...", "gatewayed", false},
	}
	for _, tt := range tests {
		if got := match(tt.pattern, tt.rel); got != tt.want {
			t.Errorf("match(%q, %q) = %v, want %v", tt.pattern, tt.rel, got, tt.want)
		}
	}
}
