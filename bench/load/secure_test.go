package load

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"
)

// serveTLS runs a server with a certificate that the returned configuration
// trusts.
func serveTLS(t *testing.T, h http.HandlerFunc) (netip.AddrPort, *tls.Config) {
	t.Helper()
	s := httptest.NewTLSServer(h)
	t.Cleanup(s.Close)
	trust := s.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	trust.ServerName = "example.com"
	return netip.MustParseAddrPort(s.Listener.Addr().String()), trust
}

func TestTLS(t *testing.T) {
	addr, trust := serveTLS(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.URL.Path) })
	requests := []Request{{Path: "/{id}", Expect: Expect{Equals: "/{id}"}}}
	for _, cfg := range []Config{
		{Curve: Constant(500, short)},
		{Curve: Constant(500, short), Fresh: true},
		{Curve: Constant(500, short), Arrivals: Poisson},
		{Duration: short},
	} {
		cfg.Addr, cfg.TLS, cfg.Connections, cfg.Requests = addr, trust, 4, requests
		res := do(t, cfg)
		if res.ErrorTotal() > 0 || res.Answered != res.Sent || res.Answered < 1 || res.Connect.Count() < 1 {
			t.Errorf("%+v: %d of %d answered, %d handshakes, errors %v", cfg.Curve, res.Answered, res.Sent, res.Connect.Count(), res.Errors)
		}
		if cfg.Curve != nil && cfg.Arrivals == Even && res.Sent+res.Unsent != 100 {
			t.Errorf("%d sent, %d not, want 100", res.Sent, res.Unsent)
		}
		if cfg.Fresh && res.Connections != res.Sent {
			t.Errorf("%d connections for %d requests", res.Connections, res.Sent)
		}
	}
}

func TestTLSErrors(t *testing.T) {
	addr, trust := serveTLS(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			<-r.Context().Done()
		}
		w.WriteHeader(http.StatusTeapot)
	})
	res := do(t, Config{Addr: addr, TLS: trust, Curve: Constant(50, short)})
	if res.Errors["status"] != res.Sent || res.Status[418] != res.Sent {
		t.Errorf("errors %v, status %v of %d", res.Errors, res.Status, res.Sent)
	}
	res = do(t, Config{Addr: addr, TLS: trust, Connections: 2, Timeout: 100 * time.Millisecond, Curve: Constant(50, short), Requests: []Request{{Path: "/slow"}}})
	if res.Errors["timeout"] == 0 || res.Errors["timeout"] != res.Sent {
		t.Errorf("errors %v of %d, want timeouts", res.Errors, res.Sent)
	}
	// A server that speaks no TLS.
	plain := serve(t, func(c net.Conn, _ *bufio.Reader, _ int) { io.WriteString(c, "no TLS here, sorry\r\n\r\n") })
	res = do(t, Config{Addr: plain, TLS: &tls.Config{ServerName: "x"}, Fresh: true, Duration: short})
	if res.Answered != 0 || res.Errors["tls"] == 0 {
		t.Errorf("%d answered, errors %v, want handshakes that fail", res.Answered, res.Errors)
	}
}
