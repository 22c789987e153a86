package docker

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// An engine that is stopped in its tracks takes connections and never
// answers. Its own callers fail within bounded time; another engine's callers
// do not notice.
func TestFrozenEngineDelaysNobodyElse(t *testing.T) {
	patient, good := world(t)
	m := useMachine(t, "two")
	m.alone(t)
	bad := m.engine()
	x := New(Options{Call: 500 * time.Millisecond, Ping: 300 * time.Millisecond, Wait: 100 * time.Millisecond, Pause: time.Minute, MaxPause: time.Minute})
	defer x.Close()
	s := spec(t, "speak", "1")
	ok(t, patient.Image(t.Context(), bad, probeName, []string{archive(t)}))
	c := run(t, patient, bad, s)
	ok(t, x.Ping(t.Context(), good))
	thaw := m.freeze(t)
	calls := map[string]func(Engine) error{
		"ping":   func(e Engine) error { return x.Ping(t.Context(), e) },
		"list":   func(e Engine) error { _, err := x.List(t.Context(), e, s.Name); return err },
		"ensure": func(e Engine) error { _, err := x.Ensure(t.Context(), e, s); return err },
		"image":  func(e Engine) error { return x.Image(t.Context(), e, probeName, nil) },
		"exec": func(e Engine) error {
			_, err := x.Exec(t.Context(), e, s.Name, ExecSpec{Command: []string{"/probe", "status"}})
			return err
		},
		"logs":   func(e Engine) error { return x.Logs(t.Context(), e, s.Name, 1, false, io.Discard) },
		"stats":  func(e Engine) error { _, err := x.Stats(t.Context(), e, s.Name); return err },
		"remove": func(e Engine) error { return x.Remove(t.Context(), e, s.Name, 0) },
	}
	var wg sync.WaitGroup
	for name, call := range calls {
		for range 4 {
			wg.Go(func() {
				start := time.Now()
				if err := call(bad); err == nil {
					t.Errorf("%s: a frozen engine answered", name)
				}
				if took := time.Since(start); took > 5*time.Second {
					t.Errorf("%s: failed after %v", name, took)
				}
			})
		}
	}
	for range 20 {
		start := time.Now()
		if err := x.Ping(t.Context(), good); err != nil || time.Since(start) > 2*time.Second {
			t.Errorf("the other engine's ping: %v after %v", err, time.Since(start))
		}
	}
	wg.Wait()
	wants(t, x.Ping(t.Context(), bad), ErrDown)
	thaw()
	again, err := patient.Ensure(t.Context(), bad, s)
	ok(t, err)
	if again.ID != c.ID {
		t.Errorf("container was %s, is %s", c.ID, again.ID)
	}
}

func TestEngineThatRestartsIsFoundAgain(t *testing.T) {
	t.Parallel()
	m := useMachine(t, "two")
	m.alone(t)
	e := m.engine()
	x := New(Options{Pause: 50 * time.Millisecond, MaxPause: 100 * time.Millisecond, Ping: time.Second})
	defer x.Close()
	ok(t, x.Image(t.Context(), e, probeName, []string{archive(t)}))
	s := spec(t, "speak", "1")
	s.Restart = true
	was := run(t, x, e, s)
	ended := make(chan error)
	var seen buffer
	go func() { ended <- x.Logs(t.Context(), e, s.Name, -1, true, &seen) }()
	eventually(t, "logs", func() error { return seen.shows("out 0") })
	m.daemon(t).Kill()
	select {
	case <-ended: // its stream does not outlive it
	case <-time.After(10 * time.Second):
		t.Error("logs of an engine that is dead go on")
	}
	var is Container
	eventually(t, "it is ensured again", func() (err error) {
		is, err = x.Ensure(t.Context(), e, s)
		return err
	})
	if is.ID != was.ID || !is.Running {
		t.Errorf("was %+v, is %+v", was, is)
	}
}

func TestEngineThatNobodyListensFor(t *testing.T) {
	x := New(Options{Pause: time.Minute, MaxPause: time.Minute})
	defer x.Close()
	for name, e := range map[string]Engine{
		"unix": {ID: "unix", Host: "unix:///nowhere/docker.sock"},
		"tcp":  {ID: "tcp", Host: "tcp://127.0.0.1:1"},
	} {
		t.Run(name, func(t *testing.T) {
			for range 5 {
				wants(t, x.Ping(t.Context(), e), ErrDown)
			}
			if err := x.Ping(t.Context(), e); err == nil || !strings.Contains(err.Error(), `engine "`+name+`"`) {
				t.Errorf("error does not name the engine: %v", err)
			}
		})
	}
	for _, host := range []string{"", "127.0.0.1:2376", "tcp://127.0.0.1", "unix://", "ssh://host", "://"} {
		wants(t, x.Ping(t.Context(), Engine{ID: host, Host: host}), ErrInvalid)
	}
	bad := Engine{ID: "pem", Host: "tcp://127.0.0.1:1", CA: []byte("nonsense")}
	wants(t, x.Ping(t.Context(), bad), ErrInvalid)
}

