package load

import (
	"syscall"
	"time"

	"spillway/internal/netloop"
)

// connState is where a connection stands.
//
//	        +--------------------- Closed() <---------------------+
//	        v                                                     |
//	off --dial--> connecting --Writable--> open --failure, close--+
//	 ^  \             |                     |                     |
//	 |   +--backoff   +--failure------------|---------------------+
//	 |       |                              +--last answer--> lingering
//	 +-------+                                (waits for the server's FIN)
type connState uint8

const (
	off connState = iota
	connecting
	open
	lingering
	closing // the loop will call Closed
)

const (
	lingerTime   = time.Second
	firstBackoff = time.Millisecond
	maxBackoff   = 100 * time.Millisecond
)

// conn is one connection of a lane, with the requests that are on it.
type conn struct {
	source netloop.Source
	lane   *lane
	state  connState
	queued bool // stands among the lane's free connections
	tried  bool // its first outcome is known
	ended  bool // the FIN has been announced
	served bool // there was an answer on this connection
	fails  int  // in a row without an answer
	freed  int64
	dialed int64

	flights []flight // ring, oldest at first
	first   int
	count   int

	scan scanner
	in   []byte // an incomplete head
	out  []byte // what the socket did not take yet
	body []byte // of the current answer, if it is to be checked
}

func (c *conn) oldest() *flight { return &c.flights[c.first] }

func (c *conn) room() int { return len(c.flights) - c.count }

// push adds a request to those on the way.
func (c *conn) push(f flight) {
	at := c.first + c.count
	if at >= len(c.flights) {
		at -= len(c.flights)
	}
	c.flights[at] = f
	c.count++
	c.lane.inflight++
	c.lane.rec.launched(f.planned)
}

// pop takes the oldest request off.
func (c *conn) pop() flight {
	f := c.flights[c.first]
	if c.first++; c.first == len(c.flights) {
		c.first = 0
	}
	c.count--
	c.lane.inflight--
	return f
}

// dial starts to connect.
func (c *conn) dial(now int64) {
	fd, errno := netloop.Connect(c.lane.run.addr)
	c.dialed, c.ended, c.served, c.scan = now, false, false, scanner{}
	c.in, c.body = c.in[:0], c.body[:0]
	if errno != 0 && errno != syscall.EINPROGRESS {
		c.refused(errno, now)
		return
	}
	if err := c.lane.loop.Add(&c.source, fd, c); err != nil {
		netloop.CloseNow(fd)
		c.refused(syscall.EMFILE, now)
		return
	}
	c.state = connecting
	c.lane.loop.Arm(&c.source, now+c.lane.run.timeout)
}

// Ready implements netloop.Handler.
func (c *conn) Ready(ev netloop.Events) {
	c.ended = c.ended || ev.Ended()
	switch c.state {
	case connecting:
		c.handshake(ev)
	case open:
		if len(c.out) > 0 && ev&netloop.Writable != 0 && !c.flush() {
			return
		}
		c.read()
	case lingering:
		c.linger()
	}
}

func (c *conn) handshake(ev netloop.Events) {
	now := c.lane.loop.Clock()
	errno := netloop.SocketError(c.source.FD())
	if errno == 0 && ev&netloop.Writable == 0 {
		return
	}
	if errno == 0 && netloop.SelfConnected(c.source.FD(), c.lane.run.addr) {
		errno = syscall.ECONNREFUSED
	}
	if errno != 0 {
		c.refused(errno, now)
		return
	}
	c.state = open
	c.lane.rec.connected(now - c.dialed)
	c.lane.loop.Disarm(&c.source)
	if c.count > 0 {
		c.watch(now)
		c.flush()
	}
	c.lane.settled(c)
	c.lane.available(c, now)
}

