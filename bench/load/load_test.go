package load

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

const short = 200 * time.Millisecond

func TestClosedLoopKeepsConnectionsBusy(t *testing.T) {
	for _, pipeline := range []int{1, 7} {
		var connections atomic.Int64
		inner := fixed(ok)
		addr := serve(t, func(c net.Conn, r *bufio.Reader, n int) { connections.Add(1); inner(c, r, n) })
		res := do(t, Config{Addr: addr, Connections: 5, Pipeline: pipeline, Duration: short})
		if res.Answered < 5 || res.ErrorTotal() > 0 || res.Answered != res.Sent || connections.Load() != 5 {
			t.Errorf("pipeline %d: %d of %d answered on %d connections, errors %v", pipeline, res.Answered, res.Sent, connections.Load(), res.Errors)
		}
		if res.Lag.Max() != 0 || res.Planned != 0 || res.Open {
			t.Errorf("pipeline %d: a closed loop has no plan: lag %d, planned %g", pipeline, res.Lag.Max(), res.Planned)
		}
	}
}

func TestOpenLoopSendsWhatIsPlanned(t *testing.T) {
	addr := serve(t, fixed(ok))
	for _, cfg := range []Config{
		{Curve: Constant(1000, short)},
		{Curve: Constant(1000, short), Fresh: true},
		{Curve: Constant(1000, short), Pipeline: 3},
		{Curve: Ramp(0, 2000, short)},
	} {
		cfg.Addr, cfg.Connections = addr, 10
		res := do(t, cfg)
		if res.Sent+res.Unsent != 200 || res.Answered != res.Sent || res.ErrorTotal() > 0 || res.Planned < 999 || res.Planned > 1001 {
			t.Errorf("%+v: %d sent, %d answered, %d not sent, planned %g, errors %v", cfg.Curve, res.Sent, res.Answered, res.Unsent, res.Planned, res.Errors)
		}
		if cfg.Fresh != (res.Connections == res.Sent) {
			t.Errorf("fresh %v: %d connections for %d requests", cfg.Fresh, res.Connections, res.Sent)
		}
	}
}

func TestWarmupIsNotMeasured(t *testing.T) {
	addr := serve(t, fixed(ok))
	res := do(t, Config{Addr: addr, Connections: 3, Curve: Constant(1000, short).Lead(short), Warmup: short})
	if res.Sent+res.Unsent != 200 || res.Elapsed != short || len(res.Timeline) != 1 {
		t.Errorf("%d sent in %v, %d seconds", res.Sent, res.Elapsed, len(res.Timeline))
	}
}

func TestAnswersOfAllFramings(t *testing.T) {
	large := strings.Repeat("x", 300<<10)
	chunked := "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n3\r\nabc\r\n0\r\nTrailer: x\r\n\r\n"
	for name, answer := range map[string]string{
		"length":    ok,
		"empty":     "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
		"large":     "HTTP/1.1 200 OK\r\nContent-Length: " + strconv.Itoa(len(large)) + "\r\n\r\n" + large,
		"chunked":   chunked,
		"204":       "HTTP/1.1 204 No Content\r\n\r\n",
		"interim":   "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + ok,
		"old":       "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nab",
		"no reason": "HTTP/1.1 200\r\ncontent-length:2\r\n\r\nab",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr := serve(t, fixed(answer))
			res := do(t, Config{Addr: addr, Connections: 2, Duration: short / 2, Pipeline: 2})
			if res.Answered < 2 || res.ErrorTotal() > 0 || res.Connections != 2 {
				t.Errorf("%d answered on %d connections, errors %v", res.Answered, res.Connections, res.Errors)
			}
		})
	}
}

func TestAnswersThatEndTheConnection(t *testing.T) {
	for name, answer := range map[string]string{
		"until close": "HTTP/1.1 200 OK\r\n\r\nhello",
		"close":       "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: x, Close\r\n\r\nab",
		"1.0":         "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nab",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr := serve(t, func(c net.Conn, r *bufio.Reader, _ int) {
				http.ReadRequest(r)
				io.WriteString(c, answer)
			})
			res := do(t, Config{Addr: addr, Connections: 2, Curve: Constant(200, short)})
			if res.Answered != res.Sent || res.Sent+res.Unsent != 40 || res.ErrorTotal() > 0 || res.Connections < res.Answered {
				t.Errorf("%d of %d answered on %d connections, errors %v", res.Answered, res.Sent, res.Connections, res.Errors)
			}
		})
	}
}

