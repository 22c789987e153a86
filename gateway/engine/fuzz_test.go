package engine_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"spillway/gateway/upstream"
)

// A fuzzed scenario is text: how each side ends, what the client sends, what
// the server answers to each request.
//
//	<two bytes: the client's ending, the server's> <client> "\n====\n" <server>
//
// "\n--\n" in either ends a segment, "$ID" stands for this scenario's id.
const (
	sides    = "\n====\n"
	segments = "\n--\n"
)

type scenario struct {
	clientEnd, serverEnd byte
	client, server       []string
	id                   string
}

func parseScenario(data []byte, id string) (scenario, bool) {
	if len(data) < 2 || len(data) > 1<<16 {
		return scenario{}, false
	}
	text := strings.ReplaceAll(string(data[2:]), "$ID", id)
	client, server, _ := strings.Cut(text, sides)
	return scenario{
		clientEnd: data[0], serverEnd: data[1], id: id,
		client: strings.Split(client, segments), server: strings.Split(server, segments),
	}, true
}

// arena is a gateway with two upstreams: one plays scenarios, one is steady
// and shows that the gateway lives.
type arena struct {
	p     *proxy
	b     *backend
	nonce string

	mu    sync.Mutex
	now   scenario
	n     int
	alive *wire
}

func newArena(f *testing.F) *arena {
	a := &arena{nonce: fmt.Sprintf("id-%016x-", rand.Uint64())}
	a.b = newBackend(f, a.play)
	steady := hello(f)
	pool := poolConfig{Specs: specs(a.b.addr)}
	pool.Settings.ReadTimeout = 50 * time.Millisecond
	pool.Settings.SendTimeout = 50 * time.Millisecond
	pool.Settings.Retry = upstream.Retry{Tries: 2, OnError: true, OnTimeout: true}
	const brief = 100 * time.Millisecond
	a.p = startProxy(f, proxyConfig{
		Pools:            map[string]poolConfig{"web": pool, "steady": {Specs: specs(steady.addr)}},
		Routes:           []routeRule{{Host: "steady", Upstream: "steady"}, {Upstream: "web"}},
		Loops:            2,
		Limits:           limits{Body: 1 << 20, HeadBytes: 8 << 10, RequestLine: 8 << 10},
		Times:            times{Header: brief, Body: brief, Expect: brief / 4, Tunnel: brief / 2},
		AnswerHalfClosed: true,
	})
	a.alive = a.p.dial()
	return a
}

// play serves the scenario of the moment, request by request.
func (a *arena) play(w *wire) {
	for {
		m, err := readHead(w.r)
		if err != nil {
			return
		}
		a.mu.Lock()
		s := a.now
		a.mu.Unlock()
		if m.has("Upgrade") {
			w.tunnel()
		}
		for _, segment := range s.server {
			if w.trySend(segment) != nil {
				break
			}
		}
		switch s.serverEnd % 4 {
		case 0:
			w.close()
			return
		case 1:
			w.reset()
			return
		case 2:
			w.closeWrite()
		}
		if m.has("Upgrade") {
			io.Copy(io.Discard, w.r)
			return
		}
		if m.readBody(w.r) != nil {
			return
		}
	}
}

func (a *arena) begin(data []byte) (scenario, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.n++
	s, ok := parseScenario(data, fmt.Sprintf("%s%d;", a.nonce, a.n))
	if ok {
		a.now = s
	}
	return s, ok
}

// run plays the client's side and returns what it got.
func (a *arena) run(t *testing.T, s scenario) []byte {
	t.Helper()
	c := dial(t, a.p.Addr)
	defer c.close()
	for _, segment := range s.client {
		if c.trySend(segment) != nil {
			break
		}
	}
	if s.clientEnd%4 == 0 {
		c.reset()
		return nil
	}
	c.closeWrite()
	c.await()
	got, err := io.ReadAll(c.r)
	if err != nil && !ended(err) {
		t.Fatalf("the connection neither answers nor ends: %v after %.200q", err, got)
	}
	return got
}

