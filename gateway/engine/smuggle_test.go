package engine_test

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
)

// withLength sends fields beside a Content-Length that covers the hidden
// request: whoever goes by the other field finds it.
func withLength(fields string) string {
	return fmt.Sprintf("POST / HTTP/1.1\r\nHost: a\r\n%s\r\nContent-Length: %d\r\n\r\n0\r\n\r\n", fields, 5+len(second))
}

// The obfuscations of Transfer-Encoding known from attack tools: each is to
// be seen by one party and missed by another.
func TestRejectsTransferEncodingObfuscations(t *testing.T) {
	var rows []rejection
	for _, f := range []string{
		"Transfer-Encoding: chunked",
		"Transfer-Encoding : chunked",
		"Transfer-Encoding\t:chunked",
		"Transfer-Encoding:\tchunked",
		" Transfer-Encoding: chunked",
		"X: X\nTransfer-Encoding: chunked",
		"X: X\rTransfer-Encoding: chunked",
		"X: X\r\n Transfer-Encoding: chunked",
		"Transfer-Encoding: xchunked",
		"Transfer-Encoding: chunkedx",
		"Transfer-Encoding: chunk",
		"Transfer-Encoding\r\n : chunked",
		"Transfer-Encoding:\r\n chunked",
		"Transfer-Encoding:\n chunked",
		"Transfer-Encoding: chunked\r\nTransfer-Encoding: x",
		"Transfer-Encoding: x\r\nTransfer-Encoding: chunked",
		"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
		"Transfer-Encoding:\x0bchunked",
		"Transfer-Encoding:\x0cchunked",
		"Transfer-Encoding: \x00chunked",
		"Transfer-Encoding: chunked\x00",
		"Transfer-Encoding: \"chunked\"",
		"Transfer-Encoding: 'chunked'",
		"Transfer-Encoding: chunked, identity",
		"Transfer-Encoding: identity, chunked",
		"Transfer-Encoding: identity",
		"Transfer-Encoding: chunked, chunked",
		"Transfer-Encoding: chunked chunked",
		"Transfer-Encoding: chunked;q=1",
		"Transfer-Encoding: chunked; a=b",
		"Transfer-Encoding: gzip",
		"Transfer-Encoding: gzip, chunked",
		"Transfer-Encoding: chunked, gzip",
		"Transfer-Encoding:",
		"Transfer-Encoding: ,",
		"Transfer-Encoding: cHuNkEd",
		"Transfer-Encoding: chunked\x85",
		"Transfer-Encoding: \xa0chunked",
		"Transfer-Encoding: \xffchunked",
		"Transfer-Encoding: ch\xc5\xbfunked",
		"Transfer-Encoding: chunKed\x01",
		"Transfer-Encoding\x00: chunked",
		"Transfer-\r\nEncoding: chunked",
		"\rTransfer-Encoding: chunked",
		"Transfer-Encoding chunked",
		"Transfer Encoding: chunked",
	} {
		rows = append(rows, rejection{name: f, send: withLength(f), want: coding, nginx: nginxCoding(f)})
	}
	rejects(t, rows)
}

// nginxCoding says which obfuscations nginx 1.22 lets through, framed by
// Content-Length.
func nginxCoding(f string) string {
	for _, hole := range []string{"X: X\r", "\r\n :", "\r\n chunked", "\n chunked", "-\r\n", "\rTransfer", "g chunked", "g\x00", "g\t:", "Transfer-Encoding:\t", "Transfer-Encoding: ,"} {
		if strings.Contains(f, hole) || f == "Transfer-Encoding:" {
			return "lets it through or answers otherwise"
		}
	}
	return ""
}

