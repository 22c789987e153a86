package http1

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// decoded is all that a decoder says of a body.
type decoded struct {
	Body, Trailer string
	N             int // bytes consumed
	Done          bool
	Status        int
}

// decode feeds body to a fresh decoder, at most step bytes at a time.
func decode(t *testing.T, body string, step int, lim *Limits) decoded {
	t.Helper()
	d := Chunked{Trailer: make([]byte, 0, 64)}
	var out decoded
	for !out.Done && out.N < len(body) {
		in := []byte(body[out.N:min(len(body), out.N+step)])
		data, n, done, err := d.Next(in, lim)
		out.Body += string(data)
		out.N, out.Done = out.N+n, done
		if err != nil {
			out.Status = status(t, err)
			if _, _, _, again := d.Next(in, lim); again != err {
				t.Errorf("Next after %v returned %v", err, again)
			}
			return out
		}
		if n == 0 {
			t.Fatalf("Next(%q) makes no progress", in)
		}
	}
	out.Trailer = string(d.Trailer)
	return out
}

// decodeAll decodes in one piece and checks that any other split says the
// same.
func decodeAll(t *testing.T, body string, lim *Limits) decoded {
	t.Helper()
	whole := decode(t, body, len(body), lim)
	for _, step := range []int{1, 2, 3, 7} {
		if diff := cmp.Diff(whole, decode(t, body, step, lim)); diff != "" {
			t.Errorf("%q in steps of %d (-whole +split):\n%s", body, step, diff)
		}
	}
	return whole
}

func TestChunkedBodies(t *testing.T) {
	for in, want := range map[string]string{
		"0\r\n\r\n":                              "",
		"000\r\n\r\n":                            "",
		"5\r\nhello\r\n0\r\n\r\n":                "hello",
		"0000000000000005\r\nhello\r\n0\r\n\r\n": "hello",
		"a\r\n0123456789\r\nA\r\n9876543210\r\n0\r\n\r\n": "01234567899876543210",
		"2\r\n\r\n\r\n0\r\n\r\n":                          "\r\n",
		"1;a\r\nx\r\n0;b=c\r\n\r\n":                       "x",
		"1;a=\"q\\\"\t;\xff\"\r\nx\r\n0\r\n\r\n":          "x",
		"1 ; a = b ; c\r\nx\r\n0\r\n\r\n":                 "x",
		"1;a=\"\";b\r\nx\r\n0\r\n\r\n":                    "x",
	} {
		for _, after := range []string{"", "GET / HTTP/1.1\r\n"} {
			got := decodeAll(t, in+after, nil)
			if got.Body != want || !got.Done || got.N != len(in) {
				t.Errorf("%q: got %+v, want body %q in %d bytes", in+after, got, want, len(in))
			}
		}
	}
}

func TestChunkedRefused(t *testing.T) {
	for _, in := range []string{
		"\r\n", "\n", ";a\r\n", " 5\r\n", "+5\r\n", "-5\r\n", "0x5\r\n", "5x\r\n", "g\r\n", "5 \r\n", "5\t\r\n", "5 5\r\n", "5_0\r\n", "\"5\"\r\n", "5,5\r\n",
		"5\n", "5\rx", "5\r\r\n", "5\x00\r\n", "5.\r\n", "\x005\r\n",
		"00000000000000005\r\n", "ffffffffffffffff\r\n", "4000000000000001\r\n", "8000000000000000\r\n", "10000000000000000\r\n",
		"1;\r\n", "1;;\r\n", "1;a=\r\n", "1;=b\r\n", "1;a\n", "1;a\r\r\n", "1;a\rb\r\n", "1;a=\"\n\"\r\n", "1;a=\"b\r\n\"\r\n", "1;a=\"b\"c\r\n", "1;a b\r\n",
		"1;a \r\n", "1;a=b=c\r\n", "1;a=\"\\\r\"\r\n", "1;\x00\r\n", "1;a=\x80\r\n", "1 a\r\n",
		"1\r\nxx\r\n", "1\r\nx\n", "1\r\nx\rx", "1\r\nx0\r\n", "1\r\nx\r\r\n",
	} {
		if got := decodeAll(t, in+"0\r\n\r\n", nil); got.Status != 400 || got.Done {
			t.Errorf("%q: got %+v, want status 400", in, got)
		}
	}
}

func TestChunkedTrailersRefused(t *testing.T) {
	for _, in := range []string{
		"\n", "\rx", "A: b\n", "A: b\rc\r\n", "A: b\x00\r\n", "A : b\r\n", " A: b\r\n", ": b\r\n", "A\r\n", "A b: c\r\n", "A: b\r\n c\r\n", "A: b\r\n\n",
		"GET / HTTP/1.1\r\n", "A: b\r\n\rx",
	} {
		if got := decodeAll(t, "0\r\n"+in+"\r\n", nil); got.Status != 400 || got.Done {
			t.Errorf("%q: got %+v, want status 400", in, got)
		}
	}
}

