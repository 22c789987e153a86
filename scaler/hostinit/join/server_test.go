package join

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// desk is a server with everything around it.
type desk struct {
	t      *testing.T
	ca     *CA
	now    time.Time
	server *Server
	log    bytes.Buffer

	mu      sync.Mutex
	reached []Stage
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	d := &desk{t: t, now: time.Unix(1_800_000_000, 0)}
	clock := func() time.Time { return d.now }
	d.ca = newTestCA(t, clock)
	d.server = NewServer(Options{
		CA: d.ca, Claims: DirClaims(t.TempDir()), Now: clock, Log: slog.New(slog.NewTextHandler(&d.log, nil)),
		Belongs: func(order, machine string) (Listed, bool) {
			if order == "web-1-1" && machine == "i-1" {
				return Listed{Name: "m1", Address: "10.0.0.7"}, true
			}
			return Listed{}, order == "web-1-1" && machine == "i-2"
		},
		Config: func(order, machine string, at Listed) Config {
			return Config{Labels: map[string]string{"ip": at.Address, "order": order}, Mirrors: []string{"http://m"}, Options: map[string]any{"debug": true}}
		},
		Reached: func(s Stage) {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.reached = append(d.reached, s)
		},
	})
	return d
}

func (d *desk) token() string { return d.ca.Token("web-1-1", time.Time{}) }

func (d *desk) request() Request {
	return Request{Token: d.token(), InstanceID: "i-1", Name: "m1", Address: "10.0.0.7", CSR: csr(d.t, nil, nil)}
}

// tls serves the desk and returns a client of it.
func (d *desk) client() *Client {
	d.t.Helper()
	s := httptest.NewUnstartedServer(d.server)
	cert, err := d.ca.Server([]string{"127.0.0.1"})
	if err != nil {
		d.t.Fatal(err)
	}
	// The test's certificates are of the desk's time.
	s.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	s.StartTLS()
	d.t.Cleanup(s.Close)
	c, err := NewClient(s.URL+"/", d.ca.PEM())
	if err != nil {
		d.t.Fatal(err)
	}
	c.http.Transport.(*http.Transport).TLSClientConfig.Time = func() time.Time { return d.now }
	return c
}

func TestAMachineJoinsAndTellsItsStages(t *testing.T) {
	d := newDesk(t)
	c := d.client()
	a, err := c.Join(t.Context(), d.request())
	if err != nil {
		t.Fatal(err)
	}
	checkMachineCert2(t, d, a)
	want := Config{Labels: map[string]string{"ip": "10.0.0.7", "order": "web-1-1"}, Mirrors: []string{"http://m"}, Options: map[string]any{"debug": true}}
	if diff := cmp.Diff(want, a.Config); diff != "" {
		t.Errorf("config (-want +got):\n%s", diff)
	}
	// The machine's clock is an hour ahead: the scaler goes by its own.
	ahead := d.now.Add(time.Hour).UnixMilli()
	if err := c.Stage(t.Context(), Report{Name: "docker", At: ahead - 2500, Now: ahead, Took: 400}); err != nil {
		t.Fatal(err)
	}
	if err := c.Stage(t.Context(), Report{Name: "settled", Error: "no"}); err != nil {
		t.Fatal(err)
	}
	again := Renewal{Now: ahead, Stages: []Report{{Name: "docker", At: ahead - 2500}, {Name: "images", At: ahead - 500}, {}}}
	for range 2 {
		if err := c.Renew(t.Context(), again); err != nil {
			t.Fatal(err)
		}
	}
	told := []Stage{
		{Machine: "i-1", Name: "docker", At: d.now.Add(-2500 * time.Millisecond), Took: 400 * time.Millisecond},
		{Machine: "i-1", Name: "settled", At: d.now, Error: "no"},
		{Machine: "i-1", Name: "images", At: d.now.Add(-500 * time.Millisecond)},
		{Machine: "i-1", Name: "lease", At: d.now},
		{Machine: "i-1", Name: "lease", At: d.now},
	}
	if diff := cmp.Diff(told, d.reached); diff != "" {
		t.Errorf("stages (-want +got):\n%s", diff)
	}
}

