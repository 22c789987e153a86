package engine

import (
	"syscall"

	"spillway/gateway/http1"
	"spillway/internal/netloop"
)

// pumpRequest moves what the client sends towards the server: the body, or
// raw bytes in a tunnel. It returns how much work it did, 0 when it waits.
func (ex *exchange) pumpRequest() int {
	l, c := ex.l, ex.c
	if ex.received && !ex.tunnel {
		if c.fin && !ex.answered && !l.cfg.AnswerHalfClosed {
			c.abort() // nobody waits for the answer
		}
		return 0
	}
	if ex.blocked() || ex.clFin {
		return 0
	}
	gone := (*client).abort
	if ex.tunnel {
		gone = (*client).tunnelFin
	}
	n := c.receive(l.in, gone)
	if n == 0 {
		return 0
	}
	k, bad := ex.takeBody(l.in[:n])
	c.keep(l.in[k:n])
	if bad != nil {
		ex.refuseBody(bad)
		return 0
	}
	ex.bodyTimer()
	ex.flushUp()
	return n
}

// bodyTimer follows the progress of the body.
func (ex *exchange) bodyTimer() {
	l, c := ex.l, ex.c
	switch {
	case ex.tunnel:
		ex.tunnelTimer()
	case c.out != nil:
	case ex.received:
		l.loop.Disarm(&c.Source)
	case l.cfg.Timeouts.MinBodyRate == 0:
		l.arm(&c.Source, l.cfg.Timeouts.Body)
	}
}

// blocked reports whether reading the client has to wait for the server.
func (ex *exchange) blocked() bool {
	switch {
	case ex.answered && !ex.tunnel:
		return true
	case ex.u == nil || ex.u.state == upConnecting:
		return len(ex.up.b) >= retain
	case ex.u.cut:
		return true
	}
	return len(ex.up.b) > ex.sent
}

// takeBody takes what belongs to the request off the start of b, in the form
// it is sent upstream in, and returns how much that is.
func (ex *exchange) takeBody(b []byte) (n int, bad *http1.Error) {
	switch {
	case ex.tunnel:
		ex.push(b)
		return len(b), nil
	case ex.received || len(b) == 0:
		return 0, nil
	}
	ex.expect = false // the client does not wait any more
	if ex.bodyKind == http1.ChunkedBody {
		return ex.takeChunks(b)
	}
	n = int(min(int64(len(b)), ex.bodyLeft))
	ex.push(b[:n])
	ex.bodyLeft -= int64(n)
	ex.bodyRead += int64(n)
	ex.received = ex.bodyLeft == 0
	return n, nil
}

// takeChunks decodes chunks and frames them anew.
func (ex *exchange) takeChunks(b []byte) (n int, bad *http1.Error) {
	l := ex.l
	if ex.chunks.Trailer == nil {
		ex.chunks.Trailer = make([]byte, 0, trailerRoom)
	}
	out := l.out[:0]
	for !ex.received && n < len(b) {
		data, k, done, err := ex.chunks.Next(b[n:], &l.cfg.Limits)
		if err != nil {
			return n, err.(*http1.Error)
		}
		n += k
		ex.bodyRead += int64(len(data))
		if limit := l.cfg.MaxBody; limit > 0 && ex.bodyRead+ex.chunks.Left() > limit {
			return n, errBodyTooBig
		}
		if len(data) > 0 {
			out = http1.AppendChunk(out, data)
		}
		if done {
			ex.received = true
			out = http1.AppendTrailers(out, ex.chunks.Trailer)
		}
	}
	l.out = out
	ex.push(out)
	return n, nil
}

// trailerRoom is how many bytes of trailer fields are forwarded at most; more
// are dropped, which RFC 9110 6.5 allows.
const trailerRoom = 2 << 10

// push appends to what goes upstream. What was sent is forgotten once the
// request is too long to be kept for another attempt.
func (ex *exchange) push(b []byte) {
	if ex.sent > 0 && (!ex.replay || len(ex.up.b)+len(b) > retain) {
		ex.replay = false
		left := copy(ex.up.b, ex.up.b[ex.sent:])
		ex.up.b, ex.sent = ex.up.b[:left], 0
	}
	ex.up = ex.l.buffers.appendTo(ex.up, b)
}

// flushUp sends the server what is pending.
func (ex *exchange) flushUp() {
	u, l := ex.u, ex.l
	if u == nil || u.state != upBusy || u.cut {
		return
	}
	for ex.sent < len(ex.up.b) {
		n, errno := send(&u.Source, ex.up.b[ex.sent:], nil)
		if errno == syscall.EAGAIN {
			l.arm(&u.Source, ex.lp.settings.SendTimeout)
			return
		}
		if errno != 0 {
			ex.sendFailed(u)
			return
		}
		ex.sent += n
		ex.lp.m.BytesOut.Add(uint64(n))
	}
	ex.flushed(u)
}

// flushed is called when the server was sent all there is so far.
func (ex *exchange) flushed(u *upconn) {
	l := ex.l
	if c := ex.c; c.readable && (ex.tunnel || !ex.received) {
		l.loop.Again(&c.Source) // reading was paused while bytes were pending
		c.paced, c.pacedAt = ex.bodyRead, l.loop.Now()
	}
	if len(ex.up.b) > retain && (!ex.received || !ex.resendable()) { // no other attempt needs it
		ex.replay = false
		l.buffers.put(ex.up)
		ex.up, ex.sent = l.buffers.get(0), 0
	}
	switch {
	case ex.tunnel:
		l.loop.Disarm(&u.Source)
		if ex.clFin {
			netloop.ShutdownWrite(u.FD())
			ex.tunnelEnd()
		}
	case ex.received:
		l.arm(&u.Source, ex.lp.settings.ReadTimeout)
	default:
		l.loop.Disarm(&u.Source)
	}
}

// sendFailed handles a server that takes no more: it may have answered before
// it closed, so the answer is looked for before the attempt is given up.
func (ex *exchange) sendFailed(u *upconn) {
	if ex.tunnel {
		ex.tunnelUpEnded(false)
		return
	}
	u.cut, u.readable = true, true
	ex.l.arm(&u.Source, ex.lp.settings.ReadTimeout)
	ex.l.loop.Again(&u.Source)
}

// upstreamWritable goes on sending, and then reading the client.
func (ex *exchange) upstreamWritable() {
	if ex.sent == len(ex.up.b) {
		return // Fast path: nothing is pending.
	}
	ex.flushUp()
}

// refuseBody ends an exchange whose request broke off, or broke its framing.
func (ex *exchange) refuseBody(err *http1.Error) {
	if ex.answering {
		ex.c.abort()
		return
	}
	ex.l.m.BadRequests.Inc(err.Status)
	ex.answerLocally(&localAnswer{status: err.Status, close: true})
}
