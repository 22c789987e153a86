package health

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"spillway/gateway/upstream"
)

func httpCheck() upstream.Check {
	return upstream.Check{
		Kind: upstream.CheckHTTP, Method: "GET", Path: "/healthz?deep=1", Timeout: 2 * time.Second,
		Headers: map[string]string{"X-Probe": "1"},
	}
}

func expectProbe(t *testing.T, c upstream.Check, addr string, good bool, what string) {
	t.Helper()
	r := Probe(t.Context(), &c, addr)
	if r.Good != good || !strings.Contains(r.What, what) {
		t.Errorf("%s: %+v; want %v, %q", c.Kind, r, good, what)
	}
}

func TestProbeHTTP(t *testing.T) {
	var status int
	body := "all is well"
	var got *http.Request
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}))
	defer srv.Close()
	addr := srv.Listener.Addr().String()
	for _, c := range []struct {
		status int
		change func(*upstream.Check)
		good   bool
		what   string
	}{
		{200, func(*upstream.Check) {}, true, "200 in "},
		{302, func(*upstream.Check) {}, true, "302 in "},
		{404, func(*upstream.Check) {}, false, "status 404"},
		{404, func(c *upstream.Check) {
			c.Status = []upstream.StatusRange{{First: 200, Last: 200}, {First: 400, Last: 410}}
		}, true, "404"},
		{204, func(c *upstream.Check) { c.Status = []upstream.StatusRange{{First: 200, Last: 200}} }, false, "status 204"},
		{200, func(c *upstream.Check) { c.Body = "is well" }, true, "200"},
		{200, func(c *upstream.Check) { c.Body = "is ill" }, false, `status 200 without "is ill"`},
		{200, func(c *upstream.Check) { c.Method = "HEAD" }, true, "200"},
	} {
		status = c.status
		check := httpCheck()
		c.change(&check)
		expectProbe(t, check, addr, c.good, c.what)
		if got.URL.RequestURI() != "/healthz?deep=1" || got.Host != addr || got.Header.Get("X-Probe") != "1" || !got.Close || got.Method != check.Method {
			t.Errorf("was asked %s %s of %s, %v", got.Method, got.URL, got.Host, got.Header)
		}
	}
	check := httpCheck()
	check.Host = "app.example.com"
	expectProbe(t, check, addr, true, "")
	if got.Host != check.Host {
		t.Errorf("Host %s", got.Host)
	}
}

func TestHostOfAProbe(t *testing.T) {
	for _, c := range [][3]string{
		{"10.0.0.1:80", "", "10.0.0.1:80"},
		{"[::1]:80", "", "[::1]:80"},
		{"[fe80::1%eth0]:80", "", "[fe80::1]:80"},
		{"unix:/run/app.sock", "", "localhost"},
		{"[fe80::1%eth0]:80", "app.test", "app.test"},
	} {
		check := httpCheck()
		check.Host = c[1]
		if req, err := request(&check, c[0]); err != nil || req.Host != c[2] {
			t.Errorf("%s: %v, %v", c[0], req, err)
		}
	}
}

// listener serves each connection by f.
func listener(t *testing.T, network, address string, f func(net.Conn)) string {
	t.Helper()
	ln, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go f(c)
		}
	}()
	return ln.Addr().String()
}

