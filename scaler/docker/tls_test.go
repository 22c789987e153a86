package docker

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"
)

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
