package machine

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
	"io/fs"
	mathrand "math/rand/v2"
	"net"
	"os"
	"time"

	"spillway/scaler/hostinit/join"
)

// phoneHome joins, repeated until it works. A refusal may be a list that is
// behind or a person's mistake that is being mended: it is repeated too, but
// slowly.
func (m *Machine) phoneHome(ctx context.Context) error {
	if m.client == nil {
		return nil
	}
	if m.resume() {
		return nil
	}
	key, err := m.key()
	if err != nil {
		return err
	}
	csr, err := request(key, m.h.Name, m.h.Address)
	if err != nil {
		return err
	}
	q := join.Request{Token: m.c.Token, InstanceID: m.h.ID, Name: m.h.Name, Address: m.h.Address, CSR: string(csr)}
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		answer, err := m.client.Join(ctx, q)
		if err == nil {
			return m.joined(answer)
		}
		m.h.Log.Warn("cannot phone home", "error", err)
		if errors.Is(err, join.ErrRefused) {
			wait = 5 * time.Second
		}
		if pause(ctx, wait/2+mathrand.N(wait/2)) != nil {
			return err
		}
	}
}

// resume goes on with what a former boot was given, if that is still good: a
// machine that comes back needs nobody for it.
func (m *Machine) resume() bool {
	secret, err := os.ReadFile(m.tls("secret"))
	if err != nil {
		return false
	}
	pair, err := tls.LoadX509KeyPair(m.tls("cert.pem"), m.tls("key.pem"))
	if err != nil || m.h.Now().After(pair.Leaf.NotAfter) || pair.Leaf.VerifyHostname(m.h.Address) != nil {
		return false
	}
	m.client.Resume(m.h.ID, string(secret))
	m.engine.joined = true
	return true
}

// key is the machine's, made at its first boot. It never leaves the machine.
func (m *Machine) key() (*ecdsa.PrivateKey, error) {
	text, err := os.ReadFile(m.tls("key.pem"))
	if err == nil {
		block, _ := pem.Decode(text)
		if block == nil {
			return nil, fmt.Errorf("cannot read %q: no PEM", m.tls("key.pem"))
		}
		return x509.ParseECPrivateKey(block.Bytes)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, err
	}
	return key, writeFile(m.tls("key.pem"), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), 0o600)
}

// request asks for a certificate of the machine's name and address.
func request(key *ecdsa.PrivateKey, name, address string) ([]byte, error) {
	template := &x509.CertificateRequest{Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}}
	if ip := net.ParseIP(address); ip != nil {
		template.IPAddresses = []net.IP{ip}
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, template, key)
	if err != nil {
		return nil, fmt.Errorf("cannot make a certificate request: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}), nil
}

// joined keeps what the scaler answered, and tells what happened so far.
func (m *Machine) joined(a *join.Answer) error {
	if err := m.engine.configure(a.Config); err != nil {
		return err
	}
	// The secret last: with it the others are complete.
	for _, f := range []struct{ name, text string }{{"cert.pem", a.Cert}, {"ca.pem", a.CA}, {"secret", a.Secret}} {
		if err := writeFile(m.tls(f.name), []byte(f.text), 0o600); err != nil {
			return err
		}
	}
	m.engine.joined = true
	return nil
}
