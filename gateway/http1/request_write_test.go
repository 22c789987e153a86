package http1

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// forward parses a request head and returns the head sent upstream.
func forward(t *testing.T, head string, rw *RequestRewrite) string {
	t.Helper()
	return string(AppendRequestHead(nil, []byte(head), parseRequest(t, head), rw))
}

func TestForwardedRequestHead(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"untouched", "GET /a?b HTTP/1.1\r\nhOST:  a\r\nX_y:1\r\nAccept: */* \r\n\r\n", "GET /a?b HTTP/1.1\r\nhOST:  a\r\nX_y:1\r\nAccept: */* \r\n\r\n"},
		{"empty line before", "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"},
		{"later minor version", "GET / HTTP/1.7\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"},
		{"same field on several lines", "GET / HTTP/1.1\r\nA: 1\r\nHost: a\r\nA: 2\r\n\r\n", "GET / HTTP/1.1\r\nA: 1\r\nHost: a\r\nA: 2\r\n\r\n"},
		{"absolute-form", "GET http://b:81/p?q HTTP/1.1\r\nA: 1\r\nHost: a\r\nB: 2\r\n\r\n", "GET /p?q HTTP/1.1\r\nA: 1\r\nHost: b:81\r\nB: 2\r\n\r\n"},
		{"absolute-form without path", "GET http://b HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\nHost: b\r\n\r\n"},
		{"absolute-form with query only", "GET http://b?q HTTP/1.1\r\nHost: a\r\n\r\n", "GET /?q HTTP/1.1\r\nHost: b\r\n\r\n"},
		{"OPTIONS of a server", "OPTIONS http://b HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS * HTTP/1.1\r\nHost: b\r\n\r\n"},
		{"OPTIONS of a path", "OPTIONS http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS / HTTP/1.1\r\nHost: b\r\n\r\n"},
		{"OPTIONS of a query", "OPTIONS http://b?q HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS /?q HTTP/1.1\r\nHost: b\r\n\r\n"},
		{"OPTIONS *", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"},
		{"CONNECT", "CONNECT b:443 HTTP/1.1\r\nHost: a\r\n\r\n", "CONNECT b:443 HTTP/1.1\r\nHost: b:443\r\n\r\n"},
		{"1.0 without Host", "GET /x HTTP/1.0\r\nA: 1\r\n\r\n", "GET /x HTTP/1.1\r\nHost: default\r\nA: 1\r\n\r\n"},
		{"1.0 with empty Host", "GET /x HTTP/1.0\r\nHost:\r\n\r\n", "GET /x HTTP/1.1\r\nHost: default\r\n\r\n"},
		{"1.0 with Host", "GET /x HTTP/1.0\r\nHost: a\r\n\r\n", "GET /x HTTP/1.1\r\nHost: a\r\n\r\n"},
		{"1.0 absolute-form", "GET http://b/x HTTP/1.0\r\n\r\n", "GET /x HTTP/1.1\r\nHost: b\r\n\r\n"},
		{
			"hop-by-hop",
			"GET / HTTP/1.1\r\nHost: a\r\nKeep-Alive: timeout=5\r\nProxy-Connection: x\r\nProxy-Authorization: Basic x\r\n" +
				"Proxy-Authenticate: x\r\nA: 1\r\nTE: gzip\r\nUpgrade: websocket\r\nHTTP2-Settings: x\r\nTrailer: X\r\nConnection: keep-alive\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\n\r\n",
		},
		{
			"named by Connection",
			"GET / HTTP/1.1\r\nX-A: 1\r\nHost: a\r\nconnection: x-a,,Close\r\nX-B: 1\r\nX-C: 1\r\nx-b: 2\r\nConnection:\tX-B\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: a\r\nX-C: 1\r\n\r\n",
		},
		{
			"never stripped by Connection",
			"POST / HTTP/1.1\r\nHost: a\r\nConnection: host, content-length, x-forwarded-for, x-forwarded-proto, x-forwarded-host, via, forwarded, " +
				"x-request-id, expect\r\nContent-Length: 5\r\nX-Forwarded-For: 1\r\nX-Forwarded-Proto: 2\r\nX-Forwarded-Host: 3\r\nVia: 4\r\n" +
				"Forwarded: 5\r\nX-Request-ID: 6\r\nExpect: 100-continue\r\n\r\n",
			"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nX-Forwarded-For: 1\r\nX-Forwarded-Proto: 2\r\nX-Forwarded-Host: 3\r\nVia: 4\r\n" +
				"Forwarded: 5\r\nX-Request-ID: 6\r\nExpect: 100-continue\r\n\r\n",
		},
		{
			"chunked named by Connection",
			"POST / HTTP/1.1\r\nHost: a\r\nConnection: transfer-encoding\r\nTransfer-Encoding: \tCHUNKED\r\nTrailer: X\r\n\r\n",
			"POST / HTTP/1.1\r\nHost: a\r\nTrailer: X\r\nTransfer-Encoding: chunked\r\n\r\n",
		},
		{"length made anew", "POST / HTTP/1.1\r\nHost: a\r\ncontent-length:\t007 \r\nA: 1\r\n\r\n", "POST / HTTP/1.1\r\nHost: a\r\ncontent-length: 7\r\nA: 1\r\n\r\n"},
		{"length 0", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"},
		{"trailers", "GET / HTTP/1.1\r\nHost: a\r\nTE: x, trailers\r\nConnection: te\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: TE\r\n\r\n"},
		{"TE of 1.0", "GET / HTTP/1.0\r\nHost: a\r\nTE: trailers\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"},
		{"expectation of 1.0", "POST / HTTP/1.0\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n"},
		{"expectation without body", "GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"},
		{"h2c", "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"},
		{"Max-Forwards of TRACE", "TRACE / HTTP/1.1\r\nHost: a\r\nmax-forwards: 10\r\nA: 1\r\n\r\n", "TRACE / HTTP/1.1\r\nHost: a\r\nmax-forwards: 9\r\nA: 1\r\n\r\n"},
		{"Max-Forwards of GET", "GET / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 10\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 10\r\n\r\n"},
	} {
		got := forward(t, tt.in, &RequestRewrite{DefaultHost: []byte("default"), Upgrade: true})
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestForwardedFields(t *testing.T) {
	const plain = "GET / HTTP/1.1\r\nHost: a:1\r\n\r\n"
	const set = "GET / HTTP/1.1\r\nx-forwarded-for: 1.1.1.1\r\nHost: a:1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-For: \r\n" +
		"X-Forwarded-Host: h\r\nX-Forwarded-For: 2.2.2.2, 3.3.3.3\r\nForwarded: for=1.1.1.1\r\nX-Request-ID: theirs\r\nVia: 1.0 x\r\n\r\n"
	ip := []byte("9.9.9.9")
	const own = "X-Forwarded-For: 9.9.9.9\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: a:1\r\n"
	for _, tt := range []struct {
		name, in string
		rw       RequestRewrite
		want     string
	}{
		{"added", plain, RequestRewrite{XForwarded: true}, "GET / HTTP/1.1\r\nHost: a:1\r\n" + own + "\r\n"},
		{
			"replaced", set,
			RequestRewrite{XForwarded: true},
			"GET / HTTP/1.1\r\nHost: a:1\r\nForwarded: for=1.1.1.1\r\nX-Request-ID: theirs\r\nVia: 1.0 x\r\n" + own + "\r\n",
		},
		{
			"appended and kept", set,
			RequestRewrite{XForwarded: true, Trusted: true},
			"GET / HTTP/1.1\r\nHost: a:1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: h\r\nForwarded: for=1.1.1.1\r\n" +
				"X-Request-ID: theirs\r\nVia: 1.0 x\r\nX-Forwarded-For: 1.1.1.1, 2.2.2.2, 3.3.3.3, 9.9.9.9\r\n\r\n",
		},
		{"trusted without any", plain, RequestRewrite{XForwarded: true, Trusted: true}, "GET / HTTP/1.1\r\nHost: a:1\r\n" + own + "\r\n"},
		{"off", set, RequestRewrite{}, set},
		{
			"via and id added", plain,
			RequestRewrite{Via: "gw", RequestID: []byte("id1")},
			"GET / HTTP/1.1\r\nHost: a:1\r\nVia: 1.1 gw\r\nX-Request-ID: id1\r\n\r\n",
		},
		{
			"via appended, id kept", "GET / HTTP/1.0\r\nHost: a:1\r\nVia: 1.0 x\r\nX-Request-Id: theirs\r\n\r\n",
			RequestRewrite{Via: "gw", RequestID: []byte("id1")},
			"GET / HTTP/1.1\r\nHost: a:1\r\nVia: 1.0 x\r\nX-Request-Id: theirs\r\nVia: 1.0 gw\r\n\r\n",
		},
		{
			"Forwarded replaced", "GET / HTTP/1.1\r\nHost: a:1\r\nForwarded: for=x\r\n\r\n",
			RequestRewrite{Forwarded: true},
			"GET / HTTP/1.1\r\nHost: a:1\r\nForwarded: for=9.9.9.9;host=\"a:1\";proto=http\r\n\r\n",
		},
		{
			"Forwarded appended", "GET / HTTP/1.1\r\nHost: a:1\r\nForwarded: for=x\r\n\r\n",
			RequestRewrite{Forwarded: true, Trusted: true},
			"GET / HTTP/1.1\r\nHost: a:1\r\nForwarded: for=x, for=9.9.9.9;host=\"a:1\";proto=http\r\n\r\n",
		},
		{
			"expectation stripped", "POST / HTTP/1.1\r\nHost: a:1\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n",
			RequestRewrite{StripExpect: true},
			"POST / HTTP/1.1\r\nHost: a:1\r\nContent-Length: 1\r\n\r\n",
		},
	} {
		tt.rw.ClientIP, tt.rw.Proto = ip, "http"
		if diff := cmp.Diff(tt.want, forward(t, tt.in, &tt.rw)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestForwardedClientWithoutIPv4(t *testing.T) {
	const in = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
	for ip, want := range map[string]string{
		"::1": "X-Forwarded-For: ::1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: a\r\nForwarded: for=\"[::1]\";host=\"a\";proto=https\r\n\r\n",
		"":    "X-Forwarded-For: unknown\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: a\r\nForwarded: for=unknown;host=\"a\";proto=https\r\n\r\n",
	} {
		rw := &RequestRewrite{ClientIP: []byte(ip), Proto: "https", XForwarded: true, Forwarded: true}
		if diff := cmp.Diff(in[:len(in)-2]+want, forward(t, in, rw)); diff != "" {
			t.Errorf("client %q (-want +got):\n%s", ip, diff)
		}
	}
}

func TestForwardedUpgrade(t *testing.T) {
	const ws = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\nSec-WebSocket-Key: k\r\n"
	for _, tt := range []struct {
		in      string
		upgrade bool
		want    string
	}{
		{ws + "\r\n", true, "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nSec-WebSocket-Key: k\r\nConnection: upgrade\r\n\r\n"},
		{ws + "\r\n", false, "GET / HTTP/1.1\r\nHost: a\r\nSec-WebSocket-Key: k\r\n\r\n"},
		{ws + "TE: trailers\r\n\r\n", true, "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nSec-WebSocket-Key: k\r\nTE: trailers\r\nConnection: upgrade, TE\r\n\r\n"},
		{"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n", true, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"},
	} {
		if diff := cmp.Diff(tt.want, forward(t, tt.in, &RequestRewrite{Upgrade: tt.upgrade})); diff != "" {
			t.Errorf("%q (-want +got):\n%s", tt.in, diff)
		}
	}
}
