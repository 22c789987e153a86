package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"

	"spillway/upsync/devregistry"
)

// startRegistry is a development registry inside the test.
func startRegistry(t *testing.T) (reg *devregistry.Registry, addr string) {
	t.Helper()
	reg = devregistry.New(devregistry.Options{Logger: quiet()})
	s, err := reg.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Close()
		reg.Close()
	})
	return reg, s.Addr()
}

// reconfigure writes the file anew and sends HUP.
func (s *sut) reconfigure(text string) {
	s.t.Helper()
	writeFile(s.t, s.file, text)
	s.signal(syscall.SIGHUP)
}

// countLogged is how often a message was logged.
func (p *process) countLogged(msg string) int {
	return strings.Count(p.stderr(), fmt.Sprintf(`"msg":%q`, msg))
}

// reload reconfigures and waits until that took effect.
func (s *sut) reload(text string) {
	s.t.Helper()
	before := s.countLogged("configuration reloaded")
	s.reconfigure(text)
	eventually(s.t, "reload", func() error {
		if s.countLogged("configuration reloaded") == before {
			return errors.New("not reloaded")
		}
		return nil
	})
}

func TestReloadReplacesRoutesAndUpstreams(t *testing.T) {
	t.Parallel()
	reg, consul := startRegistry(t)
	a, b := namedBackend(t, "a"), namedBackend(t, "b")
	reg.PutKV("upstreams/web/"+a, nil)
	reg.PutKV("upstreams/shop/"+b, nil)
	g := serveConfig(t, followConsul(consul, webFromKV))
	g.served("", "/", "a")
	tr := startTraffic(t, g.addr)

	g.reload(followConsul(consul, `upstreams:
  web: {source: consul-kv, key: upstreams/web/, balance: least_conn}
  shop: {source: consul-kv, key: upstreams/shop/}
  fixed: {servers: ["`+a+`"]}
routes:
  - {host: shop, upstream: shop}
  - {host: fixed, upstream: fixed}
  - upstream: web
`))
	g.served("", "/", "a")
	g.served("shop", "/", "b")
	g.served("fixed", "/", "a")
	if got := g.ops("/api/v1/upstreams/web").body; !strings.Contains(got, `"balance": "least_conn"`) {
		t.Errorf("balance did not change: %s", got)
	}

	g.reload(followConsul(consul, strings.Replace(webFromKV, "- upstream: web", "- {host: shop, upstream: web}\n  - upstream: web", 1)))
	g.served("shop", "/", "a")
	if a := g.ops("/api/v1/upstreams/shop"); a.status != http.StatusNotFound {
		t.Errorf("shop is still there: %d", a.status)
	}
	reg.PutKV("upstreams/web/"+b, nil)
	g.served("", "/", "a", "b")

	// Another kind of source under the same name, without a moment without
	// servers.
	g.reload(`upstreams:
  web: {servers: ["` + b + `"]}
routes:
  - upstream: web
`)
	g.served("", "/", "b")
	tr.must(t, "over all reloads", 20)
}

func TestReloadKeepsWatches(t *testing.T) {
	t.Parallel()
	reg, consul := startRegistry(t)
	a := namedBackend(t, "a")
	reg.PutKV("upstreams/web/"+a, nil)
	g := serveConfig(t, followConsul(consul, webFromKV))
	g.served("", "/", "a")
	eventually(t, "blocking query", func() error {
		if reg.Blocked("/v1/kv/") != 1 {
			return errors.New("no query waits")
		}
		return nil
	})
	before := reg.Count("/v1/kv/")
	g.reload(followConsul(consul, webFromKV+"gateway: {loops: 9, limits: {body_size: 1KiB}}\n"))
	if w := g.find("this change takes effect at the next start"); w == nil || w["key"] != "gateway.loops" {
		t.Errorf("other loops: warned %v", w)
	}
	if now := reg.Count("/v1/kv/"); now != before || reg.Blocked("/v1/kv/") != 1 {
		t.Errorf("%d reads of Consul before, %d after, %d wait", before, now, reg.Blocked("/v1/kv/"))
	}
	resp, err := http.Post("http://"+g.addr+"/", "text/plain", strings.NewReader(strings.Repeat("x", 2000)))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("the new limit is not in effect: %d", resp.StatusCode)
	}
}