// judge checks what the client got, what the servers got, and that the
// gateway lives.
func (a *arena) judge(t *testing.T, s scenario, got []byte) {
	t.Helper()
	foreign := regexp.MustCompile(regexp.QuoteMeta(a.nonce) + `\d+;`)
	for _, id := range foreign.FindAllString(string(got), -1) {
		if id != s.id {
			t.Errorf("%s got what belongs to %s: %.300q", s.id, id, got)
		}
	}
	method := "GET"
	if strings.HasPrefix(strings.TrimPrefix(strings.Join(s.client, ""), "\r\n"), "HEAD ") {
		method = "HEAD"
	}
	if _, err := readAnswer(newReader(got), method); err != nil && !ended(err) {
		t.Errorf("the client got no HTTP: %v, from %.300q", err, got)
	}
	a.judgeServers(t)
	a.alive.t = t
	a.alive.send("GET /alive HTTP/1.1\r\nHost: steady\r\n\r\n")
	a.alive.answer(200)
}

func (a *arena) judgeServers(t *testing.T) {
	t.Helper()
	a.b.mu.Lock()
	defer a.b.mu.Unlock()
	open := a.b.wires[:0]
	for _, w := range a.b.wires {
		if err := w.seen.judge(); err != nil {
			t.Errorf("a server got %v", err)
		}
		select {
		case <-w.done:
		default:
			open = append(open, w)
		}
	}
	a.b.wires = open
}

// judge reads the requests recorded since the last time and forgets those
// that are whole.
func (r *record) judge() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.tunnel >= 0 {
		return nil
	}
	_, rest, err := readRequests(r.raw)
	if err != nil {
		return fmt.Errorf("%w from %.300q", err, rest)
	}
	r.raw = bytes.Clone(rest)
	return nil
}

func FuzzProxy(f *testing.F) {
	for _, s := range []string{
		get("/$ID") + sides + ok("$ID"),
		"GET /$ID HT" + segments + "TP/1.1\r\nHo" + segments + "st: a\r\n\r\n" + sides + "HTTP/1.1 200 OK\r\nConte" + segments + "nt-Length: 3\r\n\r\nab" + segments + "c",
		post("/$ID", "hello") + get("/$ID") + sides + resp("200 OK", chunks("$ID", "x"), "Transfer-Encoding: chunked"),
		req("POST", "/", "5;x=y\r\nhello\r\n0\r\nX-T: 1\r\n\r\n", "Transfer-Encoding: chunked", "Trailer: X-T") + sides + resp("204 No Content", ""),
		req("HEAD", "/", "") + get("/") + sides + resp("200 OK", "$ID", "Content-Length: 30"),
		req("POST", "/", "", "Content-Length: 5", "Expect: 100-continue") + segments + "hello" + sides + resp("100 Continue", "") + segments + ok("$ID"),
		upgrade("/") + "early" + segments + "late" + sides + switching + "hello $ID",
		get("/", "Connection: close, X-A", "X-A: 1", "TE: trailers") + sides + resp("103 Early Hints", "") + resp("200 OK", "until close $ID"),
		"GET http://b/$ID HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" + sides + "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nx",
		req("OPTIONS", "*", "", "Max-Forwards: 1") + sides + resp("304 Not Modified", "", "Content-Length: 9") + ok("$ID surplus"),
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks("x") + second + sides + ok("$ID"),
		get("/") + sides + resp("200 OK", "short", "Content-Length: 10"),
		get("/") + sides + resp("200 OK", "5\r\nhello\r\nzz", "Transfer-Encoding: chunked"),
		get("/") + get("/") + get("/") + sides + "garbage",
	} {
		for _, ends := range []string{"\x01\x00", "\x01\x03", "\x01\x01", "\x00\x02", "\x01\x02"} {
			f.Add([]byte(ends + s))
		}
	}
	a := newArena(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		s, ok := a.begin(data)
		if !ok {
			return
		}
		a.judge(t, s, a.run(t, s))
	})
}
