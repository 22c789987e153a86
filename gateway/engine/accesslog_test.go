package engine_test

import (
	"fmt"
	"io"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"spillway/gateway/upstream"
)

// logsLine waits for a line of the access log.
func logsLine(t *testing.T, p *proxy, want string) {
	t.Helper()
	for late := deadline(); !slices.Contains(p.logged(), want); runtime.Gosched() {
		if late() {
			t.Fatalf("no line %q in %q", want, p.logged())
		}
	}
}

// logLines waits for n lines.
func logLines(t *testing.T, p *proxy, n int) []string {
	t.Helper()
	for late := deadline(); ; runtime.Gosched() {
		lines := p.logged()
		if len(lines) >= n || late() {
			return lines
		}
	}
}

// logCase is one request with the line it has to leave. In want, the lines of
// a pool's servers are written $1, $2.
type logCase struct {
	name string
	// pool serves the request; its scripts are tried in order.
	scripts []func(*wire)
	down    bool // the servers are marked down
	dead    int  // that many servers before them refuse connections
	retry   upstream.Retry
	settle  func(*upstream.Settings)
	send    string
	client  func(*wire) // goes on once the backend has the request; default: read to the end
	want    string      // status, upstream_status
	tries   int
}

var logCases = []logCase{
	{name: "200", scripts: []func(*wire){always(ok("hello"))}, send: get("/"), want: "200|200", tries: 1},
	{name: "204", scripts: []func(*wire){always(resp("204 No Content", ""))}, send: get("/"), want: "204|204", tries: 1},
	{name: "200 chunked", scripts: []func(*wire){always(resp("200 OK", chunks("hello", "you"), "Transfer-Encoding: chunked"))}, send: get("/"), want: "200|200", tries: 1},
	{name: "200 until close", scripts: []func(*wire){once(says(resp("200 OK", "hello", "Connection: close")), closes)}, send: get("/"), want: "200|200", tries: 1},
	{name: "200 after 103", scripts: []func(*wire){always(resp("103 Early Hints", "", "Link: <x>") + ok("hello"))}, send: get("/"), want: "200|200", tries: 1},
	{name: "HEAD", scripts: []func(*wire){always(resp("200 OK", "", "Content-Length: 1000"))}, send: req("HEAD", "/", ""), want: "200|200", tries: 1},
	{name: "POST", scripts: []func(*wire){always(ok("hello"))}, send: post("/", strings.Repeat("x", 30000)), want: "200|200", tries: 1},
	{name: "500 passes", scripts: []func(*wire){always(resp("500 Oops", "no", "Content-Length: 2"))}, send: get("/"), want: "500|500", tries: 1},
	{name: "second try", scripts: []func(*wire){always(ok("hello"))}, dead: 2, retry: onError, send: get("/"), want: "200|-, -, 200", tries: 3},
	{name: "retried status", scripts: []func(*wire){always(resp("503 Busy", "", "Content-Length: 0")), always(ok("hello"))}, retry: upstream.Retry{Tries: 2, Status: []int{503}}, send: get("/"), want: "200|503, 200", tries: 2},
	{name: "retried status, none left", scripts: []func(*wire){always(resp("503 Busy", "", "Content-Length: 0")), always(resp("503 Busier", "", "Content-Length: 0"))}, retry: upstream.Retry{Tries: 2, Status: []int{503}}, send: get("/"), want: "503|503, 503", tries: 2},
	{name: "502 refused", dead: 2, retry: onError, send: get("/"), want: "502|-, -", tries: 2},
	{name: "502 reset", scripts: []func(*wire){once(resets)}, send: post("/", "x"), want: "502|-", tries: 1},
	{name: "502 invalid", scripts: []func(*wire){once(says("SSH-2.0-x\r\n\r\n"), closes)}, send: get("/"), want: "502|-", tries: 1},
	{name: "503", scripts: []func(*wire){stalls}, down: true, send: get("/"), want: "503|-"},
	{name: "504", scripts: []func(*wire){stalls}, settle: func(s *upstream.Settings) { s.ReadTimeout = short }, send: get("/"), want: "504|-", tries: 1},
	{name: "499", scripts: []func(*wire){stalls}, send: get("/"), client: (*wire).reset, want: "499|-", tries: 1},
	{name: "cut answer", scripts: []func(*wire){once(says(resp("200 OK", "hel", "Content-Length: 5")), closes)}, send: get("/"), want: "200|200", tries: 1},
	{name: "404", scripts: []func(*wire){stalls}, send: get("/nowhere"), want: "404|-"},
	{name: "400", scripts: []func(*wire){stalls}, send: "GET / HTTP/1.1\r\nHost: a\r\nX : 1\r\n\r\n", want: "400|-"},
	{name: "414", scripts: []func(*wire){stalls}, send: get("/" + strings.Repeat("x", 20<<10)), want: "414|-"},
	{name: "bad chunk", scripts: []func(*wire){stalls}, send: req("POST", "/", "x\r\n", "Transfer-Encoding: chunked"), want: "400|-"},
	{name: "408", scripts: []func(*wire){stalls}, send: "GET / HTTP/1.1\r\n", want: "408|-"},
	{name: "413", scripts: []func(*wire){stalls}, send: req("POST", "/", "", "Content-Length: 1000000"), want: "413|-"},
	{name: "CONNECT", scripts: []func(*wire){stalls}, send: connect, want: "405|-"},
	{name: "TRACE", scripts: []func(*wire){stalls}, send: req("TRACE", "/", "", "Max-Forwards: 0"), want: "200|-"},
	{name: "tunnel", scripts: []func(*wire){func(w *wire) {
		upgraded(w)
		w.send(switching)
		w.expect("12345")
		w.send("123")
	}}, send: upgrade("/") + "12345", want: "101|101", tries: 1},
}

