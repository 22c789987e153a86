package engine_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http/httputil"
	"strings"
	"testing"
	"time"
)

// bigBody is the size of a large body in ordinary tests.
const bigBody = 64 << 20

// block is one period of the pattern: a prime length, so that a shift or a
// swap of buffers of any usual size shows.
var block = func() []byte {
	b := make([]byte, 65521)
	x := uint32(2463534242)
	for i := range b {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		b[i] = byte(x)
	}
	return b
}()

// pattern returns size bytes that depend on their position.
func pattern(size int64) io.Reader { return &patternReader{left: size} }

type patternReader struct {
	at, left int64
	hold     <-chan struct{} // the last byte waits for it, if set
}

func (p *patternReader) Read(b []byte) (int, error) {
	switch {
	case p.left == 0:
		return 0, io.EOF
	case p.left == 1 && p.hold != nil:
		<-p.hold
	case p.hold != nil:
		b = b[:min(int64(len(b)), p.left-1)]
	}
	from := p.at % int64(len(block))
	n := copy(b[:min(int64(len(b)), p.left)], block[from:])
	p.at, p.left = p.at+int64(n), p.left-int64(n)
	return n, nil
}

// checkPattern reads exactly size bytes and compares them.
func checkPattern(r io.Reader, size int64) error {
	buf := make([]byte, 32<<10)
	for at := int64(0); at < size; {
		n, err := r.Read(buf[:min(int64(len(buf)), size-at)])
		for i := 0; i < n; {
			from := (at + int64(i)) % int64(len(block))
			m := min(n-i, len(block)-int(from))
			if !bytes.Equal(buf[i:i+m], block[from:int(from)+m]) {
				return fmt.Errorf("wrong bytes near offset %d", at+int64(i))
			}
			i += m
		}
		at += int64(n)
		if err != nil && at < size {
			return fmt.Errorf("ended at %d of %d: %w", at, size, err)
		}
	}
	return nil
}

// framed describes how a large body is announced.
type framed struct {
	field   string
	chunked bool
}

var framings = map[string]framed{
	"length":  {fmt.Sprintf("Content-Length: %d", bigBody), false},
	"chunked": {"Transfer-Encoding: chunked", true},
}

func (f framed) write(w io.Writer, body io.Reader) error {
	if !f.chunked {
		_, err := io.Copy(w, body)
		return err
	}
	cw := httputil.NewChunkedWriter(w)
	if _, err := io.CopyBuffer(struct{ io.Writer }{cw}, struct{ io.Reader }{body}, make([]byte, 20001)); err != nil {
		return err
	}
	cw.Close()
	_, err := io.WriteString(w, "\r\n")
	return err
}

// check reads a whole body, the end of its framing included: who sends it may
// still be at that when its last byte is here.
func (f framed) check(r *bufio.Reader, size int64) error {
	if !f.chunked {
		return checkPattern(r, size)
	}
	chunks := httputil.NewChunkedReader(r)
	if err := checkPattern(chunks, size); err != nil {
		return err
	}
	if n, err := chunks.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		return fmt.Errorf("%d bytes and %v behind the body", n, err)
	}
	if end, err := io.ReadAll(io.LimitReader(r, 2)); string(end) != "\r\n" {
		return fmt.Errorf("the last chunk is followed by %q, %v", end, err)
	}
	return nil
}

// unrecorded serves one request with a large body: it is not kept.
func unrecorded(script func(w *wire, m *message)) func(*wire) {
	return func(w *wire) {
		m := w.head()
		w.tunnel()
		w.r.Reset(io.MultiReader(strings.NewReader(buffered(w)), w.conn))
		w.conn.SetDeadline(time.Now().Add(6 * patience))
		script(w, m)
	}
}

func buffered(w *wire) string {
	b, _ := w.r.Peek(w.r.Buffered())
	return string(b)
}

func TestLargeRequestBody(t *testing.T) {
	t.Parallel()
	for name, f := range framings {
		t.Run(name, func(t *testing.T) {
			b := newBackend(t, unrecorded(func(w *wire, m *message) {
				if err := f.check(w.r, bigBody); err != nil {
					w.fail("%v", err)
				}
				w.send(ok("got it"))
			}))
			c := front(t, b).dial()
			c.conn.SetDeadline(time.Now().Add(6 * patience))
			io.WriteString(c.conn, req("POST", "/", "", f.field))
			if err := f.write(c.conn, pattern(bigBody)); err != nil {
				t.Fatal(err)
			}
			c.answerTo("POST", 200)
		})
	}
}

