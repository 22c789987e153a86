package http1

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
)

// requestSeeds are heads at the edges of the grammar.
var requestSeeds = []string{
	wrkRequest, curlRequest, browserRequest,
	"POST /a?b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n3\r\nabc\r\n0\r\nX: 1\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\nabcGET / HTTP/1.1\r\nHost: b\r\n\r\n",
	"\r\nGET http://u/x?y HTTP/1.1\r\nHost: a\r\n\r\n",
	"OPTIONS * HTTP/1.1\r\nHost: a\r\nMax-Forwards: 3\r\n\r\n",
	"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n",
	"GET / HTTP/1.0\r\nConnection: keep-alive, x\r\nx: y\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: [::1]:80\r\nConnection: Upgrade, te\r\nUpgrade: websocket\r\nTE: trailers\r\nX-Forwarded-For: 1.1.1.1\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\nConnection: host, content-length\r\nContent-Length: 0\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\nA: b\r\n c\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n",
}

// checkSpans fails unless every span of the fields lies in the head, in order.
func checkSpans(t *testing.T, fields []Field, head []byte) {
	t.Helper()
	at := uint32(0)
	for _, f := range fields {
		if f.Line.Start < at || f.Name.Start != f.Line.Start || f.Name.End <= f.Name.Start || f.Value.Start <= f.Name.End ||
			f.Value.End < f.Value.Start || f.Line.End < f.Value.End+2 || int(f.Line.End) > len(head)-2 {
			t.Fatalf("field %+v of %q", f, head)
		}
		if at = f.Line.End; !bytes.HasSuffix(f.Line.Of(head), []byte("\r\n")) || fieldOf(f.Name.Of(head)) != f.ID {
			t.Fatalf("field line %q, ID %d", f.Line.Of(head), f.ID)
		}
		if v := f.Value.Of(head); !bytes.Equal(v, bytes.Trim(v, " \t")) || bytes.ContainsAny(v, "\r\n\x00") {
			t.Fatalf("field value %q", v)
		}
	}
}

func FuzzRequest(f *testing.F) {
	for _, s := range requestSeeds {
		f.Add([]byte(s))
	}
	lim := &Limits{RequestLine: 200, HeadBytes: 400, Fields: 16}
	f.Fuzz(func(t *testing.T, b []byte) {
		var whole Request
		n, err := whole.Parse(b, lim)
		if n < 0 || n > len(b) || n != 0 && err != nil {
			t.Fatalf("Parse = %d, %v of %d bytes", n, err, len(b))
		}
		if n > 0 {
			checkRequest(t, &whole, b[:n])
		}
		// The verdict falls at one byte and never changes after it.
		var part Request
		for i := range min(len(b), 500) {
			m, partErr := part.Parse(b[:i], lim)
			if m != 0 && (m != n || partErr != nil) || m == 0 && partErr == nil && n > 0 && i >= n {
				t.Fatalf("%d of %q: %d, %v; whole: %d, %v", i, b, m, partErr, n, err)
			}
			if partErr != nil && partErr != err {
				t.Fatalf("%d of %q: %v; whole: %v", i, b, partErr, err)
			}
		}
	})
}

func checkRequest(t *testing.T, r *Request, head []byte) {
	t.Helper()
	checkSpans(t, r.Fields, head)
	if r.HeadLen != len(head) || !bytes.HasSuffix(head, []byte("\r\n\r\n")) {
		t.Fatalf("HeadLen %d of %q", r.HeadLen, head)
	}
	if r.Chunked && r.ContentLength >= 0 || r.ContentLength < -1 || r.Minor > 1 || r.Minor == 0 && (r.Chunked || r.Upgrade || r.Expect100) {
		t.Fatalf("framing %+v of %q", r, head)
	}
	if r.Minor == 1 && r.Host.Empty() || r.Target.Empty() || !isToken(r.MethodSpan.Of(head)) {
		t.Fatalf("request line %+v of %q", r, head)
	}
	if r.Form == OriginForm && (r.Path.Empty() || head[r.Path.Start] != '/') {
		t.Fatalf("path %q of %q", r.Path.Of(head), head)
	}
}

// readBody reads the body that follows a head of ours, and what is behind it.
// ok is false if it does not end well.
func readBody(kind BodyKind, length int64, b []byte) (body, rest string, ok bool) {
	switch kind {
	case LengthBody:
		if int64(len(b)) < length {
			return "", "", false
		}
		return string(b[:length]), string(b[length:]), true
	case ChunkedBody:
		var d Chunked
		for len(b) > 0 {
			data, n, done, err := d.Next(b, nil)
			body, b = body+string(data), b[n:]
			if done || err != nil {
				return body, string(b), done
			}
		}
		return "", "", false
	default:
		return "", string(b), true
	}
}

