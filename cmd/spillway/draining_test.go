package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// echoBackend switches protocols and sends back what it gets.
func echoBackend(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		io.Copy(conn, rw)
	}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// tunnel opens a tunnel through the gateway.
func (s *sut) tunnel(t *testing.T) (conn net.Conn, r *bufio.Reader) {
	t.Helper()
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patience))
	io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	r = bufio.NewReader(conn)
	resp, err := http.ReadResponse(r, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%v %v", resp, err)
	}
	return conn, r
}

func TestTunnelsOfADrainedServerEndInTime(t *testing.T) {
	t.Parallel()
	c := startConsul(t)
	a := echoBackend(t)
	c.put("upstreams/web/"+a, "")
	config := strings.Replace(operatedKV, "web/}", "web/, drain_timeout: 500ms}", 1)
	g := serveConfig(t, followConsul(c.addr, config))
	g.ready()
	for name, drain := range map[string]func(){
		"by an operator":      func() { g.ordered("web", "drain", fmt.Sprintf(`{"server":%q}`, a)) },
		"down in Consul's KV": func() { c.put("upstreams/web/"+a, `{"down":1}`) },
	} {
		conn, r := g.tunnel(t)
		began := time.Now()
		drain()
		for {
			if _, err := io.WriteString(conn, "x"); err != nil {
				break
			}
			if _, err := r.ReadByte(); err != nil {
				break
			}
		}
		if took := time.Since(began); took < 400*time.Millisecond || took > patience/2 {
			t.Errorf("%s: ended after %v", name, took)
		}
		c.put("upstreams/web/"+a, "")
		g.ordered("web", "ready", fmt.Sprintf(`{"server":%q}`, a))
		eventually(t, "up", func() error { return g.says("web", `"state": "up"`) })
	}
}

// says reports an error unless the upstream's page contains the text.
func (s *sut) says(name, text string) error {
	if body := s.ops("/api/v1/upstreams/" + name).body; !strings.Contains(body, text) {
		return errors.New(body)
	}
	return nil
}

func TestAnInstanceThatFlapsInConsulIsLeftOut(t *testing.T) {
	t.Parallel()
	c := startConsul(t)
	a, b := namedBackend(t, "a"), namedBackend(t, "b")
	c.register("api", a, "passing")
	c.register("api", b, "passing")
	g := serveConfig(t, followConsul(c.addr, `upstreams:
  web:
    source: consul-health
    service: api
    flap: {enabled: true, suppress: 2, reuse: 1.5, half_life: 3s}
  slow: {source: consul-health, service: api, remove_delay: 2s}
routes:
  - {host: slow, upstream: slow}
  - upstream: web
`))
	g.served("", "/", "a", "b")
	for range 3 {
		c.register("api", b, "critical")
		eventually(t, "critical", func() error { return g.says("web", `"why": "critical"`) })
		c.register("api", b, "passing")
		eventually(t, "passing", func() error {
			if g.says("web", `"why": "critical"`) == nil {
				return errors.New("still critical")
			}
			return nil
		})
	}
	if err := g.says("web", `"why": "flapping: went 3 times`); err != nil {
		t.Error(err)
	}
	wantCtl(t, g, "explain web", "flapping: went 3 times")
	g.served("", "/", "a")
	g.served("", "/", "a", "b") // it has settled

	tr := startTraffic(t, g.addr)
	began := time.Now()
	c.deregister("api", b)
	eventually(t, "leaving", func() error { return g.says("slow", `"leaves_at"`) })
	g.served("slow", "/", "a")
	if took := time.Since(began); took < 2*time.Second {
		t.Errorf("gone after %v, before remove_delay", took)
	}
	tr.must(t, "at the end", 20)
}