func TestABadFileKeepsTheOldConfiguration(t *testing.T) {
	t.Parallel()
	a := namedBackend(t, "a")
	good := "upstreams:\n  web: {servers: [\"" + a + "\"]}\nroutes:\n  - upstream: web\n"
	g := serveConfig(t, good)
	g.served("", "/", "a")
	gauge := func(want string) {
		t.Helper()
		if !strings.Contains(g.ops("/metrics").body, "spillway_config_last_reload_successful "+want+"\n") {
			t.Errorf("spillway_config_last_reload_successful is not %s", want)
		}
	}
	gauge("1")
	g.reconfigure(strings.Replace(good, "- upstream: web", "- upstraem: web", 1))
	why := fmt.Sprint(g.logged("configuration not reloaded, the old one stays")["error"])
	if want := g.file + `:4:5: routes[0]: found unknown key "upstraem"`; !strings.Contains(why, want) {
		t.Errorf("logged %q, want %q in it", why, want)
	}
	g.served("", "/", "a")
	gauge("0")
	g.reload(good)
	gauge("1")
}

func TestReloadOfListenersKeepsThoseThatStay(t *testing.T) {
	t.Parallel()
	a := namedBackend(t, "a")
	one, two := fmt.Sprint("127.0.0.1:", freePort(t)), fmt.Sprint("127.0.0.1:", freePort(t))
	config := func(listen ...string) string {
		return fmt.Sprintf("gateway: {listen: [%s]}\nadmin: {listen: \"127.0.0.1:0\"}\nupstreams:\n  web: {servers: [%q]}\nroutes:\n  - upstream: web\n",
			`"`+strings.Join(listen, `", "`)+`"`, a)
	}
	file := t.TempDir() + "/spillway.yaml"
	writeFile(t, file, config(one))
	g := &sut{process: runSpillway(t, "gateway", "-c", file), file: file, addr: one}
	g.logged("serving")
	kept, err := net.Dial("tcp", one)
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()

	g.reload(config(one, two))
	for _, addr := range []string{one, two} {
		g.addr = addr
		g.served("", "/", "a")
	}
	g.reload(config(two))
	if c, err := net.Dial("tcp", one); err == nil {
		c.Close()
		t.Errorf("%s still listens", one)
	}
	if _, err := kept.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	head := make([]byte, len("HTTP/1.1 200"))
	if _, err := kept.Read(head); err != nil || string(head) != "HTTP/1.1 200" {
		t.Errorf("a connection of a closed listener: %q, %v", head, err)
	}

	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	g.reconfigure(config(one, taken.Addr().String()))
	if why := fmt.Sprint(g.logged("configuration not reloaded, the old one stays")["error"]); !strings.Contains(why, "address already in use") {
		t.Errorf("logged %q", why)
	}
	if c, err := net.Dial("tcp", one); err == nil {
		c.Close()
		t.Errorf("%s listens, though the reload failed", one)
	}
	g.served("", "/", "a")
}

func TestUSR1ReopensTheAccessLog(t *testing.T) {
	t.Parallel()
	a := namedBackend(t, "a")
	log := t.TempDir() + "/access.log"
	g := serveConfig(t, fmt.Sprintf("gateway: {access_log: {path: %q, format: '$request_uri $status $upstream_addr'}}\nupstreams:\n  web: {servers: [%q]}\nroutes:\n  - upstream: web\n", log, a))
	line := func(file, path string) {
		t.Helper()
		if _, err := g.ask("", path); err != nil {
			t.Fatal(err)
		}
		eventually(t, "line in "+file, func() error {
			text, err := os.ReadFile(file)
			if err == nil && string(text) != path+" 200 "+a+"\n" {
				err = fmt.Errorf("%q", text)
			}
			return err
		})
	}
	line(log, "/before")
	if err := os.Rename(log, log+".1"); err != nil {
		t.Fatal(err)
	}
	g.signal(syscall.SIGUSR1)
	g.logged("access log reopened")
	line(log, "/after")
}

