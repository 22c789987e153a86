package main_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"spillway/upsync/devregistry"
)

// sources are the upstreams of every scene, one for each way of reading
// Consul; all three list the same servers.
func sources() []string { return []string{"kv", "catalog", "health"} }

// lab is what all rows share.
type lab struct {
	spillway string
	ledger   *ledger
	places   atomic.Int32
}

// place returns a loopback address nobody else listens on, so that ports need
// no luck.
func (l *lab) place() string { return loopback(int(l.places.Add(1))) }

// scene is one gateway as a process, a registry, servers and traffic.
type scene struct {
	t       *testing.T
	lab     *lab
	dir     string
	ip      string // of the gateway
	fleet   *fleet
	base    []string // servers listed from the start to the end
	reg     *devregistry.Registry
	srv     *devregistry.Server
	lister  lister
	consul  string // the section of the configuration
	extra   string // more upstreams
	gateway *daemon
	traffic *traffic
	ticks   int
}

// lister adds and removes a server in a registry, for all three sources.
type lister interface {
	add(addr string)
	remove(addr string)
	touch(addr string, n int) // moves the indexes and changes nothing
}

// newScene prepares a scene with the fault injector as its registry and three
// servers listed. Nothing is started.
func newScene(t *testing.T, l *lab) *scene {
	t.Helper()
	s := bareScene(t, l)
	s.reg = devregistry.New(devregistry.Options{Logger: quietLog()})
	t.Cleanup(s.reg.Close)
	srv, err := s.reg.Start(s.ip + ":8500")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Close)
	s.srv, s.lister = srv, devLister{reg: s.reg}
	s.consul = "  address: " + srv.Addr()
	s.base = s.fleet.addMany(3)
	s.list(s.base...)
	return s
}

func bareScene(t *testing.T, l *lab) *scene {
	return &scene{t: t, lab: l, dir: t.TempDir(), ip: l.place(), fleet: newFleet(t)}
}

// run starts gateway and traffic and waits until the three servers serve all
// three upstreams.
func (s *scene) run() *scene {
	s.t.Helper()
	s.startGateway()
	s.traffic = startTraffic(s.t, s.ip+":8080", false, sources()...)
	s.serves(s.base...)
	return s
}

func (s *scene) list(addrs ...string) {
	for _, a := range addrs {
		s.lister.add(a)
	}
}

// config is the configuration of the gateway.
func (s *scene) config() string {
	var b strings.Builder
	fmt.Fprintf(&b, "gateway:\n  listen: [%q]\n  loops: 2\n  shutdown_timeout: 20s\nadmin:\n  listen: %q\n", s.ip+":8080", s.ip+":9901")
	fmt.Fprintf(&b, "log: {format: json}\nconsul:\n%s\nupstreams:\n", s.consul)
	fmt.Fprintf(&b, "  kv: {source: consul-kv, key: up/kv/, dump: %q}\n", s.dir+"/kv.conf")
	fmt.Fprintf(&b, "  catalog: {source: consul-catalog, service: web, dump: %q}\n", s.dir+"/catalog.conf")
	fmt.Fprintf(&b, "  health: {source: consul-health, service: web, dump: %q}\n", s.dir+"/health.conf")
	fmt.Fprintf(&b, "%sroutes:\n", s.extra)
	for _, u := range sources() {
		fmt.Fprintf(&b, "  - {path: /%s/, upstream: %s}\n", u, u)
	}
	return b.String()
}

// startGateway starts a gateway on the scene's address and waits until it
// listens.
func (s *scene) startGateway() {
	s.t.Helper()
	path := filepath.Join(s.dir, "spillway.yaml")
	if err := os.WriteFile(path, []byte(s.config()), 0o600); err != nil {
		s.t.Fatal(err)
	}
	d := startDaemon(s.t, "spillway", nil, s.lab.spillway, "gateway", "--config", path)
	s.gateway = d
	s.t.Cleanup(func() { s.endGateway(d) })
	await(s.t, 20*time.Second, "the gateway listens", func() bool {
		code, _ := s.get("/-/ready")
		return code == 200 || code == 503 && !strings.Contains(s.text("/-/ready"), "starting")
	})
}

