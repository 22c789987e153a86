package local_test

import (
	"bytes"
	"cmp"
	"crypto/tls"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"spillway/scaler/cloud"
	"spillway/scaler/cloud/local"
	"spillway/scaler/hostinit"
	"spillway/scaler/hostinit/join"
	"spillway/scaler/hostinit/machine"
)

// office is the scaler's side of joining: a driver whose machines phone home
// to it.
type office struct {
	t  *testing.T
	d  *local.Driver
	ca *join.CA
	// order of the tokens, if it is not the machines' own.
	forged string
	// lag is how long the cloud's list shows nothing.
	lag    time.Duration
	opened time.Time
	// server can be closed to be a scaler that is away.
	server *httptest.Server

	mu     sync.Mutex
	stages map[string][]join.Stage
}

func newOffice(t *testing.T, o local.Options) *office {
	t.Helper()
	ca, err := join.OpenCA(join.CAOptions{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	f := &office{t: t, d: newDriver(t, o), ca: ca, opened: time.Now(), stages: map[string][]join.Stage{}}
	cert, err := ca.Server([]string{local.HostName})
	if err != nil {
		t.Fatal(err)
	}
	f.server = httptest.NewUnstartedServer(join.NewServer(join.Options{
		CA: ca, Claims: join.DirClaims(t.TempDir()), Now: time.Now, Log: slog.New(slog.DiscardHandler),
		Belongs: f.belongs, Config: f.config, Reached: f.reached,
	}))
	if f.server.Listener, err = net.Listen("tcp4", "0.0.0.0:0"); err != nil {
		t.Fatal(err)
	}
	f.server.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	f.server.StartTLS()
	t.Cleanup(f.server.Close)
	return f
}

func (f *office) url() string {
	_, port, _ := net.SplitHostPort(f.server.Listener.Addr().String())
	return "https://" + local.HostName + ":" + port
}

func (f *office) belongs(order, id string) (join.Listed, bool) {
	if time.Since(f.opened) < f.lag {
		return join.Listed{}, false
	}
	ms, err := f.d.List(bg, map[string]string{cloud.TagOrder: order})
	i := slices.IndexFunc(ms, func(m cloud.Machine) bool { return m.ID == id })
	if err != nil || i < 0 {
		return join.Listed{}, false
	}
	return join.Listed{Name: ms[i].Name, Address: ms[i].Address}, true
}

func (f *office) config(_, _ string, at join.Listed) join.Config {
	return join.Config{Labels: map[string]string{"idc": "local", "ip": at.Address, "srv": "web", "role": "app"}}
}

func (f *office) reached(s join.Stage) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stages[s.Machine] = append(f.stages[s.Machine], s)
}

func (f *office) stagesOf(id string) (names []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.stages[id] {
		if s.Name != "lease" {
			names = append(names, s.Name)
		}
	}
	return names
}

// order makes machines that know the office.
func (f *office) order(token, zone string, n int, lease time.Duration) []cloud.Machine {
	f.t.Helper()
	p, err := hostinit.Resolve(map[string]hostinit.Layer{
		"base": {DNS: []string{"192.0.2.53"}, Deadlines: map[string]float64{machine.Docker: 30, machine.PhoneHome: 5}},
		"web":  {Base: "base"},
	}, "web")
	if err != nil {
		f.t.Fatal(err)
	}
	r := request(token, zone, n)
	r.UserData, err = p.Render(hostinit.Boot{
		Scaler: f.url(), CA: string(f.ca.PEM()), Token: f.ca.Token(cmp.Or(f.forged, token), time.Time{}),
		Lease: lease, LeaseEvery: 100 * time.Millisecond,
	}, f.d.Describe().UserDataMax)
	if err != nil {
		f.t.Fatal(err)
	}
	return create(f.t, f.d, r)
}

// client speaks to engines as the scaler does, or as a pair of files would.
func (f *office) client(cert, key []byte) *http.Client {
	f.t.Helper()
	c := &tls.Config{RootCAs: f.ca.Pool()}
	if cert != nil {
		pair, err := tls.X509KeyPair(cert, key)
		if err != nil {
			f.t.Fatal(err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{TLSClientConfig: c, DisableKeepAlives: true}}
}

func (f *office) scaler() *http.Client {
	f.t.Helper()
	cert, key, err := f.ca.Client("spillway scaler")
	if err != nil {
		f.t.Fatal(err)
	}
	return f.client(cert, key)
}

func engineURL(m cloud.Machine) string { return "https://" + m.Address + ":" + machine.EnginePort }

// get reads JSON of an engine.
func get(t *testing.T, c *http.Client, url string, into any) {
	t.Helper()
	r, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if err := json.NewDecoder(r.Body).Decode(into); err != nil {
		t.Fatal(err)
	}
}

func TestMachinesJoinAndServeTheScalerAlone(t *testing.T) {
	t.Parallel()
	f := newOffice(t, options(newRoot(t)))
	start := time.Now()
	ms := f.order("pair", "a", 2, time.Hour)
	scaler := f.scaler()
	for _, m := range ms {
		await(t, "ping", func() error { return ping(scaler, engineURL(m)) })
		t.Logf("%s answers %v after the order", m.Name, time.Since(start))
	}
	engines := map[string]bool{}
	for _, m := range ms {
		await(t, "settle", func() error { return errUnless(slices.Equal(f.stagesOf(m.ID), machine.Stages())) })
		var info struct {
			ID, Name, CgroupDriver string
			Labels                 []string
		}
		get(t, scaler, engineURL(m)+"/info", &info)
		slices.Sort(info.Labels)
		engines[info.ID] = true
		want := []string{"idc=local", "ip=" + m.Address, "role=app", "srv=web"}
		if info.Name != m.Name || !slices.Equal(info.Labels, want) || info.CgroupDriver != "cgroupfs" {
			t.Errorf("the engine of %s says %+v", m.Name, info)
		}
	}
	if len(engines) != len(ms) {
		t.Errorf("%d engines have identities %v", len(ms), engines)
	}
	dir := f.d.Root() + "/machines/" + ms[0].ID
	if text, err := os.ReadFile(dir + "/etc/upper/resolv.conf"); err != nil || string(text) != "nameserver 192.0.2.53\n" {
		t.Errorf("name servers %q, %v", text, err)
	}
	if own, _ := os.ReadFile("/etc/resolv.conf"); bytes.Contains(own, []byte("192.0.2.53")) {
		t.Error("this computer's name servers were changed")
	}
	cert, certErr := os.ReadFile(dir + "/tls/cert.pem")
	key, keyErr := os.ReadFile(dir + "/tls/key.pem")
	if certErr != nil || keyErr != nil {
		t.Fatal(certErr, keyErr)
	}
	if ping(f.client(cert, key), engineURL(ms[1])) == nil {
		t.Error("a machine's certificate opens another's engine")
	}
	if ping(f.client(nil, nil), engineURL(ms[1])) == nil {
		t.Error("an engine serves without a certificate")
	}
}

func TestSixMachinesAtOnce(t *testing.T) {
	o := options(newRoot(t))
	f := newOffice(t, o)
	start := time.Now()
	var wg sync.WaitGroup
	scaler := f.scaler()
	for i := range 3 {
		wg.Go(func() {
			for _, m := range f.order("six-"+string(rune('a'+i)), "a", 2, 0) {
				await(t, "ping", func() error { return ping(scaler, engineURL(m)) })
			}
		})
	}
	wg.Wait()
	t.Logf("six answer after %v", time.Since(start))
	seen := map[string]bool{}
	for _, m := range list(t, f.d) {
		seen[m.Address] = true
	}
	if len(seen) != 6 {
		t.Errorf("addresses %v", seen)
	}
	start = time.Now()
	for _, m := range list(t, f.d) {
		wg.Go(func() { remove(t, f.d, m.ID) })
	}
	wg.Wait()
	t.Logf("six are gone after %v", time.Since(start))
	nothingLeft(t, f.d.Root())
}

func TestAMachineComesBackAfterStopAndAfterDeath(t *testing.T) {
	t.Parallel()
	f := newOffice(t, options(newRoot(t)))
	m := f.order("again", "a", 1, time.Hour)[0]
	scaler := f.scaler()
	await(t, "ping", func() error { return ping(scaler, engineURL(m)) })
	var before, after struct{ ID string }
	get(t, scaler, engineURL(m)+"/info", &before)
	f.server.Close() // it comes back by itself
	if err := f.d.Stop(t.Context(), m.ID); err != nil {
		t.Fatal(err)
	}
	t.Logf("stopped after %v", await(t, "stop", func() error { return errUnless(state(t, f.d, m.ID).State == cloud.Stopped) }))
	if err := f.d.Start(t.Context(), m.ID); err != nil {
		t.Fatal(err)
	}
	t.Logf("back after %v", await(t, "ping after a stop", func() error { return ping(scaler, engineURL(m)) }))
	kill(t, f.d, m.ID)
	if err := f.d.Start(t.Context(), m.ID); err != nil {
		t.Fatal(err)
	}
	t.Logf("again after %v", await(t, "ping after a death", func() error { return ping(scaler, engineURL(m)) }))
	get(t, scaler, engineURL(m)+"/info", &after)
	if before != after || before.ID == "" {
		t.Errorf("the engine was %v, is %v", before, after)
	}
}

func TestAMachineWaitsForAListAndRevivesItsEngine(t *testing.T) {
	t.Parallel()
	f := newOffice(t, options(newRoot(t)))
	f.lag = 700 * time.Millisecond
	m := f.order("lagging", "a", 1, time.Hour)[0]
	await(t, "settle", func() error { return errUnless(slices.Contains(f.stagesOf(m.ID), machine.Settled)) })
	scaler := f.scaler()
	last := ""
	for range 3 { // an engine that ends is started anew
		last = killEngine(t, f.d, m.ID, last)
		await(t, "ping", func() error { return ping(scaler, engineURL(m)) })
	}
	killEngine(t, f.d, m.ID, last)
	await(t, "end", func() error { return errUnless(state(t, f.d, m.ID).State == cloud.Stopped) })
	if got := state(t, f.d, m.ID).Reason; got != machine.EndedEngine {
		t.Errorf("a machine whose engine does not live ended: %q", got)
	}
}

// killEngine ends a machine's dockerd, once that is another than the last one,
// and returns its process id.
func killEngine(t *testing.T, d *local.Driver, id, last string) (pid string) {
	t.Helper()
	of := "/proc/" + strconv.Itoa(d.InitPID(id)) + "/ns/"
	inside := func(command string) ([]byte, error) {
		return exec.CommandContext(t.Context(), "nsenter", "--pid="+of+"pid", "--mount="+of+"mnt", "sh", "-c", command).Output()
	}
	await(t, "kill", func() error {
		out, err := inside("cat /run/docker.pid")
		pid = strings.TrimSpace(string(out))
		if err != nil || pid == last {
			return errors.Join(err, errUnless(pid != last))
		}
		_, err = inside("kill -KILL " + pid)
		return err
	})
	return pid
}

func TestAMachineThatNobodyAdmitsEndsItself(t *testing.T) {
	t.Parallel()
	f := newOffice(t, options(newRoot(t)))
	f.forged = "another-order"
	m := f.order("stranger", "a", 1, time.Second)[0]
	await(t, "end", func() error { return errUnless(state(t, f.d, m.ID).State == cloud.Stopped) })
	if got := state(t, f.d, m.ID).Reason; got != machine.EndedLease || len(f.stagesOf(m.ID)) > 0 {
		t.Errorf("it told %q and ended: %q", f.stagesOf(m.ID), got)
	}
}

func TestTheLeaseEndsOnlyWhatNobodyUses(t *testing.T) {
	t.Parallel()
	f := newOffice(t, options(newRoot(t)))
	ms := f.order("leased", "a", 2, 5*time.Second)
	idle, used := ms[0], ms[1]
	for _, m := range ms {
		await(t, "settle", func() error { return errUnless(slices.Contains(f.stagesOf(m.ID), machine.Settled)) })
	}
	f.server.Close() // nobody reaches the scaler from here on
	await(t, "end of the idle one", func() error {
		// A request to a port nobody serves is one all the same.
		c, err := net.ListenPacket("udp4", ":0")
		if err != nil {
			return err
		}
		defer c.Close()
		if _, err := c.WriteTo(bytes.Repeat([]byte("x"), 100), &net.UDPAddr{IP: net.ParseIP(used.Address), Port: 5000}); err != nil {
			return err
		}
		return errUnless(state(t, f.d, idle.ID).State == cloud.Stopped)
	})
	if got := state(t, f.d, idle.ID); !strings.Contains(got.Reason, "lease") {
		t.Errorf("it ended: %q", got.Reason)
	}
	if got := state(t, f.d, used.ID); got.State != cloud.Running {
		t.Errorf("the one with traffic is %s: %s", got.State, got.Reason)
	}
}
