package http1

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// parseResponse parses a whole head of a response to method or fails the test.
func parseResponse(t *testing.T, head string, method Method) *Response {
	t.Helper()
	r := &Response{}
	n, err := r.Parse([]byte(head), nil, method)
	if err != nil || n != len(head) {
		t.Fatalf("Parse(%q) = %d, %v", head, n, err)
	}
	return r
}

func TestResponseMeaning(t *testing.T) {
	type meaning struct {
		Status    int
		Minor     uint8
		Reason    string
		Kind      BodyKind
		Length    int64
		KeepAlive bool
		Timeout   int
		Upgrade   bool
	}
	ok := meaning{Status: 200, Minor: 1, Reason: "OK", Length: -1, Kind: CloseBody, Timeout: -1}
	with := func(change func(*meaning)) meaning { m := ok; change(&m); return m }
	const cl = "Content-Length: 5\r\n"
	for _, tt := range []struct {
		head   string
		method Method
		want   meaning
	}{
		{"HTTP/1.1 200 OK\r\n\r\n", MethodGet, ok},
		{"HTTP/1.7 200 OK\r\n\r\n", MethodGet, ok},
		{"HTTP/1.1 200\r\n\r\n", MethodGet, with(func(m *meaning) { m.Reason = "" })},
		{"HTTP/1.1 200 \r\n\r\n", MethodGet, with(func(m *meaning) { m.Reason = "" })},
		{"HTTP/1.1 200 \t\xe9 x\r\n\r\n", MethodGet, with(func(m *meaning) { m.Reason = "\t\xe9 x" })},
		{"HTTP/1.1 200 OK\r\n" + cl + "\r\n", MethodGet, with(func(m *meaning) { m.Kind, m.Length, m.KeepAlive = LengthBody, 5, true })},
		{"HTTP/1.1 200 OK\r\nContent-Length \t: 5\r\n\r\n", MethodGet, with(func(m *meaning) { m.Kind, m.Length, m.KeepAlive = LengthBody, 5, true })},
		{"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", MethodGet, with(func(m *meaning) { m.Kind, m.Length, m.KeepAlive = NoBody, 0, true })},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n", MethodGet, with(func(m *meaning) { m.Kind, m.KeepAlive = ChunkedBody, true })},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", MethodHead, with(func(m *meaning) { m.Kind, m.KeepAlive = NoBody, true })},
		{"HTTP/1.1 200 OK\r\n" + cl + "\r\n", MethodHead, with(func(m *meaning) { m.Kind, m.Length, m.KeepAlive = NoBody, 5, true })},
		{"HTTP/1.1 304 OK\r\n" + cl + "\r\n", MethodGet, with(func(m *meaning) { m.Status, m.Kind, m.Length, m.KeepAlive = 304, NoBody, 5, true })},
		{"HTTP/1.1 204 OK\r\n" + cl + "\r\n", MethodGet, with(func(m *meaning) { m.Status, m.Kind, m.KeepAlive = 204, NoBody, true })},
		{
			"HTTP/1.1 204 OK\r\nTransfer-Encoding: chunked\r\n" + cl + "\r\n", MethodGet,
			with(func(m *meaning) { m.Status, m.Kind, m.KeepAlive = 204, NoBody, true }),
		},
		{"HTTP/1.1 103 OK\r\n" + cl + "\r\n", MethodGet, with(func(m *meaning) { m.Status, m.Kind, m.KeepAlive = 103, NoBody, true })},
		{"HTTP/1.1 200 OK\r\n" + cl + "\r\n", MethodConnect, with(func(m *meaning) { m.Kind, m.KeepAlive = NoBody, true })},
		{"HTTP/1.1 400 OK\r\n" + cl + "\r\n", MethodConnect, with(func(m *meaning) { m.Status, m.Kind, m.Length, m.KeepAlive = 400, LengthBody, 5, true })},
		{"HTTP/1.0 200 OK\r\n" + cl + "\r\n", MethodGet, with(func(m *meaning) { m.Minor, m.Kind, m.Length = 0, LengthBody, 5 })},
		{
			"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\n" + cl + "\r\n", MethodGet,
			with(func(m *meaning) { m.Minor, m.Kind, m.Length, m.KeepAlive = 0, LengthBody, 5, true }),
		},
		{"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n", MethodGet, with(func(m *meaning) { m.Minor = 0 })},
		{"HTTP/1.1 200 OK\r\nConnection: x, CLOSE\r\n" + cl + "\r\n", MethodGet, with(func(m *meaning) { m.Kind, m.Length = LengthBody, 5 })},
		{
			"HTTP/1.1 200 OK\r\nKeep-Alive: max=9, Timeout=5\r\nKeep-Alive: timeout=4;x, timeout=6\r\n" + cl + "\r\n", MethodGet,
			with(func(m *meaning) { m.Kind, m.Length, m.KeepAlive, m.Timeout = LengthBody, 5, true, 5 }),
		},
		{"HTTP/1.1 101 OK\r\nConnection: upgrade\r\nUpgrade: w\r\n\r\n", MethodGet, with(func(m *meaning) { m.Status, m.Kind, m.KeepAlive, m.Upgrade = 101, NoBody, true, true })},
		{"HTTP/1.1 101 OK\r\nUpgrade: w\r\n\r\n", MethodGet, with(func(m *meaning) { m.Status, m.Kind, m.KeepAlive = 101, NoBody, true })},
		{"HTTP/1.1 200 OK\r\nConnection: upgrade\r\nUpgrade: w\r\n\r\n", MethodGet, ok},
	} {
		r := parseResponse(t, tt.head, tt.method)
		kind, n := r.Body(tt.method)
		if kind == LengthBody && n != r.ContentLength {
			t.Errorf("%q: Body length %d, ContentLength %d", tt.head, n, r.ContentLength)
		}
		got := meaning{
			r.Status, r.Minor, string(r.Reason.Of([]byte(tt.head))), kind, r.ContentLength,
			r.KeepAlive, r.KeepAliveTimeout, r.Upgrade,
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%q to %d (-want +got):\n%s", tt.head, tt.method, diff)
		}
	}
}

