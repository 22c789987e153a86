package api

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/http/httptest"
	"strings"
	"testing"
)

// certificate is one for 127.0.0.1, with whom it is trusted by.
func certificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	return s.TLS.Certificates[0], pool
}

func TestTLSCarriesAnswersAndStreams(t *testing.T) {
	own, pool := certificate(t)
	s, _ := serve(t, &fake{exec: shell}, func(o *Options) { o.TLS = &tls.Config{Certificates: []tls.Certificate{own}} })
	address := "https://" + s.Addr().String()
	c, err := NewClient(ClientOptions{Address: address, Token: "secret", TLS: &tls.Config{RootCAs: pool}})
	if err != nil {
		t.Fatal(err)
	}
	if v, err := c.Status(context.Background()); err != nil || v.Cluster != "c1" {
		t.Errorf("%+v, %v", v, err)
	}
	var out bytes.Buffer
	exit, err := c.Exec(context.Background(), ExecRequest{Instance: "x", Command: []string{"x"}}, Streams{In: strings.NewReader("hi"), Out: &out})
	if exit != 42 || err != nil || out.String() != "hi!" {
		t.Errorf("exit %d, %v, %q", exit, err, out.String())
	}
	stranger, _ := NewClient(ClientOptions{Address: address, Token: "secret"})
	if _, err := stranger.Status(context.Background()); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a client that does not know the authority: %v", err)
	}
	if _, err := stranger.Exec(context.Background(), ExecRequest{Instance: "x", Command: []string{"x"}}, Streams{}); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a stream of it: %v", err)
	}
}

// A token that went out over TLS is not sent on in the clear.
func TestRedirectsDoNotLeaveTLS(t *testing.T) {
	own, pool := certificate(t)
	plain, _ := serve(t, &fake{})
	s, _ := serve(t, &fake{leader: "http://" + plain.Addr().String()}, func(o *Options) {
		o.TLS = &tls.Config{Certificates: []tls.Certificate{own}}
	})
	c, _ := NewClient(ClientOptions{Address: "https://" + s.Addr().String(), Token: "secret", TLS: &tls.Config{RootCAs: pool}})
	if _, err := c.Status(context.Background()); err == nil || !strings.Contains(err.Error(), "from https to http://") {
		t.Errorf("the client followed: %v", err)
	}
}
