package http1

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// status returns the status of err, 0 for nil.
func status(t *testing.T, err error) int {
	t.Helper()
	if err == nil {
		return 0
	}
	var e *Error
	if !errors.As(err, &e) || e.Status == 0 || e.Reason == "" {
		t.Fatalf("error %#v is no complete *Error", err)
	}
	return e.Status
}

// parseRequest parses a whole head or fails the test.
func parseRequest(t *testing.T, head string) *Request {
	t.Helper()
	r := &Request{}
	n, err := r.Parse([]byte(head), nil)
	if err != nil || n == 0 {
		t.Fatalf("Parse(%q) = %d, %v", head, n, err)
	}
	return r
}

func TestRequestMeaning(t *testing.T) {
	type meaning struct {
		Method             Method
		Form               TargetForm
		Path, Query, Host  string
		Minor              uint8
		Length             int64
		Chunked, KeepAlive bool
	}
	const h = "Host: a.example\r\n"
	get := meaning{Method: MethodGet, Path: "/", Host: "a.example", Minor: 1, Length: -1, KeepAlive: true}
	with := func(change func(*meaning)) meaning { m := get; change(&m); return m }
	for _, tt := range []struct {
		head string
		want meaning
	}{
		{"GET / HTTP/1.1\r\n" + h + "\r\n", get},
		{"\r\nGET / HTTP/1.1\r\n" + h + "\r\n", get},
		{"GET / HTTP/1.2\r\n" + h + "\r\n", get},
		{"GET / HTTP/1.1\r\nhOsT:a.example\t \r\n\r\n", get},
		{"GET / HTTP/1.1\r\nA_b: \x80\xff\t,\r\n" + h + "Empty:\r\n\r\n", get},
		{"GET /a?b?c HTTP/1.1\r\n" + h + "\r\n", with(func(m *meaning) { m.Path, m.Query = "/a", "b?c" })},
		{"GET //x/../%2e?{|}\"<> HTTP/1.1\r\n" + h + "\r\n", with(func(m *meaning) { m.Path, m.Query = "//x/../%2e", `{|}"<>` })},
		{"get / HTTP/1.1\r\n" + h + "\r\n", with(func(m *meaning) { m.Method = MethodOther })},
		{"GET HtTp://b:81/p?q HTTP/1.1\r\n" + h + "\r\n", with(func(m *meaning) {
			m.Form, m.Path, m.Query, m.Host = AbsoluteForm, "/p", "q", "b:81"
		})},
		{"GET https://b HTTP/1.1\r\n" + h + "\r\n", with(func(m *meaning) { m.Form, m.Path, m.Host = AbsoluteForm, "", "b" })},
		{"GET http://[::1]?q HTTP/1.1\r\n" + h + "\r\n", with(func(m *meaning) {
			m.Form, m.Path, m.Query, m.Host = AbsoluteForm, "", "q", "[::1]"
		})},
		{"OPTIONS * HTTP/1.1\r\n" + h + "\r\n", with(func(m *meaning) { m.Method, m.Form, m.Path = MethodOptions, AsteriskForm, "" })},
		{"CONNECT b:443 HTTP/1.1\r\n" + h + "\r\n", with(func(m *meaning) {
			m.Method, m.Form, m.Path, m.Host = MethodConnect, AuthorityForm, "", "b:443"
		})},
		{"POST / HTTP/1.1\r\n" + h + "Content-Length: 007\r\n\r\n", with(func(m *meaning) { m.Method, m.Length = MethodPost, 7 })},
		{"GET / HTTP/1.1\r\n" + h + "Content-Length: 0\r\n\r\n", with(func(m *meaning) { m.Length = 0 })},
		{
			"GET / HTTP/1.1\r\n" + h + "Content-Length: 9223372036854775807\r\n\r\n",
			with(func(m *meaning) { m.Length = 1<<63 - 1 }),
		},
		{"GET / HTTP/1.1\r\n" + h + "transfer-encoding:\tChunked \r\n\r\n", with(func(m *meaning) { m.Chunked = true })},
		{"GET / HTTP/1.1\r\n" + h + "Connection: x, ,\tClOsE\r\n\r\n", with(func(m *meaning) { m.KeepAlive = false })},
		{"GET / HTTP/1.0\r\n\r\n", with(func(m *meaning) { m.Minor, m.Host, m.KeepAlive = 0, "", false })},
		{"GET / HTTP/1.0\r\nHost:\r\n\r\n", with(func(m *meaning) { m.Minor, m.Host, m.KeepAlive = 0, "", false })},
		{
			"GET / HTTP/1.0\r\n" + h + "Connection: a\r\nConnection: Keep-Alive\r\n\r\n",
			with(func(m *meaning) { m.Minor = 0 }),
		},
		{
			"GET / HTTP/1.0\r\n" + h + "Connection: keep-alive, close\r\n\r\n",
			with(func(m *meaning) { m.Minor, m.KeepAlive = 0, false }),
		},
	} {
		r, b := parseRequest(t, tt.head), []byte(tt.head)
		got := meaning{
			r.Method, r.Form, string(r.Path.Of(b)), string(r.Query.Of(b)), string(r.Host.Of(b)),
			r.Minor, r.ContentLength, r.Chunked, r.KeepAlive,
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", tt.head, diff)
		}
		if r.HeadLen != len(tt.head) {
			t.Errorf("%q: HeadLen %d, want %d", tt.head, r.HeadLen, len(tt.head))
		}
	}
}

