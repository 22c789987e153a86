package http1

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"
)

// FuzzChunked checks that a body means the same however it is split, and that
// a body we accept holds what net/http finds in it, and ends where it ends.
func FuzzChunked(f *testing.F) {
	for _, s := range []string{
		"0\r\n\r\n", "5\r\nhello\r\n0\r\n\r\nGET /", "1;a=\"b\\\"\" ; c\r\nx\r\n00;d\r\nX: 1\r\nHost: a\r\n\r\n", "3\r\nab", "3\r\nabc0\r\n",
		"ffffffffffffffff\r\n", "5\nhello\n0\n\n", "1;a\nx\r\n0\r\n\r\n", "0\r\nA: b\r\n c\r\n\r\n", "2 \r\nab\r\n0\r\n\r\n",
	} {
		f.Add(s, uint8(1))
	}
	lim := &Limits{ChunkExt: 40, Trailer: 200, Fields: 8}
	f.Fuzz(func(t *testing.T, body string, step uint8) {
		whole := decode(t, body, len(body), lim)
		if split := decode(t, body, int(step)+1, lim); split != whole {
			t.Fatalf("%q: in steps of %d %+v, whole %+v", body, int(step)+1, split, whole)
		}
		if whole.N > len(body) || whole.Done && whole.Status != 0 {
			t.Fatalf("%q: %+v", body, whole)
		}
		if !whole.Done {
			return
		}
		if again := decode(t, string(AppendTrailers(nil, []byte(whole.Trailer))), 1, nil); again.Trailer != whole.Trailer || !again.Done {
			t.Fatalf("trailer %q forwarded reads as %+v", whole.Trailer, again)
		}
		const head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
		const next = "GET /next HTTP/1.1\r\nHost: a\r\n\r\n"
		in := bufio.NewReader(strings.NewReader(head + body[:whole.N] + next))
		theirs, err := http.ReadRequest(in)
		if err != nil {
			t.Fatal(err)
		}
		read, err := io.ReadAll(theirs.Body)
		if err != nil {
			return // they refuse it
		}
		if string(read) != whole.Body {
			t.Fatalf("%q: body %q, net/http %q", body, whole.Body, read)
		}
		if after, err := http.ReadRequest(in); err != nil || after.RequestURI != "/next" {
			t.Fatalf("%q: net/http ends elsewhere: %v", body, err)
		}
	})
}