// refused handles a connection that did not come about.
func (c *conn) refused(errno syscall.Errno, now int64) {
	kind := ConnectFailed
	switch errno {
	case syscall.ECONNREFUSED:
		kind = ConnectRefused
	case syscall.ETIMEDOUT:
		kind = ConnectTimeout
	}
	if c.count == 0 {
		c.lane.rec.kinds[kind]++
		c.lane.rec.failed++
		c.lane.rec.second.failed++
	}
	c.lane.lastErrno = errno
	c.lane.settled(c)
	c.fail(kind, now)
}

// fail ends the connection and all requests on it.
func (c *conn) fail(kind Kind, now int64) {
	for c.count > 0 {
		f := c.pop()
		c.lane.rec.failure(&f, kind, now)
	}
	c.fails++
	c.close(now)
}

// idleClosed handles the end of a connection without a request on it. One that
// ends before its first answer is not followed by the next at once.
func (c *conn) idleClosed(now int64) {
	if !c.served {
		c.fails++
	}
	c.close(now)
}

// close ends the connection; Closed follows when the loop has let go of it.
func (c *conn) close(now int64) {
	c.out = c.out[:0]
	if c.source.Live() && c.source.FD() >= 0 {
		c.state = closing
		c.lane.loop.Close(&c.source)
		return
	}
	c.rest(now)
}

// Closed implements netloop.Handler.
func (c *conn) Closed() { c.rest(c.lane.loop.Clock()) }

// rest is what follows a connection: the next, after a pause if there was no
// answer on it.
func (c *conn) rest(now int64) {
	c.state = off
	if c.fails == 0 {
		c.again(now)
		return
	}
	pause := min(firstBackoff<<min(c.fails-1, 10), maxBackoff)
	c.lane.loop.After(&c.source, c, now+int64(pause))
}

func (c *conn) again(now int64) {
	switch {
	case c.lane.over(now):
	case c.lane.run.fresh:
		c.freed = now
		c.lane.available(c, now)
		c.lane.stir() // the batch may be over already
	default:
		c.dial(now)
	}
}

// Expired implements netloop.Handler: a pause is over, or something has taken
// too long.
func (c *conn) Expired(int64) {
	now := c.lane.loop.Clock()
	switch c.state {
	case off:
		c.again(now)
	case connecting:
		c.refused(syscall.ETIMEDOUT, now)
	case lingering:
		c.close(now)
	case open:
		switch {
		case c.count == 0:
		case c.oldest().sent+c.lane.run.timeout <= now:
			c.fail(Timeout, now)
		default:
			c.watch(now)
		}
	}
}

// watch arms the timeout of the oldest request. One that is armed is left: it
// finds out when it expires that it was too early.
func (c *conn) watch(now int64) {
	if c.source.Deadline() == 0 {
		c.lane.loop.Arm(&c.source, max(c.oldest().sent+c.lane.run.timeout, now+1))
	}
}

// write sends b, after what the socket has not taken yet. It is false if the
// connection broke.
func (c *conn) write(b []byte, now int64) bool {
	if c.state != open || len(c.out) > 0 {
		c.out = append(c.out, b...)
		return true
	}
	n, errno := netloop.Send(c.source.FD(), b)
	if errno != 0 && errno != syscall.EAGAIN {
		c.fail(Reset, now)
		return false
	}
	if n < len(b) {
		c.out = append(c.out, b[n:]...)
	}
	return true
}

func (c *conn) flush() bool {
	n, errno := netloop.Send(c.source.FD(), c.out)
	if errno != 0 && errno != syscall.EAGAIN {
		c.fail(Reset, c.lane.loop.Clock())
		return false
	}
	c.out = append(c.out[:0], c.out[n:]...)
	return true
}

// linger waits for the server to close, which it has announced.
func (c *conn) linger() {
	n, errno := netloop.Recv(c.source.FD(), c.lane.buf)
	switch {
	case errno == syscall.EAGAIN:
	case errno != 0 || n == 0:
		c.close(c.lane.loop.Clock())
	default:
		c.lane.loop.Again(&c.source)
	}
}