func checkMachineCert2(t *testing.T, d *desk, a *Answer) {
	t.Helper()
	cert := parseCert(t, []byte(a.Cert))
	if cert.Subject.CommonName != "m1" || a.CA != string(d.ca.PEM()) || cert.CheckSignatureFrom(d.ca.cert) != nil {
		t.Errorf("got a certificate of %q", cert.Subject.CommonName)
	}
}

func TestATokenIsGoodOncePerMachine(t *testing.T) {
	d := newDesk(t)
	c := d.client()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	q := d.request()
	q.CSR = csr(t, key, nil)
	for range 2 { // the answer to the first was lost
		if _, err := c.Join(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Join(t.Context(), d.request()); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "another key") {
		t.Errorf("a second key: %v", err)
	}
	second := d.request()
	second.InstanceID, second.Address = "i-2", "10.0.0.7"
	if _, err := c.Join(t.Context(), second); err != nil {
		t.Errorf("the order's other machine: %v", err)
	}
}

func TestWhoIsNotOursIsRefused(t *testing.T) {
	tests := []struct {
		name   string
		change func(*desk, *Request)
		final  bool
		want   string
	}{
		{"a token of nobody", func(_ *desk, q *Request) { q.Token = "x.y" }, true, "not ours"},
		{"another order's token", func(d *desk, q *Request) { q.Token = d.ca.Token("web-1-2", time.Time{}) }, false, "no such machine yet"},
		{"a machine that is not listed", func(_ *desk, q *Request) { q.InstanceID = "i-9" }, false, "no such machine yet"},
		{"another name", func(_ *desk, q *Request) { q.Name = "m2" }, true, `not called "m2"`},
		{"another address", func(_ *desk, q *Request) { q.Address = "10.0.0.8" }, true, "not at 10.0.0.8"},
		{"no address", func(_ *desk, q *Request) { q.Address = "" }, true, "needs a name and an IP"},
		{"no request", func(_ *desk, q *Request) { q.CSR = "" }, true, "no PEM"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := newDesk(t)
			q := d.request()
			tt.change(d, &q)
			_, err := d.client().Join(t.Context(), q)
			if err == nil || errors.Is(err, ErrRefused) != tt.final || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v", err)
			}
			if strings.Contains(d.log.String(), d.token()) {
				t.Error("the log has the token")
			}
		})
	}
}

func TestSecretsAreOfOneMachine(t *testing.T) {
	d := newDesk(t)
	c := d.client()
	for _, credential := range []string{"", "i-1:", "i-1:" + d.ca.secretOf("i-2"), "i-1:" + d.token(), ":" + d.ca.secretOf("i-1")} {
		c.credential = credential
		if err := c.Renew(t.Context(), Renewal{}); !errors.Is(err, ErrRefused) {
			t.Errorf("%q: %v", credential, err)
		}
		if err := c.Stage(t.Context(), Report{Name: "x"}); !errors.Is(err, ErrRefused) {
			t.Errorf("%q: %v", credential, err)
		}
	}
	c.credential = "i-1:" + d.ca.secretOf("i-1")
	for _, name := range []string{"", strings.Repeat("x", 65)} {
		if err := c.Stage(t.Context(), Report{Name: name}); !errors.Is(err, ErrRefused) {
			t.Errorf("stage %q: %v", name, err)
		}
	}
	if len(d.reached) > 0 {
		t.Errorf("told %v", d.reached)
	}
}

// raw sends a request to the handler itself.
func (d *desk) raw(method, path, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	d.server.ServeHTTP(w, r)
	return w
}

func TestRequestsThatAreNone(t *testing.T) {
	d := newDesk(t)
	for _, tt := range []struct {
		method, path, body string
		code               int
	}{
		{"GET", "/v1/join", "", 405},
		{"POST", "/v1/other", "", 404},
		{"POST", "/v1/join", "", 400},
		{"POST", "/v1/join", "{", 400},
		{"POST", "/v1/join", `{"token":"` + strings.Repeat("x", maxBody) + `"}`, 400},
	} {
		if w := d.raw(tt.method, tt.path, tt.body); w.Code != tt.code {
			t.Errorf("%s %s: %d %s", tt.method, tt.path, w.Code, w.Body)
		}
	}
}

