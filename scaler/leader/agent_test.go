package leader

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"spillway/scaler/ledger"
)

// patience is how long anything may take before a test gives up; it measures
// nothing.
const patience = 60 * time.Second

// agent is a real Consul server on ports of its own, as one test sees it.
type agent struct {
	t    *testing.T
	addr string
	cmd  *exec.Cmd
	api  *api.Client
}

// common is the Consul of the tests that do it no harm, started by the first of
// them.
var (
	common = sync.OnceValues(func() (*agent, error) {
		a, err := launch()
		commonStarted = a
		return a, err
	})
	commonStarted *agent
)

// useAgent returns the common Consul.
func useAgent(t *testing.T) *agent {
	t.Helper()
	a, err := common()
	if err != nil {
		t.Fatal(err)
	}
	return a.of(t)
}

// startAgent starts one for this test alone.
func startAgent(t *testing.T) *agent {
	t.Helper()
	a, err := launch()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.end)
	return a.of(t)
}

func launch() (*agent, error) {
	bin, err := filepath.Abs("../../bin/consul")
	if own := os.Getenv("CONSUL_BIN"); own != "" {
		bin = own
	}
	if _, err2 := os.Stat(bin); err != nil || err2 != nil {
		return nil, fmt.Errorf("these tests need Consul: run `make consul`, or set CONSUL_BIN: %w", errors.Join(err, err2))
	}
	ports, err := freePorts(3)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "leader")
	if err != nil {
		return nil, err
	}
	a := &agent{addr: "127.0.0.1:" + ports[0]}
	a.cmd = exec.Command(
		bin, "agent", "-server", "-bootstrap-expect=1", "-data-dir", dir, "-node", "n1", "-bind", "127.0.0.1",
		"-log-level", "error", "-serf-wan-port", "-1", "-dns-port", "-1", "-grpc-port", "-1", "-grpc-tls-port", "-1",
		"-hcl", `performance { raft_multiplier = 1 } session_ttl_min = "1s"`,
		"-http-port", ports[0], "-server-port", ports[1], "-serf-lan-port", ports[2],
	)
	a.cmd.Dir = dir
	a.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return a, a.cmd.Start()
}

func (a *agent) end() {
	a.cmd.Process.Kill()
	a.cmd.Wait()
	os.RemoveAll(a.cmd.Dir)
}

// of is the agent as another test sees it, ready for writes.
func (a agent) of(t *testing.T) *agent {
	t.Helper()
	a.t = t
	a.api = a.client()
	await(t, "Consul", func() bool {
		_, err := a.api.KV().Put(&api.KVPair{Key: "probe"}, nil)
		return err == nil
	})
	return &a
}

func (a *agent) client() *api.Client {
	a.t.Helper()
	c, err := ledger.ConsulConfig{Address: a.addr}.Client()
	if err != nil {
		a.t.Fatal(err)
	}
	return c
}

func (a *agent) freeze()   { a.cmd.Process.Signal(syscall.SIGSTOP) }
func (a *agent) unfreeze() { a.cmd.Process.Signal(syscall.SIGCONT) }

func freePorts(n int) (ports []string, err error) {
	for range n {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer ln.Close()
		_, port, _ := net.SplitHostPort(ln.Addr().String())
		ports = append(ports, port)
	}
	return ports, nil
}

// await polls what gives no event.
func await(t *testing.T, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !is(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for: %s", what)
		}
	}
}

// running is a candidate in this process, with the states it told of.
type running struct {
	t *testing.T
	*Consul
	states chan State
	cancel context.CancelFunc
	done   chan struct{}
}

// run stands for the test's lock.
func (a *agent) run(address string) *running {
	a.t.Helper()
	r := &running{t: a.t, states: make(chan State, 100), done: make(chan struct{})}
	var err error
	r.Consul, err = NewConsul(a.client(), Config{
		Key: a.t.Name(), Address: address, Name: address, TTL: *ttl, LockDelay: *lockDelay, Margin: *ttl / 5,
		Observe: func(s State) { r.states <- s },
	})
	if err != nil {
		a.t.Fatal(err)
	}
	var ctx context.Context
	ctx, r.cancel = context.WithCancel(context.Background())
	go func() {
		defer close(r.done)
		if err := r.Run(ctx); err != nil {
			a.t.Errorf("Run: %v", err)
		}
	}()
	a.t.Cleanup(r.stop)
	return r
}

// stop ends a candidate as a shutdown does.
func (r *running) stop() {
	r.cancel()
	<-r.done
}

// until returns the first state told that is as wanted.
func (r *running) until(what string, is func(State) bool) State {
	r.t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case s := <-r.states:
			if is(s) {
				return s
			}
		case <-timeout:
			r.t.Fatalf("waited in vain for: %s", what)
		}
	}
}

func leads(s State) bool   { return s.Leading }
func follows(s State) bool { return !s.Leading }