func TestAFailedReloadTakesBackItsUpstreams(t *testing.T) {
	t.Parallel()
	reg, consul := startRegistry(t)
	a, b := namedBackend(t, "a"), namedBackend(t, "b")
	reg.PutKV("upstreams/web/"+a, nil)
	log := t.TempDir() + "/no/such/folder/access.log"
	g := serveConfig(t, followConsul(consul, webFromKV))
	g.served("", "/", "a")
	g.reconfigure(followConsul(consul, fmt.Sprintf(`gateway: {access_log: {path: %q}}
upstreams:
  shop: {source: consul-kv, key: upstreams/shop/}
  web: {servers: [%q]}
routes:
  - {host: shop, upstream: shop}
  - upstream: web
`, log, b)))
	g.logged("configuration not reloaded, the old one stays")
	if a := g.ops("/api/v1/upstreams/shop"); a.status != http.StatusNotFound {
		t.Errorf("shop is there: %d", a.status)
	}
	g.served("", "/", "a")
	reg.PutKV("upstreams/web/"+b, nil) // still followed
	g.served("", "/", "a", "b")
}

func TestReloadsUnderLoadAndChurnFailNoRequest(t *testing.T) {
	t.Parallel()
	reg, consul := startRegistry(t)
	a, b := namedBackend(t, "a"), namedBackend(t, "b")
	reg.PutKV("upstreams/web/"+a, nil)
	reg.PutKV("upstreams/shop/"+a, nil)
	one := followConsul(consul, webFromKV)
	two := followConsul(consul, `upstreams:
  web: {source: consul-kv, key: upstreams/web/, balance: hash_consistent, keepalive: 2}
  found: {source: consul-kv, key: upstreams/*}
routes:
  - {host: "*.test", upstream: "{host.1}"}
  - upstream: web
`)
	g := serveConfig(t, one)
	g.served("", "/", "a")
	tr := startTraffic(t, g.addr)
	for i := range 20 {
		if i%2 == 0 {
			reg.PutKV("upstreams/web/"+b, nil)
			g.reload(two)
			g.served("shop.test", "/", "a")
		} else {
			reg.DeleteKV("upstreams/web/" + b)
			g.reload(one)
		}
	}
	tr.must(t, "over all reloads", 50)
}

func TestReloadByTheAdminServer(t *testing.T) {
	t.Parallel()
	a := namedBackend(t, "a")
	token := t.TempDir() + "/token"
	writeFile(t, token, "secret\n")
	config := fmt.Sprintf("admin: {token_file: %q}\nupstreams:\n  web: {servers: [%q]}\nroutes:\n  - ", token, a)
	g := serveConfig(t, config+"{path: /a/, upstream: web}\n")
	post := func(token string) (status int, body string) {
		t.Helper()
		req, err := http.NewRequest(http.MethodPost, "http://"+g.admin+"/-/reload", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(text)
	}
	if status, _ := post("guess"); status != http.StatusUnauthorized {
		t.Errorf("a wrong token: %d", status)
	}
	writeFile(t, g.file, config+"{path: b, upstream: web}\n")
	if status, body := post("secret"); status != http.StatusUnprocessableEntity || !strings.Contains(body, g.file+":5:12: routes[0].path") {
		t.Errorf("a bad file: %d %s", status, body)
	}
	writeFile(t, g.file, config+"{path: /b/, upstream: web}\n")
	if status, body := post("secret"); status != http.StatusOK {
		t.Errorf("a good file: %d %s", status, body)
	}
	g.served("", "/b/", "a")
	if shown := g.ops("/api/v1/config").body; !strings.Contains(shown, "path: /b/") || strings.Contains(shown, "secret\n") {
		t.Errorf("config: %s", shown)
	}
}

func TestAnUpstreamNoLongerDeclaredIsDiscovered(t *testing.T) {
	t.Parallel()
	reg, consul := startRegistry(t)
	a := namedBackend(t, "a")
	reg.PutKV("upstreams/shop/"+a, nil)
	const pattern = `upstreams:
  found: {source: consul-kv, key: upstreams/*}
routes:
  - {host: "*.test", upstream: "{host.1}"}
`
	declared := strings.Replace(pattern, "upstreams:\n", "upstreams:\n  shop: {source: consul-kv, key: upstreams/shop/}\n", 1)
	g := serveConfig(t, followConsul(consul, declared))
	g.served("shop.test", "/", "a")
	for range 3 {
		g.reload(followConsul(consul, pattern))
		g.served("shop.test", "/", "a")
		g.reload(followConsul(consul, declared))
		g.served("shop.test", "/", "a")
	}
}
