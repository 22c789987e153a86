package load

import (
	"syscall"

	"spillway/internal/netloop"
)

// maxBody bounds the part of a body that is kept to be checked.
const maxBody = 16 << 20

// maxDiscard is how much of a body is thrown away with one call.
const maxDiscard = 1 << 20

// read takes what has come. What it cannot use yet, at most an incomplete head,
// waits in c.in.
func (c *conn) read() {
	if c.skippable() {
		c.skip()
		return
	}
	buf := c.lane.buf
	kept := copy(buf, c.in)
	n, errno := netloop.Recv(c.source.FD(), buf[kept:kept+readSize])
	now := c.lane.loop.Clock()
	switch {
	case errno == syscall.EAGAIN:
		return
	case errno != 0:
		c.broken(now)
		return
	case n == 0:
		c.eof(now)
		return
	}
	c.in = c.in[:0]
	if !c.consume(buf[:kept+n], now) {
		return
	}
	if c.ended || n == readSize {
		c.lane.loop.Again(&c.source) // there is more, and no event will say so
	}
	c.lane.available(c, now)
}

// skippable reports whether nobody needs the bytes that come next.
func (c *conn) skippable() bool {
	return c.scan.inBody && c.scan.answer.body == byLength && !c.capturing()
}

func (c *conn) capturing() bool { return c.lane.run.plan.messages[c.oldest().message].capture }

// skip throws a body away inside the kernel.
func (c *conn) skip() {
	n, errno := discard(c.source.FD(), min(c.scan.left, maxDiscard), c.lane.buf)
	now := c.lane.loop.Clock()
	switch {
	case errno == syscall.EAGAIN:
		return
	case errno != 0:
		c.broken(now)
		return
	case n == 0:
		c.eof(now)
		return
	}
	wanted := min(c.scan.left, maxDiscard)
	c.scan.left -= n
	c.lane.rec.received += uint64(n)
	if c.scan.left == 0 {
		c.scan.inBody = false
		if !c.complete(now) {
			return
		}
	}
	if c.ended || n == wanted {
		c.lane.loop.Again(&c.source)
	}
	c.lane.available(c, now)
}

// consume walks through received bytes. It is false if the connection is not
// open any more.
func (c *conn) consume(b []byte, now int64) bool {
	l := c.lane
	l.rec.received += uint64(len(b))
	for len(b) > 0 {
		if c.count == 0 {
			c.stray(now)
			return false
		}
		m := c.oldest().message
		data, n, done, err := c.scan.next(b, &l.known[m], l.run.plan.messages[m].head)
		if err != nil {
			c.fail(Malformed, now)
			return false
		}
		if n == 0 {
			c.in = append(c.in[:0], b...)
			return true
		}
		if l.run.plan.messages[m].capture && len(c.body) < maxBody {
			c.body = append(c.body, data...)
		}
		b = b[n:]
		if done && !c.complete(now) {
			return false
		}
	}
	return true
}

// stray handles bytes that answer no request.
func (c *conn) stray(now int64) {
	c.lane.rec.kinds[Malformed]++
	c.fail(Malformed, now)
}

// complete records the answer to the oldest request. It is false if the
// connection is not open any more.
func (c *conn) complete(now int64) bool {
	l := c.lane
	full := c.room() == 0
	f := c.pop()
	m := &l.run.plan.messages[f.message]
	l.rec.answer(&f, c.scan.answer.status, now)
	if kind, ok := m.verdict(c.scan.answer.status, c.body, f.id, &l.scratch); !ok {
		l.rec.failure(&f, kind, now)
	}
	c.fails, c.served, c.body = 0, true, c.body[:0]
	l.lastAnswer = now
	if full {
		c.freed = now
	}
	if c.scan.answer.last || l.run.fresh {
		c.finish(now)
		return false
	}
	return true
}

// finish ends a connection after its last answer. If the server is to close it,
// we wait: who closes first keeps the port busy for a minute (TIME_WAIT).
func (c *conn) finish(now int64) {
	if c.count > 0 {
		c.fail(Closed, now)
		return
	}
	if c.ended || !c.scan.answer.last {
		c.close(now)
		return
	}
	c.state = lingering
	c.lane.loop.Arm(&c.source, now+int64(lingerTime))
	c.linger()
}

// eof handles the end of the stream.
func (c *conn) eof(now int64) {
	switch {
	case c.scan.ended():
		c.ended = true
		c.complete(now) // such an answer is always the last
	case c.count > 0:
		c.fail(Closed, now)
	default:
		c.idleClosed(now) // a server may do that
	}
}

// broken handles a read error.
func (c *conn) broken(now int64) {
	if c.count == 0 {
		c.idleClosed(now)
		return
	}
	c.fail(Reset, now)
}
