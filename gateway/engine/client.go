package engine

import (
	"bytes"
	"net/netip"
	"syscall"
	"time"

	"spillway/gateway/http1"
	"spillway/gateway/metrics"
	"spillway/internal/netloop"
)

// client is a client's connection: the HTTP/1.x codec that turns its bytes
// into one exchange after the other.
//
//	         request head read           answer sent, kept alive
//	 head ----------------------> busy ---------------------------> head
//	  |                            |  |
//	  | bad head, FIN, timeout     |  | answer sent, not kept, input unread
//	  v                            |  v
//	closed <-----------------------+ linger --- FIN, 64 KiB or timeout ---> closed
//	          answer sent, not kept,
//	          or anything broke
//
// Timers: head idle timeout, from the first byte header timeout; busy body
// timeout while the body is read, send timeout while the answer is not taken;
// linger timeout.
type client struct {
	netloop.Source
	l   *loop
	ex  *exchange
	in  *buffer // received and not yet understood: a part of a head, or requests behind the current one
	out *buffer // to be sent

	served   int
	lingered int
	paced    int64 // body bytes when the rate was last looked at
	pacedAt  int64

	peer    netip.Addr
	ip      [46]byte // peer as text
	ipLen   uint8
	state   clientState
	trusted bool
	counted bool // in Engine.perAddr

	readable bool // there may be something to read
	fin      bool // the client has sent FIN
	began    bool // a byte of the next request head was seen
	closing  bool // close when out is sent
}

type clientState uint8

const (
	clientHead clientState = iota
	clientBusy
	clientLinger
)

// open takes an accepted connection over. The count in l.clients was raised
// by the loop that accepted it.
func (l *loop) open(fd int32, peer netip.AddrPort, counted bool) {
	c := l.freeCl.get()
	*c = client{Source: c.Source, l: l, peer: peer.Addr(), counted: counted}
	if err := l.loop.Add(&c.Source, fd, c); err != nil {
		netloop.CloseNow(fd)
		l.forget(c)
		l.freeCl.put(c)
		return
	}
	if peer.IsValid() {
		c.ipLen = uint8(len(c.peer.AppendTo(c.ip[:0])))
		c.trusted = l.trusted(c.peer)
	} else {
		c.ipLen = uint8(copy(c.ip[:], "unix:"))
	}
	l.m.Active.Inc()
	l.arm(&c.Source, firstTimeout(&l.cfg.Timeouts))
}

// firstTimeout is how long a new connection may stay silent.
func firstTimeout(t *Timeouts) time.Duration {
	if t.Header > 0 {
		return t.Header
	}
	return t.Idle
}

// forget takes a connection out of the counts.
func (l *loop) forget(c *client) {
	l.clients.Add(-1)
	l.e.active.Add(-1)
	if c.counted {
		l.e.perAddr.done(c.peer)
	}
}

// Ready handles an event of the connection.
func (c *client) Ready(ev netloop.Events) {
	if ev&(netloop.HangUp|netloop.Failed) != 0 {
		if ev&netloop.Failed != 0 || !c.tunnelling() && c.state != clientLinger {
			c.abort()
			return
		}
		c.fin = true
	}
	if ev&netloop.PeerFin != 0 {
		c.fin = true
	}
	if ev&(netloop.Readable|netloop.PeerFin|netloop.HangUp|netloop.Failed) != 0 {
		c.readable = true
	}
	if ev&netloop.Writable != 0 && c.out != nil && !c.flush() {
		return
	}
	c.pump()
}

// pump handles what the connection has to offer: bytes in hand first, then
// the socket, one scratch buffer a call so that others get their turn.
func (c *client) pump() {
	for budget := scratchSize; c.Live(); {
		if c.closing && c.state != clientLinger {
			return // nothing more is read before the last answer is sent
		}
		var n int
		switch c.state {
		case clientHead:
			n = c.pumpHead()
		case clientBusy:
			n = c.ex.pumpRequest()
		case clientLinger:
			n = c.discard()
		}
		if n <= 0 {
			return
		}
		if budget -= n; budget <= 0 {
			c.l.loop.Again(&c.Source)
			return
		}
	}
}

// receive reads into b. It returns n 0 when there is nothing now, after
// dealing with the end of the stream or an error by calling gone.
func (c *client) receive(b []byte, gone func(*client)) int {
	if !c.readable {
		return 0
	}
	n, errno := recv(&c.Source, b)
	switch {
	case errno == syscall.EAGAIN:
		c.readable = false
		return 0
	case errno != 0:
		c.readable = false
		c.abort()
		return 0
	case n == 0:
		c.readable, c.fin = false, true
		gone(c)
		return 0
	}
	if n < len(b) && !c.fin && !hasBuffered(&c.Source) {
		c.readable = false // drained: the next bytes come with an event
	}
	c.l.m.BytesIn.Add(uint64(n))
	return n
}

