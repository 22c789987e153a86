package consul

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// authority signs certificates for a test.
type authority struct {
	t    *testing.T
	dir  string
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

func newAuthority(t *testing.T) *authority {
	a := &authority{t: t, dir: t.TempDir()}
	a.key, a.cert = a.sign("ca", time.Now().Add(time.Hour), nil)
	return a
}

func (a *authority) path(name string) string { return filepath.Join(a.dir, name) }

// sign writes NAME.pem and NAME.key.
func (a *authority) sign(name string, until time.Time, parent *authority) (*ecdsa.PrivateKey, *x509.Certificate) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	a.must(err)
	tpl := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: until.Add(-2 * time.Hour), NotAfter: until, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, BasicConstraintsValid: true, IsCA: parent == nil,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	signer, signerKey := tpl, key
	if parent != nil {
		signer, signerKey = parent.cert, parent.key
	}
	der, err := x509.CreateCertificate(rand.Reader, tpl, signer, &key.PublicKey, signerKey)
	a.must(err)
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	a.must(err)
	a.must(os.WriteFile(a.path(name+".pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	a.must(os.WriteFile(a.path(name+".key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}), 0o600))
	cert, err := x509.ParseCertificate(der)
	a.must(err)
	return key, cert
}

func (a *authority) must(err error) {
	a.t.Helper()
	if err != nil {
		a.t.Fatal(err)
	}
}

// serve makes s a TLS server that asks for client certificates.
func (a *authority) serve(s *script) *httptest.Server {
	a.sign("server", time.Now().Add(time.Hour), a)
	pair, err := tls.LoadX509KeyPair(a.path("server.pem"), a.path("server.key"))
	a.must(err)
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	srv := httptest.NewUnstartedServer(s)
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert}
	srv.EnableHTTP2 = true
	srv.StartTLS()
	a.t.Cleanup(func() {
		srv.CloseClientConnections()
		srv.Close()
	})
	return srv
}

func (a *authority) client(c *Config) {
	c.TLS = TLS{CAFile: a.path("ca.pem"), CertFile: a.path("client.pem"), KeyFile: a.path("client.key")}
}

func TestMutualTLSWithHTTP2AndCertificatesThatChange(t *testing.T) {
	a := newAuthority(t)
	a.sign("client", time.Now().Add(time.Hour), a)
	body := kv("up/web/10.0.0.1:80")
	s := newScript(t, answer("7", body))
	srv := a.serve(s)
	c, got := watching(t, webKV, a.client, srv.URL)
	got.await(t, "apply")
	r := s.requests()[0]
	if r.ProtoMajor != 2 || r.TLS.PeerCertificates[0].Subject.CommonName != "client" {
		t.Errorf("protocol %s, want HTTP/2 with our certificate", r.Proto)
	}
	first := c.reach.eps[0].http
	a.sign("client", time.Now().Add(2*time.Hour), a)
	if _, hc, err := c.reach.eps[0].clients(); err != nil || hc == first {
		t.Errorf("error %v, want a client with the new certificate", err)
	}
	a.sign("client", time.Now().Add(-time.Hour), a)
	_, hc, err := c.reach.eps[0].clients()
	if err == nil || !strings.Contains(err.Error(), "expired on") || hc == nil {
		t.Errorf("error %v, want one with the date, and the last good client", err)
	}
}

func TestExpiredCertificateIsAnErrorWithItsDate(t *testing.T) {
	a := newAuthority(t)
	a.sign("client", time.Now().Add(-time.Hour), a)
	cfg := Config{Addresses: []string{"https://127.0.0.1:8501"}}
	a.client(&cfg)
	if _, err := New(cfg, Env{Log: quiet}); err == nil || !strings.Contains(err.Error(), "expired on "+time.Now().UTC().Format("2006")) {
		t.Errorf("error %v, want one with the date", err)
	}
}

func TestUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "consul.sock")
	s := newScript(t, answer("7", kv("up/web/10.0.0.1:80")))
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: s}
	go srv.Serve(l)
	t.Cleanup(func() { srv.Close() })
	_, got := watching(t, webKV, nil, "unix://"+path)
	got.await(t, "apply")
}

