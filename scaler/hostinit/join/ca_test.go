package join

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func newTestCA(t *testing.T, now func() time.Time) *CA {
	t.Helper()
	ca, err := OpenCA(CAOptions{Dir: t.TempDir(), Now: now})
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

// csr is a request, changed by f, with a new key or the one given.
func csr(t *testing.T, key any, f func(*x509.CertificateRequest)) string {
	t.Helper()
	if key == nil {
		var err error
		if key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			t.Fatal(err)
		}
	}
	r := &x509.CertificateRequest{
		Subject: pkix.Name{CommonName: "m1"}, DNSNames: []string{"m1"}, IPAddresses: []net.IP{net.ParseIP("10.0.0.7")},
	}
	if f != nil {
		f(r)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, r, key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
}

func parseCert(t *testing.T, text []byte) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode(text)
	if block == nil {
		t.Fatalf("no PEM in %q", text)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func TestAnAuthorityIsTheSameWhenOpenedAgain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ca")
	var wg sync.WaitGroup
	opened := make([]*CA, 4)
	for i := range opened {
		wg.Go(func() {
			ca, err := OpenCA(CAOptions{Dir: dir})
			if err != nil {
				t.Error(err)
			}
			opened[i] = ca
		})
	}
	wg.Wait()
	for _, ca := range opened[1:] {
		if string(ca.PEM()) != string(opened[0].PEM()) || ca.Token("o", time.Time{}) != opened[0].Token("o", time.Time{}) {
			t.Error("two that opened one directory at once differ")
		}
	}
	elsewhere, err := OpenCA(CAOptions{CertFile: filepath.Join(dir, caCert), KeyFile: filepath.Join(dir, caKey)})
	if err != nil || elsewhere.Token("o", time.Time{}) != opened[0].Token("o", time.Time{}) {
		t.Errorf("the same files named one by one: %v", err)
	}
	for _, name := range []string{caCert, caKey} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("directory: %v, %v", info.Mode(), err)
	}
}

func TestAnAuthorityThatIsDamagedIsNotReplaced(t *testing.T) {
	for name, damage := range map[string]func(dir string) error{
		"no key":       func(dir string) error { return os.Remove(filepath.Join(dir, caKey)) },
		"no cert":      func(dir string) error { return os.Remove(filepath.Join(dir, caCert)) },
		"key in ruins": func(dir string) error { return os.WriteFile(filepath.Join(dir, caKey), []byte("x"), 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if _, err := OpenCA(CAOptions{Dir: dir}); err != nil {
				t.Fatal(err)
			}
			if err := damage(dir); err != nil {
				t.Fatal(err)
			}
			if _, err := OpenCA(CAOptions{Dir: dir}); err == nil || !strings.Contains(err.Error(), "cannot open the certificate authority") {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestAServersCertificateIsNoAuthority(t *testing.T) {
	ca := newTestCA(t, nil)
	cert, key, err := ca.Client("x")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parseCA(cert, key); err == nil {
		t.Error("a certificate of a client was taken for an authority")
	}
}

func TestSignChecksWhatIsAskedFor(t *testing.T) {
	ca := newTestCA(t, nil)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	weak, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	broken := csr(t, nil, nil)
	tests := []struct {
		name, request string
		want          string // of the error; empty: signed
	}{
		{"good", csr(t, nil, nil), ""},
		{"no names but the common one", csr(t, nil, func(r *x509.CertificateRequest) { r.DNSNames, r.IPAddresses = nil, nil }), ""},
		{"other common name", csr(t, nil, func(r *x509.CertificateRequest) { r.Subject.CommonName = "m2" }), `common name "m2"`},
		{"other name", csr(t, nil, func(r *x509.CertificateRequest) { r.DNSNames = []string{"m1", "m2"} }), `name "m2"`},
		{"other address", csr(t, nil, func(r *x509.CertificateRequest) { r.IPAddresses = []net.IP{net.ParseIP("10.0.0.8")} }), "address 10.0.0.8"},
		{"mail", csr(t, nil, func(r *x509.CertificateRequest) { r.EmailAddresses = []string{"a@b"} }), "more than a name"},
		{"URI", csr(t, nil, func(r *x509.CertificateRequest) { r.URIs = []*url.URL{{Scheme: "x", Host: "y"}} }), "more than a name"},
		{"other curve", csr(t, p384, nil), "not ECDSA P-256"},
		{"RSA", csr(t, weak, nil), "not ECDSA P-256"},
		{"no PEM", "hello", "no PEM block"},
		{"a certificate", string(ca.PEM()), "no PEM block CERTIFICATE REQUEST"},
		{"broken", strings.Replace(broken, broken[100:104], "AAAA", 1), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			text, err := ca.Sign([]byte(tt.request), "m1", "10.0.0.7")
			if tt.name == "broken" {
				if err == nil {
					t.Error("a request whose signature is wrong was signed")
				}
				return
			}
			if tt.want != "" {
				if err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("error %v, want %q", err, tt.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			checkMachineCert(t, ca, parseCert(t, text))
		})
	}
}

func checkMachineCert(t *testing.T, ca *CA, cert *x509.Certificate) {
	t.Helper()
	if cert.IsCA || len(cert.DNSNames) != 1 || cert.DNSNames[0] != "m1" || len(cert.IPAddresses) != 1 || cert.IPAddresses[0].String() != "10.0.0.7" {
		t.Errorf("signed for %q %v, authority %v", cert.DNSNames, cert.IPAddresses, cert.IsCA)
	}
	for use, ok := range map[x509.ExtKeyUsage]bool{x509.ExtKeyUsageServerAuth: true, x509.ExtKeyUsageClientAuth: false} {
		_, err := cert.Verify(x509.VerifyOptions{Roots: ca.Pool(), KeyUsages: []x509.ExtKeyUsage{use}})
		if (err == nil) != ok {
			t.Errorf("use %v: %v", use, err)
		}
	}
}

func TestCertificatesAreGoodFromAnHourAgoForTheirTime(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	ca, err := OpenCA(CAOptions{Dir: t.TempDir(), Validity: 24 * time.Hour, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	text, _, err := ca.Client("scaler")
	if err != nil {
		t.Fatal(err)
	}
	cert := parseCert(t, text)
	if !cert.NotBefore.Equal(now.Add(-time.Hour)) || !cert.NotAfter.Equal(now.Add(24*time.Hour)) {
		t.Errorf("good from %v to %v", cert.NotBefore, cert.NotAfter)
	}
}
