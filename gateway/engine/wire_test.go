package engine_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience bounds every step that is expected to succeed. It is long because
// it is only ever waited out by a failing test.
const patience = 10 * time.Second

// wire is one TCP connection driven step by step, with a deadline on each
// step. Both the scripted client and the scripted backend are wires; a step
// that does not go as the script says fails the test and ends the script.
type wire struct {
	t    testing.TB
	side string // "client" or "backend", for messages
	conn *net.TCPConn
	r    *bufio.Reader
	seen *record       // what a backend received, nil for clients
	done chan struct{} // closed when a backend's script is over
	quit chan struct{} // closed when the backend stops
}

// record keeps every byte a backend connection received.
type record struct {
	mu     sync.Mutex
	raw    []byte
	at     time.Time // of the last byte
	tunnel int       // offset from which the bytes are opaque, -1 none
}

func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.raw, r.at = append(r.raw, p...), time.Now()
	return len(p), nil
}

// latest is when the last byte was received.
func (r *record) latest() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.at
}

// http returns the bytes that have to be HTTP.
func (r *record) http() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.tunnel >= 0 {
		return bytes.Clone(r.raw[:r.tunnel])
	}
	return bytes.Clone(r.raw)
}

func newWire(t testing.TB, side string, conn *net.TCPConn) *wire {
	w := &wire{t: t, side: side, conn: conn, done: make(chan struct{}), quit: make(chan struct{})}
	var src io.Reader = conn
	if side == "backend" {
		w.seen = &record{tunnel: -1}
		src = io.TeeReader(conn, w.seen)
	}
	w.r = bufio.NewReaderSize(src, 64<<10)
	return w
}

// dial connects to addr; the connection is closed when the test ends.
func dial(t testing.TB, addr string) *wire {
	t.Helper()
	d := net.Dialer{Timeout: patience}
	c, err := d.Dial("tcp", addr)
	if err != nil {
		t.Fatalf("cannot connect to %s: %v", addr, err)
	}
	t.Cleanup(func() { c.Close() })
	return newWire(t, "client", c.(*net.TCPConn))
}

// fail reports and ends the script. A backend's script runs on a goroutine
// of its own, where the test cannot be stopped.
func (w *wire) fail(format string, args ...any) {
	w.t.Helper()
	if w.side == "client" {
		w.t.Fatalf(w.side+": "+format, args...)
	}
	w.t.Errorf(w.side+": "+format, args...)
	w.close()
	runtime.Goexit()
}

func (w *wire) trySend(s string) error {
	w.conn.SetWriteDeadline(time.Now().Add(patience))
	_, err := io.WriteString(w.conn, s)
	return err
}

func (w *wire) send(s string) {
	w.t.Helper()
	if err := w.trySend(s); err != nil {
		w.fail("cannot send %.60q: %v", s, err)
	}
}

// sendIn sends s in segments of n bytes.
func (w *wire) sendIn(n int, s string) {
	w.t.Helper()
	for len(s) > n {
		w.send(s[:n])
		s = s[n:]
	}
	w.send(s)
}

func (w *wire) await() { w.conn.SetReadDeadline(time.Now().Add(patience)) }

// expect reads exactly s.
func (w *wire) expect(s string) {
	w.t.Helper()
	w.await()
	got := make([]byte, len(s))
	n, err := io.ReadFull(w.r, got)
	if err != nil || string(got) != s {
		w.fail("got %.200q (%v), want %.200q", got[:n], err, s)
	}
}

// request reads one strict request.
func (w *wire) request() *message {
	w.t.Helper()
	w.await()
	m, err := readRequest(w.r)
	if err != nil {
		w.fail("cannot read a request: %v", err)
	}
	return m
}

// head reads a request's head and leaves its body on the wire.
func (w *wire) head() *message {
	w.t.Helper()
	w.await()
	m, err := readHead(w.r)
	if err == nil {
		err = m.checkRequestLine()
	}
	if err != nil {
		w.fail("cannot read a request head: %v", err)
	}
	return m
}

// response reads one answer, interim or final.
func (w *wire) response(method string) *message {
	w.t.Helper()
	w.await()
	m, err := readAnswer(w.r, method)
	if err != nil {
		w.fail("cannot read an answer: %v (%+v)", err, m)
	}
	return m
}

