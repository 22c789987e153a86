package main_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// consulNode is a real Consul server as a process, on a loopback address of
// its own. It can be killed, stopped, frozen and started again on its data.
type consulNode struct {
	t    *testing.T
	name string
	ip   string
	dir  string
	args []string
	*daemon
}

// consulBinary is the real Consul; without it the rows against it fail.
func consulBinary(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs("../../bin/consul")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("there is no bin/consul: run make consul")
	}
	return path
}

// managementToken may do everything where ACLs are on.
const managementToken = "5a1c0de0-0000-4000-8000-00000000a11c"

const aclConfig = `acl {
  enabled = true
  default_policy = "deny"
  enable_token_persistence = false
  tokens { initial_management = "` + managementToken + `" agent = "` + managementToken + `" }
}
`

// startConsul starts a cluster of servers; more than one are joined.
func startConsul(t *testing.T, l *lab, servers int, config string) []*consulNode {
	t.Helper()
	var nodes []*consulNode
	for i := range servers {
		n := &consulNode{t: t, name: fmt.Sprintf("server-%d", i), ip: l.place(), dir: t.TempDir()}
		hcl := `performance { raft_multiplier = 1 }
ports { dns = -1 grpc = -1 grpc_tls = -1 serf_wan = -1 }
disable_update_check = true
leave_on_terminate = false
` + config
		if err := os.WriteFile(n.dir+"/consul.hcl", []byte(hcl), 0o600); err != nil {
			t.Fatal(err)
		}
		n.args = []string{
			"agent", "-server", "-node", n.name, "-bind", n.ip, "-client", n.ip, "-data-dir", n.dir + "/data",
			"-config-file", n.dir + "/consul.hcl", "-log-level", "warn", fmt.Sprintf("-bootstrap-expect=%d", servers),
		}
		nodes = append(nodes, n)
	}
	for _, n := range nodes {
		if servers > 1 {
			n.args = append(n.args, "-retry-interval", "1s", "-retry-join", nodes[0].ip, "-retry-join", nodes[1].ip)
		}
		n.start()
	}
	for _, n := range nodes {
		n.awaitLeader()
	}
	return nodes
}

// start starts the server, on the data it had.
func (n *consulNode) start() {
	n.t.Helper()
	n.daemon = startDaemon(n.t, "consul "+n.name, nil, consulBinary(n.t), n.args...)
}

func (n *consulNode) url() string { return "http://" + n.ip + ":8500" }

func (n *consulNode) addr() string { return n.ip + ":8500" }

var consulClient = &http.Client{Timeout: 5 * time.Second}

// call sends one request with the management token; code 0 is no answer.
func (n *consulNode) call(method, path string, body []byte) (code int, answer []byte) {
	req, err := http.NewRequest(method, n.url()+path, bytes.NewReader(body))
	if err != nil {
		n.t.Fatal(err)
	}
	req.Header.Set("X-Consul-Token", managementToken)
	resp, err := consulClient.Do(req)
	if err != nil {
		return 0, nil
	}
	defer resp.Body.Close()
	answer, _ = io.ReadAll(resp.Body)
	return resp.StatusCode, answer
}

// must repeats a write until it is taken: right after an election the first
// may not be.
func (n *consulNode) must(method, path string, body []byte) []byte {
	n.t.Helper()
	var answer []byte
	await(n.t, 20*time.Second, method+" "+path, func() bool {
		code, b := n.call(method, path, body)
		answer = b
		return code == 200
	})
	return answer
}

// leader is the address the server takes for the leader's, "" for none.
func (n *consulNode) leader() string {
	code, b := n.call("GET", "/v1/status/leader", nil)
	if code != 200 {
		return ""
	}
	return strings.TrimSuffix(strings.Trim(strings.TrimSpace(string(b)), `"`), ":8300")
}

func (n *consulNode) awaitLeader() {
	n.t.Helper()
	await(n.t, 40*time.Second, n.name+" knows a leader", func() bool { return n.leader() != "" })
	n.must("PUT", "/v1/kv/started/"+n.name, nil)
}

func (n *consulNode) freeze() { n.signal(syscall.SIGSTOP) }
func (n *consulNode) thaw()   { n.signal(syscall.SIGCONT) }

// consulLister lists servers in real Consul.
type consulLister struct{ via func() *consulNode }

func (c consulLister) add(addr string) { c.touch(addr, 0) }

func (c consulLister) touch(addr string, n int) {
	node := c.via()
	node.must("PUT", "/v1/kv/up/kv/"+addr, fmt.Appendf(nil, `{"weight":1, "touched":%d}`, n))
	host, port := splitAddr(addr)
	node.must("PUT", "/v1/catalog/register", toJSON(map[string]any{
		"Node": "web-node", "Address": "192.0.2.1", "SkipNodeUpdate": true,
		"Service": map[string]any{
			"ID": "web-" + addr, "Service": "web", "Address": host, "Port": port,
			"Meta": map[string]string{"touched": fmt.Sprint(n)},
		},
	}))
}

func (c consulLister) remove(addr string) {
	node := c.via()
	node.must("DELETE", "/v1/kv/up/kv/"+addr, nil)
	node.must("PUT", "/v1/catalog/deregister", toJSON(map[string]string{"Node": "web-node", "ServiceID": "web-" + addr}))
}

// removeAll deletes everything: one write for the keys, one for the
// instances.
func (c consulLister) removeAll() {
	node := c.via()
	node.must("DELETE", "/v1/kv/?recurse", nil)
	node.must("PUT", "/v1/catalog/deregister", toJSON(map[string]string{"Node": "web-node"}))
}

func toJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("BUG: cannot encode: " + err.Error())
	}
	return b
}

// newConsulScene is a scene with real Consul as its registry; writes go to
// whichever server via returns.
func newConsulScene(t *testing.T, l *lab, addresses string, via func() *consulNode) *scene {
	t.Helper()
	s := bareScene(t, l)
	s.lister = consulLister{via}
	s.consul = addresses
	s.base = s.fleet.addMany(3)
	s.list(s.base...)
	return s
}

// suffer plays an episode against real Consul: like play, without the
// counters only the fault injector has.
func (s *scene) suffer(e episode) {
	s.t.Helper()
	if e.limit == 0 {
		e.limit = time.Second
	}
	before := mark{counts: map[string]float64{}}
	for _, u := range sources() {
		before.counts[u] = s.counter(&e, u)
	}
	e.inject(s)
	for _, u := range sources() {
		if kind, _ := e.evidence(u); kind != "" {
			await(s.t, 20*time.Second, fmt.Sprintf("%s: %s: the failure is counted: %v", e.name, u, e.seen), func() bool {
				return s.counter(&e, u) > before.counts[u]
			})
		}
	}
	s.keepsServing(e.hold)
	if !e.brief {
		s.visible(&e)
	}
	if e.recover != nil {
		e.recover(s)
	}
	s.converges(e.limit, e.name+": after recovery")
	s.record(&e)
}
