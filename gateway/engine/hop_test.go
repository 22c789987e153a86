package engine_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestHopByHopRequestFieldsGo(t *testing.T) {
	if differs(t, "it forwards most hop-by-hop fields") {
		return
	}
	b := hello(t)
	p := front(t, b)
	for _, r := range []struct {
		name string
		send []string
		keep []field
	}{
		{"known ones", []string{
			"Keep-Alive: timeout=5", "X-A: 1", "Proxy-Connection: keep-alive", "TE: gzip", "X-B: 2", "Trailer: X-Sum",
			"Proxy-Authorization: Basic eA==", "Proxy-Authenticate: Basic", "Connection: keep-alive",
		}, []field{{"X-A", "1"}, {"X-B", "2"}}},
		{"named by Connection", []string{"X-A: 1", "X-Gone: 1", "Connection: x-gone", "x-gone: 2", "X-B: 2"}, []field{{"X-A", "1"}, {"X-B", "2"}}},
		{"named before it", []string{"Connection: X-Gone", "X-Gone: 1", "X-A: 1"}, []field{{"X-A", "1"}}},
		{"named in a list of any spelling", []string{"cOnnection:\tKEEP-alive ,, X-gOne,\tx-too,", "X-Gone: 1", "X-A: 1", "X-Too: 1"}, []field{{"X-A", "1"}}},
		{"named in two lines", []string{"Connection: X-One", "X-One: 1", "Connection: X-Two", "X-Two: 1", "X-A: 1"}, []field{{"X-A", "1"}}},
		{"prefixes stay", []string{"Connection: X-Go", "X-Gone: 1", "X-G: 1"}, []field{{"X-Gone", "1"}, {"X-G", "1"}}},
		{"end-to-end fields may be named", []string{"Connection: Cookie", "Cookie: 1", "X-A: 1"}, []field{{"X-A", "1"}}},
		{"h2c is not relayed", []string{"Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA", "X-A: 1"}, []field{{"X-A", "1"}}},
		{"Upgrade without Connection", []string{"Upgrade: websocket", "X-A: 1"}, []field{{"X-A", "1"}}},
		{"Connection upgrade without Upgrade", []string{"Connection: upgrade", "X-A: 1"}, []field{{"X-A", "1"}}},
		{"TE trailers stays", []string{"TE: trailers", "Connection: TE", "X-A: 1"}, []field{{"TE", "trailers"}, {"X-A", "1"}}},
	} {
		t.Run(r.name, func(t *testing.T) {
			c := dial(t, p.Addr)
			c.send(get("/", r.send...))
			c.answer(200)
			got := own(b.last())
			if d := cmp.Diff(r.keep, withoutTE(got, r.keep)); d != "" {
				t.Errorf("fields (-want +got):\n%s", d)
			}
		})
	}
}

// withoutTE allows TE to be dropped or moved: forwarding it is a choice.
func withoutTE(got, want []field) []field {
	if len(want) == 0 || want[0].Name != "TE" {
		return got
	}
	rest := []field{want[0]}
	for _, f := range got {
		if f.Name != "TE" {
			rest = append(rest, f)
		}
	}
	return rest
}

// Connection may not strip what the next server relies on.
func TestConnectionCannotStrip(t *testing.T) {
	b := hello(t)
	c := front(t, b).dial()
	c.send(post("/", "body", "Connection: Host, Content-Length, Transfer-Encoding, X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host, keep-alive"))
	c.answerTo("POST", 200)
	m := b.one()
	if m.get("Host") != "a" || string(m.Body) != "body" {
		t.Errorf("host %q, body %q", m.get("Host"), m.Body)
	}
	for _, name := range []string{"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host"} {
		if !m.has(name) {
			t.Errorf("%s was stripped", name)
		}
	}
	c.open()
}

