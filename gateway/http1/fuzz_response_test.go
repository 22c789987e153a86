package http1

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"slices"
	"testing"
)

var responseSeeds = []string{
	nginxResponse,
	"HTTP/1.1 200\r\nContent-Length : 3\r\n\r\nabc",
	"HTTP/1.0 200 OK\r\nConnection: keep-alive, x\r\nKeep-Alive: timeout=5, max=3\r\nx: y\r\nContent-Length: 3\r\n\r\nabc",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n3\r\nabc\r\n0\r\nX: 1\r\n\r\n",
	"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
	"HTTP/1.0 200\r\nContent-Length :0\r\n\r\n000",
	"HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\n",
	"HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n",
	"HTTP/1.1 200 OK\r\n\r\nuntil close",
	"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
	"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
}

// fuzzMethods are the methods a response depends on.
var fuzzMethods = map[Method]string{MethodGet: "GET", MethodHead: "HEAD", MethodConnect: "CONNECT"}

// fuzzMethod picks one of them.
func fuzzMethod(i uint8) Method {
	return [...]Method{MethodGet, MethodHead, MethodConnect}[i%3]
}

func FuzzResponse(f *testing.F) {
	for i, s := range responseSeeds {
		f.Add([]byte(s), uint8(i))
	}
	lim := &Limits{RequestLine: 200, HeadBytes: 400, Fields: 16}
	f.Fuzz(func(t *testing.T, b []byte, m uint8) {
		method := fuzzMethod(m)
		var whole Response
		n, err := whole.Parse(b, lim, method)
		if n < 0 || n > len(b) || n != 0 && err != nil {
			t.Fatalf("Parse = %d, %v of %d bytes", n, err, len(b))
		}
		if n > 0 {
			checkSpans(t, whole.Fields, b[:n])
			kind, length := whole.Body(method)
			if whole.HeadLen != n || (kind == LengthBody) != (length > 0) || kind == CloseBody && whole.KeepAlive ||
				whole.Chunked && whole.ContentLength >= 0 {
				t.Fatalf("response %+v of %q", whole, b[:n])
			}
		}
		var part Response
		for i := range min(len(b), 500) {
			m, partErr := part.Parse(b[:i], lim, method)
			if m != 0 && (m != n || partErr != nil) || m == 0 && partErr == nil && n > 0 && i >= n {
				t.Fatalf("%d of %q: %d, %v; whole: %d, %v", i, b, m, partErr, n, err)
			}
			if partErr != nil && partErr != err {
				t.Fatalf("%d of %q: %v; whole: %v", i, b, partErr, err)
			}
		}
	})
}

// FuzzResponseVsNetHTTP compares our reading of a response with net/http's,
// then net/http's and our own reading of what we forward.
func FuzzResponseVsNetHTTP(f *testing.F) {
	for i, s := range responseSeeds {
		f.Add([]byte(s), uint8(i))
	}
	f.Fuzz(func(t *testing.T, b []byte, m uint8) {
		method := fuzzMethod(m)
		var r Response
		n, err := r.Parse(b, nil, method)
		if n == 0 || err != nil {
			return
		}
		kind, length := r.Body(method)
		body, rest, ok := readBody(kind, length, b[n:])
		if !ok {
			return
		}
		if kind == CloseBody {
			body = rest
		}
		theirs, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(b)), &http.Request{Method: fuzzMethods[method]})
		if err == nil && theirs.ProtoMinor == int(r.Minor) && r.Status >= 200 && method != MethodConnect && !repaired(&r) {
			read, err := io.ReadAll(theirs.Body)
			if err == nil && (theirs.StatusCode != r.Status || string(read) != body) {
				t.Fatalf("%q: net/http reads %d %q, we %d %q", b, theirs.StatusCode, read, r.Status, body)
			}
		}
		checkForwardedResponse(t, &r, b, body, method)
	})
}

// repaired reports whether whitespace before a colon was removed, which
// net/http does not do.
func repaired(r *Response) bool {
	return slices.ContainsFunc(r.Fields, func(f Field) bool { return f.repaired })
}

// checkForwardedResponse fails unless what is forwarded, in each framing, is
// one response to both readers.
func checkForwardedResponse(t *testing.T, r *Response, b []byte, body string, method Method) {
	t.Helper()
	kind, _ := r.Body(method)
	framings := []BodyKind{ChunkedBody, LengthBody, CloseBody}
	if kind == NoBody {
		framings = []BodyKind{NoBody}
	}
	for _, framing := range framings {
		sent := AppendResponseHead(nil, b, r, &ResponseRewrite{Framing: framing, Length: int64(len(body)), Via: "gw", Upgrade: true})
		head := len(sent)
		const next = "HTTP/1.1 204 Next\r\n\r\n"
		switch framing {
		case ChunkedBody:
			sent = append(append(AppendChunk(sent, []byte(body)), LastChunk...), next...)
		case CloseBody:
			sent = append(sent, body...)
		default:
			sent = append(append(sent, body...), next...)
		}
		var again Response
		n, err := again.Parse(sent, &Limits{HeadBytes: 1 << 20, RequestLine: 1 << 20}, method)
		if n != head || err != nil || again.Status != r.Status {
			t.Fatalf("forwarded %q: Parse = %d, %v, want %d", sent, n, err, head)
		}
		againKind, length := again.Body(method)
		got, rest, ok := readBody(againKind, length, sent[n:])
		if againKind == CloseBody {
			got, rest = rest, next
		}
		if !ok || got != body || rest != next {
			t.Fatalf("forwarded %q: body %q, rest %q", sent, got, rest)
		}
		readForwardedResponse(t, r, sent, body, method)
	}
}

func readForwardedResponse(t *testing.T, r *Response, sent []byte, body string, method Method) {
	t.Helper()
	theirs, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(sent)), &http.Request{Method: fuzzMethods[method]})
	if err != nil || theirs.StatusCode != r.Status {
		t.Fatalf("forwarded %q: net/http reads %v, %v", sent, theirs, err)
	}
	if r.Status == 101 || method == MethodConnect {
		return // net/http takes what follows a switch for the body
	}
	if read, err := io.ReadAll(theirs.Body); err != nil || string(read) != body {
		t.Fatalf("forwarded %q: net/http reads body %q, %v", sent, read, err)
	}
}