// pumpHead parses the next request head from what is in hand, or reads more.
// It returns how much work it did, 0 when it waits.
func (c *client) pumpHead() int {
	l := c.l
	if c.in == nil {
		n := c.receive(l.in, (*client).abort)
		if n == 0 {
			if l.leaving && c.Live() {
				c.close() // nothing came: it is idle
			}
			return 0
		}
		c.parse(l.in[:n])
		return n
	}
	if !c.began { // requests behind the last one: nothing was read yet
		n := c.in.len()
		c.parse(c.in.bytes())
		return n
	}
	if len(c.in.space()) == 0 {
		c.in = l.buffers.grown(c.in, max(c.in.len(), 1<<10))
	}
	n := c.receive(c.in.space(), (*client).abort)
	if n == 0 {
		return 0
	}
	fresh := c.in.b[len(c.in.b) : len(c.in.b)+n]
	c.in.b = c.in.b[:len(c.in.b)+n]
	if bytes.IndexByte(fresh, '\n') >= 0 || c.in.len()/headStep != (c.in.len()-n)/headStep {
		c.parse(c.in.bytes())
	}
	return n
}

// headStep is how much more of an unfinished head makes it parsed, so that
// limits are met; else only a read that ends a line does, so that a head sent
// byte by byte costs a pass a line, and few more.
const headStep = 1 << 10

// parse starts the exchange whose request head is at the start of b, or keeps
// b until more comes. b is c.in's bytes or the loop's scratch.
func (c *client) parse(b []byte) {
	l := c.l
	n, err := l.req.Parse(b, &l.cfg.Limits)
	if err != nil {
		c.refuse(err.(*http1.Error), b)
		return
	}
	if n == 0 {
		c.keep(b)
		if !c.began {
			c.began = true
			l.arm(&c.Source, l.cfg.Timeouts.Header)
		}
		return
	}
	c.began = false
	c.state = clientBusy
	l.startExchange(c, b[:n], b[n:])
}

// keep holds on to the unread rest of what parse or the exchange was given.
func (c *client) keep(rest []byte) {
	switch {
	case len(rest) == 0:
		c.l.buffers.put(c.in)
		c.in = nil
	case c.in == nil:
		c.in = c.l.buffers.appendTo(nil, rest)
	default:
		c.in.r = len(c.in.b) - len(rest)
	}
}

// send writes head and body, and keeps what the client does not take yet. It
// reports false if the client is gone; the connection is closed then.
func (c *client) send(head, body []byte) bool {
	total := len(head) + len(body)
	sent := 0
	if c.ex != nil {
		c.ex.sentAll += int64(total)
	}
	if c.out == nil && total > 0 {
		n, errno := send(&c.Source, head, body)
		if errno != 0 && errno != syscall.EAGAIN {
			c.abort()
			return false
		}
		sent = n
		c.l.m.BytesOut.Add(uint64(n))
	}
	if sent == total {
		return true
	}
	if sent < len(head) {
		c.out = c.l.buffers.appendTo(c.out, head[sent:])
		sent = len(head)
	}
	c.out = c.l.buffers.appendTo(c.out, body[sent-len(head):])
	c.l.arm(&c.Source, c.l.cfg.Timeouts.Send)
	return true
}

// lagging reports whether the client has not taken what was sent.
func (c *client) lagging() bool { return c.out != nil }

// flush sends what is pending. It reports false if the connection is closed
// or went on to something else.
func (c *client) flush() bool {
	for c.out.len() > 0 {
		n, errno := send(&c.Source, c.out.bytes(), nil)
		if errno == syscall.EAGAIN {
			return true
		}
		if errno != 0 {
			c.abort()
			return false
		}
		c.out.r += n
		c.l.m.BytesOut.Add(uint64(n))
		c.l.arm(&c.Source, c.l.cfg.Timeouts.Send)
	}
	c.l.buffers.put(c.out)
	c.out = nil
	c.l.loop.Disarm(&c.Source)
	if c.ex != nil {
		c.ex.clientDrained()
		return c.Live()
	}
	if c.closing {
		c.shut()
		return c.Live()
	}
	return true
}