func TestRequestAsks(t *testing.T) {
	type asks struct {
		Expect100, Upgrade, TETrailers bool
		MaxForwards                    int
	}
	const h = " HTTP/1.1\r\nHost: a\r\n"
	for _, tt := range []struct {
		head string
		want asks
	}{
		{"GET /" + h + "\r\n", asks{MaxForwards: -1}},
		{"POST /" + h + "Expect: 100-Continue\r\nContent-Length: 1\r\n\r\n", asks{Expect100: true, MaxForwards: -1}},
		{"POST /" + h + "Expect: 100-continue\r\n\r\n", asks{MaxForwards: -1}},
		{"POST / HTTP/1.0\r\nExpect: x\r\nContent-Length: 1\r\n\r\n", asks{MaxForwards: -1}},
		{"GET /" + h + "Connection: keep-alive, upgrade\r\nUpgrade: websocket\r\n\r\n", asks{Upgrade: true, MaxForwards: -1}},
		{"GET /" + h + "Upgrade: websocket\r\n\r\n", asks{MaxForwards: -1}},
		{"GET /" + h + "Connection: upgrade\r\n\r\n", asks{MaxForwards: -1}},
		{"GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", asks{MaxForwards: -1}},
		{"GET /" + h + "Connection: upgrade\r\nUpgrade: websocket, H2C\r\n\r\n", asks{MaxForwards: -1}},
		{"GET /" + h + "Connection: upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c/1\r\n\r\n", asks{MaxForwards: -1}},
		{"GET /" + h + "Connection: te\r\nTE: gzip;q=0.5, Trailers\r\n\r\n", asks{TETrailers: true, MaxForwards: -1}},
		{"GET /" + h + "TE: gzip\r\n\r\n", asks{MaxForwards: -1}},
		{"GET /" + h + "Max-Forwards: x\r\n\r\n", asks{MaxForwards: -1}},
		{"TRACE /" + h + "Max-Forwards: 5\r\n\r\n", asks{MaxForwards: 5}},
		{"OPTIONS *" + h + "Max-Forwards: 99999999999\r\n\r\n", asks{MaxForwards: 1<<31 - 1}},
	} {
		r := parseRequest(t, tt.head)
		if diff := cmp.Diff(tt.want, asks{r.Expect100, r.Upgrade, r.TETrailers, r.MaxForwards}); diff != "" {
			t.Errorf("%q (-want +got):\n%s", tt.head, diff)
		}
	}
}

func TestRequestBodyKind(t *testing.T) {
	for fields, want := range map[string]BodyKind{
		"":                               NoBody,
		"Content-Length: 0\r\n":          NoBody,
		"Content-Length: 3\r\n":          LengthBody,
		"Transfer-Encoding: chunked\r\n": ChunkedBody,
	} {
		r := parseRequest(t, "GET / HTTP/1.1\r\nHost: a\r\n"+fields+"\r\n")
		if got, _ := r.Body(); got != want {
			t.Errorf("%q: body %d, want %d", fields, got, want)
		}
	}
}

