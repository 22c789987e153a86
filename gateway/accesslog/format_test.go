package accesslog

import (
	"encoding/json"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func entry() Entry {
	return Entry{
		Time: time.Date(2025, 3, 1, 9, 8, 7, 65_432_100, time.FixedZone("", -90*60)), ClientIP: []byte("::1"),
		Method: []byte("GET"), Target: []byte("/p?q=1"), Minor: 1, Host: []byte("WWW.Example.com:80"),
		Status: 200, BytesSent: 300, BodyBytesSent: 100, RequestBytes: 80,
		Route: "shop", Upstream: "web", UpstreamAddrs: []string{"10.0.0.1:80"}, UpstreamStatus: []int{200},
		ConnectTime: 0, HeaderTime: 12_345 * time.Microsecond, UpstreamTime: 13 * time.Millisecond,
		RequestTime: 2_013_999 * time.Microsecond, Overhead: 21_700, RequestID: []byte("id-1"), Reused: true,
	}
}

func TestVariables(t *testing.T) {
	tests := []struct{ format, want string }{
		{"$remote_addr/$remote_user", "::1/-"},
		{"[$time_local] $time_iso8601 $msec", "[01/Mar/2025:09:08:07 -0130] 2025-03-01T09:08:07-01:30 1740825487.065"},
		{"$host $route $upstream $request_id", "www.example.com shop web id-1"},
		{"$request_time $gateway_time", "2.013 0.000021"},
		{"$upstream_connect_time/$upstream_header_time/$upstream_response_time", "0.000/0.012/0.013"},
		{"$connection_reused ${status}00", "1 20000"},
		{"$query_string ${args}x", "q=1 q=1x"},
		{"$http_a$http_b$http_a", "AvalueBvalueAvalue"},
		{"$content_type", "Avalue"},
		{"$pid", strconv.Itoa(os.Getpid())},
		{"escape=json $remote_user|$status", "|200"},
	}
	for _, tc := range tests {
		r := renderer{format: mustCompile(t, tc.format)}
		e := entry()
		e.Headers = [][]byte{[]byte("Avalue"), []byte("Bvalue")}
		if got := string(r.line(nil, &e, 0)); got != tc.want+"\n" {
			t.Errorf("%s\n got %q\nwant %q", tc.format, got, tc.want)
		}
	}
}

func TestWhatIsUnknownIsADash(t *testing.T) {
	r := renderer{format: mustCompile(t, "$route $upstream $upstream_addr $upstream_status $upstream_response_time $gateway_time $request_id $http_x $request $status")}
	e := Entry{Overhead: Unknown}
	if got, want := string(r.line(nil, &e, 0)), "- - - - - - - - - 000\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestTriesWithoutTimesAreDashes(t *testing.T) {
	r := renderer{format: mustCompile(t, "$upstream_addr $upstream_status $upstream_response_time")}
	e := entry()
	e.UpstreamAddrs = []string{"a:1", "unix:/s", "b:2"}
	e.UpstreamStatus = []int{0, 502}
	if got, want := string(r.line(nil, &e, 0)), "a:1, unix:/s, b:2 -, 502, - -, -, 0.013\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestHeadersAreNamedOnceAndInOrder(t *testing.T) {
	f := mustCompile(t, "$http_user_agent $http_x_forwarded_for $http_USER_agent $content_length")
	if diff := cmp.Diff([]string{"user-agent", "x-forwarded-for", "content-length"}, f.Headers()); diff != "" {
		t.Error(diff)
	}
}

func TestBadFormatsSayWhereAndWhat(t *testing.T) {
	tests := []struct{ format, want string }{
		{"$remote_adr", "column 1: unknown variable $remote_adr: did you mean $remote_addr?"},
		{"a $upstream_respone_time", "column 3: unknown variable $upstream_respone_time: did you mean $upstream_response_time?"},
		{"combind", `"combind" has no $variable and is none of the named formats: combined, common, json`},
		{"", `"" has no $variable and is none of the named formats: combined, common, json`},
		{"$status $", "column 9: $ without a name"},
		{"$$", "column 1: $ without a name"},
		{"${status", "column 1: ${status is not closed by }"},
		{"${sta-tus}", "column 1: ${sta is not closed by }"},
		{"escape=xml $status", "unknown escape=xml: want default, json or none"},
		{"escape=json", `"escape=json" has no $variable and is none of the named formats: combined, common, json`},
		{"$http_", "column 1: unknown variable $http_: did you mean $host?"},
	}
	for _, tc := range tests {
		_, err := Compile(tc.format)
		if err == nil {
			t.Errorf("%q: no error", tc.format)
			continue
		}
		if got, want := err.Error(), "invalid access log format: "+tc.want; got != want {
			t.Errorf("%q\n got %s\nwant %s", tc.format, got, want)
		}
	}
}

func TestJSONIsTyped(t *testing.T) {
	r := renderer{format: mustCompile(t, "json")}
	e := entry()
	e.Headers = [][]byte{nil, []byte("a\"b\\\x00\xff\u00e9")}
	want := `{"time":"2025-03-01T09:08:07.065-01:30","remote_addr":"::1","method":"GET","uri":"/p?q=1","protocol":"HTTP/1.1","host":"www.example.com","status":200,"bytes_sent":300,"body_bytes_sent":100,"request_length":80,"request_time":2.013999,"gateway_time":0.000021,"route":"shop","upstream":"web","upstream_addr":"10.0.0.1:80","upstream_status":"200","upstream_connect_time":0.000000,"upstream_header_time":0.012345,"upstream_response_time":0.013000,"connection_reused":true,"request_id":"id-1","referer":null,"user_agent":"a\"b\\\u0000` + "\\uFFFD\u00e9" + `"}` + "\n"
	got := string(r.line(nil, &e, 0))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	assertJSON(t, []byte(got))
}

func TestJSONOfARequestNobodyUnderstood(t *testing.T) {
	r := renderer{format: mustCompile(t, "json")}
	e := Entry{Time: time.Unix(0, 0).UTC(), Target: []byte("\x16\x03"), Overhead: Unknown, Reused: true}
	got := r.line(nil, &e, 0)
	var m map[string]any
	if err := json.Unmarshal(got, &m); err != nil {
		t.Fatalf("%v: %s", err, got)
	}
	for _, key := range []string{"method", "uri", "gateway_time", "upstream_addr", "upstream_connect_time", "connection_reused", "user_agent"} {
		if v, ok := m[key]; !ok || v != nil {
			t.Errorf("%s: got %v, want null", key, v)
		}
	}
}

func assertJSON(t *testing.T, line []byte) {
	t.Helper()
	if !json.Valid(line) || !utf8.Valid(line) {
		t.Errorf("no JSON: %q", line)
	}
}

func TestTimeTextFollowsTheSecond(t *testing.T) {
	r := renderer{format: mustCompile(t, "$time_iso8601")}
	var got []string
	for _, at := range []time.Duration{0, 999 * time.Millisecond, time.Second, 0} {
		e := Entry{Time: time.Unix(0, 0).UTC().Add(at)}
		got = append(got, strings.TrimSpace(string(r.line(nil, &e, 0)))[17:19])
	}
	if diff := cmp.Diff([]string{"00", "00", "01", "00"}, got); diff != "" {
		t.Error(diff)
	}
}

// FuzzCompile: no format panics, and what compiles renders one line.
func FuzzCompile(f *testing.F) {
	for _, s := range []string{"combined", "json", "$status", "${args}x$", "escape=json $http_x", "$http_", "${"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		format, err := Compile(s)
		if err != nil {
			return
		}
		r := renderer{format: format}
		e := entry()
		line := r.line(nil, &e, 0)
		if n := strings.Count(string(line), "\n"); n != 1+strings.Count(s, "\n") {
			t.Errorf("%q: %d newlines", s, n)
		}
	})
}

// FuzzValues: nothing a client sends breaks a line of JSON or adds a line.
func FuzzValues(f *testing.F) {
	f.Add([]byte("/a/../b?c"), []byte("a\"\\\n\x00\xff"), 0)
	f.Add([]byte("http://x#?"), []byte("\xe2\x82"), 2)
	f.Add([]byte("/%2e%2E/%/%2"), []byte("\u2028"), 1)
	f.Fuzz(func(t *testing.T, target, value []byte, limit int) {
		e := entry()
		e.Target, e.Host, e.Headers = target, value, [][]byte{value, value}
		r := renderer{format: mustCompile(t, "json")}
		assertJSON(t, r.line(nil, &e, max(limit, 0)))
		r = renderer{format: mustCompile(t, "$uri $args $request $http_x")}
		for _, c := range strings.TrimSuffix(string(r.line(nil, &e, max(limit, 0))), "\n") {
			if c < 0x20 || c >= 0x7f || c == '"' {
				t.Fatalf("byte %#x passed", c)
			}
		}
	})
}