func TestResponseRefused(t *testing.T) {
	const start = "HTTP/1.1 200 OK\r\n"
	const te, cl = "Transfer-Encoding: ", "Content-Length: "
	for _, head := range []string{
		"\r\n" + start, "HTTP/2.0 200 OK\r\n", "HTTP/0.9 200 OK\r\n", "http/1.1 200 OK\r\n", "HTTP/1.1  200 OK\r\n", "HTTP/1.1\t200 OK\r\n",
		"HTTP/1.1 20 OK\r\n", "HTTP/1.1 2000 OK\r\n", "HTTP/1.1 099 OK\r\n", "HTTP/1.1 600 OK\r\n", "HTTP/1.1 +20 OK\r\n", "HTTP/1.1 2x0 OK\r\n",
		"HTTP/1.1 200OK\r\n", "HTTP/1.1 200\tOK\r\n", "HTTP/1.1 200 O\x00K\r\n", "HTTP/1.1 200 OK\n", "HTTP/1.1 200\n", "HTTP/1.1 200 O\rK\r\n", "HTTP/1.1\r\n",
		"ICY 200 OK\r\n", "HTTP/1.1 200 O\x7fK\r\n",
		start + "A: b\x00\r\n", start + "A: \x01\r\n", start + "A: b\n", start + "A: b\rc\r\n", start + " A: b\r\n", start + "A: b\r\n c\r\n",
		start + "A: b\r\n\tc\r\n", start + ": b\r\n", start + " : b\r\n", start + "A b: c\r\n", start + "A\r\n", start + "A \r\n", start + "A\x00: b\r\n",
		start + cl + "5\r\n" + cl + "5\r\n", start + cl + "5\r\n" + cl + "6\r\n", start + cl + "5, 5\r\n", start + cl + "+5\r\n", start + cl + "\r\n",
		start + cl + "0x5\r\n", start + cl + "9223372036854775808\r\n", start + cl + "5 5\r\n",
		start + cl + "5\r\n" + te + "chunked\r\n", start + te + "gzip\r\n", start + te + "gzip, chunked\r\n", start + te + "chunked, gzip\r\n",
		start + te + "chunked\r\n" + te + "chunked\r\n", start + te + "xchunked\r\n", start + te + "identity\r\n", start + te + "\r\n", start + te + "\x0bchunked\r\n",
		start + te + "\"chunked\"\r\n", start + te + "chunked;x\r\n", start + "Connection: a b\r\n",
		"HTTP/1.0 200 OK\r\n" + te + "chunked\r\n",
	} {
		var r Response
		n, err := r.Parse([]byte(head+"\r\n"), nil, MethodGet)
		if got := status(t, err); got != 502 || n != 0 {
			t.Errorf("Parse(%q) = %d, %v, want status 502", head, n, err)
		}
	}
}

func TestResponseIncompleteUntilItsLastByte(t *testing.T) {
	const head = "HTTP/1.1 200 OK\r\nKeep-Alive : timeout=5\r\nContent-Length: 3\r\n\r\n"
	for i := range len(head) {
		var r Response
		if n, err := r.Parse([]byte(head[:i]), nil, MethodGet); n != 0 || err != nil {
			t.Fatalf("Parse(%q) = %d, %v, want incomplete", head[:i], n, err)
		}
	}
	parseResponse(t, head, MethodGet)
}

func TestResponseLimits(t *testing.T) {
	lim := &Limits{RequestLine: 20, HeadBytes: 42, Fields: 2}
	for head, want := range map[string]int{
		"HTTP/1.1 200 abcde\r\n\r\n":                        0,
		"HTTP/1.1 200 abcdef\r\n\r\n":                       502,
		"HTTP/1.1 200 abcdefghi":                            502,
		"HTTP/1.1 200 OK\r\nA: 1\r\nB: 2\r\n\r\n":           0,
		"HTTP/1.1 200 OK\r\nA: 1\r\nB: 2\r\nC: 3\r\n\r\n":   502,
		"HTTP/1.1 200 OK\r\nA: 789012345678901234\r\n\r\n":  0,
		"HTTP/1.1 200 OK\r\nA: 7890123456789012345\r\n\r\n": 502,
		"HTTP/1.1 200 OK\r\nA: 789012345678901234567890":    502,
	} {
		var r Response
		if n, err := r.Parse([]byte(head), lim, MethodGet); status(t, err) != want {
			t.Errorf("Parse(%q) = %d, %v, want status %d", head, n, err, want)
		}
	}
}
