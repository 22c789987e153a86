package devregistry

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"net/http"
	"testing"
	"time"
)

// selfSigned is a certificate that is its own authority, for server and
// client alike.
func selfSigned(t *testing.T) (tls.Certificate, *x509.CertPool) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "dev"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

func TestServesTLSWithHTTP2AndClientCertificates(t *testing.T) {
	cert, pool := selfSigned(t)
	r := New(Options{Logger: quiet})
	defer r.Close()
	s, err := r.StartTLS("127.0.0.1:0", &tls.Config{
		Certificates: []tls.Certificate{cert}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	get := func(config *tls.Config, h2 bool) (*http.Response, error) {
		tr := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: h2}
		defer tr.CloseIdleConnections()
		resp, err := (&http.Client{Transport: tr, Timeout: 5 * time.Second}).Get(s.URL() + "/v1/status/leader")
		if err == nil {
			resp.Body.Close()
		}
		return resp, err
	}
	mutual := &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{cert}}
	for _, h2 := range []bool{false, true} {
		resp, err := get(mutual.Clone(), h2)
		if err != nil {
			t.Fatal(err)
		}
		if got := resp.ProtoMajor == 2; got != h2 {
			t.Errorf("asked for HTTP/2: %v, got %s", h2, resp.Proto)
		}
	}
	if _, err := get(&tls.Config{RootCAs: pool}, false); err == nil {
		t.Error("a client without a certificate was served")
	}
	r.SetFault(Always(Reset()))
	for _, h2 := range []bool{false, true} {
		if _, err := get(mutual.Clone(), h2); err == nil {
			t.Errorf("reset over TLS, HTTP/2 %v: no error", h2)
		}
	}
	s.Partition() // a stop within a partition does not wait for TLS to say goodbye
}