// Every request leaves one line, however it ends, and what the line says is
// what the client saw.
func TestAccessLogOfEveryEnding(t *testing.T) {
	if differs(t, "its log is not read here") {
		return
	}
	for _, r := range logCases {
		t.Run(r.name, func(t *testing.T) {
			p, want := r.start(t)
			c := p.dial()
			began := time.Now()
			c.trySend(r.send)
			seen := r.finish(c)
			logLines(t, p, 1)
			took := time.Since(began)
			p.settles()
			lines := p.logged()
			if len(lines) != 1 {
				t.Fatalf("log %q, want one line", lines)
			}
			f := strings.Split(lines[0], "|")
			if got := f[0] + "|" + f[1]; got != r.want {
				t.Errorf("status and upstream_status %q, want %q", got, r.want)
			}
			if f[2] != want {
				t.Errorf("upstream_addr %q, want %q", f[2], want)
			}
			if seen >= 0 && f[3] != fmt.Sprint(seen) {
				t.Errorf("bytes_sent %s, the client read %d", f[3], seen)
			}
			if want := len(r.send); r.measured() && f[4] != fmt.Sprint(want) {
				t.Errorf("request_length %s, the client sent %d", f[4], want)
			}
			checkTimes(t, f[5], f[6], took)
		})
	}
}

// start runs a gateway for the case and returns the upstream_addr expected.
func (r *logCase) start(t *testing.T) (*proxy, string) {
	t.Helper()
	var servers []string
	for range r.dead {
		servers = append(servers, refused(t))
	}
	for _, s := range r.scripts {
		servers = append(servers, newBackend(t, s).addr)
	}
	pool := poolConfig{Specs: specs(servers...)}
	pool.Settings.Retry = r.retry
	if r.retry.Tries == 0 {
		pool.Settings.Retry.Tries = 1
	}
	if r.settle != nil {
		r.settle(&pool.Settings)
	}
	for i := range pool.Specs {
		pool.Specs[i].Down = r.down
	}
	p := startProxy(t, proxyConfig{
		Loops: 1, // so that servers are tried in order
		Pools: map[string]poolConfig{"web": pool}, Limits: limits{Body: 100_000}, Times: times{Header: short},
		Routes:    []routeRule{{Path: "/nowhere", Upstream: "nowhere"}, {Upstream: "web"}},
		LogFormat: "$status|$upstream_status|$upstream_addr|$bytes_sent|$request_length|$request_time|$upstream_response_time",
	})
	if r.tries == 0 {
		return p, "-"
	}
	return p, strings.Join(servers[:r.tries], ", ")
}