// FuzzRequestVsNetHTTP compares our reading of a request with net/http's, then
// net/http's and our own reading of what we forward. It must be one request
// with the same meaning each time.
func FuzzRequestVsNetHTTP(f *testing.F) {
	for _, s := range requestSeeds {
		f.Add([]byte(s), uint8(0))
		f.Add([]byte(s), uint8(255))
	}
	f.Fuzz(func(t *testing.T, b []byte, flags uint8) {
		var r Request
		n, err := r.Parse(b, nil)
		if n == 0 || err != nil {
			return
		}
		kind, length := r.Body()
		body, _, ok := readBody(kind, length, b[n:])
		if !ok {
			return
		}
		// net/http skips no empty line.
		theirs, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(b[r.line.Start:])))
		if err == nil && theirs.ProtoMinor == int(r.Minor) {
			compareRequest(t, &r, b, body, theirs)
		}
		checkForwarded(t, &r, b, body, flags)
	})
}

// compareRequest fails if net/http understood another request.
func compareRequest(t *testing.T, r *Request, b []byte, body string, theirs *http.Request) {
	t.Helper()
	read, err := io.ReadAll(theirs.Body)
	if err != nil {
		return // they refuse the body: its framing, or a trailer
	}
	if got := string(r.MethodSpan.Of(b)); got != theirs.Method {
		t.Fatalf("method %q, net/http %q", got, theirs.Method)
	}
	if got := string(r.Target.Of(b)); got != theirs.RequestURI {
		t.Fatalf("target %q, net/http %q", got, theirs.RequestURI)
	}
	if got := string(r.Host.Of(b)); !strings.EqualFold(got, theirs.Host) && !strings.Contains(got, "%") {
		t.Fatalf("host %q, net/http %q", got, theirs.Host)
	}
	if r.Chunked != (len(theirs.TransferEncoding) == 1) || !r.Chunked && max(r.ContentLength, 0) != theirs.ContentLength {
		t.Fatalf("length %d, chunked %v; net/http %d, %q", r.ContentLength, r.Chunked, theirs.ContentLength, theirs.TransferEncoding)
	}
	if string(read) != body {
		t.Fatalf("body %q, net/http %q", body, read)
	}
	if r.KeepAlive == theirs.Close {
		t.Fatalf("keep-alive %v, net/http close %v", r.KeepAlive, theirs.Close)
	}
}

// checkForwarded fails unless what is forwarded is one request to both
// readers.
func checkForwarded(t *testing.T, r *Request, b []byte, body string, flags uint8) {
	t.Helper()
	rw := &RequestRewrite{
		ClientIP: []byte("192.0.2.1"), Proto: "http", DefaultHost: []byte("default"), RequestID: []byte("id"),
		XForwarded: flags&1 != 0, Trusted: flags&2 != 0, Forwarded: flags&4 != 0, Upgrade: flags&8 != 0, StripExpect: flags&16 != 0,
	}
	if flags&32 != 0 {
		rw.Via = "gw"
	}
	sent := AppendRequestHead(nil, b, r, rw)
	head := len(sent)
	if kind, _ := r.Body(); kind == ChunkedBody {
		sent = append(AppendChunk(sent, []byte(body)), LastChunk...)
	} else {
		sent = append(sent, body...)
	}
	const next = "GET /next HTTP/1.1\r\nHost: next\r\n\r\n"
	sent = append(sent, next...)

	var again Request
	n, err := again.Parse(sent, &Limits{HeadBytes: 1 << 20, RequestLine: 1 << 20, Fields: 1 << 10})
	if n != head || err != nil {
		t.Fatalf("forwarded %q: Parse = %d, %v, want %d", sent, n, err, head)
	}
	kind, length := again.Body()
	if got, rest, ok := readBody(kind, length, sent[n:]); !ok || got != body || rest != next {
		t.Fatalf("forwarded %q: body %q, rest %q", sent, got, rest)
	}
	wantTarget := string(appendTarget(nil, b, r))
	if got := string(again.Target.Of(sent)); got != wantTarget || again.Minor != 1 || again.Method != r.Method {
		t.Fatalf("forwarded %q: target %q, want %q", sent, got, wantTarget)
	}
	readForwarded(t, r, b, sent, body)
}

// readForwarded reads two requests with net/http: the one forwarded and the
// next.
func readForwarded(t *testing.T, r *Request, b, sent []byte, body string) {
	t.Helper()
	in := bufio.NewReader(bytes.NewReader(sent))
	theirs, err := http.ReadRequest(in)
	if err != nil {
		return // stricter than we are, in a target's percent encoding say
	}
	read, err := io.ReadAll(theirs.Body)
	if err != nil || string(read) != body {
		t.Fatalf("forwarded %q: net/http reads body %q, %v", sent, read, err)
	}
	host := string(r.Host.Of(b))
	if host == "" {
		host = "default"
	}
	if theirs.Method != string(r.MethodSpan.Of(b)) || theirs.Header.Get("Host") != "" || !strings.Contains(host, "%") && theirs.Host != host {
		t.Fatalf("forwarded %q: net/http reads %s to %q, want host %q", sent, theirs.Method, theirs.Host, host)
	}
	if next, err := http.ReadRequest(in); err != nil || next.RequestURI != "/next" || next.Host != "next" {
		t.Fatalf("forwarded %q: net/http reads no next request: %v", sent, err)
	}
}
