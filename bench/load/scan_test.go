package load

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
)

// outcome is what a scanner makes of a stream.
type outcome struct {
	statuses []int
	bodies   []string
	err      error
}

// scanAll feeds a stream in pieces of at most size bytes; 0: at once.
func scanAll(stream []byte, size int, head bool) outcome {
	var s scanner
	var k known
	var out outcome
	var kept, body []byte
	for len(stream) > 0 {
		n := len(stream)
		if size > 0 {
			n = min(n, size)
		}
		kept, stream = append(kept, stream[:n]...), stream[n:]
		for len(kept) > 0 {
			data, n, done, err := s.next(kept, &k, head)
			if err != nil {
				out.err = err
				return out
			}
			if n == 0 {
				break
			}
			body, kept = append(body, data...), kept[n:]
			if done {
				out.statuses, out.bodies = append(out.statuses, s.answer.status), append(out.bodies, string(body))
				body = body[:0]
			}
		}
	}
	if s.ended() {
		out.statuses, out.bodies = append(out.statuses, s.answer.status), append(out.bodies, string(body))
	}
	return out
}

func (o outcome) equal(p outcome) bool {
	return (o.err == nil) == (p.err == nil) && len(o.statuses) == len(p.statuses) &&
		strings.Join(o.bodies, "\x00") == strings.Join(p.bodies, "\x00")
}

func TestResponsesThatAreRefused(t *testing.T) {
	for _, text := range []string{
		"HTTP/2 200 OK\r\n\r\n",
		"HTTP/1.1 20 OK\r\n\r\n",
		"HTTP/1.1 2000 OK\r\n\r\n",
		"HTTP/1.1 099 OK\r\n\r\n",
		"HTTP/1.1 101 Switching Protocols\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
		"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
		"HTTP/1.1 200 OK\r\n: no name\r\n\r\n",
		"\r\n\r\n",
		"HTTP/1.1 200 OK\r\nA: " + strings.Repeat("x", maxHead) + "\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloX\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\rX",
	} {
		if out := scanAll([]byte(text), 0, false); out.err == nil {
			t.Errorf("%.60q was taken as %v", text, out)
		}
	}
}

func TestFramingIsThatOfRFC9112(t *testing.T) {
	for _, tt := range []struct {
		text string
		head bool
		want string
	}{
		{"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc" + ok, false, "abc,hello"},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, Chunked\r\nContent-Length: 1\r\n\r\n3\r\nabc\r\n0\r\n\r\n" + ok, false, "abc,hello"},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nabc" + ok, false, "abc" + ok},
		{"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n" + ok, false, ",hello"},
		{"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\nContent-Length: 9\r\n\r\n" + ok, false, "hello"},
		{"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", true, ","},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nA\r\n0123456789\r\n0a ; x\r\n0123456789\r\n000\r\nT: x\r\nU: y\r\n\r\n" + ok, false, "01234567890123456789,hello"},
	} {
		for _, size := range []int{0, 1, 2, 7} {
			out := scanAll([]byte(tt.text), size, tt.head)
			if got := strings.Join(out.bodies, ","); out.err != nil || got != tt.want {
				t.Errorf("%q in pieces of %d: bodies %q, error %v, want %q", tt.text, size, got, out.err, tt.want)
			}
		}
	}
}

// FuzzScan holds the scanner against itself, fed differently, and against
// net/http: a response that both take must have the same body.
func FuzzScan(f *testing.F) {
	f.Add([]byte(ok+ok), 3)
	f.Add([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x\r\nabc\r\n0\r\nA: b\r\n\r\n"), 1)
	f.Add([]byte("HTTP/1.1 103 Early\r\n\r\nHTTP/1.0 404 No\r\n\r\nuntil the end"), 5)
	f.Fuzz(func(t *testing.T, stream []byte, size int) {
		whole := scanAll(stream, 0, false)
		if parts := scanAll(stream, max(size, 1), false); !whole.equal(parts) {
			t.Fatalf("at once %+v, in pieces of %d %+v", whole, size, parts)
		}
		if len(whole.bodies) == 0 || !bytes.HasPrefix(stream, []byte("HTTP/1.1 ")) || stream[9] == '1' {
			return // net/http knows no chunks in HTTP/1.0, and shows interim responses
		}
		if bytes.Count(stream, []byte("\n")) != bytes.Count(stream, []byte("\r\n")) {
			return // net/http takes a bare LF for a line's end
		}
		resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(stream)), nil)
		if err != nil {
			return // it is stricter about field names
		}
		body, err := io.ReadAll(resp.Body)
		if err == nil && resp.Header.Get("Transfer-Encoding") == "" && string(body) != whole.bodies[0] && len(resp.TransferEncoding) < 2 {
			t.Fatalf("body %q, net/http reads %q", whole.bodies[0], body)
		}
	})
}
