package registry

import (
	"bytes"
	"errors"
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
	"syscall"
	"testing"
	"time"
)

// root may do everything; ACLs are on so that a lack of rights can be tested.
const root = "5a1c0de0-0000-4000-8000-00000000a11c"

const settings = `
performance { raft_multiplier = 1 }
ports { dns = -1 grpc = -1 grpc_tls = -1 serf_wan = -1 }
disable_update_check = true
check_update_interval = "0s"
leave_on_terminate = false
acl {
  enabled = true
  default_policy = "deny"
  tokens { initial_management = "` + root + `" agent = "` + root + `" default = "" }
}
`

// consul is a real Consul server which is also the agent that runs checks. It
// can be killed and started again on its data.
type consul struct {
	addr string
	args []string
	cmd  *exec.Cmd
	log  bytes.Buffer
	done chan struct{}
}

// shared is one Consul for all tests that do not disturb it, started by the
// first of them.
var shared struct {
	once sync.Once
	dir  string
	*consul
	err error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if shared.consul != nil {
		shared.kill()
	}
	os.RemoveAll(shared.dir)
	os.Exit(code)
}

func sharedConsul(t *testing.T) *consul {
	t.Helper()
	shared.once.Do(func() {
		if shared.dir, shared.err = os.MkdirTemp("", "registry-consul-"); shared.err == nil {
			shared.consul, shared.err = newConsul(shared.dir)
		}
	})
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.consul
}

func newConsul(dir string) (*consul, error) {
	bin, err := filepath.Abs("../../bin/consul")
	if err != nil {
		return nil, err
	}
	if own := os.Getenv("CONSUL_BIN"); own != "" {
		bin = own
	}
	if _, err := os.Stat(bin); err != nil {
		return nil, fmt.Errorf("these tests need Consul: run `make consul`, or set CONSUL_BIN: %w", err)
	}
	file := filepath.Join(dir, "consul.hcl")
	if err := os.WriteFile(file, []byte(settings), 0o600); err != nil {
		return nil, err
	}
	ports, err := freePorts(3)
	if err != nil {
		return nil, err
	}
	c := &consul{addr: fmt.Sprint("127.0.0.1:", ports[0]), args: []string{
		bin, "agent", "-server", "-bootstrap-expect=1", "-data-dir", filepath.Join(dir, "data"), "-node", "n1",
		"-bind", "127.0.0.1", "-log-level", "error", "-http-port", fmt.Sprint(ports[0]),
		"-server-port", fmt.Sprint(ports[1]), "-serf-lan-port", fmt.Sprint(ports[2]), "-config-file", file,
	}}
	return c, c.start()
}

func freePorts(n int) ([]int, error) {
	var ports []int
	for range n {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer ln.Close()
		ports = append(ports, ln.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

// start runs Consul and waits until it takes writes.
func (c *consul) start() error {
	c.cmd = exec.Command(c.args[0], c.args[1:]...)
	c.cmd.Stdout, c.cmd.Stderr = &c.log, &c.log
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := c.cmd.Start(); err != nil {
		return err
	}
	c.done = make(chan struct{})
	go func(cmd *exec.Cmd, done chan struct{}) {
		cmd.Wait()
		close(done)
	}(c.cmd, c.done)
	err := poll(40*time.Second, func() error {
		_, err := c.call(http.MethodPut, "/v1/kv/probe", "x")
		return err
	})
	if err != nil {
		c.kill()
		return fmt.Errorf("Consul does not start: %w: %s", err, c.log.String())
	}
	return nil
}

func (c *consul) kill() {
	c.cmd.Process.Kill()
	<-c.done
}

// call sends one request of a person with all rights.
func (c *consul) call(method, path, body string) (string, error) {
	req, err := http.NewRequest(method, "http://"+c.addr+path, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Header.Set("X-Consul-Token", root)
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

func (c *consul) must(t *testing.T, method, path, body string) string {
	t.Helper()
	text, err := c.call(method, path, body)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func poll(limit time.Duration, f func() error) error {
	end := time.Now().Add(limit)
	for tick := time.NewTicker(10 * time.Millisecond); ; <-tick.C {
		err := f()
		if err == nil || time.Now().After(end) {
			tick.Stop()
			return err
		}
	}
}

// eventually fails the test unless f succeeds within a time that is no measure
// of anything.
func eventually(t *testing.T, what string, f func() error) {
	t.Helper()
	if err := poll(30*time.Second, f); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// config has a cluster named after the test, so that tests do not meet.
func config(t *testing.T, c *consul) Config {
	cluster := strings.NewReplacer("/", ".", "#", ".").Replace(t.Name())
	return Config{Address: c.addr, Token: root, Cluster: cluster}
}

func newHealth(t *testing.T, c Config) *Health {
	t.Helper()
	h, err := NewHealth(c)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func newKV(t *testing.T, c Config) *KV {
	t.Helper()
	k, err := NewKV(c)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// instance is a server that answers its check.
func instance(t *testing.T, service, id string) Registration {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") }))
	t.Cleanup(s.Close)
	return Registration{
		ID: id, Service: service, Address: s.Listener.Addr().String(), Weight: 5, Tags: []string{"blue"},
		Meta: map[string]string{MetaApp: "shop"}, Check: Check{HTTP: "/healthz", Interval: 100 * time.Millisecond, Timeout: time.Second},
	}
}

// lossy carries requests out and loses the answers to those that match.
type lossy struct {
	http.RoundTripper
	mu    sync.Mutex
	lose  func(*http.Request) bool
	count int
}

func (l *lossy) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := l.RoundTripper.RoundTrip(r)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil && l.lose != nil && l.lose(r) {
		l.lose = nil
		l.count++
		resp.Body.Close()
		return nil, errors.New("connection reset by peer")
	}
	return resp, err
}

func (l *lossy) next(match func(*http.Request) bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lose = match
}

func (l *lossy) lost() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.count
}

func wants(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("error is %v, want one that is %q", err, want)
	}
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
