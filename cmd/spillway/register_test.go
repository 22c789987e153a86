package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"spillway/configs"
)

// report is the part of /api/v1/signals these tests read.
type report struct {
	Gateway   string
	Upstreams map[string]struct {
		Seconds []struct{ A, C int }
		Servers map[string]struct {
			Serving bool
			L       int
			Index   uint64
		}
	}
}

func (s *sut) signals(query string) (r report, err error) {
	a, err := get("http://"+s.admin+"/api/v1/signals"+query, "")
	if err == nil && a.status != http.StatusOK {
		err = fmt.Errorf("%d %s", a.status, a.body)
	}
	if err != nil {
		return r, err
	}
	return r, json.Unmarshal([]byte(a.body), &r)
}

// told waits until the gateway tells that a server of web serves, or not and
// has nothing in flight.
func (s *sut) told(addr string, serving bool) {
	s.t.Helper()
	eventually(s.t, fmt.Sprintf("%s serving %v", addr, serving), func() error {
		r, err := s.signals("?upstream=web")
		if err != nil {
			return err
		}
		got, ok := r.Upstreams["web"].Servers[addr]
		if !ok || got.Serving != serving || !serving && got.L != 0 {
			return fmt.Errorf("told %v: %+v", ok, got)
		}
		return nil
	})
}

// notAsked checks that none of the next requests goes to the backend.
func (s *sut) notAsked(name string) {
	s.t.Helper()
	for range 40 {
		a, err := s.ask("", "/")
		if err != nil || a.status != http.StatusOK || a.body == name {
			s.t.Fatalf("answered %d %q (%v) after %s was told not to serve", a.status, a.body, err, name)
		}
	}
}

// A drain in Consul's KV, an un-drain and a removal are each told of when they
// are in effect.
func TestADrainInKVIsAcknowledged(t *testing.T) {
	t.Parallel()
	stays, goes := namedBackend(t, "stays"), namedBackend(t, "goes")
	c := startConsul(t)
	c.put("upstreams/web/"+stays, `{"weight":1}`)
	c.put("upstreams/web/"+goes, `{"weight":1}`)
	g := serveConfig(t, followConsul(c.addr, webFromKV))
	g.served("", "/", "stays", "goes")
	tr := startTraffic(t, g.addr)
	for range 3 {
		g.told(goes, true)
		c.put("upstreams/web/"+goes, `{"weight":1,"down":1}`)
		g.told(goes, false)
		g.notAsked("goes")
		c.put("upstreams/web/"+goes, `{"weight":1}`)
		g.told(goes, true)
		c.delete("upstreams/web/" + goes)
		g.told(goes, false)
		g.notAsked("goes")
		c.put("upstreams/web/"+goes, `{"weight":1}`)
	}
	tr.must(t, "drains and removals", 50)
	r, err := g.signals("")
	if err != nil || r.Upstreams["web"].Servers[stays].Index == 0 {
		t.Errorf("%v: no index of the registry: %+v", err, r)
	}
}

// Maintenance of an instance is its drain where servers come from health.
func TestMaintenanceIsAcknowledged(t *testing.T) {
	t.Parallel()
	stays, goes := namedBackend(t, "stays"), namedBackend(t, "goes")
	c := startConsul(t)
	for i, addr := range []string{stays, goes} {
		host, port, _ := strings.Cut(addr, ":")
		c.do(http.MethodPut, "/v1/agent/service/register", fmt.Sprintf(`{"ID":"web-%d","Name":"web","Address":%q,"Port":%s}`, i, host, port))
	}
	g := serveConfig(t, followConsul(c.addr, `upstreams:
  web: {source: consul-health, service: web}
routes:
  - upstream: web
`))
	g.served("", "/", "stays", "goes")
	c.do(http.MethodPut, "/v1/agent/service/maintenance/web-1?enable=true&reason=drain", "")
	g.told(goes, false)
	g.notAsked("goes")
	c.do(http.MethodPut, "/v1/agent/service/maintenance/web-1?enable=false", "")
	g.told(goes, true)
	g.served("", "/", "stays", "goes")
}

