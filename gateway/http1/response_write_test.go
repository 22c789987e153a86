package http1

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestForwardedResponseHead(t *testing.T) {
	const s = "HTTP/1.1 200 OK\r\n"
	const cl = "Content-Length: 5\r\n"
	const hops = "Connection: keep-alive, X-Hop\r\nKeep-Alive: timeout=5\r\nProxy-Connection: x\r\nx-hop: 1\r\nUpgrade: w\r\nTrailer: X\r\n" +
		"Proxy-Authenticate: x\r\nTE: x\r\n"
	length5 := ResponseRewrite{Framing: LengthBody, Length: 5}
	for _, tt := range []struct {
		name, in string
		rw       ResponseRewrite
		want     string
	}{
		{"untouched", s + "sErver:x\r\n" + cl + "Set-Cookie: a\r\nSet-Cookie: b\r\n\r\n", length5, s + "sErver:x\r\n" + cl + "Set-Cookie: a\r\nSet-Cookie: b\r\n\r\n"},
		{"own version", "HTTP/1.0 200 OK\r\n" + cl + "\r\n", length5, s + cl + "\r\n"},
		{"reason kept", "HTTP/1.0 404 Nope \xe9\r\n" + cl + "\r\n", length5, "HTTP/1.1 404 Nope \xe9\r\n" + cl + "\r\n"},
		{"missing space after the code", "HTTP/1.1 200\r\n" + cl + "\r\n", length5, "HTTP/1.1 200 \r\n" + cl + "\r\n"},
		{"whitespace before a colon", s + "A \t:  b\r\nC: d\r\nContent-Length : 5\r\n\r\n", length5, s + "A: b\r\nC: d\r\nContent-Length: 5\r\n\r\n"},
		{"hop-by-hop", s + hops + "A: 1\r\n" + cl + "\r\n", length5, s + "A: 1\r\n" + cl + "\r\n"},
		{
			"framing never stripped", s + "Connection: content-length, date\r\n" + cl + "Date: x\r\n\r\n", length5,
			s + cl + "Date: x\r\n\r\n",
		},
		{"to chunked", s + "A: 1\r\n\r\n", ResponseRewrite{Framing: ChunkedBody}, s + "A: 1\r\nTransfer-Encoding: chunked\r\n\r\n"},
		{"chunked", s + "transfer-encoding: CHUNKED\r\nTrailer: X\r\n\r\n", ResponseRewrite{Framing: ChunkedBody, ForwardTrailers: true}, s + "Trailer: X\r\nTransfer-Encoding: chunked\r\n\r\n"},
		{"chunked to close", s + "Transfer-Encoding: chunked\r\n\r\n", ResponseRewrite{Framing: CloseBody}, s + "Connection: close\r\n\r\n"},
		{"chunked to length", s + "Transfer-Encoding: chunked\r\n\r\n", length5, s + cl + "\r\n"},
		{"another length", s + "Content-Length: 6\r\nA: 1\r\n\r\n", length5, s + "A: 1\r\n" + cl + "\r\n"},
		{"length 0", s + "Content-Length: 0\r\n\r\n", ResponseRewrite{}, s + "Content-Length: 0\r\n\r\n"},
		{"close", s + cl + "\r\n", ResponseRewrite{Framing: LengthBody, Length: 5, Close: true}, s + cl + "Connection: close\r\n\r\n"},
		{"keep-alive for 1.0", s + cl + "\r\n", ResponseRewrite{Framing: LengthBody, Length: 5, KeepAlive10: true}, s + cl + "Connection: keep-alive\r\n\r\n"},
		{"204", "HTTP/1.1 204 No\r\n" + cl + "Transfer-Encoding: chunked\r\n\r\n", ResponseRewrite{}, "HTTP/1.1 204 No\r\n\r\n"},
		{"304", "HTTP/1.1 304 No\r\n" + cl + "\r\n", ResponseRewrite{}, "HTTP/1.1 304 No\r\n" + cl + "\r\n"},
		{"1xx", "HTTP/1.1 103 Early\r\nLink: x\r\n" + cl + "\r\n", ResponseRewrite{AddDate: []byte("now")}, "HTTP/1.1 103 Early\r\nLink: x\r\n\r\n"},
		{
			"switch", "HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
			ResponseRewrite{Upgrade: true},
			"HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
		},
		{
			"upgrade required", "HTTP/1.1 426 U\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" + cl + "\r\n", length5,
			"HTTP/1.1 426 U\r\nUpgrade: websocket\r\n" + cl + "Connection: upgrade\r\n\r\n",
		},
		{
			"upgrade required and close", "HTTP/1.1 426 U\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
			ResponseRewrite{Framing: CloseBody},
			"HTTP/1.1 426 U\r\nUpgrade: websocket\r\nConnection: close, upgrade\r\n\r\n",
		},
		{"upgrade of 200", s + "Upgrade: websocket\r\nConnection: Upgrade\r\n" + cl + "\r\n", ResponseRewrite{Framing: LengthBody, Length: 5, Upgrade: true}, s + cl + "\r\n"},
		{"date added", s + cl + "\r\n", ResponseRewrite{Framing: LengthBody, Length: 5, AddDate: []byte("now"), Via: "gw"}, s + cl + "Via: 1.1 gw\r\nDate: now\r\n\r\n"},
		{"date kept", s + "date: then\r\n" + cl + "\r\n", ResponseRewrite{Framing: LengthBody, Length: 5, AddDate: []byte("now")}, s + "date: then\r\n" + cl + "\r\n"},
	} {
		got := string(AppendResponseHead([]byte("before "), []byte(tt.in), parseResponse(t, tt.in, MethodGet), &tt.rw))
		if diff := cmp.Diff("before "+tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestHeadResponseKeepsItsLength(t *testing.T) {
	const head = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
	got := string(AppendResponseHead(nil, []byte(head), parseResponse(t, head, MethodHead), &ResponseRewrite{}))
	if got != head {
		t.Errorf("got %q, want %q", got, head)
	}
}