// fake is an engine of which each answer can be chosen.
type fake struct {
	*httptest.Server
	calls  atomic.Int32
	answer func(w http.ResponseWriter, r *http.Request) // but for pings
}

func startFake(t *testing.T, version string, answer func(http.ResponseWriter, *http.Request)) (*fake, Engine) {
	t.Helper()
	f := &fake{answer: answer}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.calls.Add(1)
		if r.URL.Path == "/_ping" {
			w.Header().Set("Api-Version", version)
			return
		}
		f.answer(w, r)
	}))
	t.Cleanup(f.Close)
	return f, Engine{ID: t.Name(), Host: "tcp://" + f.Listener.Addr().String()}
}

func fails(code int, message string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		fmt.Fprintf(w, `{"message":%q}`, message)
	}
}

func TestEngineHasFewCallsInFlight(t *testing.T) {
	t.Parallel()
	held := make(chan struct{})
	f, e := startFake(t, "1.41", func(w http.ResponseWriter, _ *http.Request) {
		<-held
		io.WriteString(w, "[]")
	})
	x := New(Options{Calls: 2, Wait: 20 * time.Millisecond})
	defer x.Close()
	ok(t, x.Ping(t.Context(), e))
	before := f.calls.Load()
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			if _, err := x.List(t.Context(), e, "c"); err != nil {
				t.Error(err)
			}
		})
	}
	eventually(t, "two calls", func() error {
		if n := f.calls.Load() - before; n != 2 {
			return fmt.Errorf("%d calls", n)
		}
		return nil
	})
	_, err := x.List(t.Context(), e, "c")
	wants(t, err, ErrBusy)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = x.List(ctx, e, "c")
	wants(t, err, context.Canceled)
	close(held)
	wg.Wait()
	if _, err := x.List(t.Context(), e, "c"); err != nil {
		t.Error(err)
	}
}

// People who follow logs do not keep the scaler from its work.
func TestSessionsTakeNoTurnOfOtherCalls(t *testing.T) {
	t.Parallel()
	ended := make(chan struct{})
	_, e := startFake(t, "1.41", func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/logs"):
			io.WriteString(w, frame(1, "here"))
			w.(http.Flusher).Flush()
			<-ended
		case strings.HasSuffix(r.URL.Path, "/containers/json"):
			io.WriteString(w, "[]")
		default:
			fails(404, "No such container")(w, r)
		}
	})
	x := New(Options{Calls: 1, Works: 1, Sessions: 2, Wait: 20 * time.Millisecond})
	defer x.Close()
	var wg sync.WaitGroup
	for range 2 {
		var out buffer
		wg.Go(func() {
			if err := x.Logs(t.Context(), e, "c", -1, true, &out); err != nil {
				t.Error(err)
			}
		})
		eventually(t, "logs", func() error { return out.shows("here") })
	}
	wants(t, x.Logs(t.Context(), e, "c", -1, true, io.Discard), ErrBusy)
	_, err := x.List(t.Context(), e, "c")
	ok(t, err)
	ok(t, x.Remove(t.Context(), e, "c", 0))
	close(ended)
	wg.Wait()
}

func TestErrorsSayWhatToDo(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		code int
		text string
		want error
		kind string
	}{
		{"bad parameter", 400, "invalid reference", ErrInvalid, "invalid"},
		{"no such image", 404, "No such image", ErrNoImage, "transient"},
		{"port", 500, "driver failed: Bind for 0.0.0.0:80 failed: port is already allocated", ErrPort, "transient"},
		{"of the kernel", 500, "listen tcp :80: bind: address already in use", ErrPort, "transient"},
		{"other", 500, "no space left on device", nil, "transient"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, e := startFake(t, "1.41", func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodGet {
					fails(404, "No such container")(w, r)
					return
				}
				fails(test.code, test.text)(w, r)
			})
			x := New(Options{})
			defer x.Close()
			_, err := x.Ensure(t.Context(), e, spec(t))
			if test.want != nil {
				wants(t, err, test.want)
			}
			if err == nil || !strings.Contains(err.Error(), test.text) || Kind(err) != test.kind {
				t.Errorf("error is %v of kind %q, want %q of kind %q", err, Kind(err), test.text, test.kind)
			}
			// An engine that answers is not down, whatever it says.
			for range 5 {
				x.List(t.Context(), e, "c")
			}
			ok(t, x.Ping(t.Context(), e))
		})
	}
}

