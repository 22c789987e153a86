package main_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"spillway/upsync/devregistry"
)

// authority signs certificates for agents and for the gateway.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t}
	_, a.cert, a.key = a.sign(&x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	})
	return a
}

func (a *authority) sign(template *x509.Certificate) (der []byte, cert *x509.Certificate, key *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	parent, signer := template, key
	if a.cert != nil {
		parent, signer = a.cert, a.key
	}
	if der, err = x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer); err != nil {
		a.t.Fatal(err)
	}
	if cert, err = x509.ParseCertificate(der); err != nil {
		a.t.Fatal(err)
	}
	return der, cert, key
}

// issue returns a certificate for ip, for servers and clients.
func (a *authority) issue(ip string, until time.Time) *tls.Certificate {
	a.t.Helper()
	der, leaf, key := a.sign(&x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "agent"},
		NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: until, IPAddresses: []net.IP{net.ParseIP(ip)},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	})
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// write puts files in place by rename, as certificate managers do.
func writePEM(t *testing.T, path, kind string, der []byte) {
	t.Helper()
	b := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	if err := os.WriteFile(path+".new", b, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func (a *authority) writeTo(path string) { writePEM(a.t, path, "CERTIFICATE", a.cert.Raw) }

func writePair(t *testing.T, dir string, c *tls.Certificate) {
	t.Helper()
	key, err := x509.MarshalECPrivateKey(c.PrivateKey.(*ecdsa.PrivateKey))
	if err != nil {
		t.Fatal(err)
	}
	writePEM(t, dir+"/client.key", "EC PRIVATE KEY", key)
	writePEM(t, dir+"/client.pem", "CERTIFICATE", c.Certificate[0])
}

// tlsScene is a scene whose registry speaks TLS and asks for a certificate.
// What it shows and trusts may be changed while it runs.
type tlsScene struct {
	*scene
	shows  atomic.Pointer[tls.Certificate]
	trusts atomic.Pointer[x509.CertPool]
}

func newTLSScene(t *testing.T, l *lab, a *authority) *tlsScene {
	t.Helper()
	s := &tlsScene{scene: newScene(t, l)}
	s.srv.Close()
	s.accept(a)
	s.shows.Store(a.issue(s.ip, time.Now().Add(time.Hour)))
	srv, err := s.reg.StartTLS(s.ip+":8501", &tls.Config{
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			return &tls.Config{
				Certificates: []tls.Certificate{*s.shows.Load()}, NextProtos: []string{"h2", "http/1.1"},
				ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: s.trusts.Load(),
			}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Close)
	s.srv = srv
	a.writeTo(s.dir + "/ca.pem")
	writePair(t, s.dir, a.issue("127.0.0.1", time.Now().Add(time.Hour)))
	s.consul = fmt.Sprintf("  address: %s\n  tls: {ca_file: %s/ca.pem, cert_file: %s/client.pem, key_file: %s/client.key}", srv.URL(), s.dir, s.dir, s.dir)
	return s
}

func (s *tlsScene) accept(a *authority) {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	s.trusts.Store(pool)
}

// rowTLS: HTTP/2, rotation and expiry of certificates.
func rowTLS(t *testing.T, l *lab) {
	old := newAuthority(t)
	s := newTLSScene(t, l, old)
	var h2 atomic.Int64
	count := func(req *http.Request) devregistry.Fault {
		if req.ProtoMajor == 2 {
			h2.Add(1)
		}
		return nil
	}
	s.reg.SetFault(count)
	s.run()
	s.converges(time.Second, "over HTTP/2 and mutual TLS")
	if h2.Load() == 0 {
		t.Errorf("no read was made over HTTP/2, which the agent offers")
	}
	s.note(18, "agent speaks HTTP/2 over mutual TLS", "live", "-", "≤ 1 s")
	s.play(episode{
		row: 18, name: "agent's certificate expired", seen: all("error unreachable"), says: "expired", quiet: true,
		inject: func(*scene) {
			s.shows.Store(old.issue(s.ip, time.Now().Add(-time.Hour)))
			s.srv.Reset()
		},
		recover: func(*scene) { s.shows.Store(old.issue(s.ip, time.Now().Add(time.Hour))) },
		served:  lastKnown, hold: 1200 * time.Millisecond,
	})
	next := newAuthority(t)
	s.play(episode{
		row: 18, name: "authority rotated: new CA file and client certificate put in place", seen: all("error unreachable"), quiet: true,
		inject: func(*scene) {
			s.accept(next)
			s.shows.Store(next.issue(s.ip, time.Now().Add(time.Hour)))
			s.srv.Reset()
		},
		recover: func(*scene) {
			writePair(t, s.dir, next.issue("127.0.0.1", time.Now().Add(time.Hour)))
			next.writeTo(s.dir + "/ca.pem")
		},
		served: lastKnown,
	})
	expired := next.issue("127.0.0.1", time.Now().Add(-time.Hour))
	s.play(episode{
		row: 18, name: "expired client certificate put in place: the one in use stays, the log gives the date", live: true, quiet: true,
		inject: func(*scene) {
			writePair(t, s.dir, expired)
			await(t, 10*time.Second, "the log says when it expired", func() bool {
				return s.gateway.out.count("expired on "+expired.Leaf.NotAfter.Format(time.RFC3339)) > 0 ||
					s.gateway.out.count("expired on "+expired.Leaf.NotAfter.Local().Format(time.RFC3339)) > 0
			})
		},
		recover: func(*scene) { writePair(t, s.dir, next.issue("127.0.0.1", time.Now().Add(time.Hour))) },
		served:  "live, with the certificate before",
	})
}