// endGateway ends a gateway as an operator does; races it found fail the
// test.
func (s *scene) endGateway(d *daemon) {
	s.t.Helper()
	if s.traffic != nil {
		s.traffic.stop()
	}
	if !d.end(30 * time.Second) {
		s.t.Errorf("the gateway did not end on TERM")
		d.signal(syscall.SIGQUIT)
		d.gone(2 * time.Second)
	}
	checkRaces(s.t, d)
}

var adminClient = &http.Client{Timeout: 5 * time.Second}

// get reads a page of the admin server; code 0 is no answer.
func (s *scene) get(path string) (code int, body string) {
	resp, err := adminClient.Get("http://" + s.ip + ":9901" + path)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b)
}

func (s *scene) text(path string) string {
	_, body := s.get(path)
	return body
}

// upstreamView is what the admin API says of an upstream.
type upstreamView struct {
	Degraded   string    `json:"degraded"`
	SnapshotAt time.Time `json:"snapshot_at"`
	Servers    []struct {
		Address string `json:"address"`
		State   string `json:"state"`
	} `json:"servers"`
	Sync struct {
		LastError   string     `json:"last_error"`
		LastSuccess *time.Time `json:"last_success"`
	} `json:"sync"`
	Decisions []struct {
		Verdict string `json:"verdict"`
		Reason  string `json:"reason"`
	} `json:"decisions"`
}

func (s *scene) view(upstream string) (v upstreamView) {
	code, body := s.get("/api/v1/upstreams/" + upstream)
	if code == 200 {
		if err := json.Unmarshal([]byte(body), &v); err != nil {
			s.t.Errorf("upstream %s: %v in %s", upstream, err, body)
		}
	}
	return v
}

// addresses lists the servers of an upstream, whatever their state.
func (v *upstreamView) addresses() []string {
	var all []string
	for _, srv := range v.Servers {
		all = append(all, srv.Address)
	}
	slices.Sort(all)
	return all
}

// metric is the value of one series, 0 if there is none.
func (s *scene) metric(series string) float64 {
	for line := range strings.Lines(s.text("/metrics")) {
		if text, ok := strings.CutPrefix(line, series+" "); ok {
			v, _ := strconv.ParseFloat(strings.TrimSpace(text), 64)
			return v
		}
	}
	return 0
}

func (s *scene) failedReads(upstream, reason string) float64 {
	return s.metric(fmt.Sprintf("spillway_upsync_errors_total{reason=%q,upstream=%q}", reason, upstream))
}

func (s *scene) verdicts(upstream, verdict string) float64 {
	return s.metric(fmt.Sprintf("spillway_upsync_decisions_total{upstream=%q,verdict=%q}", upstream, verdict))
}

func (s *scene) lastSuccess(upstream string) float64 {
	return s.metric(fmt.Sprintf("spillway_upsync_last_success_timestamp_seconds{upstream=%q}", upstream))
}

// serves waits until exactly these servers are listed by all three upstreams.
func (s *scene) serves(addrs ...string) {
	s.t.Helper()
	want := slices.Sorted(slices.Values(addrs))
	for _, u := range sources() {
		await(s.t, 10*time.Second, fmt.Sprintf("%s serves %v", u, want), func() bool {
			v := s.view(u)
			return slices.Equal(v.addresses(), want)
		})
	}
}

// settled waits until each source's read blocks.
func (s *scene) settled() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 15*time.Second)
	defer cancel()
	for _, prefix := range readPaths() {
		if err := s.reg.AwaitBlocked(ctx, prefix, 1); err != nil {
			s.t.Fatalf("no read of %s blocks: %v", prefix, err)
		}
	}
}

// readPaths are the paths of the reads, in the order of sources.
func readPaths() []string { return []string{"/v1/kv/", "/v1/catalog/", "/v1/health/"} }

// onReads puts a fault on the reads of all three sources and on nothing else.
func onReads(f devregistry.Fault) devregistry.FaultFunc {
	return func(req *http.Request) devregistry.Fault {
		for _, p := range readPaths() {
			if strings.HasPrefix(req.URL.Path, p) {
				return f
			}
		}
		return nil
	}
}
