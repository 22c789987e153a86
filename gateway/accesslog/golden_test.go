package accesslog

import (
	"bytes"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// nginxRequests are the requests of testdata/nginx/capture.py as the engine
// would describe them, with the times nginx measured.
func nginxRequests() []Entry {
	const (
		dead = "127.0.0.1:18471"
		live = "127.0.0.1:18472"
	)
	base := time.UnixMilli(1795314882000).UTC()
	req := func(ms int, method, target string, length int64, host string) Entry {
		e := Entry{
			Time: base.Add(time.Duration(ms) * time.Millisecond), ClientIP: []byte("127.0.0.1"),
			Method: []byte(method), Target: []byte(target), Minor: 1, Host: []byte(host), RequestBytes: length,
			Status: 200, BytesSent: 148, BodyBytesSent: 6,
			UpstreamAddrs: []string{live}, UpstreamStatus: []int{200},
		}
		return e
	}
	again := func(e Entry) Entry { // the first server refused
		e.UpstreamAddrs, e.UpstreamStatus = []string{dead, live}, []int{502, 200}
		e.Earlier = []TryTimes{{Connect: Unknown, Header: Unknown}}
		return e
	}
	local := func(e Entry, status int, sent, body int64) Entry {
		e.UpstreamAddrs, e.UpstreamStatus = nil, nil
		e.Status, e.BytesSent, e.BodyBytesSent = status, sent, body
		return e
	}

	first := again(req(511, "GET", "/", 101, "Example.COM:8080"))
	first.Headers = [][]byte{[]byte("Example.COM:8080"), []byte("http://r/"), []byte("curl/8"), nil}
	second := req(511, "GET", "/a/./b/../c//d%20e%2Ff?x=1&y=%20", 106, "h")
	second.Headers = [][]byte{[]byte("h"), nil, []byte("q\"uo\\te\x01\x7f\u00e9\ttab"), nil}
	old := local(req(512, "GET", "/static?", 25, ""), 204, 105, 0)
	old.Minor = 0
	gone := local(req(512, "GET", "/gone?a", 69, "[::1]:80"), 502, 309, 157)
	gone.UpstreamAddrs, gone.UpstreamStatus = []string{dead}, []int{502}
	gone.ConnectTime, gone.HeaderTime = Unknown, Unknown
	gone.Headers = [][]byte{[]byte("[::1]:80"), nil, nil, {}}
	slow := again(req(513, "GET", "/x/y/.", 51, "h"))
	slow.HeaderTime, slow.UpstreamTime = 1999*time.Microsecond, time.Millisecond
	absolute := again(req(512, "GET", "http://Abs.Example/p/%3fq?z#frag", 81, "Abs.Example"))
	absolute.Headers = [][]byte{[]byte("other")}
	rootless := req(512, "GET", "http://abs.example", 67, "abs.example")
	rootless.Headers = absolute.Headers

	return []Entry{
		first, second, old, gone, absolute, rootless,
		again(req(513, "GET", "/x/..?u", 52, "h")),
		req(513, "GET", "/x/y/..", 52, "h"),
		slow,
		req(513, "GET", "/a%2e%2e/%2e%2e/b%23c%41", 69, "h"),
		again(req(514, "GET", "/\u00e9\"\\", 50, "h")),
		local(req(514, "POST", "/static", 72, "h"), 204, 105, 0),
		local(req(514, "", "\x16\x03\x01\x02", 0, ""), 400, 309, 157),
		local(req(514, "", "GET /sp ace\"x HTTP/1.1 ", 0, ""), 400, 309, 157),
	}
}

// headersFor arranges the field values of an entry as the format wants them.
func headersFor(f *Format, e *Entry) [][]byte {
	values := map[string][]byte{"host": nil}
	if len(e.Method) > 0 && len(e.Host) > 0 {
		values["host"] = e.Host
	}
	for i, name := range []string{"host", "referer", "user-agent", "x-empty"} {
		if i < len(e.Headers) {
			values[name] = e.Headers[i]
		}
	}
	var out [][]byte
	for _, name := range f.Headers() {
		out = append(out, values[name])
	}
	return out
}

func TestLinesAreThoseOfNginx(t *testing.T) {
	formats := map[string]string{
		"combined": "combined",
		"common":   "common",
		"target":   `$request_method|$request_uri|$uri|$args|$server_protocol|$host|$http_host`,
		"upstream": `$status $upstream_addr|$upstream_status|$upstream_connect_time|$upstream_header_time|$upstream_response_time|$request_time`,
		"json":     `escape=json {"r":"$request","ua":"$http_user_agent","u":"$remote_user","a":"$upstream_addr","st":$status}`,
		"none":     `escape=none $request "$http_user_agent" [$http_x_missing]`,
		"all":      `$time_local|$time_iso8601|$msec|$bytes_sent|$body_bytes_sent|$request_length|$http_x_empty|$http_x_missing`,
	}
	for name, text := range formats {
		t.Run(name, func(t *testing.T) {
			raw, err := os.ReadFile("testdata/nginx/" + name + ".log")
			if err != nil {
				t.Fatal(err)
			}
			f := mustCompile(t, text)
			r := renderer{format: f}
			var got []byte
			for _, e := range nginxRequests() {
				e.Headers = headersFor(f, &e)
				got = r.line(got, &e, 0)
			}
			if diff := cmp.Diff(quoted(raw), quoted(got)); diff != "" {
				t.Errorf("-nginx +ours\n%s", diff)
			}
		})
	}
}

// quoted makes lines comparable and printable.
func quoted(b []byte) []string {
	var lines []string
	for line := range bytes.Lines(b) {
		lines = append(lines, strconv.Quote(string(line)))
	}
	return lines
}

func mustCompile(t testing.TB, format string) *Format {
	t.Helper()
	f, err := Compile(format)
	if err != nil {
		t.Fatal(err)
	}
	return f
}