func TestEnsureGivesUpOnAContainerThatNeverStays(t *testing.T) {
	t.Parallel()
	_, e := startFake(t, "1.41", func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			fails(404, "No such container")(w, r)
			return
		}
		fails(409, "Conflict. The container name is already in use")(w, r)
	})
	x := New(Options{})
	defer x.Close()
	_, err := x.Ensure(t.Context(), e, spec(t))
	if err == nil || !strings.Contains(err.Error(), "changed by others") {
		t.Errorf("error is %v", err)
	}
}

func TestContainerThatEndedRightAfterItsStart(t *testing.T) {
	s := spec(t)
	starts := 0
	_, e := startFake(t, "1.41", func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/start") {
			starts++
		}
		if r.Method == http.MethodGet {
			fmt.Fprintf(w, `{"Id":"c1","State":{"Status":"exited","ExitCode":9},"Config":{"Labels":{%q:%q}}}`, LabelHash, Hash(s))
		}
	})
	x := New(Options{})
	defer x.Close()
	c, err := x.Ensure(t.Context(), e, s)
	if err != nil || c.Running || c.ExitCode != 9 || starts != 1 {
		t.Errorf("is %+v after %d starts, %v", c, starts, err)
	}
}

// The version agreed on is the lower of both, and agreed on anew when the
// engine was replaced.
func TestVersionIsAgreedOnAgain(t *testing.T) {
	var version atomic.Value
	version.Store("1.41")
	var asked atomic.Value
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Api-Version", version.Load().(string))
		if r.URL.Path == "/_ping" {
			return
		}
		asked.Store(r.URL.Path)
		if !strings.HasPrefix(r.URL.Path, "/v"+version.Load().(string)+"/") {
			fails(400, "client version 1.41 is too new. Maximum supported API version is 1.40")(w, r)
			return
		}
		io.WriteString(w, "[]")
	}))
	defer server.Close()
	e := Engine{ID: "v", Host: "tcp://" + server.Listener.Addr().String()}
	x := New(Options{})
	defer x.Close()
	_, err := x.List(t.Context(), e, "c")
	ok(t, err)
	if got := asked.Load(); got != "/v1.41/containers/json" {
		t.Errorf("asked %s", got)
	}
	version.Store("1.40")
	_, err = x.List(t.Context(), e, "c")
	if err == nil {
		t.Error("an engine that refuses the version answered")
	}
	_, err = x.List(t.Context(), e, "c")
	ok(t, err)
	version.Store("")
	x.Forget("v")
	if err := x.Ping(t.Context(), e); err == nil || !strings.Contains(err.Error(), "no Docker Engine") {
		t.Errorf("something else that answers: %v", err)
	}
}

func TestEngineThatChangedItsAddressIsMetAnew(t *testing.T) {
	_, e := startFake(t, "1.41", fails(500, "x"))
	x := New(Options{Pause: time.Minute})
	defer x.Close()
	dead := Engine{ID: e.ID, Host: "tcp://127.0.0.1:1"}
	for range 4 {
		wants(t, x.Ping(t.Context(), dead), ErrDown)
	}
	ok(t, x.Ping(t.Context(), e))
}

func TestTLSIsMutual(t *testing.T) {
	x, e := world(t)
	good := behindTLS(t, e)
	ok(t, x.Ping(t.Context(), good))
	other := newAuthority(t)
	stranger, wrongCA := good, good
	stranger.ID, wrongCA.ID = "stranger", "wrong"
	stranger.Cert, stranger.Key = other.issue(t, "client")
	wrongCA.CA = other.pem
	for name, e := range map[string]Engine{"client of another CA": stranger, "engine of another CA": wrongCA} {
		if err := x.Ping(t.Context(), e); err == nil {
			t.Errorf("%s: answered", name)
		}
	}
}

// authority signs certificates for a test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ok(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	ok(t, err)
	cert, err := x509.ParseCertificate(der)
	ok(t, err)
	return &authority{cert, key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
}

func (a *authority) issue(t *testing.T, name string) (cert, key []byte) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ok(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, k.Public(), a.key)
	ok(t, err)
	b, err := x509.MarshalECPrivateKey(k)
	ok(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: b})
}

// behindTLS puts a door with mutual TLS before an engine's socket.
func behindTLS(t *testing.T, e Engine) Engine {
	t.Helper()
	ca := newAuthority(t)
	cert, key := ca.issue(t, "engine")
	pair, err := tls.X509KeyPair(cert, key)
	ok(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert})
	ok(t, err)
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go carry(c.(*tls.Conn), strings.TrimPrefix(e.Host, "unix://"))
		}
	}()
	out := Engine{ID: e.ID + "-tls", Host: "tcp://" + ln.Addr().String(), CA: ca.pem}
	out.Cert, out.Key = ca.issue(t, "client")
	return out
}

