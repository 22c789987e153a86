package engine_test

import "testing"

// Trailer fields of an answer go to a client that takes them, as trailers; to
// others they are dropped (RFC 9110 6.5.1). What frames never passes.
func TestResponseTrailers(t *testing.T) {
	if differs(t, "it drops them") {
		return
	}
	b := newBackend(t, always(resp("200 OK", "1\r\nx\r\n0\r\nX-Sum: 1\r\nContent-Length: 9\r\n\r\n",
		"Transfer-Encoding: chunked", "Trailer: X-Sum")))
	p := front(t, b)
	c := p.dial()
	for range 2 { // the exchange's memory is used again
		c.send(get("/", "TE: trailers", "Connection: TE"))
		m := c.answer(200)
		if len(m.Trailer) != 1 || m.Trailer[0].Name != "X-Sum" || m.get("Trailer") != "X-Sum" {
			t.Errorf("got trailer %v with %q", m.Trailer, m.Head)
		}
		c.send(get("/"))
		if m := c.answer(200); len(m.Trailer) != 0 || m.has("Trailer") {
			t.Errorf("a client that did not ask got trailer %v with %q", m.Trailer, m.Head)
		}
	}
}
