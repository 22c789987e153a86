package engine_test

import (
	"slices"
	"strings"
	"testing"
)

// second is what an attacker hides behind an ambiguous message. Whenever it
// reaches a backend as a request of its own, the gateway was fooled.
const second = "GET /second HTTP/1.1\r\nHost: a\r\n\r\n"

// rejection is a request that must be answered with one of the statuses and
// the end of the connection, before a backend hears of it.
type rejection struct {
	name  string
	send  string
	want  []int
	nginx string // how nginx differs, "" if it does not
}

var (
	bad     = []int{400}
	version = []int{400, 505}
	coding  = []int{400, 501}
)

// rejects sends each row with a further request behind it.
func rejects(t *testing.T, rows []rejection) {
	t.Helper()
	b := hello(t)
	p := front(t, b)
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			if r.nginx != "" && differs(t, r.nginx) {
				return
			}
			c := dial(t, p.Addr)
			c.send(r.send + second)
			m := c.response("POST")
			if !slices.Contains(r.want, m.Status) {
				t.Fatalf("got %d, want one of %d, to %.300q", m.Status, r.want, r.send)
			}
			if !m.connection("close") {
				t.Errorf("the answer does not say Connection: close: %q", m.Head)
			}
			c.gone()
			b.untouched(t)
		})
	}
	p.alive(200)
}

func TestRejectsMalformedLines(t *testing.T) {
	line := func(s string) string { return s + "\r\nHost: a\r\n\r\n" }
	rejects(t, []rejection{
		{name: "bare CR in the request line", send: line("GET /\rx HTTP/1.1"), want: bad},
		{name: "LF without CR after the request line", send: "GET / HTTP/1.1\nHost: a\r\n\r\n", want: bad, nginx: "accepts bare LF"},
		{name: "CR CR LF after the request line", send: "GET / HTTP/1.1\r\r\nHost: a\r\n\r\n", want: bad},
		{name: "space in the target", send: line("GET /a b HTTP/1.1"), want: bad},
		{name: "two spaces before the target", send: line("GET  / HTTP/1.1"), want: bad, nginx: "accepts it"},
		{name: "two spaces before the version", send: line("GET /  HTTP/1.1"), want: bad, nginx: "accepts it"},
		{name: "tab for a space", send: line("GET\t/ HTTP/1.1"), want: bad},
		{name: "space after the version", send: line("GET / HTTP/1.1 "), want: bad, nginx: "accepts it"},
		{name: "space before the method", send: line(" GET / HTTP/1.1"), want: bad},
		{name: "control byte in the target", send: line("GET /\x01 HTTP/1.1"), want: bad},
		{name: "NUL in the target", send: line("GET /\x00 HTTP/1.1"), want: bad},
		{name: "DEL in the target", send: line("GET /\x7f HTTP/1.1"), want: bad},
		{name: "no target", send: line("GET HTTP/1.1"), want: bad},
		{name: "target without slash", send: line("GET a HTTP/1.1"), want: bad},
		{name: "no method", send: line("/ HTTP/1.1"), want: bad},
		{name: "method is no token", send: line("GE(T / HTTP/1.1"), want: bad},
		{name: "method with a control byte", send: line("G\x01T / HTTP/1.1"), want: bad},
		{name: "method with a high byte", send: line("G\xc9T / HTTP/1.1"), want: bad},
		{name: "method with a colon", send: line("GET: / HTTP/1.1"), want: bad},
		{name: "no version", send: "GET /\r\n", want: bad, nginx: "speaks HTTP/0.9"},
		{name: "no version, then fields", send: line("GET /"), want: bad, nginx: "speaks HTTP/0.9"},
		{name: "two empty lines", send: "\r\n\r\n" + get("/"), want: bad, nginx: "accepts it"},
		{name: "LF for an empty line", send: "\n" + get("/"), want: bad, nginx: "accepts it"},
		{name: "TLS on a plain port", send: "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", want: bad},
	})
}

func TestRejectsVersions(t *testing.T) {
	var rows []rejection
	for _, v := range []string{"HTTP/2.0", "HTTP/3.0", "HTTP/0.9", "HTTP/9.9"} {
		rows = append(rows, rejection{name: v, send: "GET / " + v + "\r\nHost: a\r\n\r\n", want: version})
	}
	for _, v := range []string{
		"http/1.1", "HTTP/1", "HTTP/1.", "HTTP/.1", "HTTP/1.10", "HTTP/11.1", "HTTP/1.a", "HTTP/1,1", "HTTP 1.1",
		"HTTP/1.1x", "XHTTP/1.1", "HTTP/+1.1", "HTTP/01.1", "HTTPS/1.1", "ICY/1.1",
	} {
		row := rejection{name: v, send: "GET / " + v + "\r\nHost: a\r\n\r\n", want: version}
		if v == "HTTP/1.10" || v == "HTTP/01.1" {
			row.nginx = "accepts it"
		}
		rows = append(rows, row)
	}
	rows = append(rows, rejection{name: "HTTP/2 preface", send: "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", want: version})
	rejects(t, rows)
}