func carry(c *tls.Conn, socket string) {
	defer c.Close()
	to, err := net.Dial("unix", socket)
	if err != nil || c.Handshake() != nil {
		return
	}
	defer to.Close()
	go func() {
		io.Copy(to, c)
		to.(*net.UnixConn).CloseWrite()
	}()
	io.Copy(c, to)
}

// The breaker against a model of its picture.
func TestBreakerKeepsItsRules(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := &breaker{trip: 3, first: time.Second, limit: 4 * time.Second}
		now := time.Unix(0, 0)
		failures, trying := 0, false
		boom := errors.New("boom")
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 1500).Draw(t, "ms")) * time.Millisecond)
			open := failures >= b.trip
			trial, err := b.allow(now)
			if !open && (err != nil || trial) {
				t.Fatalf("closed, but allow is %t, %v", trial, err)
			}
			if open && err == nil && (!trial || trying || now.Before(b.until)) {
				t.Fatalf("open, but a call may be made at %v, %v before its time", now, b.until.Sub(now))
			}
			if err != nil {
				if !open {
					t.Fatal("refused while closed")
				}
				continue
			}
			trying = trial
			v := verdict(rapid.IntRange(0, 2).Draw(t, "verdict"))
			b.done(now, trial, v, boom)
			trying = false
			switch v {
			case alive:
				failures = 0
			case dead:
				failures++
			}
			if failures >= b.trip && v == dead && (b.pause < b.first || b.pause > b.limit || !b.until.Equal(now.Add(b.pause))) {
				t.Fatalf("pause is %v until %v", b.pause, b.until)
			}
		}
	})
}

func TestHashIsOfAllButItsLabel(t *testing.T) {
	s := Spec{Name: "a", Image: "b", Labels: map[string]string{LabelApp: "x"}}
	h := Hash(s)
	s.Labels[LabelHash] = h
	if Hash(s) != h {
		t.Error("the hash's own label counts")
	}
	seen := map[string]bool{h: true}
	for _, change := range []func(*Spec){
		func(s *Spec) { s.Image = "c" }, func(s *Spec) { s.Command = []string{"x"} }, func(s *Spec) { s.Env = []string{"A=1"} },
		func(s *Spec) { s.CPU = 1 }, func(s *Spec) { s.Memory = 1 }, func(s *Spec) { s.PIDs = 1 }, func(s *Spec) { s.Network = "host" },
		func(s *Spec) { s.Ports = map[int]int{1: 2} }, func(s *Spec) { s.Address = "10.0.0.1" }, func(s *Spec) { s.User = "1" },
		func(s *Spec) { s.CapDrop = []string{"ALL"} }, func(s *Spec) { s.Stop = 1 }, func(s *Spec) { s.Restart = true },
		func(s *Spec) { s.ReadOnly = true }, func(s *Spec) { s.Labels = nil },
	} {
		c := s
		change(&c)
		if seen[Hash(c)] {
			t.Errorf("same hash for %+v", c)
		}
		seen[Hash(c)] = true
	}
}

func TestExitCodeOfAStatus(t *testing.T) {
	for status, want := range map[string]int{
		"Exited (137) 2 minutes ago": 137, "Exited (0) 1 second ago": 0, "Up 3 minutes (healthy)": 0,
		"Restarting (1) 5 seconds ago": 1, "Created": 0, "": 0, "Exited (": 0,
	} {
		if got := exitCode(status); got != want {
			t.Errorf("%q: %d, want %d", status, got, want)
		}
	}
}

func TestStatsAreRead(t *testing.T) {
	for name, test := range map[string]struct {
		text   string
		memory int64
	}{
		"cgroup v1": {`{"memory_stats":{"usage":100,"limit":500,"stats":{"total_inactive_file":30,"inactive_file":10}}}`, 70},
		"cgroup v2": {`{"memory_stats":{"usage":100,"limit":500,"stats":{"inactive_file":10}}}`, 90},
		"nonsense":  {`{"memory_stats":{"usage":100,"limit":500,"stats":{"inactive_file":1000}}}`, 100},
	} {
		s, err := readStats(strings.NewReader(test.text))
		if err != nil || s.Memory != test.memory || s.MemoryLimit != 500 {
			t.Errorf("%s: %+v, %v", name, s, err)
		}
	}
	if _, err := readStats(strings.NewReader("{")); err == nil {
		t.Error("half an answer is taken")
	}
}