func TestRequestIncompleteUntilItsLastByte(t *testing.T) {
	const head = "\r\nPOST http://b/c?d HTTP/1.1\r\nHost: a\r\nConnection: te\r\nTE: trailers\r\nContent-Length: 3\r\n\r\n"
	for i := range len(head) {
		var r Request
		if n, err := r.Parse([]byte(head[:i]), nil); n != 0 || err != nil {
			t.Fatalf("Parse(%q) = %d, %v, want incomplete", head[:i], n, err)
		}
	}
	var r Request
	if n, err := r.Parse([]byte(head+"body"), nil); n != len(head) || err != nil {
		t.Fatalf("Parse = %d, %v, want %d", n, err, len(head))
	}
}

func TestRequestReuseKeepsNothing(t *testing.T) {
	var r, fresh Request
	first := "OPTIONS http://x/p?q HTTP/1.1\r\nHost: a\r\nMax-Forwards: 1\r\nConnection: upgrade, close\r\nUpgrade: w\r\n" +
		"Expect: 100-continue\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\n\r\n"
	second := []byte("GET / HTTP/1.0\r\n\r\n")
	for _, step := range []func() (int, error){
		func() (int, error) { return r.Parse([]byte(first), nil) },
		func() (int, error) { return r.Parse(second, nil) },
		func() (int, error) { return fresh.Parse(second, nil) },
	} {
		if n, err := step(); n == 0 || err != nil {
			t.Fatal(n, err)
		}
	}
	r.Fields, fresh.Fields = nil, nil
	if diff := cmp.Diff(fresh, r, cmp.AllowUnexported(Request{})); diff != "" {
		t.Errorf("a reused Request differs (-fresh +reused):\n%s", diff)
	}
}

func TestRequestLimits(t *testing.T) {
	lim := &Limits{RequestLine: 64, HeadBytes: 128, Fields: 3}
	long := strings.Repeat("x", 200)
	const line = "GET / HTTP/1.1\r\nHost: a\r\n"
	for _, tt := range []struct {
		name, head string
		lim        *Limits
		want       int
	}{
		{"a line of the limit", "GET /" + long[:64-16] + " HTTP/1.1\r\nHost: a\r\n\r\n", lim, 0},
		{"a line one longer", "GET /" + long[:65-16] + " HTTP/1.1\r\nHost: a\r\n\r\n", lim, 414},
		{"an unfinished line", "GET /" + long[:64-5], lim, 414},
		{"an unfinished method", long[:64], lim, 501},
		{"a head of the limit", line + "A: " + long[:128-25-7] + "\r\n\r\n", lim, 0},
		{"a head one longer", line + "A: " + long[:128-25-6] + "\r\n\r\n", lim, 431},
		{"an unfinished head", line + "A: " + long[:128-25-3], lim, 431},
		{"an empty line before counts not", "\r\n" + line + "A: " + long[:128-25-7] + "\r\n\r\n", lim, 0},
		{"fields of the limit", line + "A:\r\nB:\r\n\r\n", lim, 0},
		{"a field more", line + "A:\r\nB:\r\nC:\r\n\r\n", lim, 431},
		{"8000 octets", "GET /" + strings.Repeat("x", 7999-16+2) + " HTTP/1.1\r\nHost: a\r\n\r\n", nil, 0},
		{"9000 octets", "GET /" + strings.Repeat("x", 9000), nil, 414},
		{"64 options", line + "Connection: a" + strings.Repeat(",a", 63) + "\r\n\r\n", nil, 0},
		{"65 options", line + "Connection: a" + strings.Repeat(",a", 64) + "\r\n\r\n", nil, 431},
		{"128 fields", line + strings.Repeat("A:\r\n", 127) + "\r\n", nil, 0},
		{"129 fields", line + strings.Repeat("A:\r\n", 128) + "\r\n", nil, 431},
		{"40 KiB", line + strings.Repeat("A: "+long+"\r\n", 200), nil, 431},
	} {
		var r Request
		n, err := r.Parse([]byte(tt.head), tt.lim)
		if got := status(t, err); got != tt.want || (n == len(tt.head)) != (tt.want == 0) {
			t.Errorf("%s: Parse = %d, %v, want status %d", tt.name, n, err, tt.want)
		}
	}
}

func TestIdempotent(t *testing.T) {
	for method, want := range map[string]bool{
		"GET": true, "HEAD": true, "PUT": true, "DELETE": true, "OPTIONS": true, "TRACE": true,
		"POST": false, "PATCH": false, "CONNECT": false, "get": false, "PROPFIND": false,
	} {
		if got := methodOf([]byte(method)).Idempotent(); got != want {
			t.Errorf("%s: idempotent %v, want %v", method, got, want)
		}
	}
}
