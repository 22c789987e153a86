package engine_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// own drops the fields the gateway itself sets, leaving the client's.
func own(m *message) []field {
	var fs []field
	for _, f := range m.Fields {
		switch strings.ToLower(f.Name) {
		case "host", "connection", "content-length", "transfer-encoding",
			"x-forwarded-for", "x-forwarded-proto", "x-forwarded-host":
		default:
			fs = append(fs, f)
		}
	}
	return fs
}

func TestFieldsPassInOrderAndCase(t *testing.T) {
	b := hello(t)
	c := front(t, b).dial()
	c.send(get("/p/a%2Fth;x=1?q=%20&r", "aCCept: */*", "X-Unknown:  two  words \t", "Cookie: a=1", "x-repeat: 1",
		"Accept-Language: en", "X-Repeat: 2", "cookie: b=2", "X-Empty:", "X-Quoted: \"a, b\"", "X-High: \xe4\xf6\xfc",
		"Under_score: 1", "!#$%&'*+-.^_`|~0aZ: token", "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"))
	c.answer(200)
	m := b.one()
	if m.Start != "GET /p/a%2Fth;x=1?q=%20&r HTTP/1.1" {
		t.Errorf("request line %q", m.Start)
	}
	want := []field{
		{"aCCept", "*/*"},
		{"X-Unknown", "two  words"},
		{"Cookie", "a=1"},
		{"x-repeat", "1"},
		{"Accept-Language", "en"},
		{"X-Repeat", "2"},
		{"cookie", "b=2"},
		{"X-Empty", ""},
		{"X-Quoted", `"a, b"`},
		{"X-High", "\xe4\xf6\xfc"},
		{"Under_score", "1"},
		{"!#$%&'*+-.^_`|~0aZ", "token"},
		{"traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
	}
	if d := cmp.Diff(want, own(m)); d != "" {
		t.Errorf("fields (-want +got):\n%s", d)
	}
}

func TestAnswerFieldsPassInOrderAndCase(t *testing.T) {
	b := newBackend(t, always(ok("body", "sErver: s", "Date: Tue, 15 Nov 1994 08:12:31 GMT", "Set-Cookie: a", "X-Under_score: 1",
		"set-cookie: b", "ETag: \"x\"", "X-High: \xe4", "X-Empty:", "Content-Type: text/plain", "Vary: *")))
	c := front(t, b).dial()
	c.send(get("/"))
	m := c.answer(200)
	want := []field{
		{"sErver", "s"},
		{"Date", "Tue, 15 Nov 1994 08:12:31 GMT"},
		{"Set-Cookie", "a"},
		{"X-Under_score", "1"},
		{"set-cookie", "b"},
		{"ETag", `"x"`},
		{"X-High", "\xe4"},
		{"X-Empty", ""},
		{"Content-Type", "text/plain"},
		{"Vary", "*"},
	}
	if d := cmp.Diff(want, own(m)); d != "" && !differs(t, "it sets Server and Date and reorders") {
		t.Errorf("fields (-want +got):\n%s", d)
	}
	if string(m.Body) != "body" {
		t.Errorf("body %q", m.Body)
	}
}

func TestMethodsPass(t *testing.T) {
	b := newBackend(t, always(ok("")))
	p := front(t, b)
	for _, method := range []string{"GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "get", "PROPFIND", "M-SEARCH", "X_Y.Z!"} {
		if method == "get" || method == "X_Y.Z!" || method == "M-SEARCH" {
			if differs(t, "it rejects method "+method) {
				continue
			}
		}
		c := p.dial()
		c.send(req(method, "/", "", "Content-Length: 0"))
		c.answerTo(method, 200)
		if got := b.last().Method; got != method {
			t.Errorf("method %q arrived as %q", method, got)
		}
	}
}

func TestTargetsPassUntouched(t *testing.T) {
	b := hello(t)
	c := front(t, b).dial()
	for _, target := range []string{
		"/", "//", "/a//b", "/./a/../b", "/%2e%2e/x", "/a%00b", "/a;b=c", "/?", "/??a=b?c", "/a?b=/../c", "/*",
		"/a:b@c", "/a+b", "/~x", "/!$&'()*+,;=", "/http://other/", "/" + strings.Repeat("x", 7990),
	} {
		if (target == "/a%00b" || target == "/%2e%2e/x") && differs(t, "it rejects target "+target) {
			continue
		}
		c.send(get(target))
		c.answer(200)
		if got := b.last().Target; got != target {
			t.Errorf("target %q arrived as %q", target, got)
		}
	}
}

func TestBodiesPassWhole(t *testing.T) {
	b := newBackend(t, serve(func(m *message) string { return ok(fmt.Sprintf("%s|%d|%s", m.Method, m.Framing, m.Body)) }))
	c := front(t, b).dial()
	for _, r := range []struct{ name, send, want string }{
		{"length", post("/", "hello"), fmt.Sprintf("POST|%d|hello", lengthBody)},
		{"length 0", post("/", ""), fmt.Sprintf("POST|%d|", lengthBody)},
		{"no body", req("POST", "/", ""), fmt.Sprintf("POST|%d|", noBody)},
		{"chunked", req("POST", "/", chunks("he", "llo"), "Transfer-Encoding: chunked"), fmt.Sprintf("POST|%d|hello", chunkedBody)},
		{"chunked, other case", req("POST", "/", chunks("hello"), "tRANSFER-eNCODING: cHuNkEd"), fmt.Sprintf("POST|%d|hello", chunkedBody)},
		{"chunked after a tab", req("POST", "/", chunks("hello"), "Transfer-Encoding:\tchunked\t"), fmt.Sprintf("POST|%d|hello", chunkedBody)},
		{"chunked, empty", req("POST", "/", chunks(), "Transfer-Encoding: chunked"), fmt.Sprintf("POST|%d|", chunkedBody)},
		{"chunk sizes with zeros and capitals", req("POST", "/", "0005\r\nhello\r\n00A\r\n0123456789\r\n000\r\n\r\n", "Transfer-Encoding: chunked"), fmt.Sprintf("POST|%d|hello0123456789", chunkedBody)},
		{"chunk extensions are dropped", req("POST", "/", "5;a=b;c=\"d;e\"\r\nhello\r\n0;last\r\n\r\n", "Transfer-Encoding: chunked"), fmt.Sprintf("POST|%d|hello", chunkedBody)},
		{"GET with a body", req("GET", "/", "hello", "Content-Length: 5"), fmt.Sprintf("GET|%d|hello", lengthBody)},
		{"DELETE chunked", req("DELETE", "/", chunks("hello"), "Transfer-Encoding: chunked"), fmt.Sprintf("DELETE|%d|hello", chunkedBody)},
	} {
		if r.name == "chunked after a tab" && differs(t, "it answers 501") {
			continue
		}
		c.send(r.send)
		got := string(c.answer(200).Body)
		if got != r.want && !differs(t, "it turns a chunked body it has whole into one of known length") {
			t.Errorf("%s: backend read %q, want %q", r.name, got, r.want)
		}
	}
	c.open()
}

// Trailers may be dropped or forwarded, but never merged into the head, and
// what frames, routes or authenticates never passes.
func TestRequestTrailers(t *testing.T) {
	b := hello(t)
	c := front(t, b).dial()
	c.send(req("POST", "/", "1\r\nx\r\n0\r\nX-Sum: 1\r\nContent-Length: 9\r\nHost: evil\r\nTransfer-Encoding: gzip\r\n"+
		"Authorization: evil\r\nX-Forwarded-For: 6.6.6.6\r\nConnection: close\r\n\r\n", "Transfer-Encoding: chunked", "Trailer: X-Sum"))
	c.answer(200)
	m := b.one()
	if m.has("X-Sum") {
		t.Errorf("trailer merged into the head %q", m.Head)
	}
	for _, f := range m.Trailer {
		if f.Name != "X-Sum" {
			t.Errorf("trailer field %+v was forwarded", f)
		}
	}
	c.open()
}