func TestSplitAnswers(t *testing.T) {
	answers := []string{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", ok}
	addr := serve(t, func(c net.Conn, r *bufio.Reader, _ int) {
		for n := 0; ; n++ {
			if _, err := http.ReadRequest(r); err != nil {
				return
			}
			for _, b := range []byte(answers[n%2]) {
				if _, err := c.Write([]byte{b}); err != nil {
					return
				}
			}
		}
	})
	res := do(t, Config{
		Addr: addr, Pipeline: 2, Duration: short,
		Requests: []Request{{Expect: Expect{Equals: "hello"}}},
	})
	if res.Answered < 1 || res.ErrorTotal() > 0 {
		t.Errorf("%d answered, errors %v", res.Answered, res.Errors)
	}
}

func TestHeadAnswersHaveNoBody(t *testing.T) {
	addr := serve(t, fixed("HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n"))
	res := do(t, Config{Addr: addr, Duration: short / 2, Requests: []Request{{Method: "HEAD"}}})
	if res.Answered < 1 || res.ErrorTotal() > 0 {
		t.Errorf("%d answered, errors %v", res.Answered, res.Errors)
	}
}

func TestErrorsByKind(t *testing.T) {
	cut := func(text string, linger int) script {
		return func(c net.Conn, r *bufio.Reader, _ int) {
			http.ReadRequest(r)
			io.WriteString(c, text)
			c.(*net.TCPConn).SetLinger(linger)
		}
	}
	hold := func(_ net.Conn, r *bufio.Reader, _ int) { io.Copy(io.Discard, r) }
	for _, tt := range []struct {
		kind   string
		server script
		expect Expect
	}{
		{"status", fixed("HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"), Expect{}},
		{"status", fixed(ok), Expect{Status: []int{201, 204}}},
		{"body", fixed(ok), Expect{Contains: "bye"}},
		{"body", fixed(ok), Expect{Equals: "hell"}},
		{"body", fixed(ok), Expect{Bytes: 6}},
		{"malformed", fixed("SSH-2.0 hello, this is no HTTP\r\n"), Expect{}},
		{"malformed", fixed("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"), Expect{}},
		{"malformed", fixed("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"), Expect{}},
		{"closed", cut("", -1), Expect{}},
		{"closed", cut("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", -1), Expect{}},
		{"reset", cut("HTTP/1.1 200", 0), Expect{}},
		{"timeout", hold, Expect{}},
	} {
		t.Run(tt.kind, func(t *testing.T) {
			t.Parallel()
			addr := serve(t, tt.server)
			timeout := 10 * time.Second
			if tt.kind == "timeout" {
				timeout = 150 * time.Millisecond
			}
			res := do(t, Config{
				Addr: addr, Connections: 2, Curve: Constant(100, short), Timeout: timeout,
				Requests: []Request{{Expect: tt.expect}},
			})
			if res.Errors[tt.kind] == 0 || res.Errors[tt.kind] != res.ErrorTotal() || res.Errors[tt.kind] != res.Sent {
				t.Errorf("%d sent, errors %v, want all of kind %s", res.Sent, res.Errors, tt.kind)
			}
			if tt.kind == "timeout" && res.Corrected.Max() < int64(150*time.Millisecond) {
				t.Errorf("a timeout of 150ms was recorded as %v", time.Duration(res.Corrected.Max()))
			}
		})
	}
}

func TestNobodyListens(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := netip.MustParseAddrPort(ln.Addr().String())
	ln.Close()
	if _, err := Do(context.Background(), Config{Addr: addr, Connections: 3, Duration: short}, nil); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("error %v, want connection refused", err)
	}
	res := do(t, Config{Addr: addr, Connections: 3, Duration: short, Fresh: true})
	if res.Answered != 0 || res.Errors["connect_refused"] == 0 {
		t.Errorf("%d answered, errors %v", res.Answered, res.Errors)
	}
}

func TestEveryAnswerBelongsToItsRequest(t *testing.T) {
	echo := always(func(r *http.Request) string {
		body, _ := io.ReadAll(r.Body)
		text := r.URL.Path + "|" + r.Header.Get("X-Id") + "|" + string(body)
		return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(text), text)
	})
	request := Request{
		Method: "POST", Path: "/{random:1000}/{id}", Header: []Field{{"X-Id", "{id}"}}, Body: []byte(`{"id":{id}}`),
		Expect: Expect{Equals: `/{random:1000}/{id}|{id}|{"id":{id}}`},
	}
	addr := serve(t, echo)
	res := do(t, Config{Addr: addr, Connections: 4, Pipeline: 5, Duration: short, Requests: []Request{request, {Path: "/{id}", Expect: Expect{Contains: "/{id}|"}}}})
	if res.Answered < 1 || res.ErrorTotal() > 0 {
		t.Errorf("%d answered, errors %v", res.Answered, res.Errors)
	}

	// A server that is one answer behind is found out.
	last := "nothing yet"
	addr = serve(t, always(func(r *http.Request) string {
		text := last
		last = r.URL.Path
		return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(text), text)
	}))
	res = do(t, Config{Addr: addr, Curve: Constant(100, short), Requests: []Request{{Path: "/{id}", Expect: Expect{Equals: "/{id}"}}}})
	if res.Errors["body"] != res.Answered || res.Answered == 0 {
		t.Errorf("crossed answers: %d of %d found, errors %v", res.Errors["body"], res.Answered, res.Errors)
	}
}

