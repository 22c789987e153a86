package peers

import (
	"bytes"
	"syscall"

	"spillway/internal/netloop"
)

// headEnd ends each request: the clients here send no bodies.
var headEnd = []byte("\r\n\r\n")

// kindAt is where the byte stands that chooses the answer: behind "GET /".
const kindAt = 5

// served is one connection of the backend.
type served struct {
	source  netloop.Source
	backend *backend
	at      *listener
	ended   bool   // the peer's FIN has been announced
	pending []byte // answers that the socket did not take yet

	// A head that is not complete.
	offset  int  // bytes of it that were read
	matched int  // of headEnd, at its end
	kind    byte // at kindAt
}

func (c *served) Ready(ev netloop.Events) {
	c.ended = c.ended || ev.Ended()
	if !c.flush() {
		c.backend.loop.Close(&c.source)
		return
	}
	if len(c.pending) == 0 {
		c.read()
	}
}

func (c *served) Expired(int64) {}
func (c *served) Closed()       {}

// read takes what has come and answers it. More is not read while answers wait:
// the event that lets them go brings us back.
func (c *served) read() {
	b := c.backend
	n, errno := netloop.Recv(c.source.FD(), b.in[:])
	if errno == syscall.EAGAIN {
		return
	}
	if n <= 0 || !c.send(c.answers(b.in[:n])) {
		b.loop.Close(&c.source)
		return
	}
	if len(c.pending) == 0 && (c.ended || n == len(b.in)) {
		b.loop.Again(&c.source) // there is more to read and no event will say so
	}
}

func (c *served) send(answers []byte) bool {
	if len(answers) == 0 {
		return true
	}
	c.at.used()
	n, errno := netloop.Send(c.source.FD(), answers)
	if errno != 0 && errno != syscall.EAGAIN {
		return false
	}
	c.pending = append(c.pending, answers[n:]...)
	return true
}

func (c *served) flush() bool {
	if len(c.pending) == 0 {
		return true
	}
	n, errno := netloop.Send(c.source.FD(), c.pending)
	if errno != 0 && errno != syscall.EAGAIN {
		return false
	}
	c.pending = append(c.pending[:0], c.pending[n:]...)
	return true
}

// answers returns the answers to the requests that end in data, which are valid
// until the next call on any connection.
func (c *served) answers(data []byte) []byte {
	b := c.backend
	// Fast path: one whole request a read.
	if end := bytes.Index(data, headEnd); c.offset == 0 && end > kindAt && end == len(data)-len(headEnd) {
		return b.answer(data[kindAt])
	}
	b.out = b.out[:0]
	for len(data) > 0 {
		kind, n, whole := c.next(data)
		data = data[n:]
		if whole {
			b.out = append(b.out, b.answer(kind)...)
		}
	}
	return b.out
}

// next takes one head, or what there is of it, off data.
func (c *served) next(data []byte) (kind byte, n int, whole bool) {
	if end := bytes.Index(data, headEnd); c.offset == 0 && end > kindAt {
		return data[kindAt], end + len(headEnd), true
	}
	for i, ch := range data {
		if c.offset == kindAt {
			c.kind = ch
		}
		c.offset++
		switch {
		case ch == headEnd[c.matched]:
			c.matched++
		case ch == '\r':
			c.matched = 1
		default:
			c.matched = 0
		}
		if c.matched == len(headEnd) {
			c.matched, c.offset = 0, 0
			return c.kind, i + 1, true
		}
	}
	return 0, len(data), false
}