func TestLargeAnswer(t *testing.T) {
	t.Parallel()
	forms := map[string]framed{"until close": {"Connection: close", false}}
	for name, f := range framings {
		forms[name] = f
	}
	for name, f := range forms {
		t.Run(name, func(t *testing.T) {
			b := newBackend(t, unrecorded(func(w *wire, m *message) {
				w.send(resp("200 OK", "", f.field))
				if err := f.write(w.conn, pattern(bigBody)); err != nil {
					w.fail("%v", err)
				}
			}))
			c := front(t, b).dial()
			c.send(get("/"))
			if err := readLarge(c, bigBody); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// readLarge reads an answer with the pattern as its body, whatever its
// framing.
func readLarge(c *wire, size int64) error {
	c.conn.SetReadDeadline(time.Now().Add(6 * patience))
	m, err := readHead(c.r)
	if err != nil {
		return err
	}
	return framed{chunked: m.Framing == chunkedBody}.check(c.r, size)
}

// A slow reader stops the fast writer: what the gateway holds stays small.
// It then starts to read and gets everything.
func TestBackpressure(t *testing.T) {
	t.Parallel()
	const size, bound = 256 << 20, 64 << 20 // bound: kernel buffers and the gateway's
	t.Run("answer", func(t *testing.T) {
		writer := make(chan int64, 1)
		b := newBackend(t, unrecorded(func(w *wire, m *message) {
			w.send(resp("200 OK", "", "Connection: close"))
			writer <- writeUntilBlocked(w, size)
			w.over()
		}))
		c := front(t, b).dial()
		c.send(get("/"))
		n := <-writer
		if n >= bound {
			t.Errorf("the gateway took %d bytes nobody reads", n)
		}
		if err := readLarge(c, n); err != nil {
			t.Error(err)
		}
	})
	t.Run("request", func(t *testing.T) {
		read := make(chan struct{})
		wrote := make(chan int64, 1)
		b := newBackend(t, unrecorded(func(w *wire, m *message) {
			w.wait(read)
			if err := checkPattern(w.r, <-wrote); err != nil {
				w.fail("%v", err)
			}
		}))
		c := front(t, b).dial()
		c.send(req("POST", "/", "", fmt.Sprintf("Content-Length: %d", size)))
		n := writeUntilBlocked(c, size)
		if n >= bound {
			t.Errorf("the gateway took %d bytes nobody reads", n)
		}
		wrote <- n
		close(read)
		b.connected(0).finished("backend")
	})
}

// writeUntilBlocked sends of the pattern what is taken, until nothing is for
// a while.
func writeUntilBlocked(w *wire, size int64) (n int64) {
	p := pattern(size)
	buf := make([]byte, 64<<10)
	for n < size {
		m, _ := p.Read(buf)
		w.conn.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
		sent, err := w.conn.Write(buf[:m])
		n += int64(sent)
		if err != nil {
			break
		}
	}
	return n
}

// Both sides send large bodies at once: one machine for both directions would
// stand still. The answer's last byte waits for the request's, so that
// neither direction may be given up when the other is done.
func TestLargeBodiesBothWaysAtOnce(t *testing.T) {
	t.Parallel()
	if differs(t, "it gives up on the request's body") {
		return
	}
	for name, f := range framings {
		t.Run(name, func(t *testing.T) {
			b := newBackend(t, unrecorded(func(w *wire, m *message) {
				w.send(resp("200 OK", "", f.field))
				sent, read := make(chan error, 1), make(chan struct{})
				go func() { sent <- f.write(w.conn, &patternReader{left: bigBody, hold: read}) }()
				if err := f.check(w.r, bigBody); err != nil {
					w.fail("reading: %v", err)
				}
				close(read)
				if err := <-sent; err != nil {
					w.fail("writing: %v", err)
				}
			}))
			c := front(t, b).dial()
			c.conn.SetDeadline(time.Now().Add(6 * patience))
			sent := make(chan error, 1)
			go func() {
				io.WriteString(c.conn, req("POST", "/", "", f.field))
				sent <- f.write(c.conn, pattern(bigBody))
			}()
			if err := readLarge(c, bigBody); err != nil {
				t.Fatal(err)
			}
			if err := <-sent; err != nil {
				t.Fatal(err)
			}
		})
	}
}

// An echo server: it answers as it reads. Client and server each write while
// the other does.
func TestEchoOfALargeBody(t *testing.T) {
	t.Parallel()
	if differs(t, "it gives up on the request's body") {
		return
	}
	b := newBackend(t, unrecorded(func(w *wire, m *message) {
		w.send(resp("200 OK", "", fmt.Sprintf("Content-Length: %d", bigBody)))
		io.CopyN(w.conn, w.r, bigBody)
	}))
	c := front(t, b).dial()
	c.conn.SetDeadline(time.Now().Add(6 * patience))
	go func() {
		io.WriteString(c.conn, req("POST", "/", "", fmt.Sprintf("Content-Length: %d", bigBody)))
		io.Copy(c.conn, pattern(bigBody))
	}()
	if err := readLarge(c, bigBody); err != nil {
		t.Fatal(err)
	}
}

// Once its answer is read, an upstream connection serves others, although
// the client has not taken it yet.
func TestUpstreamIsFreeWhileTheClientLags(t *testing.T) {
	b := newBackend(t, always(ok(strings.Repeat("x", 50<<10))))
	p := front(t, b)
	lagging := p.dial()
	lagging.conn.SetReadBuffer(4 << 10)
	lagging.send(get("/"))
	b.connected(0)
	lagging.await()
	lagging.r.Peek(1)
	c := p.dial()
	for range 3 {
		c.open()
	}
	if n := b.conns(); n > 2 {
		t.Errorf("%d upstream connections", n)
	}
	lagging.answer(200)
}

// The body may arrive with its head, before there is a connection to a
// server: what was read ahead is sent, and then the rest is read.
func TestBodyThatArrivesBeforeTheConnection(t *testing.T) {
	t.Parallel()
	for _, size := range []int{1, 15 << 10, 16 << 10, 17 << 10, 64 << 10, 100 << 10, 1 << 20} {
		for _, chunky := range []bool{false, true} {
			b := newBackend(t, serve(func(m *message) string { return ok(fmt.Sprint(len(m.Body))) }))
			c := front(t, b).dial()
			body := strings.Repeat("x", size)
			if chunky {
				go c.trySend(req("POST", "/", chunked(body), "Transfer-Encoding: chunked"))
			} else {
				go c.trySend(post("/", body))
			}
			if m := c.answerTo("POST", 200); string(m.Body) != fmt.Sprint(size) {
				t.Errorf("the server got %s bytes of %d", m.Body, size)
			}
		}
	}
}