func TestAddresses(t *testing.T) {
	good := map[string]string{
		"127.0.0.1:8500": "http://127.0.0.1:8500", "consul": "http://consul:8500", "https://consul": "https://consul:8501",
		"http://[::1]:1/prefix/": "http://[::1]:1/prefix", "unix:///run/c.sock": "unix:///run/c.sock",
	}
	for s, want := range good {
		if a, err := parseAddress(s); err != nil || a.String() != want {
			t.Errorf("%q: %q, error %v, want %q", s, a.String(), err, want)
		}
	}
	for _, s := range []string{"", "unix://", "ftp://x", "http://", "a b"} {
		if a, err := parseAddress(s); err == nil {
			t.Errorf("%q: %q, want an error", s, a)
		}
	}
}

func TestWatchesBeyondTheSocketsPoll(t *testing.T) {
	const watches, sockets = 12, 6
	var mu sync.Mutex
	inFlight, most := 0, 0
	stop := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/status/leader" {
			w.Write([]byte(`"x"`))
			return
		}
		mu.Lock()
		inFlight++
		most = max(most, inFlight)
		mu.Unlock()
		w.Header().Set("X-Consul-Index", "7")
		if r.URL.Query().Has("index") {
			select {
			case <-r.Context().Done():
			case <-stop:
			}
		}
		w.Write([]byte("[]"))
		mu.Lock()
		inFlight--
		mu.Unlock()
	}))
	t.Cleanup(srv.Close)
	c, err := New(Config{Addresses: []string{srv.URL}, MaxSockets: sockets}, Env{Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	c.timing = fastTiming()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { c.Run(ctx) })
	polled := make(chan int, 10000)
	for i := range watches {
		wg.Go(func() {
			c.Watch(ctx, Query{Kind: Health, Name: "s"}, Handler{
				Apply: func(*Answer) error { return nil }, Unchanged: func(Observation) { polled <- i },
			})
		})
	}
	seen := map[int]bool{}
	for len(seen) < watches-(sockets-1) { // all that found no room, and each again
		seen[<-polled] = true
	}
	cancel()
	close(stop)
	wg.Wait()
	if most > sockets {
		t.Errorf("%d requests in flight, want at most %d", most, sockets)
	}
}

func TestPace(t *testing.T) {
	p := pace{rate: DefaultReads}
	now := time.Unix(1000, 0)
	for i := range DefaultReads {
		if d := p.take(now); d != 0 {
			t.Fatalf("read %d of a burst waits %v", i, d)
		}
	}
	if d := p.take(now); d != 100*time.Millisecond {
		t.Errorf("the read after a burst waits %v, want 100ms", d)
	}
	now = now.Add(10 * time.Second)
	p.spent(100 * time.Millisecond)
	if d := p.take(now); d != 0 {
		t.Errorf("an isolated read waits %v", d)
	}
	p.spent(600 * time.Millisecond)
	if d := p.take(now); d < time.Second || d > 10*time.Second {
		t.Errorf("after 0.6 s of decoding at once the read waits %v, want seconds", d)
	}
}

func TestBackoff(t *testing.T) {
	tm := defaultTiming()
	for n, most := range map[int]time.Duration{1: 250 * time.Millisecond, 2: 500 * time.Millisecond, 5: 4 * time.Second, 6: 5 * time.Second, 100: 5 * time.Second} {
		if d := tm.backoff(n, 0.9999); d > most || d < most*9/10 {
			t.Errorf("try %d waits up to %v, want %v", n, d, most)
		}
		if d := tm.backoff(n, 0); d <= 0 {
			t.Errorf("try %d waits %v at least", n, d)
		}
	}
}

func TestRefusalLowersTheSocketsOnceABurst(t *testing.T) {
	s := newSockets(100)
	now := time.Unix(1000, 0)
	most := s.limit
	s.lower(now)
	s.lower(now)
	if s.limit != most*3/4 {
		t.Errorf("limit %d after a burst of refusals, want %d", s.limit, most*3/4)
	}
	for range 100 {
		now = now.Add(2 * time.Second)
		s.lower(now)
	}
	if s.limit != fewestBlocks {
		t.Errorf("limit %d, want at least %d", s.limit, fewestBlocks)
	}
}
