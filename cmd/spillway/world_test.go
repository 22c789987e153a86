package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// namedBackend is a server that answers with its name; addr is where it is.
func namedBackend(t *testing.T, name string) (addr string) {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, name) }))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// consulAgent is a real Consul server on ports of its own, which keeps its
// data when it is killed and started again.
type consulAgent struct {
	t    *testing.T
	args []string
	addr string
	proc *process
}

func startConsul(t *testing.T) *consulAgent {
	t.Helper()
	bin, err := filepath.Abs("../../bin/consul")
	if err != nil {
		t.Fatal(err)
	}
	if own := os.Getenv("CONSUL_BIN"); own != "" {
		bin = own
	}
	if _, err := os.Stat(bin); err != nil {
		t.Fatalf("these tests need Consul: run `make consul`, or set CONSUL_BIN: %v", err)
	}
	ports := make([]any, 3)
	for i := range ports {
		ports[i] = freePort(t)
	}
	c := &consulAgent{t: t, addr: fmt.Sprint("127.0.0.1:", ports[0])}
	c.args = []string{
		bin, "agent", "-server", "-bootstrap-expect=1", "-data-dir", t.TempDir(), "-node", "n1", "-bind", "127.0.0.1",
		"-log-level", "error", "-serf-wan-port", "-1", "-dns-port", "-1", "-grpc-port", "-1", "-grpc-tls-port", "-1",
		"-hcl", "performance { raft_multiplier = 1 }", "-hcl", `leave_on_terminate = false`,
		"-http-port", fmt.Sprint(ports[0]), "-server-port", fmt.Sprint(ports[1]), "-serf-lan-port", fmt.Sprint(ports[2]),
	}
	c.start()
	return c
}

// start runs the agent and waits until it has a leader and takes writes.
func (c *consulAgent) start() {
	c.t.Helper()
	c.proc = launch(c.t, exec.Command(c.args[0], c.args[1:]...))
	eventually(c.t, "Consul", func() error {
		_, err := c.try(http.MethodPut, "/v1/kv/probe", "")
		return err
	})
}

func (c *consulAgent) try(method, path, body string) (string, error) {
	req, err := http.NewRequest(method, "http://"+c.addr+path, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	resp, err := (&http.Client{Timeout: 5 * time.Second}).Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("Consul answered %s %s with %d: %s", method, path, resp.StatusCode, text)
	}
	return string(text), err
}

func (c *consulAgent) do(method, path, body string) {
	c.t.Helper()
	if _, err := c.try(method, path, body); err != nil {
		c.t.Fatal(err)
	}
}

func (c *consulAgent) put(key, value string) {
	c.t.Helper()
	c.do(http.MethodPut, "/v1/kv/"+key, value)
}

func (c *consulAgent) delete(key string) { c.t.Helper(); c.do(http.MethodDelete, "/v1/kv/"+key, "") }

// register puts an instance of a service into the catalog, with a check of
// that status.
func (c *consulAgent) register(service, addr, status string) {
	c.t.Helper()
	host, port, _ := strings.Cut(addr, ":")
	c.do(http.MethodPut, "/v1/catalog/register", fmt.Sprintf(
		`{"Node":"away","Address":%q,"SkipNodeUpdate":true,"Service":{"ID":%[2]q,"Service":%[3]q,"Address":%[1]q,"Port":%[4]s},
		"Check":{"Node":"away","CheckID":%[2]q,"Name":"alive","Status":%[5]q,"ServiceID":%[2]q}}`,
		host, service+port, service, port, status))
}

func (c *consulAgent) deregister(service, addr string) {
	c.t.Helper()
	_, port, _ := strings.Cut(addr, ":")
	c.do(http.MethodPut, "/v1/catalog/deregister", fmt.Sprintf(`{"Node":"away","ServiceID":%q}`, service+port))
}

func freePort(t *testing.T) int {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port
}

// traffic asks on several keep-alive connections until it is stopped.
type traffic struct {
	asked, failed atomic.Int64
	first         atomic.Pointer[string] // why the first request failed
	over          chan struct{}
	wait          sync.WaitGroup
}

func startTraffic(t *testing.T, addr string) *traffic {
	tr := &traffic{over: make(chan struct{})}
	for range 4 {
		tr.wait.Go(func() { tr.run("http://" + addr + "/") })
	}
	t.Cleanup(tr.stop)
	return tr
}

func (tr *traffic) run(url string) {
	client := &http.Client{Timeout: patience, Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tr.over:
			return
		case <-tick.C:
		}
		a, err := getBy(client, url, "")
		tr.asked.Add(1)
		if err != nil || a.status != http.StatusOK {
			why := fmt.Sprintf("%d %s, %v", a.status, a.body, err)
			tr.failed.Add(1)
			tr.first.CompareAndSwap(nil, &why)
		}
	}
}

func (tr *traffic) stop() {
	select {
	case <-tr.over:
	default:
		close(tr.over)
	}
	tr.wait.Wait()
}

// must waits for n more requests and reports any that failed.
func (tr *traffic) must(t *testing.T, when string, n int64) {
	t.Helper()
	until := tr.asked.Load() + n
	eventually(t, "traffic", func() error {
		if have := tr.asked.Load(); have < until {
			return fmt.Errorf("%d requests of %d", have, until)
		}
		return nil
	})
	if n := tr.failed.Load(); n > 0 {
		t.Errorf("%s: %d requests failed, the first: %s", when, n, *tr.first.Load())
	}
}
