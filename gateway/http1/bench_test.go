package http1

import (
	"strings"
	"testing"
)

// The requests clients of a gateway commonly send.
const (
	wrkRequest  = "GET /index.html HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n"
	curlRequest = "POST /api/v1/orders?x=1 HTTP/1.1\r\nHost: api.example.com\r\nUser-Agent: curl/8.5.0\r\nAccept: */*\r\n" +
		"Content-Type: application/json\r\nContent-Length: 27\r\n\r\n"
	browserRequest = "GET /account/settings?tab=profile HTTP/1.1\r\nHost: www.example.com\r\nConnection: keep-alive\r\n" +
		"sec-ch-ua: \"Chromium\";v=\"128\", \"Not;A=Brand\";v=\"24\", \"Google Chrome\";v=\"128\"\r\nsec-ch-ua-mobile: ?0\r\n" +
		"sec-ch-ua-platform: \"Linux\"\r\nUpgrade-Insecure-Requests: 1\r\n" +
		"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/128.0.0.0 Safari/537.36\r\n" +
		"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n" +
		"Sec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: navigate\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n" +
		"Accept-Language: en-GB,en;q=0.9\r\nCookie: session=0123456789abcdef0123456789abcdef; theme=dark\r\n\r\n"
	nginxResponse = "HTTP/1.1 200 OK\r\nServer: nginx/1.26.0\r\nDate: Sun, 22 Nov 2026 02:21:41 GMT\r\nContent-Type: text/plain\r\n" +
		"Content-Length: 127\r\nConnection: keep-alive\r\nCache-Control: max-age=60\r\n\r\n"
)

func benchRewrite() *RequestRewrite {
	return &RequestRewrite{ClientIP: []byte("192.0.2.17"), Proto: "http", XForwarded: true}
}

func BenchmarkRequest(b *testing.B) {
	for _, bm := range []struct{ name, head string }{{"wrk", wrkRequest}, {"curl", curlRequest}, {"browser", browserRequest}} {
		name, in, dst, rw := bm.name, []byte(bm.head), make([]byte, 0, 4096), benchRewrite()
		b.Run(name+"/parse", func(b *testing.B) {
			var r Request
			b.SetBytes(int64(len(in)))
			b.ReportAllocs()
			for b.Loop() {
				if n, err := r.Parse(in, nil); n == 0 || err != nil {
					b.Fatal(n, err)
				}
			}
		})
		b.Run(name+"/parse+append", func(b *testing.B) {
			var r Request
			b.ReportAllocs()
			for b.Loop() {
				if n, err := r.Parse(in, nil); n == 0 || err != nil {
					b.Fatal(n, err)
				}
				AppendRequestHead(dst, in, &r, rw)
			}
		})
	}
}

func BenchmarkResponse(b *testing.B) {
	in, dst := []byte(nginxResponse), make([]byte, 0, 4096)
	rw := &ResponseRewrite{Framing: LengthBody, Length: 127}
	var r Response
	b.ReportAllocs()
	for b.Loop() {
		if n, err := r.Parse(in, nil, MethodGet); n == 0 || err != nil {
			b.Fatal(n, err)
		}
		AppendResponseHead(dst, in, &r, rw)
	}
}

func BenchmarkChunked(b *testing.B) {
	in := []byte(strings.Repeat("10\r\n0123456789abcdef\r\n", 64) + LastChunk)
	var d Chunked
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		d.Reset()
		for rest, done := in, false; !done; {
			_, n, end, err := d.Next(rest, nil)
			if err != nil {
				b.Fatal(err)
			}
			rest, done = rest[n:], end
		}
	}
}
