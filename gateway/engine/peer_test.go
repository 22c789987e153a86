package engine_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"spillway/gateway/upstream"
)

// A request without X-Request-ID gets one that no other has; one that has it
// keeps it, once.
func TestRequestID(t *testing.T) {
	if differs(t, "it is not configured for this") {
		return
	}
	b := hello(t)
	p := startProxy(t, proxyConfig{Backends: []string{b.addr}, RequestID: true, LogFormat: "$request_uri $request_id"})
	shape, seen := regexp.MustCompile(`^[0-9a-f]{16,}$`), map[string]bool{}
	for i := range 30 {
		c := p.dial()
		c.send(get(fmt.Sprintf("/%d", i)))
		c.answer(200)
		id := b.last().get("X-Request-ID")
		if !shape.MatchString(id) || seen[id] {
			t.Errorf("id %q, seen before: %v", id, seen[id])
		}
		seen[id] = true
		logsLine(t, p, fmt.Sprintf("/%d %s", i, id))
	}
	c := p.dial()
	c.send(get("/own", "x-request-ID: of-the-client"))
	c.answer(200)
	if got := b.last().all("X-Request-ID"); len(got) != 1 || got[0] != "of-the-client" {
		t.Errorf("X-Request-ID %q", got)
	}
	logsLine(t, p, "/own of-the-client")
}

func TestNoRequestIDByDefault(t *testing.T) {
	b := hello(t)
	front(t, b).dial().open()
	if m := b.last(); m.has("X-Request-ID") || m.has("Forwarded") || m.has("Via") {
		t.Errorf("got %q", m.Head)
	}
}

// Forwarded (RFC 7239) says who asked for what; only a trusted peer may have
// said so before.
func TestForwarded(t *testing.T) {
	if differs(t, "it is not configured for this") {
		return
	}
	for _, r := range []struct {
		trusted []string
		send    []string
		want    string
	}{
		{nil, nil, `for=127.0.0.1;host="a";proto=http`},
		{nil, []string{"Forwarded: for=6.6.6.6"}, `for=127.0.0.1;host="a";proto=http`},
		{[]string{"127.0.0.0/8"}, []string{"Forwarded: for=1.2.3.4"}, `for=1.2.3.4, for=127.0.0.1;host="a";proto=http`},
		{[]string{"10.0.0.0/8"}, []string{"Forwarded: for=1.2.3.4"}, `for=127.0.0.1;host="a";proto=http`},
	} {
		b := hello(t)
		c := startProxy(t, proxyConfig{Backends: []string{b.addr}, Forwarded: true, Trusted: r.trusted}).dial()
		c.send(get("/", r.send...))
		c.answer(200)
		if got := b.last().get("Forwarded"); strings.ReplaceAll(got, `"127.0.0.1"`, "127.0.0.1") != r.want {
			t.Errorf("trusting %q, sent %q: Forwarded %q, want %q", r.trusted, r.send, got, r.want)
		}
	}
}

// An IPv4 client of a socket that listens on both families is an IPv4 client,
// in what it is called and in whom is trusted.
func TestMappedClientsAreIPv4(t *testing.T) {
	if differs(t, "it names them ::ffff:a.b.c.d") {
		return
	}
	for _, r := range []struct {
		dial, trusted, want string
	}{
		{"127.0.0.1", "10.0.0.0/8", "127.0.0.1"},
		{"127.0.0.1", "127.0.0.0/8", "1.2.3.4, 127.0.0.1"},
		{"[::1]", "127.0.0.0/8", "::1"},
		{"[::1]", "::1/128", "1.2.3.4, ::1"},
	} {
		b := hello(t)
		p := startProxy(t, proxyConfig{Backends: []string{b.addr}, Listen: []string{"[::]:0"}, Trusted: []string{r.trusted}, Limits: limits{ConnsPerIP: 1}})
		_, port, _ := net.SplitHostPort(p.Addr)
		c := dial(t, r.dial+":"+port)
		c.send(get("/", "X-Forwarded-For: 1.2.3.4"))
		c.answer(200)
		if got := b.last().get("X-Forwarded-For"); got != r.want {
			t.Errorf("%s trusting %s: X-Forwarded-For %q, want %q", r.dial, r.trusted, got, r.want)
		}
	}
}