// answer reads an answer to GET of that status.
func (w *wire) answer(status int) *message {
	w.t.Helper()
	return w.answerTo("GET", status)
}

func (w *wire) answerTo(method string, status int) *message {
	w.t.Helper()
	m := w.response(method)
	if m.Status != status {
		w.fail("got %q with body %.200q, want status %d", m.Head, m.Body, status)
	}
	return m
}

// cut reads an answer that must not be whole. A 502 instead is as good: then
// nothing of the broken answer was passed on.
func (w *wire) cut(method string) {
	w.t.Helper()
	w.await()
	m, err := readAnswer(w.r, method)
	switch {
	case errors.Is(err, errTruncated), errors.Is(err, syscall.ECONNRESET), err == io.EOF:
	case err != nil:
		w.fail("cannot read a cut answer: %v", err)
	case m.Status == 502:
	default:
		w.fail("a broken answer was passed on as whole: %q %.200q", m.Head, m.Body)
	}
}

// end expects an orderly end with nothing before it.
func (w *wire) end() {
	w.t.Helper()
	w.await()
	rest, err := io.ReadAll(w.r)
	if err != nil || len(rest) > 0 {
		w.fail("got %.200q (%v), want the end of the connection", rest, err)
	}
}

// gone expects the connection to be over, by FIN or reset, with nothing more
// to read.
func (w *wire) gone() {
	w.t.Helper()
	w.await()
	rest, err := io.ReadAll(w.r)
	if len(rest) > 0 || err != nil && !errors.Is(err, syscall.ECONNRESET) {
		w.fail("got %.200q (%v), want the connection gone", rest, err)
	}
}

// over waits until the peer is gone and discards what comes before.
func (w *wire) over() error {
	w.await()
	_, err := io.Copy(io.Discard, w.r)
	if errors.Is(err, syscall.ECONNRESET) {
		return nil
	}
	return err
}

// open proves that the connection still serves.
func (w *wire) open() {
	w.t.Helper()
	w.send("GET /open HTTP/1.1\r\nHost: a\r\n\r\n")
	w.answer(200)
}

// wait holds a backend's script until the gate is closed.
func (w *wire) wait(gate <-chan struct{}) {
	select {
	case <-gate:
	case <-w.quit:
	}
}

// finished waits until a backend's script is over.
func (w *wire) finished(what string) {
	w.t.Helper()
	select {
	case <-w.done:
	case <-time.After(patience):
		w.t.Fatalf("%s is still open", what)
	}
}

func (w *wire) close()      { w.conn.Close() }
func (w *wire) closeWrite() { w.conn.CloseWrite() }

// reset ends the connection with RST.
func (w *wire) reset() {
	w.conn.SetLinger(0)
	w.conn.Close()
}

// tunnel marks what is read from here on as no HTTP.
func (w *wire) tunnel() {
	w.seen.mu.Lock()
	defer w.seen.mu.Unlock()
	w.seen.tunnel = len(w.seen.raw) - w.r.Buffered()
}

// get is a request without body.
func get(target string, fields ...string) string { return req("GET", target, "", fields...) }

// post is a request with a body of announced length.
func post(target, body string, fields ...string) string {
	return req("POST", target, body, append(fields, fmt.Sprintf("Content-Length: %d", len(body)))...)
}

func req(method, target, body string, fields ...string) string {
	s := method + " " + target + " HTTP/1.1\r\nHost: a\r\n"
	for _, f := range fields {
		s += f + "\r\n"
	}
	return s + "\r\n" + body
}

// resp is an answer with the fields and body given as they are.
func resp(status, body string, fields ...string) string {
	s := "HTTP/1.1 " + status + "\r\n"
	for _, f := range fields {
		s += f + "\r\n"
	}
	return s + "\r\n" + body
}

// ok is a 200 with a body of announced length.
func ok(body string, fields ...string) string {
	return resp("200 OK", body, append(fields, fmt.Sprintf("Content-Length: %d", len(body)))...)
}

// chunks spells a chunked body, one chunk a part.
func chunks(parts ...string) string {
	var s string
	for _, p := range parts {
		s += fmt.Sprintf("%x\r\n%s\r\n", len(p), p)
	}
	return s + "0\r\n\r\n"
}
