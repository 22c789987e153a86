package main

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
)

// followConsul is a gateway's configuration but for the addresses to listen
// on.
func followConsul(consul, rest string) string {
	return fmt.Sprintf("consul: {address: %q}\n%s", consul, rest)
}

const webFromKV = `upstreams:
  web: {source: consul-kv, key: upstreams/web/}
routes:
  - upstream: web
`

func TestTheDocumentedConfigurationWorksAsWritten(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/gateway.yaml")
	if err != nil {
		t.Fatal(err)
	}
	p := runSpillway(t, "validate", "--config", "testdata/gateway.yaml")
	if code := p.exit(); code != 0 {
		t.Fatalf("validate: exit code %d: %s", code, p.stderr())
	}
	web, api, fixed1, fixed2 := namedBackend(t, "web"), namedBackend(t, "api"), namedBackend(t, "fixed-1"), namedBackend(t, "fixed-2")
	// The ports are this machine's, everything else is as documented.
	here := strings.NewReplacer("127.0.0.1:9001", fixed1, "127.0.0.1:9002", fixed2, "/tmp/spillway", t.TempDir()).Replace(string(text))
	c := startConsul(t)
	c.put("upstreams/web/"+web, `{"weight":1}`)
	c.register("api", api, "passing")
	g := serveConfig(t, here, "--consul", c.addr)
	if degraded := g.ready(); degraded != "" {
		t.Errorf("degraded: %s", degraded)
	}
	g.served("example.com", "/", "web")
	g.served("api.example.com", "/fixed/", "api")
	g.served("example.com", "/fixed/x", "fixed-1", "fixed-2")
	if got := g.ops("/upstream_show?web").body; !strings.HasPrefix(got, "Upstream name: web; Backend server count: 1\n        server "+web+" weight=1 max_fails=2 fail_timeout=10s;") {
		t.Errorf("upstream_show?web: %s", got)
	}
	for _, name := range []string{"web", "api", "fixed"} {
		if a := g.ops("/api/v1/upstreams/" + name); a.status != http.StatusOK || !strings.Contains(a.body, `"state": "up"`) {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	if got := g.ops("/metrics").body; !strings.Contains(got, `spillway_upsync_source{state="consul",upstream="web"} 1`) {
		t.Error("no spillway_upsync_source of web in /metrics")
	}
}

func TestServersOfKVComeAndGoInTraffic(t *testing.T) {
	t.Parallel()
	c := startConsul(t)
	a, b := namedBackend(t, "a"), namedBackend(t, "b")
	c.put("upstreams/web/"+a, "")
	g := serveConfig(t, followConsul(c.addr, webFromKV), "--loops", "1")
	g.served("", "/", "a")
	tr := startTraffic(t, g.addr)

	c.put("upstreams/web/"+b, "")
	g.served("", "/", "a", "b")
	tr.must(t, "added", 50)

	c.put("upstreams/web/"+a, `{"weight":3}`)
	eventually(t, "three to one", func() error { return g.share("a", "b", 3) })
	tr.must(t, "weighed", 50)

	c.put("upstreams/web/"+a, `{"down":1}`)
	g.served("", "/", "b")
	tr.must(t, "drained", 50)

	c.put("upstreams/web/"+a, "")
	g.served("", "/", "a", "b")
	c.delete("upstreams/web/" + b)
	g.served("", "/", "a")
	tr.must(t, "removed", 50)
}

// share reports an error unless one of two backends answers times as often
// as the other.
func (s *sut) share(more, less string, times int) error {
	n := map[string]int{}
	client := &http.Client{Timeout: patience}
	defer client.CloseIdleConnections()
	for range 10 * (times + 1) {
		a, err := getBy(client, "http://"+s.addr+"/", "")
		if err != nil {
			return err
		}
		n[a.body]++
	}
	if n[less] == 0 || n[more] < (times-1)*n[less] || n[more] > (times+1)*n[less] {
		return fmt.Errorf("requests: %v", n)
	}
	return nil
}

func TestServersOfTheCatalogAndOfHealthComeAndGoInTraffic(t *testing.T) {
	t.Parallel()
	c := startConsul(t)
	a, b := namedBackend(t, "a"), namedBackend(t, "b")
	c.register("api", a, "passing")
	g := serveConfig(t, followConsul(c.addr, `upstreams:
  catalog: {source: consul-catalog, service: api}
  health: {source: consul-health, service: api}
routes:
  - {host: catalog, upstream: catalog}
  - {host: health, upstream: health}
`))
	g.served("catalog", "/", "a")
	g.served("health", "/", "a")
	c.register("api", b, "passing")
	g.served("catalog", "/", "a", "b")
	g.served("health", "/", "a", "b")
	c.register("api", a, "critical") // the catalog does not look at health
	g.served("health", "/", "b")
	g.served("catalog", "/", "a", "b")
	c.deregister("api", a)
	g.served("catalog", "/", "b")
	g.served("health", "/", "b")
}

func TestADiscoveredUpstreamIsRoutedWithoutReload(t *testing.T) {
	t.Parallel()
	c := startConsul(t)
	a, b := namedBackend(t, "a"), namedBackend(t, "b")
	g := serveConfig(t, followConsul(c.addr, `upstreams:
  found: {source: consul-kv, key: upstreams/*, allow_empty: true}
routes:
  - {host: "*.example.com", upstream: "{host.1}"}
`))
	g.ready()
	status := func(want int) {
		t.Helper()
		eventually(t, fmt.Sprint("status ", want), func() error {
			got, err := g.ask("shop.example.com", "/")
			if err == nil && got.status != want {
				err = fmt.Errorf("answered %d %s", got.status, got.body)
			}
			return err
		})
	}
	status(http.StatusNotFound)
	c.put("upstreams/shop/"+a, "")
	g.served("shop.example.com", "/", "a")
	c.put("upstreams/shop/"+b, "")
	g.served("shop.example.com", "/", "a", "b")
	c.do(http.MethodDelete, "/v1/kv/upstreams/shop/?recurse", "")
	status(http.StatusNotFound)
	c.put("upstreams/shop/"+b, "")
	g.served("shop.example.com", "/", "b")
}

func TestConsulKilledAndRestartedUnderLoad(t *testing.T) {
	t.Parallel()
	c := startConsul(t)
	a, b := namedBackend(t, "a"), namedBackend(t, "b")
	c.put("upstreams/web/"+a, "")
	g := serveConfig(t, followConsul(c.addr, webFromKV))
	g.served("", "/", "a")
	tr := startTraffic(t, g.addr)
	c.proc.kill()
	g.logged("consul does not answer; what is known keeps serving")
	tr.must(t, "Consul is gone", 200)
	g.ready()
	c.start()
	tr.must(t, "Consul is back", 100)
	c.put("upstreams/web/"+b, "")
	g.served("", "/", "a", "b")
	tr.must(t, "after a change", 100)
}

func TestColdStartFromTheDumpSaysDegraded(t *testing.T) {
	t.Parallel()
	c := startConsul(t)
	a := namedBackend(t, "a")
	c.put("upstreams/web/"+a, `{"weight":4}`)
	dump := t.TempDir() + "/web.conf"
	config := followConsul(c.addr, fmt.Sprintf(`upstreams:
  web: {source: consul-kv, key: upstreams/web/, dump: %s}
routes:
  - upstream: web
`, dump))
	g := serveConfig(t, config)
	g.served("", "/", "a")
	eventually(t, "dump", func() error {
		text, err := os.ReadFile(dump)
		if err == nil && string(text) != "server "+a+" weight=4 max_fails=2 fail_timeout=10s;\n" {
			err = fmt.Errorf("%q", text)
		}
		return err
	})
	g.kill()
	c.proc.kill()

	cold := serveConfig(t, config)
	if degraded := cold.ready(); !strings.Contains(degraded, "web: served from the dump of ") {
		t.Errorf("degraded is %q", degraded)
	}
	cold.served("", "/", "a")
	c.start()
	eventually(t, "end of degradation", func() error {
		if why := cold.ready(); why != "" {
			return fmt.Errorf("still degraded: %s", why)
		}
		return nil
	})
}

func TestStartWithoutConsulAndWithoutDump(t *testing.T) {
	t.Parallel()
	nobody := fmt.Sprint("127.0.0.1:", freePort(t))
	g := serveConfig(t, followConsul(nobody, webFromKV))
	if a := g.ops("/-/ready"); a.status != http.StatusServiceUnavailable || !strings.Contains(a.body, "no servers yet for web") {
		t.Errorf("ready: %d %s", a.status, a.body)
	}
	if a, err := g.ask("", "/"); err != nil || a.status != http.StatusServiceUnavailable {
		t.Errorf("answered %d, %v", a.status, err)
	}
	strong := t.TempDir() + "/strong.yaml"
	writeFile(t, strong, followConsul(nobody, strings.Replace(webFromKV, "web/}", "web/, strong_dependency: true}", 1)))
	p := runSpillway(t, "gateway", "--config", strong, "--listen", "127.0.0.1:0", "--admin", "off")
	if code := p.exit(); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	if why := fmt.Sprint(p.find("cannot serve")["error"]); !strings.Contains(why, `upstream "web" has strong_dependency`) || !strings.Contains(why, "connection refused") {
		t.Errorf("error %q", why)
	}
}