func TestHopByHopAnswerFieldsGo(t *testing.T) {
	b := newBackend(t, always(ok("x", "Connection: X-Gone, close-not, Content-Length, keep-alive", "X-A: 1", "X-Gone: 1", "Keep-Alive: timeout=5",
		"Proxy-Connection: close", "Upgrade: h2c", "x-gone: 2", "X-B: 2")))
	c := front(t, b).dial()
	c.send(get("/"))
	m := c.answer(200)
	for _, name := range []string{"X-Gone", "Keep-Alive", "Proxy-Connection", "Upgrade"} {
		if m.has(name) && !differs(t, "it forwards "+name) {
			t.Errorf("%s was forwarded in %q", name, m.Head)
		}
	}
	if m.get("X-A") != "1" || m.get("X-B") != "2" || string(m.Body) != "x" {
		t.Errorf("got %q %q", m.Head, m.Body)
	}
	c.open()
}

func forwarded(m *message) map[string]string {
	f := map[string]string{}
	for _, name := range []string{"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host"} {
		f[name] = m.get(name)
	}
	return f
}

func TestForwardedFieldsAreReplaced(t *testing.T) {
	b := hello(t)
	c := front(t, b).dial()
	want := map[string]string{"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": "http", "X-Forwarded-Host": "a"}
	for _, fields := range [][]string{
		nil,
		{"X-Forwarded-For: 6.6.6.6", "X-Forwarded-Proto: https", "X-Forwarded-Host: evil"},
		{"x-forwarded-for: 6.6.6.6", "X-FORWARDED-FOR: 7.7.7.7", "x-forwarded-host: evil", "X-Forwarded-Host: evil2"},
		{"Connection: X-Forwarded-For", "X-Forwarded-For: 6.6.6.6"},
	} {
		c.send(get("/", fields...))
		c.answer(200)
		if d := cmp.Diff(want, forwarded(b.last())); d != "" {
			t.Errorf("after %q (-want +got):\n%s", fields, d)
		}
	}
}

func TestForwardedFieldsOfATrustedPeerAreKept(t *testing.T) {
	if differs(t, "it is not configured for this") {
		return
	}
	b := hello(t)
	p := startProxy(t, proxyConfig{Backends: addrs([]*backend{b}), Trusted: []string{"127.0.0.0/8"}})
	c := p.dial()
	for _, r := range []struct {
		fields []string
		want   map[string]string
	}{
		{nil, map[string]string{"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": "http", "X-Forwarded-Host": "a"}},
		{
			[]string{"X-Forwarded-For: 1.2.3.4, 5.6.7.8", "X-Forwarded-Proto: https", "X-Forwarded-Host: site"},
			map[string]string{"X-Forwarded-For": "1.2.3.4, 5.6.7.8, 127.0.0.1", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "site"},
		},
		{
			[]string{"X-Forwarded-For: 1.2.3.4", "X-A: 1", "x-forwarded-for: 5.6.7.8"},
			map[string]string{"X-Forwarded-For": "1.2.3.4, 5.6.7.8, 127.0.0.1", "X-Forwarded-Proto": "http", "X-Forwarded-Host": "a"},
		},
	} {
		c.send(get("/", r.fields...))
		c.answer(200)
		if d := cmp.Diff(r.want, forwarded(b.last())); d != "" {
			t.Errorf("after %q (-want +got):\n%s", r.fields, d)
		}
	}
}

func TestForwardedHostIsTheEffectiveHost(t *testing.T) {
	if differs(t, "it uses the Host field") {
		return
	}
	b := hello(t)
	c := front(t, b).dial()
	c.send("GET http://real/ HTTP/1.1\r\nHost: other\r\n\r\n")
	c.answer(200)
	if got := b.one().get("X-Forwarded-Host"); got != "real" {
		t.Errorf("X-Forwarded-Host %q", got)
	}
}

func TestVia(t *testing.T) {
	if differs(t, "it is not configured for this") {
		return
	}
	b := newBackend(t, always(ok("", "Via: 1.0 inner")))
	p := startProxy(t, proxyConfig{Backends: addrs([]*backend{b}), Via: "gate"})
	c := p.dial()
	c.send("GET / HTTP/1.0\r\nHost: a\r\nVia: 1.1 outer\r\n\r\n")
	m := c.answer(200)
	if got := b.one().get("Via"); !strings.HasPrefix(got, "1.1 outer, ") || !strings.HasSuffix(got, "1.0 gate") {
		t.Errorf("Via of the request %q", got)
	}
	if got := m.get("Via"); got != "1.0 inner, 1.1 gate" {
		t.Errorf("Via of the answer %q", got)
	}
}