// measured reports whether the request was read whole: a length in bytes, and
// nothing behind it.
func (r *logCase) measured() bool {
	return !strings.Contains(r.send, "chunked") && r.name != "413" && r.name != "tunnel" && !strings.HasPrefix(r.name, "4")
}

// finish plays the client's end and returns how many bytes it read, -1 if
// that is not what was sent.
func (r *logCase) finish(c *wire) int {
	if r.client != nil {
		pauseFor(c.t, 5*time.Millisecond)
		r.client(c)
		return -1
	}
	c.await()
	method, _, _ := strings.Cut(r.send, " ")
	n := 0
	for {
		m, err := readAnswer(c.r, method)
		if m != nil {
			n += len(m.Head) + wireLength(m)
		}
		if err != nil || m.Status >= 200 {
			break
		}
		if m.Status == 101 {
			more, _ := io.Copy(io.Discard, c.r)
			c.close()
			return n + int(more)
		}
	}
	c.close()
	return n
}

// wireLength is how long a body was, framing included, when its chunks are
// the server's.
func wireLength(m *message) int {
	if m.Framing != chunkedBody {
		return len(m.Body)
	}
	return -1 << 30
}

func pauseFor(t testing.TB, d time.Duration) {
	t.Helper()
	<-time.After(d)
}

// checkTimes wants 0 <= upstream <= request <= what the client measured, in
// seconds, the last try being the last of the list.
func checkTimes(t *testing.T, request, up string, took time.Duration) {
	t.Helper()
	whole, err := strconv.ParseFloat(request, 64)
	if err != nil || whole < 0 || whole > took.Seconds()+0.001 {
		t.Errorf("request_time %q, the client measured %v", request, took)
	}
	for one := range strings.SplitSeq(up, ", ") {
		if one == "-" {
			continue
		}
		if s, err := strconv.ParseFloat(one, 64); err != nil || s < 0 || s > whole {
			t.Errorf("upstream_response_time %q of request_time %q", up, request)
		}
	}
}

// Under a load of all sorts the log has a line for each request.
func TestAccessLogCountsEveryRequest(t *testing.T) {
	if differs(t, "its log is not read here") {
		return
	}
	b := newBackend(t, serve(func(m *message) string { return ok(m.Target) }))
	p := startProxy(t, proxyConfig{
		Backends: []string{b.addr}, Loops: 3, LogFormat: "$request_uri $status",
		Routes: []routeRule{{Path: "/none", Upstream: "none"}, {Upstream: "web"}},
	})
	const conns, each = 20, 30
	errs := make(chan error, conns)
	for i := range conns {
		c := p.dial()
		go func() { errs <- everySort(c, i, each) }()
	}
	for range conns {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	want := map[string]int{}
	for i := range conns {
		for j := range each {
			want[fmt.Sprintf("/%d/%d 200", i, j)]++
			want["/none 404"]++
		}
		want["- 400"]++
	}
	got := map[string]int{}
	for _, line := range logLines(t, p, conns*(2*each+1)) {
		if strings.HasSuffix(line, " 400") {
			line = "- 400"
		}
		got[line]++
	}
	for line, n := range want {
		if got[line] != n {
			t.Errorf("%q is logged %d times, want %d", line, got[line], n)
		}
		delete(got, line)
	}
	if len(got) > 0 {
		t.Errorf("also logged: %v", got)
	}
}

// everySort asks for what is there and for what is not, and ends with what
// is no request.
func everySort(c *wire, i, n int) error {
	for j := range n {
		if err := c.trySend(get(fmt.Sprintf("/%d/%d", i, j)) + get("/none")); err != nil {
			return err
		}
		for _, status := range []int{200, 404} {
			c.await()
			if m, err := readAnswer(c.r, "GET"); err != nil || m.Status != status {
				return fmt.Errorf("got %+v, want %d: %w", m, status, err)
			}
		}
	}
	c.trySend("GET / HTTP/1.1\r\nbad\r\n\r\n")
	c.await()
	m, err := readAnswer(c.r, "GET")
	if err != nil || m.Status != 400 {
		return fmt.Errorf("got %+v, want 400: %w", m, err)
	}
	return nil
}