func TestShellsGetAnArchive(t *testing.T) {
	d := newDesk(t)
	q := d.request()
	body := fmt.Sprintf(`{"token":%q,"instance_id":"i-1","name":"m1","address":"10.0.0.7","csr":%q}`, q.Token, q.CSR)
	w := d.raw("POST", "/v1/join", body, "Accept", "application/x-tar")
	if w.Code != http.StatusOK {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	files := map[string]string{}
	for r := tar.NewReader(w.Body); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		files[h.Name] = string(text)
	}
	if files["secret"] != d.ca.secretOf("i-1") || files["ca.pem"] != string(d.ca.PEM()) || !strings.HasPrefix(files["cert.pem"], "-----BEGIN") {
		t.Errorf("got %q", files)
	}
	want := "{\n  \"debug\": true,\n  \"labels\": [\n    \"ip=10.0.0.7\",\n    \"order=web-1-1\"\n  ],\n  \"registry-mirrors\": [\n    \"http://m\"\n  ]\n}\n"
	if files["daemon.json"] != want {
		t.Errorf("daemon.json is %s", files["daemon.json"])
	}
}

func TestOneAddressCannotAskForEver(t *testing.T) {
	d := newDesk(t)
	var codes []int
	for range int(limitBurst) + 5 {
		codes = append(codes, d.raw("POST", "/v1/join", "{}").Code)
	}
	if got := codes[len(codes)-1]; got != http.StatusTooManyRequests || slices.Index(codes, got) != int(limitBurst) {
		t.Errorf("answers %v", codes)
	}
	d.now = d.now.Add(time.Second)
	if w := d.raw("POST", "/v1/join", "{}"); w.Code == http.StatusTooManyRequests {
		t.Error("it may not ask again after a second")
	}
}

func TestTooManyAtOnceAreAskedToComeAgain(t *testing.T) {
	d := newDesk(t)
	for range maxAtOnce {
		d.server.slots <- struct{}{}
	}
	w := d.raw("POST", "/v1/join", "{}")
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}

func TestAClaimIsOneKeysUntilItIsForgotten(t *testing.T) {
	d := DirClaims(t.TempDir() + "/claims")
	var wg sync.WaitGroup
	won := make([]bool, 8)
	for i := range won {
		wg.Go(func() {
			ok, err := d.Claim("i-1", fmt.Sprintf("key-%d", i))
			if err != nil {
				t.Error(err)
			}
			won[i] = ok
		})
	}
	wg.Wait()
	first := slices.Index(won, true)
	if first < 0 || slices.Contains(won[first+1:], true) {
		t.Fatalf("claimed by %v", won)
	}
	if again, err := d.Claim("i-1", fmt.Sprintf("key-%d", first)); !again || err != nil {
		t.Errorf("the same key again: %v, %v", again, err)
	}
	for range 2 {
		if err := d.Forget("i-1"); err != nil {
			t.Fatal(err)
		}
	}
	if ok, err := d.Claim("i-1", "other"); !ok || err != nil {
		t.Errorf("another key after it was forgotten: %v, %v", ok, err)
	}
}

func TestClientsNeedHTTPSAndAnAuthority(t *testing.T) {
	ca := newTestCA(t, nil)
	for _, url := range []string{"", "http://a", "a:1", "https://"} {
		if _, err := NewClient(url, ca.PEM()); err == nil {
			t.Errorf("%q was taken", url)
		}
	}
	if _, err := NewClient("https://a", nil); err == nil {
		t.Error("a client without authority was made")
	}
}

func TestAClientTrustsItsAuthorityAlone(t *testing.T) {
	d := newDesk(t)
	c := d.client()
	stranger, err := NewClient(c.url, newTestCA(t, nil).PEM())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stranger.Join(context.Background(), d.request()); err == nil {
		t.Error("it joined a stranger")
	}
}