func TestRejectsMalformedFields(t *testing.T) {
	f := func(s string) string { return "POST / HTTP/1.1\r\nHost: a\r\n" + s + "\r\nX-Last: 1\r\n\r\n" }
	rejects(t, []rejection{
		{name: "bare CR in a value", send: f("X: a\rb"), want: bad, nginx: "accepts it"},
		{name: "bare CR at the end of a value", send: f("X: a\r"), want: bad, nginx: "accepts it"},
		{name: "bare CR hides a field", send: f("X: a\rTransfer-Encoding: chunked"), want: bad, nginx: "accepts it"},
		{name: "LF without CR after a field", send: f("X: a\nY: b"), want: bad, nginx: "accepts it"},
		{name: "LF without CR at the end of the head", send: "GET / HTTP/1.1\r\nHost: a\r\n\n", want: bad, nginx: "accepts it"},
		{name: "CR at the end of the head", send: "GET / HTTP/1.1\r\nHost: a\r\n\rX", want: bad},
		{name: "NUL in a value", send: f("X: a\x00b"), want: bad},
		{name: "control byte in a value", send: f("X: a\x01b"), want: bad, nginx: "accepts it"},
		{name: "vertical tab in a value", send: f("X: a\x0bb"), want: bad, nginx: "accepts it"},
		{name: "DEL in a value", send: f("X: a\x7fb"), want: bad, nginx: "accepts it"},
		{name: "space before the colon", send: f("X : a"), want: bad},
		{name: "tab before the colon", send: f("X\t: a"), want: bad},
		{name: "continuation by a space", send: f("X: a\r\n b"), want: bad, nginx: "takes it for a field"},
		{name: "continuation by a tab", send: f("X: a\r\n\tb"), want: bad},
		{name: "space before the first field", send: "GET / HTTP/1.1\r\n Host: a\r\nHost: a\r\n\r\n", want: bad},
		{name: "line of spaces", send: f("   "), want: bad},
		{name: "empty name", send: f(": a"), want: bad, nginx: "accepts it"},
		{name: "no colon", send: f("X"), want: bad, nginx: "drops it"},
		{name: "space in a name", send: f("X Y: a"), want: bad},
		{name: "parenthesis in a name", send: f("X(Y): a"), want: bad, nginx: "accepts it"},
		{name: "slash in a name", send: f("X/Y: a"), want: bad, nginx: "accepts it"},
		{name: "high byte in a name", send: f("X\xe4: a"), want: bad, nginx: "accepts it"},
		{name: "NUL in a name", send: f("X\x00Y: a"), want: bad},
		{name: "CR in a name", send: f("X\rY: a"), want: bad, nginx: "accepts it"},
		{name: "quoted name", send: f("\"X\": a"), want: bad, nginx: "accepts it"},
		{name: "at sign in a name", send: f("X@Y: a"), want: bad, nginx: "accepts it"},
	})
}

func TestRejectsHosts(t *testing.T) {
	h := func(s string) string { return "GET / HTTP/1.1\r\n" + s + "\r\n" }
	rows := []rejection{
		{name: "missing", send: h(""), want: bad},
		{name: "missing, other fields there", send: h("X: 1\r\nX-Host: a\r\n"), want: bad},
		{name: "repeated", send: h("Host: a\r\nHost: b\r\n"), want: bad},
		{name: "repeated, equal", send: h("Host: a\r\nHost: a\r\n"), want: bad},
		{name: "repeated, other case", send: h("Host: a\r\nX: 1\r\nhOST: a\r\n"), want: bad},
		{name: "repeated, one empty", send: h("Host:\r\nHost: a\r\n"), want: bad},
		{name: "repeated with an absolute target", send: "GET http://a/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", want: bad},
		{name: "missing with an absolute target", send: "GET http://a/ HTTP/1.1\r\n\r\n", want: bad, nginx: "accepts it"},
		{name: "repeated in 1.0", send: "GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", want: bad},
		{name: "invalid in 1.0", send: "GET / HTTP/1.0\r\nHost: a/b\r\n\r\n", want: bad},
	}
	for _, v := range []string{
		"a b", "a/b", "a\\b", "u@a", "a?b", "a#b", "a\tb", "\"a\"", "<a>", "a:b", "a:80:80", "a:80x", "[::1", "::1", "[::1]x",
		"[zz]", "a^b", "a|b", "http://a", "a, b", "\xe4", "{a}",
	} {
		row := rejection{name: "value " + v, send: h("Host: " + v + "\r\n"), want: bad}
		if !strings.Contains(v, "/") && v != "a:b" {
			row.nginx = "accepts it"
		}
		rows = append(rows, row)
	}
	for i := range rows {
		if strings.HasPrefix(rows[i].name, "value") && rows[i].nginx == "" && strings.ContainsAny(rows[i].name, ":") {
			rows[i].nginx = "accepts it"
		}
	}
	rejects(t, rows)
}

func TestAcceptsHosts(t *testing.T) {
	b := hello(t)
	c := front(t, b).dial()
	for _, h := range []string{"a", "A.B", "a:8080", "127.0.0.1", "127.0.0.1:80", "[::1]", "[::1]:80", "a-b_c.d~e", "xn--e1afmkfd.example", "a."} {
		c.send("GET / HTTP/1.1\r\nHost: " + h + "\r\n\r\n")
		c.answer(200)
		if got := b.last().get("Host"); got != h {
			t.Errorf("Host %q arrived as %q", h, got)
		}
	}
}

func TestAcceptsOneEmptyLineAndHigherMinor(t *testing.T) {
	b := hello(t)
	c := front(t, b).dial()
	c.send("\r\n" + get("/a") + "\r\n" + get("/b"))
	c.answer(200)
	c.answer(200)
	c.send("GET /c HTTP/1.2\r\nHost: a\r\n\r\n")
	if differs(t, "it closes after HTTP/1.2") {
		return
	}
	c.answer(200)
	c.open()
}