func TestWeights(t *testing.T) {
	var light, heavy atomic.Int64
	addr := serve(t, always(func(r *http.Request) string {
		if r.URL.Path == "/heavy" {
			heavy.Add(1)
		} else {
			light.Add(1)
		}
		return ok
	}))
	do(t, Config{Addr: addr, Duration: short, Connections: 4, Requests: []Request{{Path: "/heavy", Weight: 9}, {Path: "/light"}}})
	if h, l := heavy.Load(), light.Load(); h < 1 || h < 9*l-20 || h > 9*l+20 {
		t.Errorf("%d heavy, %d light, want 9 to 1", h, l)
	}
}

func TestUnsentRequestsAreNotForgotten(t *testing.T) {
	addr := serve(t, func(_ net.Conn, r *bufio.Reader, _ int) { io.Copy(io.Discard, r) })
	res := do(t, Config{Addr: addr, Connections: 1, Curve: Constant(1000, short), Timeout: 2 * short})
	if res.Sent != 1 || res.Unsent != 199 || res.Corrected.Count() != 200 || res.Corrected.Quantile(0.5) < int64(short/3) {
		t.Errorf("%d sent, %d not, %d latencies, p50 %v", res.Sent, res.Unsent, res.Corrected.Count(), time.Duration(res.Corrected.Quantile(0.5)))
	}
}

func TestCancelEndsTheRun(t *testing.T) {
	addr := serve(t, fixed(ok))
	ctx, cancel := context.WithCancel(context.Background())
	var once atomic.Bool
	res, err := Do(ctx, Config{Addr: addr, Connections: 2, Curve: Constant(500, time.Hour), Progress: func(Second) {
		if !once.Swap(true) {
			cancel()
		}
	}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if res.Elapsed < time.Second || res.Elapsed > 10*time.Second || res.Planned < 499 || res.Planned > 501 || res.Unsent > 5 {
		t.Errorf("measured %v at %g/s planned, %d not sent", res.Elapsed, res.Planned, res.Unsent)
	}
}

func TestBadConfigurations(t *testing.T) {
	addr := netip.MustParseAddrPort("127.0.0.1:1")
	for _, cfg := range []Config{
		{Duration: time.Second},
		{Addr: addr},
		{Addr: addr, Duration: 25 * time.Hour},
		{Addr: addr, Duration: time.Second, Pipeline: 2, Fresh: true},
		{Addr: addr, Duration: time.Second, Connections: 1 << 20},
		{Addr: addr, Duration: time.Second, Timeout: 1},
		{Addr: addr, Curve: Constant(3*MaxRate, time.Second)},
		{Addr: addr, Curve: Constant(0, time.Second)},
		{Addr: addr, Duration: time.Second, Requests: []Request{{Path: "no-slash"}}},
		{Addr: addr, Duration: time.Second, Requests: []Request{{Header: []Field{{"A", "b\r\nC: d"}}}}},
		{Addr: addr, Duration: time.Second, Requests: []Request{{Header: []Field{{"Content-Length", "3"}}}}},
		{Addr: addr, Duration: time.Second, Requests: []Request{{Body: []byte("{random:0}")}}},
		{Addr: addr, Duration: time.Second, Requests: []Request{{Weight: maxMix + 1}}},
	} {
		if _, err := Do(context.Background(), cfg, nil); err == nil || !strings.HasPrefix(err.Error(), "cannot ") {
			t.Errorf("%+v: error %v", cfg, err)
		}
	}
}

// TestServerThatClosesIdleConnections must not make us connect in a circle.
func TestServerThatClosesIdleConnections(t *testing.T) {
	var connections atomic.Int64
	addr := serve(t, func(net.Conn, *bufio.Reader, int) { connections.Add(1) })
	do(t, Config{Addr: addr, Connections: 2, Curve: Steps([]float64{0, 0, 0, 5}, 2*short)})
	if n := connections.Load(); n > 100 {
		t.Errorf("%d connections in %v, to a server that closes each at once", n, 2*short)
	}
}