func TestChunkedLargestSize(t *testing.T) {
	got := decodeAll(t, "4000000000000000\r\nabc", nil)
	if diff := cmp.Diff(decoded{Body: "abc", N: 21}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Data in front of a fault are handed out before the fault is told.
func TestChunkedDataBeforeFault(t *testing.T) {
	got := decodeAll(t, "3\r\nabc\r\nx\r\n", nil)
	if diff := cmp.Diff(decoded{Body: "abc", N: 8, Status: 400}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestChunkedLimits(t *testing.T) {
	lim := &Limits{ChunkExt: 8, Trailer: 16, Fields: 2}
	chunk := "1;a34567\r\nx\r\n" // 8 bytes of extension, its CR counted
	for in, want := range map[string]int{
		chunk + "0\r\n\r\n":                     0,
		"1;2345678\r\nx\r\n":                    400,
		strings.Repeat(chunk, 64) + "0\r\n\r\n": 0,
		strings.Repeat(chunk, 65):               400,
		"0\r\nA: 4567890123\r\n\r\n":            431,
		"0\r\nA: 456789012\r\n\r\n":             0,
		"0\r\nA:\r\nB:\r\n\r\n":                 0,
		"0\r\nA:\r\nB:\r\nC:\r\n\r\n":           431,
		"0\r\nA: " + strings.Repeat("x", 99):    431,
	} {
		if got := decodeAll(t, in, lim); got.Status != want || got.Done != (want == 0) {
			t.Errorf("%q: got %+v, want status %d", in, got, want)
		}
	}
}

func TestTrailersForwarded(t *testing.T) {
	for in, want := range map[string]string{
		"X-Checksum: 1\r\n":                                            "X-Checksum: 1\r\n",
		"a:\r\nServer-Timing:\t x \r\n":                                "a:\r\nServer-Timing:\t x \r\n",
		"X-A: 1\r\nContent-Length: 5\r\nX-B: 2\r\n":                    "X-A: 1\r\nX-B: 2\r\n",
		"X-A: " + strings.Repeat("x", 57) + "\r\n":                     "X-A: " + strings.Repeat("x", 57) + "\r\n", // 64 bytes, the capacity
		"X-A: " + strings.Repeat("x", 58) + "\r\n":                     "",
		"X-A: 1\r\nX-B: " + strings.Repeat("x", 99) + "\r\nX-C: 1\r\n": "",
	} {
		if got := decodeAll(t, "0\r\n"+in+"\r\n", nil); !got.Done || got.Trailer != want {
			t.Errorf("%q: got %+v, want trailer %q", in, got, want)
		}
	}
}

func TestTrailersNeverForwarded(t *testing.T) {
	for _, name := range []string{
		"Host", "Content-Length", "transfer-encoding", "Content-Type", "Connection", "Keep-Alive", "Upgrade", "TE", "Trailer", "Via", "Forwarded",
		"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "x-forwarded-port", "X-Request-ID", "X-Real-IP", "Authorization", "Cookie",
		"Set-Cookie", "WWW-Authenticate", "Proxy-Authorization", "Proxy-Connection", "Proxy-X", "Expect", "Max-Forwards", "Cache-Control", "If-Match",
		"Range", "Date", "Location", "HTTP2-Settings",
	} {
		if got := decodeAll(t, "0\r\n"+name+": x\r\n\r\n", nil); !got.Done || got.Trailer != "" {
			t.Errorf("%s: got %+v, want no trailer", name, got)
		}
	}
}

func TestChunkedReset(t *testing.T) {
	d := Chunked{Trailer: make([]byte, 0, 16)}
	for _, body := range []string{"1\r\nx\r\n0\r\nA: 1\r\n\r\n", "bad!", "0\r\nA: 1\r\n\r\n"} {
		d.Reset()
		_, _, done, err := d.Next([]byte(body), nil)
		if bad := body == "bad!"; done == bad || (err != nil) != bad {
			t.Errorf("%q after Reset: done %v, error %v", body, done, err)
		}
	}
	if string(d.Trailer) != "A: 1\r\n" {
		t.Errorf("trailer %q", d.Trailer)
	}
}

func TestAppendChunks(t *testing.T) {
	b := AppendChunk([]byte("x"), []byte("hello world, hello"))
	b = AppendChunk(b, nil)
	b = append(AppendChunkHeader(b, 1), "y\r\n"...)
	b = AppendTrailers(b, []byte("A: 1\r\n"))
	const want = "x12\r\nhello world, hello\r\n1\r\ny\r\n0\r\nA: 1\r\n\r\n"
	if string(b) != want {
		t.Errorf("got %q, want %q", b, want)
	}
	if got := string(AppendTrailers(nil, nil)); got != LastChunk {
		t.Errorf("no trailers: got %q, want %q", got, LastChunk)
	}
}
