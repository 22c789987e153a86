package engine_test

import (
	"slices"
	"strings"
	"testing"
)

func TestAbsoluteFormReplacesHost(t *testing.T) {
	if differs(t, "it leaves Host as it was and treats OPTIONS http://real as /") {
		return
	}
	b := hello(t)
	c := front(t, b).dial()
	for _, r := range []struct{ method, target, want, host string }{
		{"GET", "http://real/", "/", "real"},
		{"GET", "http://real", "/", "real"},
		{"GET", "http://real:8080/a?b", "/a?b", "real:8080"},
		{"GET", "http://real?x=1", "/?x=1", "real"},
		{"GET", "HTTP://Real/A", "/A", "Real"},
		{"GET", "http://[::1]:80/", "/", "[::1]:80"},
		{"GET", "http://real//a//b", "//a//b", "real"},
		{"POST", "http://real/p", "/p", "real"},
		{"OPTIONS", "http://real", "*", "real"},
		{"OPTIONS", "http://real/", "/", "real"},
		{"OPTIONS", "http://real/x", "/x", "real"},
	} {
		c.send(r.method + " " + r.target + " HTTP/1.1\r\nX-A: 1\r\nHost: other\r\nContent-Length: 0\r\n\r\n")
		c.answerTo(r.method, 200)
		m := b.last()
		if m.Target != r.want || m.get("Host") != r.host {
			t.Errorf("%s %s arrived as %s of host %q, want %s of %q", r.method, r.target, m.Target, m.get("Host"), r.want, r.host)
		}
	}
}

func TestOptionsAsterisk(t *testing.T) {
	if differs(t, "it answers 400") {
		return
	}
	b := hello(t)
	c := front(t, b).dial()
	c.send(req("OPTIONS", "*", ""))
	c.answerTo("OPTIONS", 200)
	if m := b.one(); m.Target != "*" {
		t.Errorf("target %q", m.Target)
	}
}

func TestRejectsTargets(t *testing.T) {
	refusedConnect := []int{400, 403, 405, 501}
	var rows []rejection
	for _, target := range []string{"*", "http:///", "http://", "http://u@a/", "http://a b/", "http://a:b/", "http://[::1/", "a:80", "//", "?x", "#", "a/b"} {
		if target == "//" {
			continue
		}
		row := rejection{name: "GET " + target, send: req("GET", target, ""), want: bad}
		if strings.HasPrefix(target, "http") {
			row.nginx = "answers otherwise"
		}
		rows = append(rows, row)
	}
	for _, target := range []string{"a:443", "a", "a:", ":443", "a:0", "a:65536", "a:x", "a:443/", "/", "*", "http://a/", "u@a:443", "[::1]:443"} {
		rows = append(rows, rejection{name: "CONNECT " + target, send: "CONNECT " + target + " HTTP/1.1\r\nHost: a\r\n\r\n", want: refusedConnect})
	}
	rejects(t, rows)
}

func TestMaxForwards(t *testing.T) {
	if differs(t, "it does not know Max-Forwards and refuses TRACE") {
		return
	}
	b := hello(t)
	p := front(t, b)
	for _, r := range []struct{ method, sent, want string }{
		{"TRACE", "2", "1"}, {"TRACE", "1", "0"}, {"OPTIONS", "10", "9"}, {"OPTIONS", "1", "0"}, {"GET", "3", "3"}, {"GET", "0", "0"},
	} {
		c := p.dial()
		c.send(req(r.method, "/", "", "Max-Forwards: "+r.sent))
		c.answerTo(r.method, 200)
		if got := b.last().get("Max-Forwards"); got != r.want {
			t.Errorf("%s with Max-Forwards %s arrived with %q, want %q", r.method, r.sent, got, r.want)
		}
	}
}

// With Max-Forwards 0 the gateway is the one to answer.
func TestMaxForwardsZeroIsAnsweredHere(t *testing.T) {
	if differs(t, "it does not know Max-Forwards") {
		return
	}
	b := hello(t)
	p := front(t, b)
	for _, method := range []string{"TRACE", "OPTIONS"} {
		c := p.dial()
		c.send(req(method, "/", "", "Max-Forwards: 0", "X-Secret: 1"))
		m := c.response(method)
		if !slices.Contains([]int{200, 204, 405, 501}, m.Status) {
			t.Errorf("%s with Max-Forwards 0 got %d", method, m.Status)
		}
	}
	b.untouched(t)
}