// answered is called when the exchange is over and its answer is sent whole.
func (c *client) answered(keepAlive, inputLeft bool) {
	c.ex = nil
	c.served++
	if !keepAlive {
		c.closing = true
		if inputLeft {
			c.linger()
		} else {
			c.shut()
		}
		return
	}
	c.state, c.began = clientHead, false
	c.l.arm(&c.Source, c.l.cfg.Timeouts.Idle)
	c.readable = c.readable || c.l.leaving
	if c.in != nil || c.readable {
		c.l.loop.Again(&c.Source)
	}
}

// lastRequest reports whether the connection serves none after the current.
func (c *client) lastRequest() bool {
	limit := c.l.cfg.KeepaliveRequests
	return c.l.draining || limit > 0 && c.served+1 >= limit
}

// shut closes a connection on which all is sent. Unread input would turn the
// close into a reset that can destroy the answer, so it is read first.
func (c *client) shut() {
	if (c.readable || c.in != nil) && !c.fin {
		c.linger()
		return
	}
	c.close()
}

// linger sends FIN and reads on, bounded in bytes and time (RFC 9112 9.6).
func (c *client) linger() {
	if c.out != nil { // flush calls shut when it is sent
		c.closing = true
		return
	}
	c.state = clientLinger
	c.keep(nil)
	netloop.ShutdownWrite(c.FD())
	d := c.l.cfg.Timeouts.Linger
	if d <= 0 {
		d = 2 * time.Second
	}
	c.l.arm(&c.Source, d)
	c.readable = true
	c.l.loop.Again(&c.Source)
}

// lingerBytes is how much is read and thrown away behind a refusal.
const lingerBytes = 64 << 10

func (c *client) discard() int {
	n := c.receive(c.l.in, (*client).close)
	if n == 0 {
		return 0
	}
	if c.lingered += n; c.lingered > lingerBytes {
		c.close()
		return 0
	}
	return n
}

// Expired acts on the timer of the current state.
func (c *client) Expired(int64) {
	t := &c.l.m.Timeouts
	switch {
	case c.state == clientLinger:
		t[metrics.TimeoutLinger].Inc()
		c.close()
	case c.out != nil:
		t[metrics.TimeoutSend].Inc()
		c.abort()
	case c.state == clientBusy:
		c.ex.clientTimeout()
	case c.began:
		t[metrics.TimeoutHeader].Inc()
		c.refuse(errHeaderTimeout, c.in.bytes())
	default:
		t[metrics.TimeoutIdle].Inc()
		c.close()
	}
}

var errHeaderTimeout = &http1.Error{Status: 408, Reason: "request head took too long"}

// refuse answers a request that could not be understood, as far as it was
// received, and closes.
func (c *client) refuse(err *http1.Error, head []byte) {
	l := c.l
	l.m.BadRequests.Inc(err.Status)
	l.m.Responses.Inc(err.Status)
	c.state = clientHead
	c.closing = true
	a := localAnswer{status: err.Status, close: true}
	l.out = l.appendLocal(l.out[:0], &a)
	l.logRefused(c, &a, head)
	if c.send(l.out, nil) {
		c.linger()
	}
}

func (c *client) tunnelling() bool { return c.ex != nil && c.ex.tunnel }

// abort ends the connection now and cancels its exchange.
func (c *client) abort() {
	if ex := c.ex; ex != nil {
		c.ex = nil
		ex.canceled()
	}
	c.close()
}

// close ends the connection; its exchange has been taken care of.
func (c *client) close() {
	if !c.Live() {
		return
	}
	l := c.l
	l.buffers.put(c.in)
	l.buffers.put(c.out)
	c.in, c.out, c.ex = nil, nil, nil
	l.m.Active.Dec()
	l.m.Closed.Inc()
	l.loop.Close(&c.Source)
}

// Closed takes the connection out of the counts and gives the memory back.
func (c *client) Closed() {
	l := c.l
	l.forget(c)
	c.l = nil
	l.freeCl.put(c)
}

// closeIdle closes the connections that wait for a request, now and from now
// on. A request that has come, although no event has told of it, is answered.
func (l *loop) closeIdle() {
	l.leaving = true
	l.loop.Each(func(h netloop.Handler) {
		if c, ok := h.(*client); ok && c.state == clientHead {
			c.readable = true
			c.pump()
		}
	})
}

// abortAll cuts what is left when the time to drain is over, so that it is
// counted and logged.
func (l *loop) abortAll() {
	l.loop.Each(func(h netloop.Handler) {
		if c, ok := h.(*client); ok {
			c.abort()
		}
	})
}