func TestRejectsTransferEncodingWithoutLength(t *testing.T) {
	f := func(line, body string) string {
		return "POST / HTTP/1.1\r\nHost: a\r\n" + line + "\r\n\r\n" + body
	}
	rejects(t, []rejection{
		{name: "unknown coding", send: f("Transfer-Encoding: br", chunks("x")), want: []int{501}},
		{name: "gzip before chunked", send: f("Transfer-Encoding: gzip, chunked", chunks("x")), want: []int{501}},
		{name: "chunked is not last", send: f("Transfer-Encoding: chunked, gzip", chunks("x")), want: coding},
		{name: "chunked twice", send: f("Transfer-Encoding: chunked, chunked", chunks("x")), want: coding},
		{name: "chunked in two lines", send: f("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", chunks("x")), want: coding},
		{name: "identity", send: f("Transfer-Encoding: identity", ""), want: coding},
		{name: "parameter", send: f("Transfer-Encoding: chunked;a=b", chunks("x")), want: coding},
		{name: "in HTTP/1.0", send: "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks("x"), want: bad},
		{name: "in HTTP/1.0, kept alive", send: "POST / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks("x"), want: bad},
	})
}

func TestRejectsContentLengths(t *testing.T) {
	var rows []rejection
	for _, v := range []string{
		"+3", "-3", "0x3", "3.0", "3;", "3,", "3, 3", "3,3", "3 3", "3a", "a", "", "\"3\"", "1e1", "٣", "\xb3", "3\x00", "3\x0b",
		"9223372036854775808", "18446744073709551615", "18446744073709551619", "99999999999999999999999999999999",
	} {
		row := rejection{name: "value " + v, send: "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: " + v + "\r\n\r\nabc", want: []int{400, 413}}
		if v == "" {
			row.nginx = "takes it for none"
		}
		rows = append(rows, row)
	}
	two := func(a, b string) string {
		return "POST / HTTP/1.1\r\nHost: a\r\n" + a + "\r\n" + b + "\r\n\r\nabc"
	}
	rejects(t, append(rows,
		rejection{name: "two that differ", send: two("Content-Length: 3", "Content-Length: 4"), want: bad},
		rejection{name: "two that are equal", send: two("Content-Length: 3", "Content-Length: 3"), want: bad},
		rejection{name: "two, one zero", send: two("Content-Length: 0", "Content-Length: 3"), want: bad},
		rejection{name: "space before the colon", send: two("Content-Length : 3", "X: 1"), want: bad},
		rejection{name: "folded", send: two("Content-Length:", " 3"), want: bad, nginx: "takes it for none"},
		rejection{name: "behind a bare CR", send: two("X: 1\rContent-Length: 3", "Y: 1"), want: bad, nginx: "lets it through"},
		rejection{name: "NUL in the name", send: two("Content-Length\x00: 3", "Y: 1"), want: bad},
		rejection{name: "before chunked", send: two("Content-Length: 3", "Transfer-Encoding: chunked"), want: bad},
		rejection{name: "after chunked", send: two("Transfer-Encoding: chunked", "Content-Length: 3"), want: bad},
		rejection{name: "zero, with chunked", send: two("Content-Length: 0", "Transfer-Encoding: chunked"), want: bad},
	))
}

// A broken body is noticed when its head may already be on its way. The
// backend then never gets the end of it, and the client no second answer.
func TestRejectsBrokenChunks(t *testing.T) {
	for _, r := range []struct{ name, body, nginx string }{
		{"no digits", "\r\nabc\r\n0\r\n\r\n", ""},
		{"no hex", "g\r\nabc\r\n0\r\n\r\n", ""},
		{"sign", "+3\r\nabc\r\n0\r\n\r\n", ""},
		{"minus", "-3\r\nabc\r\n0\r\n\r\n", ""},
		{"prefix", "0x3\r\nabc\r\n0\r\n\r\n", "takes 0x3 for a chunk of size 0 with extension"},
		{"space before the size", " 3\r\nabc\r\n0\r\n\r\n", ""},
		{"underscore", "0_3\r\nabc\r\n0\r\n\r\n", "skips the rest of the line"},
		{"overflow", "fffffffffffffffff3\r\nabc\r\n0\r\n\r\n", ""},
		{"overflow by zeros", strings.Repeat("0", 5000) + "3\r\nabc\r\n0\r\n\r\n", "accepts it"},
		{"size beyond 63 bits", "8000000000000000\r\nabc\r\n0\r\n\r\n", ""},
		{"size ends in LF", "3\nabc\r\n0\r\n\r\n", "accepts it"},
		{"size ends in CR", "3\rabc\r\n0\r\n\r\n", ""},
		{"size ends in CR CR LF", "3\r\r\nabc\r\n0\r\n\r\n", ""},
		{"TERM.EXT: LF in an extension", "3;\nabc\r\n0\r\n\r\n", "accepts it"},
		{"TERM.EXT: LF, then CRLF", "3;a\n\r\nabc\r\n0\r\n\r\n", ""},
		{"EXT.TERM: CR in an extension", "3;a\rb\r\nabc\r\n0\r\n\r\n", "accepts it"},
		{"EXT.TERM: CR before CRLF", "3;a\r\r\nabc\r\n0\r\n\r\n", "accepts it"},
		{"NUL in an extension", "3;a\x00b\r\nabc\r\n0\r\n\r\n", "accepts it"},
		{"SPILL: data longer than its size", "3\r\nabcd\r\n0\r\n\r\n", ""},
		{"SPILL: two bytes for the CRLF", "3\r\nabcXX0\r\n\r\n", ""},
		{"SPILL: data ends in LF", "3\r\nabc\n0\r\n\r\n", "accepts it"},
		{"SPILL: data ends in CR", "3\r\nabc\r0\r\n\r\n", ""},
		{"SPILL: nothing after the data", "3\r\nabc0\r\n\r\n", ""},
		{"data shorter than its size", "5\r\nabc\r\n0\r\n\r\n", ""},
		{"last chunk ends in LF", "3\r\nabc\r\n0\n\r\n", "accepts it"},
		{"trailers end in LF", "3\r\nabc\r\n0\r\n\n", "accepts it"},
		{"trailer without colon", "3\r\nabc\r\n0\r\nX\r\n\r\n", "skips trailers"},
		{"trailer with a space before the colon", "3\r\nabc\r\n0\r\nX : 1\r\n\r\n", "skips trailers"},
		{"folded trailer", "3\r\nabc\r\n0\r\nX: 1\r\n y\r\n\r\n", "skips trailers"},
		{"bare CR in a trailer", "3\r\nabc\r\n0\r\nX: 1\ry\r\n\r\n", "skips trailers"},
		{"extension without end", "3;" + strings.Repeat("x", 100<<10) + "\r\nabc\r\n0\r\n\r\n", "accepts it"},
		{"trailers without end", "0\r\n" + strings.Repeat("X: 1\r\n", 100<<10/6) + "\r\n", "skips trailers"},
	} {
		t.Run(r.name, func(t *testing.T) {
			if r.nginx != "" && differs(t, r.nginx) {
				return
			}
			b := newBackend(t, serve(func(*message) string { return ok("hello") }))
			p := front(t, b)
			c := p.dial()
			c.trySend(req("POST", "/", r.body, "Transfer-Encoding: chunked") + second)
			m := c.response("POST")
			if !slices.Contains([]int{400, 413, 431}, m.Status) || !m.connection("close") {
				t.Errorf("got %q, want 400 and close", m.Head)
			}
			c.gone()
			b.drained()
			b.none()
			p.alive(200)
		})
	}
}

// The requests hidden in these bodies are bodies to a gateway that reads
// them right.
func TestHiddenRequestsStayBodies(t *testing.T) {
	for _, r := range []struct{ name, send, body string }{
		{"CL.0", post("/", second), second},
		{"CL.0 with GET", req("GET", "/", second, fmt.Sprintf("Content-Length: %d", len(second))), second},
		{"CL.0 with HEAD", req("HEAD", "/", second, fmt.Sprintf("Content-Length: %d", len(second))), second},
		{"TE.0", req("POST", "/", chunks(second), "Transfer-Encoding: chunked"), second},
		{"TE.0 with OPTIONS", req("OPTIONS", "/", chunks(second), "Transfer-Encoding: chunked"), second},
		{"chunk in a chunk", req("POST", "/", chunks("0\r\n\r\n"+second), "Transfer-Encoding: chunked"), "0\r\n\r\n" + second},
		{"length in another field", post("/", second, "Content_Length: 0", "X-Content-Length: 0"), second},
		{"coding in another field", post("/", second, "Transfer_Encoding: chunked", "Content-Encoding: chunked", "X-Transfer-Encoding: chunked"), second},
		{"length named by Connection", post("/", second, "Connection: Content-Length"), second},
		{"coding named by Connection", req("POST", "/", chunks(second), "Transfer-Encoding: chunked", "Connection: Transfer-Encoding"), second},
	} {
		t.Run(r.name, func(t *testing.T) {
			b := hello(t)
			c := front(t, b).dial()
			c.send(r.send)
			method, _, _ := strings.Cut(r.send, " ")
			c.answerTo(method, 200)
			if got := string(b.one().Body); got != r.body {
				t.Errorf("body %q, want %q", got, r.body)
			}
			c.open()
		})
	}
}

// Bytes after a body are a new request or nothing.
func TestRejectsBytesAfterBody(t *testing.T) {
	b := hello(t)
	c := front(t, b).dial()
	c.send(post("/", "abc") + "xyz\r\n\r\n" + second)
	c.answerTo("POST", 200)
	m := c.answer(400)
	if !m.connection("close") {
		t.Errorf("got %q, want close", m.Head)
	}
	c.gone()
	b.one()
}

// A cut request is never passed on as whole, whoever answers what.
func TestCutRequestsStayCut(t *testing.T) {
	for _, r := range []struct{ name, send string }{
		{"head", "GET / HTTP/1.1\r\nHost: a\r\n"},
		{"length body", req("POST", "/", "abc", "Content-Length: 9")},
		{"chunked body, in data", req("POST", "/", "9\r\nabc", "Transfer-Encoding: chunked")},
		{"chunked body, after data", req("POST", "/", "3\r\nabc\r\n", "Transfer-Encoding: chunked")},
		{"chunked body, before the last line", req("POST", "/", "3\r\nabc\r\n0\r\n", "Transfer-Encoding: chunked")},
	} {
		for _, end := range []struct {
			name string
			do   func(*wire)
		}{{"FIN", halfCloses}, {"reset", resets}} {
			t.Run(r.name+"/"+end.name, func(t *testing.T) {
				b := hello(t)
				p := front(t, b)
				c := p.dial()
				c.send(r.send)
				end.do(c)
				if end.name == "FIN" {
					drainAnswers(c)
				}
				p.alive(200)
				if all := b.received(); len(all) != 1 || all[0].Target != "/alive" {
					t.Errorf("backend received %d requests, want /alive alone: %+v", len(all), all)
				}
			})
		}
	}
}

// drainAnswers reads what there is: answers that say an error, then the end.
func drainAnswers(c *wire) {
	c.t.Helper()
	c.await()
	for {
		m, err := readAnswer(c.r, "POST")
		switch {
		case errors.Is(err, io.EOF) || ended(err):
			return
		case err != nil:
			c.fail("cannot read: %v", err)
		case m.Status < 400:
			c.fail("got %q for a cut request", m.Head)
		}
	}
}