// A unix socket serves like any other; its clients have no address, so they
// are neither trusted nor bounded by address.
func TestUnixListener(t *testing.T) {
	if differs(t, "it is not configured for this") {
		return
	}
	b := hello(t)
	path := filepath.Join(t.TempDir(), "gateway")
	p := startProxy(t, proxyConfig{
		Backends: []string{b.addr}, Listen: []string{"unix:" + path, "127.0.0.1:0"},
		Trusted: []string{"0.0.0.0/0", "::/0"}, Limits: limits{ConnsPerIP: 1}, LogFormat: "$remote_addr",
	})
	for range 3 {
		u := unixClient(t, path)
		for range 2 {
			r, _ := http.NewRequest("GET", "http://a/", nil)
			r.Header.Set("X-Forwarded-For", "6.6.6.6")
			resp, err := u.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if got := b.last().get("X-Forwarded-For"); resp.StatusCode != 200 || strings.Contains(got, "6.6.6.6") || got == "" {
				t.Errorf("got %s, X-Forwarded-For %q", resp.Status, got)
			}
		}
	}
	logsLine(t, p, "unix:")
	dial(t, p.Addrs[1]).open()
}

// unixClient keeps one connection to a unix socket.
func unixClient(t *testing.T, path string) *http.Client {
	tr := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: patience}
}

// What a hash policy hashes decides the server: the same value always the
// same one, and different values not all the same.
func TestHashKeys(t *testing.T) {
	if differs(t, "it is not configured for this") {
		return
	}
	var bs []string
	for i := range 8 {
		bs = append(bs, newBackend(t, always(ok(fmt.Sprint(i)))).addr)
	}
	for _, policy := range []string{"hash", "hash_consistent"} {
		for _, r := range []struct{ key, send string }{
			{"$request_uri", "GET /%d?x HTTP/1.1\r\nHost: a\r\n\r\n"},
			{"$uri", "GET /%d HTTP/1.1\r\nHost: a\r\n\r\n"},
			{"$args", "GET /?%d HTTP/1.1\r\nHost: a\r\n\r\n"},
			{"$arg_user", "GET /?n=1&user=%d&m=2 HTTP/1.1\r\nHost: a\r\n\r\n"},
			{"$host", "GET / HTTP/1.1\r\nHost: h%d.example:80\r\n\r\n"},
			{"$http_x_user_id", "GET / HTTP/1.1\r\nHost: a\r\nx-User-ID: %d\r\n\r\n"},
			{"$cookie_sid", "GET / HTTP/1.1\r\nHost: a\r\nCookie: a=b; sid=%d; c=d\r\n\r\n"},
			{"a-$request_method-$http_x", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nX: %d\r\n\r\n"},
			{"$remote_addr", ""},
		} {
			t.Run(policy+" "+r.key, func(t *testing.T) { hashes(t, bs, policy, r.key, r.send) })
		}
	}
}

// hashes sends requests with thirty different values, each twice.
func hashes(t *testing.T, servers []string, policy, key, format string) {
	cfg := poolConfig{Specs: specs(servers...), Settings: upstream.Settings{Balance: policy, HashKey: key}}
	p := startProxy(t, proxyConfig{Pools: map[string]poolConfig{"web": cfg}})
	cs, used := []*wire{p.dial(), p.dial()}, map[string]bool{}
	for i := range 30 {
		send := get(fmt.Sprintf("/%d", i))
		if format != "" {
			send = fmt.Sprintf(format, i)
		}
		var at []string
		for _, c := range cs {
			c.send(send)
			at = append(at, string(c.answer(200).Body))
		}
		if at[0] != at[1] {
			t.Errorf("the same request went to servers %q", at)
		}
		used[at[0]] = true
	}
	if n := len(used); format == "" && n != 1 || format != "" && n < 4 {
		t.Errorf("30 keys went to %d of %d servers", n, len(servers))
	}
}