func TestProbesOfWhatDoesNotAnswer(t *testing.T) {
	hold := make(chan struct{})
	t.Cleanup(func() { close(hold) })
	silent := listener(t, "tcp", "127.0.0.1:0", func(c net.Conn) { <-hold; c.Close() })
	closing := listener(t, "tcp", "127.0.0.1:0", func(c net.Conn) { io.CopyN(io.Discard, c, 10); c.Close() })
	chatter := listener(t, "tcp", "127.0.0.1:0", func(c net.Conn) { fmt.Fprint(c, "220 mail ready\r\n"); <-hold })
	endless := listener(t, "tcp", "127.0.0.1:0", func(c net.Conn) {
		for {
			if _, err := fmt.Fprint(c, "HTTP/1.1 100 Continue\r\n\r\n"); err != nil {
				return
			}
		}
	})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := ln.Addr().String()
	ln.Close()
	for _, kind := range []string{upstream.CheckHTTP, upstream.CheckGRPC} {
		c := httpCheck()
		c.Kind, c.Timeout = kind, 300*time.Millisecond
		expectProbe(t, c, silent, false, "nothing within 300ms")
		expectProbe(t, c, gone, false, "connection refused")
		expectProbe(t, c, closing, false, "")
		expectProbe(t, c, chatter, false, "")
		expectProbe(t, c, endless, false, "")
	}
	tcp := upstream.Check{Kind: upstream.CheckTCP, Timeout: time.Second}
	expectProbe(t, tcp, silent, true, "connected in ")
	expectProbe(t, tcp, gone, false, "connection refused")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if r := Probe(ctx, &tcp, silent); r.Good {
		t.Error("a probe that was called off is good")
	}
}

func TestProbeOfAUnixSocketAndOfAnotherPort(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	answer := func(c net.Conn) {
		fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		io.Copy(io.Discard, c)
	}
	listener(t, "unix", path, answer)
	expectProbe(t, httpCheck(), "unix:"+path, true, "200")
	_, port, _ := net.SplitHostPort(listener(t, "tcp", "127.0.0.1:0", answer))
	c := httpCheck()
	fmt.Sscan(port, &c.Port)
	expectProbe(t, c, "127.0.0.1:1", true, "200")
}

// grpcServer answers Check for the services it knows.
func grpcServer(t *testing.T, states map[string]uint64) string {
	t.Helper()
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		service := ""
		if len(body) > 7 {
			service = string(body[7:])
		}
		w.Header().Set("Content-Type", "application/grpc")
		state, known := states[service]
		if r.URL.Path != "/grpc.health.v1.Health/Check" || r.ProtoMajor != 2 || !known {
			w.Header().Set("Grpc-Status", "5")
			w.Header().Set("Grpc-Message", "unknown service")
			return
		}
		w.Header().Set("Trailer", "Grpc-Status")
		message := binary.AppendUvarint([]byte{1 << 3}, state)
		w.Write(append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message))), message...))
		w.Header().Set("Grpc-Status", "0")
	}))
	srv.Config.Protocols = new(http.Protocols)
	srv.Config.Protocols.SetUnencryptedHTTP2(true)
	srv.Start()
	t.Cleanup(srv.Close)
	return srv.Listener.Addr().String()
}

func TestProbeGRPC(t *testing.T) {
	addr := grpcServer(t, map[string]uint64{"": 1, "orders": 1, "stock": 2, "odd": 300})
	for service, want := range map[string]struct {
		good bool
		what string
	}{
		"":       {true, "SERVING in "},
		"orders": {true, "SERVING in "},
		"stock":  {false, "NOT_SERVING"},
		"odd":    {false, "serving status 300"},
		"other":  {false, `grpc status "5" unknown service`},
	} {
		expectProbe(t, upstream.Check{Kind: upstream.CheckGRPC, Service: service, Timeout: 2 * time.Second}, addr, want.good, want.what)
	}
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	expectProbe(t, upstream.Check{Kind: upstream.CheckGRPC, Timeout: 2 * time.Second}, plain.Listener.Addr().String(), false, "")
}

func FuzzServingStatus(f *testing.F) {
	for _, s := range []string{"", "\x00\x00\x00\x00\x00", "\x00\x00\x00\x00\x02\x08\x01", "\x00\x00\x00\x00\x05\x12\x01a\x08\x02", "\x01\x00\x00\x00\x00"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		state, err := servingStatus(b)
		if err != nil && state != 0 {
			t.Errorf("%x: state %d with an error", b, state)
		}
		if err == nil && (len(b) < 5 || b[0] != 0) {
			t.Errorf("%x was accepted", b)
		}
	})
}
