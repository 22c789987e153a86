//go:build !race

package http1

import "testing"

func TestNoAllocations(t *testing.T) {
	var req Request
	var resp Response
	d := Chunked{Trailer: make([]byte, 0, 64)}
	dst := make([]byte, 0, 4096)
	full := &RequestRewrite{
		ClientIP: []byte("2001:db8::1"), Proto: "https", Trusted: true, XForwarded: true, Forwarded: true,
		Via: "gw", RequestID: []byte("id"), DefaultHost: []byte("d"), Upgrade: true,
	}
	busy := []byte("OPTIONS http://[2001:db8::2]:80/p?q HTTP/1.1\r\nHost: [::1.2.3.4]\r\nX-Forwarded-For: a\r\nConnection: te, x, upgrade\r\n" +
		"Upgrade: w\r\nTE: trailers\r\nX: y\r\nMax-Forwards: 3\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n")
	bad := []byte("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n")
	answer := []byte("HTTP/1.0 200\r\nKeep-Alive: timeout=5\r\nA : b\r\nConnection: keep-alive, x\r\nX: y\r\nContent-Length: 3\r\n\r\n")
	body := []byte("5;a=\"b\"\r\nhello\r\n0\r\nX: 1\r\nHost: a\r\n\r\n")
	request := func(head []byte, rw *RequestRewrite) func() {
		return func() {
			if n, err := req.Parse(head, nil); n != len(head) || err != nil {
				t.Fatal(n, err)
			}
			AppendRequestHead(dst, head, &req, rw)
		}
	}
	for name, f := range map[string]func(){
		"wrk":     request([]byte(wrkRequest), benchRewrite()),
		"browser": request([]byte(browserRequest), benchRewrite()),
		"busy":    request(busy, full),
		"bad": func() {
			if _, err := req.Parse(bad, nil); err == nil {
				t.Fatal("accepted")
			}
		},
		"response": func() {
			if n, err := resp.Parse(answer, nil, MethodGet); n == 0 || err != nil {
				t.Fatal(n, err)
			}
			AppendResponseHead(dst, answer, &resp, &ResponseRewrite{Framing: ChunkedBody, Via: "gw", AddDate: []byte("d"), KeepAlive10: true})
		},
		"chunked": func() {
			d.Reset()
			if _, _, done, err := d.Next(body, nil); !done || err != nil {
				t.Fatal(done, err)
			}
			AppendTrailers(AppendChunk(dst, body), d.Trailer)
		},
	} {
		if n := testing.AllocsPerRun(200, f); n != 0 {
			t.Errorf("%s: %v allocations, want 0", name, n)
		}
	}
}
