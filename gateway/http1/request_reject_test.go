package http1

import (
	"strings"
	"testing"
)

// rejectRequest checks that a head is refused with the status. What follows
// it must not matter.
func rejectRequest(t *testing.T, head string, want int) {
	t.Helper()
	var r Request
	n, err := r.Parse([]byte(head+"GET / HTTP/1.1\r\nHost: evil\r\n\r\n"), nil)
	if got := status(t, err); got != want || n != 0 {
		t.Errorf("Parse(%q) = %d, %v, want status %d", head, n, err, want)
	}
}

func TestRequestLineRefused(t *testing.T) {
	const rest = "\r\nHost: a\r\n\r\n"
	for line, want := range map[string]int{
		"":                                     400,
		"\r\n":                                 400,
		"\n":                                   400,
		" GET / HTTP/1.1":                      400,
		"\tGET / HTTP/1.1":                     400,
		"G\x00T / HTTP/1.1":                    400,
		"G(T / HTTP/1.1":                       400,
		"G\xc3T / HTTP/1.1":                    400,
		"GET":                                  400,
		"GET /":                                400,
		"GET / ":                               400,
		"GET  / HTTP/1.1":                      400,
		"GET /  HTTP/1.1":                      400,
		"GET / HTTP/1.1 ":                      400,
		"GET\t/ HTTP/1.1":                      400,
		"GET /\tHTTP/1.1":                      400,
		"GET / x HTTP/1.1":                     400,
		"GET /\r HTTP/1.1":                     400,
		"GET /\n HTTP/1.1":                     400,
		"GET /\x00 HTTP/1.1":                   400,
		"GET /\x0b HTTP/1.1":                   400,
		"GET /\x7f HTTP/1.1":                   400,
		"GET /\x80 HTTP/1.1":                   400,
		"GET /\xc3\xa9aaaaaaaaaaaa HTTP/1.1":   400,
		"GET /#f HTTP/1.1":                     400,
		"GET http://b/#f HTTP/1.1":             400,
		"GET / http/1.1":                       400,
		"GET / HTTP/1":                         400,
		"GET / HTTP/1.":                        400,
		"GET / HTTP/11.1":                      400,
		"GET / HTTP/1.10":                      400,
		"GET / HTTP/1,1":                       400,
		"GET / HTTP/+1.1":                      400,
		"GET / HTTPS/1.1":                      400,
		"GET / HTTP/ 1.1":                      400,
		"GET / HTTP/1.1\x00":                   400,
		"GET / HTTP/0.9":                       505,
		"GET / HTTP/2.0":                       505,
		"PRI * HTTP/2.0":                       505,
		"GET / HTTP/9.9":                       505,
		"GET * HTTP/1.1":                       400,
		"OPTIONS ** HTTP/1.1":                  400,
		"GET a HTTP/1.1":                       400,
		"GET a/b HTTP/1.1":                     400,
		"GET ?q HTTP/1.1":                      400,
		"GET b:80 HTTP/1.1":                    400,
		"GET http:/b/ HTTP/1.1":                400,
		"GET http:///p HTTP/1.1":               400,
		"GET http://?q HTTP/1.1":               400,
		"GET http:// HTTP/1.1":                 400,
		"GET http://u@b/ HTTP/1.1":             400,
		"GET http://u:p@b/ HTTP/1.1":           400,
		"GET http://b:x/ HTTP/1.1":             400,
		"GET http://b:65536/ HTTP/1.1":         400,
		"GET http://b\\c/ HTTP/1.1":            400,
		"GET http://b,c/ HTTP/1.1":             400,
		"GET ftp://b/ HTTP/1.1":                400,
		"GET file:///etc/passwd HTTP/1.1":      400,
		"GET ws://b/ HTTP/1.1":                 400,
		"GET ://b/ HTTP/1.1":                   400,
		"CONNECT / HTTP/1.1":                   400,
		"CONNECT * HTTP/1.1":                   400,
		"CONNECT b HTTP/1.1":                   400,
		"CONNECT b: HTTP/1.1":                  400,
		"CONNECT :443 HTTP/1.1":                400,
		"CONNECT b:0 HTTP/1.1":                 400,
		"CONNECT b:65536 HTTP/1.1":             400,
		"CONNECT b:+80 HTTP/1.1":               400,
		"CONNECT b:80a HTTP/1.1":               400,
		"CONNECT b:80/ HTTP/1.1":               400,
		"CONNECT u@b:80 HTTP/1.1":              400,
		"CONNECT http://b:80/ HTTP/1.1":        400,
		"CONNECT [::1]443 HTTP/1.1":            400,
		"CONNECT b:443#x HTTP/1.1":             400,
		"\x16\x03\x01\x02\x00\x01\x00\x01\xfc": 400,
	} {
		rejectRequest(t, line+rest, want)
	}
}

