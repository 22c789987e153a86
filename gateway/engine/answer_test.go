package engine_test

import (
	"fmt"
	"strings"
	"testing"
)

// A broken answer is a 502 or a cut connection, never a whole message, and
// its upstream connection is never used again.
func TestBrokenAnswers(t *testing.T) {
	const te = "Transfer-Encoding: chunked"
	for _, r := range []struct{ name, answer, nginx string }{
		{"both lengths", resp("200 OK", chunks("hello"), te, "Content-Length: 5"), "passes it on"},
		{"both lengths, other order", resp("200 OK", chunks("hello"), "Content-Length: 15", te), "passes it on"},
		{"two lengths", resp("200 OK", "hello", "Content-Length: 5", "Content-Length: 4"), "passes it on"},
		{"length is no number", resp("200 OK", "hello", "Content-Length: five"), "goes by the end of the connection"},
		{"length with a sign", resp("200 OK", "hello", "Content-Length: +5"), "goes by the end of the connection"},
		{"negative length", resp("200 OK", "hello", "Content-Length: -5"), "goes by the end of the connection"},
		{"length overflows", resp("200 OK", "hello", "Content-Length: 18446744073709551621"), "passes it on"},
		{"list of lengths that differ", resp("200 OK", "hello", "Content-Length: 5, 4"), "goes by the end of the connection"},
		{"unknown coding", resp("200 OK", "hello", "Transfer-Encoding: br"), "passes it on"},
		{"chunked is not last", resp("200 OK", chunks("hello"), "Transfer-Encoding: chunked, gzip"), "passes it on"},
		{"obfuscated coding", resp("200 OK", chunks("hello"), "Transfer-Encoding: \x0bchunked"), "passes it on"},
		{"short body", resp("200 OK", "hello", "Content-Length: 10"), ""},
		{"no body at all", resp("200 OK", "", "Content-Length: 10"), ""},
		{"chunk cut", resp("200 OK", "5\r\nhel", te), ""},
		{"chunks without end", resp("200 OK", "5\r\nhello\r\n", te), ""},
		{"last chunk cut", resp("200 OK", "5\r\nhello\r\n0\r\n", te), "takes the 0 for the end"},
		{"chunk size is no number", resp("200 OK", "x\r\nhello\r\n0\r\n\r\n", te), ""},
		{"chunk longer than its size", resp("200 OK", "3\r\nhello\r\n0\r\n\r\n", te), ""},
		{"chunk size overflows", resp("200 OK", "fffffffffffffffff\r\nhello\r\n0\r\n\r\n", te), ""},
		{"chunk size ends in LF", resp("200 OK", "5\nhello\r\n0\r\n\r\n", te), "accepts it"},
		{"malformed trailer", resp("200 OK", "5\r\nhello\r\n0\r\nX\r\n\r\n", te), "skips trailers"},
		{"no HTTP", "hello\r\n\r\n", "speaks HTTP/0.9"},
		{"wrong protocol", "SSH-2.0-OpenSSH\r\n", "speaks HTTP/0.9"},
		{"HTTP/2", "HTTP/2.0 200 OK\r\n\r\n", "accepts it"},
		{"status of two digits", resp("20 OK", ""), "speaks HTTP/0.9"},
		{"status of four digits", resp("2000 OK", ""), "speaks HTTP/0.9"},
		{"status is no number", resp("abc OK", ""), "speaks HTTP/0.9"},
		{"status 0", resp("000 OK", ""), "accepts it"},
		{"LF without CR", "HTTP/1.1 200 OK\nContent-Length: 5\n\nhello", "accepts it"},
		{"bare CR in a value", resp("200 OK", "hello", "X: a\rb", "Content-Length: 5"), "accepts it"},
		{"NUL in a value", resp("200 OK", "hello", "X: a\x00b", "Content-Length: 5"), ""},
		{"field without colon", resp("200 OK", "hello", "X", "Content-Length: 5"), "passes it on"},
		{"empty field name", resp("200 OK", "hello", ": x", "Content-Length: 5"), "accepts it"},
		{"space in a field name", resp("200 OK", "hello", "X Y: a", "Content-Length: 5"), ""},
		{"101 nobody asked for", resp("101 Switching Protocols", "raw bytes", "Connection: upgrade", "Upgrade: x"), "relays it"},
		{"head cut", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n", ""},
		{"head without end", "HTTP/1.1 200 OK\r\n" + strings.Repeat("X: "+strings.Repeat("y", 900)+"\r\n", 400), ""},
		{"field without end", "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("y", 400<<10), ""},
		{"nothing", "", ""},
	} {
		for _, method := range []string{"GET", "POST"} {
			t.Run(method+" "+r.name, func(t *testing.T) {
				if r.nginx != "" && differs(t, r.nginx) {
					return
				}
				answers := func(w *wire) {
					w.request()
					w.trySend(r.answer)
					w.closeWrite()
					w.over()
				}
				b := newBackend(t, answers, always(ok("next")))
				p := startProxy(t, proxyConfig{Pools: map[string]poolConfig{"web": onceOnly(b)}})
				c := p.dial()
				c.send(req(method, "/", "", "Content-Length: 0"))
				c.cut(method)
				p.alive(200)
				if n := b.conns(); n != 2 {
					t.Errorf("%d connections to the backend, want the broken one and a fresh one", n)
				}
			})
		}
	}
}

// onceOnly is a pool without retries.
func onceOnly(bs ...*backend) poolConfig {
	p := poolConfig{Specs: specs(addrs(bs)...)}
	p.Settings.Retry.Tries = 1
	return p
}

func TestResetAfterHeadCutsTheClient(t *testing.T) {
	for _, head := range []string{
		resp("200 OK", "hello", "Content-Length: 10"),
		resp("200 OK", "5\r\nhello\r\n", "Transfer-Encoding: chunked"),
		resp("200 OK", "hello"),
	} {
		sent := make(chan struct{})
		b := newBackend(t, func(w *wire) {
			w.request()
			w.send(head)
			w.wait(sent)
			w.reset()
		}, always(ok("next")))
		p := front(t, b)
		c := p.dial()
		c.send(get("/"))
		c.await()
		if _, err := c.r.Peek(1); err != nil {
			t.Fatal(err)
		}
		close(sent)
		c.cut("GET")
		p.alive(200)
	}
}

// Bytes after an answer poison its connection: they may not answer anybody.
func TestSurplusBytesPoisonTheConnection(t *testing.T) {
	evil := ok("evil")
	for _, r := range []struct{ name, answer, method string }{
		{"garbage", ok("fine") + "garbage", "GET"},
		{"one byte", ok("fine") + "\n", "GET"},
		{"another answer", ok("fine") + evil, "GET"},
		{"after chunks", resp("200 OK", chunks("fine")+evil, "Transfer-Encoding: chunked"), "GET"},
		{"after 204", resp("204 No Content", evil), "GET"},
		{"after 304", resp("304 Not Modified", evil, "Content-Length: 4"), "GET"},
		{"body to HEAD", ok("") + evil, "HEAD"},
		{"body to HEAD as announced", resp("200 OK", evil, fmt.Sprintf("Content-Length: %d", len(evil))), "HEAD"},
		{"chunks to HEAD", resp("200 OK", chunks(evil), "Transfer-Encoding: chunked"), "HEAD"},
		{"body of 204 as announced", resp("204 No Content", evil, fmt.Sprintf("Content-Length: %d", len(evil))), "GET"},
	} {
		t.Run(r.name, func(t *testing.T) {
			if (strings.Contains(r.name, "204") || strings.Contains(r.name, "HEAD")) && differs(t, "it uses such connections again") {
				return
			}
			b := newBackend(t, func(w *wire) { w.request(); w.send(r.answer); w.over() }, always(ok("next")))
			c := front(t, b).dial()
			c.send(req(r.method, "/", ""))
			m := c.response(r.method)
			if body := string(m.Body); body != "fine" && body != "" {
				t.Errorf("body %q", body)
			}
			c.send(get("/next"))
			if m := c.answer(200); string(m.Body) != "next" {
				t.Errorf("the next request got %q", m.Body)
			}
		})
	}
}

// An answer nobody asked for, on an idle connection, goes to nobody.
func TestUnsolicitedAnswerOnIdleConnection(t *testing.T) {
	speak := make(chan struct{})
	b := newBackend(t, func(w *wire) {
		w.request()
		w.send(ok("first"))
		w.wait(speak)
		w.send(ok("evil"))
		w.over()
	}, always(ok("next")))
	c := front(t, b).dial()
	c.send(get("/"))
	c.answer(200)
	close(speak)
	b.drained() // the gateway drops the connection on its own
	c.send(get("/"))
	if m := c.answer(200); string(m.Body) != "next" {
		t.Errorf("got %q", m.Body)
	}
}

func TestAnswersWithoutBody(t *testing.T) {
	for _, r := range []struct{ name, method, answer, length string }{
		{"HEAD", "HEAD", resp("200 OK", "", "Content-Length: 1234"), "1234"},
		{"HEAD without length", "HEAD", resp("200 OK", ""), ""},
		{"HEAD to a 404", "HEAD", resp("404 Not Found", "", "Content-Length: 9"), "9"},
		{"204", "GET", resp("204 No Content", ""), ""},
		{"304", "GET", resp("304 Not Modified", "", "ETag: \"x\""), ""},
		{"304 with length", "GET", resp("304 Not Modified", "", "Content-Length: 77"), "77"},
		{"204 to POST", "POST", resp("204 No Content", ""), ""},
		{"length 0", "GET", resp("200 OK", "", "Content-Length: 0"), "0"},
	} {
		t.Run(r.name, func(t *testing.T) {
			b := newBackend(t, always(r.answer))
			c := front(t, b).dial()
			c.send(req(r.method, "/", "") + req(r.method, "/", ""))
			for range 2 {
				m := c.response(r.method)
				if got := m.get("Content-Length"); got != r.length {
					t.Errorf("Content-Length %q, want %q", got, r.length)
				}
			}
			c.send(req(r.method, "/last", ""))
			c.response(r.method)
			if n := b.conns(); n != 1 {
				t.Errorf("%d upstream connections, want 1", n)
			}
		})
	}
}

func TestWhitespaceBeforeColonIsRepaired(t *testing.T) {
	if differs(t, "it calls such an answer invalid") {
		return
	}
	b := newBackend(t, always("HTTP/1.1 200 OK\r\nX-A : 1\r\nX-B\t:2\r\nContent-Length : 5\r\n\r\nhello"))
	c := front(t, b).dial()
	c.send(get("/"))
	m := c.answer(200)
	if m.get("X-A") != "1" || m.get("X-B") != "2" || string(m.Body) != "hello" {
		t.Errorf("got %q %q", m.Head, m.Body)
	}
	c.open()
}

func TestFoldedAnswerFieldsAreNeverPassedOn(t *testing.T) {
	b := newBackend(t, always("HTTP/1.1 200 OK\r\nX-A: 1\r\n 2\r\nContent-Length: 5\r\n\r\nhello"))
	c := front(t, b).dial()
	c.send(get("/"))
	m := c.response("GET")
	if m.Status != 502 && m.get("X-A") != "1 2" && !differs(t, "it drops the line") {
		t.Errorf("got %q", m.Head)
	}
}

// An answer without length ends with its connection; a 1.1 client gets it in
// chunks and keeps its own.
func TestCloseDelimitedAnswer(t *testing.T) {
	for _, status := range []string{"HTTP/1.1 200 OK", "HTTP/1.0 200 OK"} {
		b := newBackend(t, func(w *wire) {
			w.request()
			w.send(status + "\r\nX-A: 1\r\n\r\nhel")
			w.send("lo")
		})
		c := front(t, b).dial()
		c.send(get("/"))
		m := c.answer(200)
		if string(m.Body) != "hello" || m.Framing != chunkedBody {
			t.Errorf("got %q %q", m.Head, m.Body)
		}
		c.send(get("/"))
		c.answer(200)
	}
}

func TestChunkedAnswerIsFramedAnew(t *testing.T) {
	b := newBackend(t, always(resp("200 OK", "3;ext=1\r\nhel\r\n0002\r\nlo\r\n0;x\r\nX-Sum: 1\r\nContent-Length: 3\r\n\r\n",
		"Transfer-Encoding: Chunked", "Trailer: X-Sum")))
	c := front(t, b).dial()
	for range 2 {
		c.send(get("/"))
		m := c.answer(200)
		if string(m.Body) != "hello" || m.has("X-Sum") {
			t.Errorf("got %q %q", m.Head, m.Body)
		}
		for _, f := range m.Trailer {
			if f.Name != "X-Sum" {
				t.Errorf("trailer field %+v was forwarded", f)
			}
		}
	}
	if n := b.conns(); n != 1 {
		t.Errorf("%d upstream connections, want 1", n)
	}
}

// The answer may come before the request is sent whole; the client gets it
// at once and no message is ever out of step.
func TestEarlyAnswer(t *testing.T) {
	for _, framing := range []string{"Content-Length: 1000000", "Transfer-Encoding: chunked"} {
		for _, keep := range []string{"close", "keep-alive"} {
			t.Run(framing+" "+keep, func(t *testing.T) {
				b := newBackend(t, func(w *wire) {
					w.head()
					w.send(resp("403 Forbidden", "no", "Content-Length: 2", "Connection: "+keep))
					if keep == "close" {
						w.closeWrite()
					}
					w.over()
				}, always(ok("next")))
				p := front(t, b)
				c := p.dial()
				c.send(req("POST", "/", "5\r\nhello\r\n", framing))
				c.answerTo("POST", 403)
				c.trySend(second + second)
				c.over()
				p.alive(200)
				for _, m := range b.received() {
					if m.Target != "/alive" {
						t.Errorf("backend received %q", m.Head)
					}
				}
			})
		}
	}
}

// A server that answers while the gateway is still sending, then closes, is
// read before the failed write is believed.
func TestAnswerIsReadDespiteFailedSend(t *testing.T) {
	b := newBackend(t, func(w *wire) {
		w.head()
		w.send(resp("413 Too Large", "no", "Content-Length: 2", "Connection: close"))
		w.closeWrite()
		w.over()
	})
	p := front(t, b)
	c := p.dial()
	c.send(req("POST", "/", "", "Content-Length: 50000000"))
	block := strings.Repeat("x", 64<<10)
	for range 16 {
		if c.trySend(block) != nil {
			break
		}
	}
	c.answerTo("POST", 413)
}