// entry is an instance as Consul's health shows it.
type entry struct {
	Service struct {
		ID, Address string
		Port        int
	}
	Checks []struct{ CheckID, Status string }
}

// registered waits until Consul has that many gateways, all passing.
func (c *consulAgent) registered(n int) (all []entry) {
	c.t.Helper()
	eventually(c.t, fmt.Sprintf("%d gateways in Consul", n), func() error {
		text, err := c.try(http.MethodGet, "/v1/health/service/spillway-gateway?passing", "")
		if err != nil {
			return err
		}
		all = nil
		if err := json.Unmarshal([]byte(text), &all); err != nil {
			return err
		}
		if len(all) != n {
			return fmt.Errorf("%d", len(all))
		}
		return nil
	})
	return all
}

// A gateway is found in Consul under the id it has in its signals, is
// registered again when the agent lost it, and is gone after its end.
func TestAGatewayRegistersItself(t *testing.T) {
	t.Parallel()
	c := startConsul(t)
	trace := filepath.Join(t.TempDir(), "trace.jsonl")
	g := serveConfig(t, fmt.Sprintf(`consul: {address: %q}
admin: {register: true}
gateway: {trace: %q}
upstreams:
  web: {servers: [%q]}
routes:
  - upstream: web
`, c.addr, trace, namedBackend(t, "a")))
	e := c.registered(1)[0]
	if at := fmt.Sprintf("%s:%d", e.Service.Address, e.Service.Port); at != g.admin {
		t.Errorf("registered at %s, listens at %s", at, g.admin)
	}
	if r, err := g.signals(""); err != nil || r.Gateway != e.Service.ID {
		t.Errorf("%v: id %q, registered as %q", err, r.Gateway, e.Service.ID)
	}
	if n := len(e.Checks); n != 2 { // the node's and ours
		t.Errorf("%d checks: %+v", n, e.Checks)
	}
	c.do(http.MethodPut, "/v1/agent/service/deregister/"+e.Service.ID, "")
	g.served("", "/", "a")
	eventually(t, "trace", func() error {
		text, err := os.ReadFile(trace)
		if err == nil && !strings.Contains(string(text), `"u":"web"`) {
			err = fmt.Errorf("%q", text)
		}
		return err
	})
	eventually(t, "second registration", func() error {
		if n := strings.Count(g.stderr(), `"msg":"registered in consul"`); n != 2 {
			return fmt.Errorf("registered %d times", n)
		}
		return nil
	})
	c.registered(1)
	g.signal(syscall.SIGTERM)
	if code := g.exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	c.registered(0)
}

func TestReachedAt(t *testing.T) {
	tests := []struct{ listens, advertise, want string }{
		{"10.0.0.5:9901", "", "10.0.0.5:9901"},
		{"[::]:9901", "10.0.0.5", "10.0.0.5:9901"},
		{"0.0.0.0:9901", "10.0.0.5:80", "10.0.0.5:80"},
		{"[::]:9901", "fd00::1", "[fd00::1]:9901"},
		{"[::ffff:10.0.0.5]:9901", "", "10.0.0.5:9901"},
	}
	for _, tc := range tests {
		addr, err := net.ResolveTCPAddr("tcp", tc.listens)
		if err != nil {
			t.Fatal(err)
		}
		a := &configs.Admin{RegisterAs: "gw", Advertise: tc.advertise}
		if got := reachedAt(a, addr).String(); got != tc.want {
			t.Errorf("%+v: %s", tc, got)
		}
		if got := gatewayID(a, addr); got != "gw-"+tc.want {
			t.Errorf("%+v: id %s", tc, got)
		}
	}
	sock := &net.UnixAddr{Name: "/run/admin.sock", Net: "unix"}
	if got := gatewayID(&configs.Admin{RegisterAs: "gw"}, sock); got != "gw-/run/admin.sock" {
		t.Errorf("a socket's id is %s", got)
	}
}