func TestEmptyLinesBeforeRequest(t *testing.T) {
	const rest = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
	for _, before := range []string{"\n", "\r", "\r\r\n", "\r\n\r\n", "\r\n\n", " \r\n", "\n\r\n"} {
		rejectRequest(t, before+rest, 400)
	}
}

func TestFieldLineRefused(t *testing.T) {
	for _, line := range []string{
		"A: b\n", "A: b\r", "A: b\rC: d\r\n", "A: b\r\r\n", "A\r: b\r\n", "A:\nb\r\n",
		"A: b\x00\r\n", "A: \x01\r\n", "A: b\x0bc\r\n", "A: b\x0c\r\n", "A: b\x1b\r\n", "A: b\x7f\r\n", "A: 0123456\x00\r\n",
		"A : b\r\n", "A\t: b\r\n", "A \r\n", "A\r\n", "A\n", ": b\r\n", " : b\r\n", ":\r\n",
		" A: b\r\n", "\tA: b\r\n", "X: y\r\n folded\r\n", "X: y\r\n\tfolded\r\n", "X:\r\n y\r\n", "X: y\r\n \r\n",
		"A B: c\r\n", "A@: b\r\n", "A\x00: b\r\n", "A\x80: b\r\n", "(A): b\r\n", "\"A\": b\r\n", "A/B: c\r\n", "A[]: b\r\n", "{A}: b\r\n",
	} {
		const start = "GET / HTTP/1.1\r\n"
		rejectRequest(t, start+line+"Host: a\r\n\r\n", 400)
		rejectRequest(t, start+"Host: a\r\n"+line+"\r\n", 400)
	}
	rejectRequest(t, "GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400)
	rejectRequest(t, "GET / HTTP/1.1\r\nHost: a\r\n\n", 400)
	rejectRequest(t, "GET / HTTP/1.1\nHost: a\n\n", 400)
}

func TestHostRefused(t *testing.T) {
	for _, fields := range []string{
		"", "Host:\r\n", "Host: \r\n", "Host: a\r\nHost: a\r\n", "Host: a\r\nhost: b\r\n", "Host : a\r\n",
		"Host: a, b\r\n", "Host: a,b\r\n", "Host: a b\r\n", "Host: u@a\r\n", "Host: u:p@a\r\n", "Host: a/b\r\n",
		"Host: a?b\r\n", "Host: a#b\r\n", "Host: a\\b\r\n", "Host: http://a\r\n", "Host: a:b\r\n", "Host: a:-1\r\n", "Host: a:+1\r\n",
		"Host: a:65536\r\n", "Host: a:080808\r\n", "Host: a:80:80\r\n", "Host: a: 80\r\n", "Host: :80\r\n", "Host: a\tb\r\n",
		"Host: \"a\"\r\n", "Host: <a>\r\n", "Host: a\xc3\xa9\r\n", "Host: a%\r\n", "Host: a%2\r\n", "Host: a%zz\r\n", "Host: a^\r\n",
		"Host: [::1\r\n", "Host: ::1\r\n", "Host: [::1]x\r\n", "Host: []\r\n", "Host: [:]\r\n", "Host: [:::]\r\n", "Host: [1:2]\r\n",
		"Host: [::1::]\r\n", "Host: [1:2:3:4:5:6:7:8:9]\r\n", "Host: [::12345]\r\n", "Host: [::g]\r\n", "Host: [fe80::1%25eth0]\r\n",
		"Host: [::1.2.3]\r\n", "Host: [::1.2.3.256]\r\n", "Host: [::1.2.3.04]\r\n", "Host: [1.2.3.4::]\r\n", "Host: [v1.x]\r\n",
		"Host: [1:2:3:4:5:6:7::8]x\r\n", "Host: [1:2:3:4::5:6:7:8]\r\n", "Host: [::1]:99999\r\n", "Host: [1:]\r\n", "Host: [:1]\r\n",
	} {
		rejectRequest(t, "GET / HTTP/1.1\r\n"+fields+"\r\n", 400)
		rejectRequest(t, "GET http://b/ HTTP/1.1\r\n"+fields+"\r\n", 400)
	}
	rejectRequest(t, "GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", 400)
	rejectRequest(t, "GET / HTTP/1.0\r\nHost: a b\r\n\r\n", 400)
}

func TestHostAccepted(t *testing.T) {
	for _, host := range []string{
		"a", "a.b-c_d~e", "a:80", "a:0", "a:65535", "a:", "127.0.0.1:8080", "a%2Fb", "a!$&'()*+;=b", "[::]", "[::1]:80", "[1:2:3:4:5:6:7:8]",
		"[::ffff:1.2.3.4]", "[1:2:3:4:5:6:1.2.3.4]", "[fe80::AbCd:0]", "[1::]", "[1:2:3::6:7:8]",
	} {
		head := "GET / HTTP/1.1\r\nHost: " + host + "\r\n\r\n"
		if r := parseRequest(t, head); string(r.Host.Of([]byte(head))) != host {
			t.Errorf("Host %q parsed as %q", host, r.Host.Of([]byte(head)))
		}
	}
}

func TestContentLengthRefused(t *testing.T) {
	for _, value := range []string{
		"", "+5", "-5", "5, 5", "5,5", "5,", "0x5", "5 5", "5a", "a", "5.0", "1e3", "5;", "\"5\"", "٥", "5\x0b", "5_0",
		"9223372036854775808", "18446744073709551621", "99999999999999999999999999",
	} {
		rejectRequest(t, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: "+value+"\r\n\r\n", 400)
	}
	for _, fields := range []string{
		"Content-Length: 5\r\nContent-Length: 5\r\n",
		"Content-Length: 5\r\ncontent-length: 6\r\n",
		"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
		"Transfer-Encoding: chunked\r\nContent-Length: 0\r\n",
		"Transfer-Encoding: gzip\r\nContent-Length: 5\r\n",
		"Transfer-Encoding:\r\nContent-Length: 5\r\n",
		"Content-Length : 5\r\n",
		"Content-Length\t: 5\r\n",
		"Content-Length\x0b: 5\r\n",
		"Content-Length\x00: 5\r\n",
	} {
		rejectRequest(t, "POST / HTTP/1.1\r\nHost: a\r\n"+fields+"\r\n", 400)
	}
}

func TestTransferEncodingRefused(t *testing.T) {
	const te = "Transfer-Encoding: "
	for fields, want := range map[string]int{
		te + "gzip\r\n":                               501,
		te + "deflate\r\n":                            501,
		te + "gzip, chunked\r\n":                      501,
		te + "gzip\r\n" + te + "chunked\r\n":          501,
		te + "xchunked\r\n":                           400,
		te + "chunkedx\r\n":                           400,
		te + "x-CHUNKED\r\n":                          400,
		te + "identity\r\n":                           400,
		te + "identity, chunked\r\n":                  400,
		te + "chunked, identity\r\n":                  400,
		te + "chunked, gzip\r\n":                      400,
		te + "chunked, chunked\r\n":                   400,
		te + "chunked\r\n" + te + "chunked\r\n":       400,
		te + "chunked\r\n" + te + "identity\r\n":      400,
		te + "chunked\r\n" + te + "x\r\n":             400,
		te + "x\r\n" + te + "chunked, x\r\n":          400,
		te + "chunked,\r\n":                           400,
		te + ",chunked\r\n":                           400,
		te + "chunked;q=1\r\n":                        400,
		te + "chunked chunked\r\n":                    400,
		te + "\r\n":                                   400,
		te + "\"chunked\"\r\n":                        400,
		te + "'chunked'\r\n":                          400,
		te + "\x0bchunked\r\n":                        400,
		te + "chunked\x0b\r\n":                        400,
		te + "\x0cchunked\r\n":                        400,
		te + "chun\x00ked\r\n":                        400,
		te + "chunked\x00\r\n":                        400,
		te + "\xa0chunked\r\n":                        400,
		te + "chunked\x85\r\n":                        400,
		te + "\r\n chunked\r\n":                       400,
		te + "\r\n\tchunked\r\n":                      400,
		te + "chunked\n":                              400,
		te + "chunked\r":                              400,
		"Transfer-Encoding : chunked\r\n":             400,
		"Transfer-Encoding\t: chunked\r\n":            400,
		"Transfer-Encoding\x0b: chunked\r\n":          400,
		"Transfer-Encoding\r\n: chunked\r\n":          400,
		"Transfer-Encoding\x00: chunked\r\n":          400,
		" Transfer-Encoding: chunked\r\n":             400,
		"X: y\nTransfer-Encoding: chunked\r\n":        400,
		"X: y\rTransfer-Encoding: chunked\r\n":        400,
		"X: y\r\n Transfer-Encoding: chunked\r\n":     400,
		"Transfer Encoding: chunked\r\n":              400,
		"Content-Length: 3\r\n" + te + "xchunked\r\n": 400,
	} {
		rejectRequest(t, "POST / HTTP/1.1\r\nHost: a\r\n"+fields+"\r\n", want)
	}
	rejectRequest(t, "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", 400)
	rejectRequest(t, "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 400)
}

func TestOtherFieldsRefused(t *testing.T) {
	for fields, want := range map[string]int{
		"Expect: 200-ok\r\n":                                  417,
		"Expect:\r\n":                                         417,
		"Expect: y 100-continue\r\n":                          417,
		"Expect: 100-continue, x\r\n":                         417,
		"Expect: 100-continue\r\nExpect: 100-continue\r\n":    417,
		"Expect: \"100-continue\"\r\n":                        417,
		"Connection: \"close\"\r\n":                           400,
		"Connection: close keep-alive\r\n":                    400,
		"Connection: close;\r\n":                              400,
		"Connection: " + strings.Repeat("a, ", 100) + "b\r\n": 431,
	} {
		rejectRequest(t, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n"+fields+"\r\n", want)
	}
	for _, value := range []string{"", "x", "-1", "+1", "1 1"} {
		rejectRequest(t, "OPTIONS * HTTP/1.1\r\nHost: a\r\nMax-Forwards: "+value+"\r\n\r\n", 400)
	}
	rejectRequest(t, "TRACE / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 1\r\nMax-Forwards: 1\r\n\r\n", 400)
}

// A slow sender of something that can never become a request is refused at
// the byte that shows it.
func TestRequestRefusedEarly(t *testing.T) {
	for _, part := range []string{
		"G\x00", " ", "\n", "\r\r", "GET\r", "GET \r", "GET /\n", "GET / X", "GET / HTTP/x", "GET / HTTP/1.1\n", "GET / HTTP/1.1\rX",
		"GET / HTTP/1.1\r\n ", "GET / HTTP/1.1\r\n:", "GET / HTTP/1.1\r\nA ", "GET / HTTP/1.1\r\nA: b\n", "GET / HTTP/1.1\r\n\n",
	} {
		var r Request
		if _, err := r.Parse([]byte(part), nil); err == nil {
			t.Errorf("Parse(%q) waits for more", part)
		}
	}
}
