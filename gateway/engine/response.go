package engine

import (
	"syscall"
	"time"

	"spillway/gateway/http1"
	"spillway/gateway/upstream"
	"spillway/internal/netloop"
)

// pumpResponse moves what the server sends towards the client until there is
// nothing left, the client lags, or others should get their turn.
func (ex *exchange) pumpResponse() {
	u, l := ex.u, ex.l
	for budget := scratchSize; u.ex == ex && u.readable; {
		if ex.c.lagging() {
			l.loop.Disarm(&u.Source) // it is we who do not read; clientDrained goes on
			return
		}
		if budget <= 0 {
			l.loop.Again(&u.Source)
			return
		}
		into := l.in
		if u.in != nil {
			u.in = l.roomFor(u.in)
			into = u.in.space()
		}
		n, errno := recv(&u.Source, into)
		if errno == syscall.EAGAIN {
			u.readable = false
			return
		}
		if errno != 0 || n == 0 {
			u.readable = false
			ex.upstreamEnded(errno == 0)
			return
		}
		budget -= n
		u.readable = n == len(into) || u.ended || hasBuffered(&u.Source)
		ex.lp.m.BytesIn.Add(uint64(n))
		if u.in != nil {
			u.in.b = u.in.b[:len(u.in.b)+n]
			into, n = u.in.bytes(), u.in.len()
		}
		ex.gotByte = true
		ex.answer(u, into[:n])
	}
}

// roomFor returns b with room to read more of a head into.
func (l *loop) roomFor(b *buffer) *buffer {
	if len(b.space()) == 0 {
		return l.buffers.grown(b, max(b.len(), 1<<10))
	}
	return b
}

// answer takes the next bytes of the server's answer.
func (ex *exchange) answer(u *upconn, b []byte) {
	l := ex.l
	if ex.tunnel {
		ex.tunnelDown(b)
		return
	}
	l.out = l.out[:0]
	for !ex.answering {
		n, err := l.resp.Parse(b, &l.cfg.Limits, ex.method)
		if err != nil {
			ex.attemptFailed(failInvalid)
			return
		}
		if n == 0 {
			u.keep(b)
			ex.sendInterim()
			return
		}
		head := b[:n]
		b = b[n:]
		switch {
		case l.resp.Status == 101:
			ex.switchProtocols(u, head, b)
			return
		case l.resp.Status < 200:
			ex.interim(head)
			if len(b) == 0 {
				u.keep(nil)
				ex.sendInterim()
				return
			}
		case ex.connect && l.resp.Status < 300:
			ex.switchProtocols(u, head, b)
			return
		case ex.statusRetried(l.resp.Status):
			ex.status, ex.times.head = l.resp.Status, l.loop.Now()
			ex.attemptFailed(failStatus)
			return
		default:
			ex.beginAnswer(u, head)
			ex.relay(u, b, true)
			return
		}
	}
	ex.relay(u, b, false)
}

// keep holds on to the start of a head.
func (u *upconn) keep(rest []byte) {
	l := u.lp.l
	switch {
	case len(rest) == 0:
		l.buffers.put(u.in)
		u.in = nil
	case u.in == nil:
		u.in = l.buffers.appendTo(nil, rest)
	default:
		u.in.r = len(u.in.b) - len(rest)
	}
}

// interim adds a 1xx answer to what goes to the client (RFC 9110 15.2): all
// of them, but none to HTTP/1.0.
func (ex *exchange) interim(head []byte) {
	l := ex.l
	if l.resp.Status == 100 {
		ex.expect = false
	}
	if ex.minor == 0 {
		return
	}
	l.out = http1.AppendResponseHead(l.out, head, &l.resp, &http1.ResponseRewrite{Via: l.cfg.Via})
}

func (ex *exchange) sendInterim() {
	l, c := ex.l, ex.c
	if len(l.out) > 0 && c.send(l.out, nil) && !ex.received && !ex.expect {
		ex.awaitBody()
	}
}

// beginAnswer decides how the final answer is framed for the client and
// writes its head into the loop's scratch.
func (ex *exchange) beginAnswer(u *upconn, head []byte) {
	l := ex.l
	r := &l.resp
	ex.times.head = l.loop.Now()
	if l.log != nil {
		ex.times.head = l.loop.Clock() // only the access log tells it
	}
	if o := ex.lp.observer; o != nil {
		o.Observe(ex.entry, ex.times.head-ex.times.began, ex.times.head)
	}
	ex.status = r.Status
	ex.respKind, ex.respLeft = r.Body(ex.method)
	u.offer(r)
	ex.outKind = ex.framing()
	c := ex.c
	ex.closeAfter = !ex.keepAlive || ex.outKind == http1.CloseBody || c.lastRequest()
	rw := http1.ResponseRewrite{
		Framing: ex.outKind, Length: ex.respLeft,
		Close: ex.closeAfter, KeepAlive10: ex.minor == 0 && !ex.closeAfter,
		Via: l.cfg.Via, AddDate: l.date.at(l.loop.Now()),
	}
	if ex.trailers && ex.outKind == http1.ChunkedBody && ex.respKind == http1.ChunkedBody {
		rw.ForwardTrailers = true
		if ex.respChunks.Trailer == nil {
			ex.respChunks.Trailer = make([]byte, 0, trailerRoom)
		}
	}
	if ex.outKind == http1.NoBody && r.ContentLength == 0 && ex.method != http1.MethodHead && r.Status != 304 {
		rw.Framing = http1.LengthBody // say that it is empty
	}
	l.out = http1.AppendResponseHead(l.out, head, r, &rw)
	if s := ex.lp.sticky; s != nil {
		l.out = s.appendCookie(l.out, ex.entry.Server, ex.prefers)
	}
}

// framing is how the body is delimited for the client: as the server did it
// where the client understands that.
func (ex *exchange) framing() http1.BodyKind {
	switch {
	case ex.respKind == http1.NoBody || ex.respKind == http1.LengthBody:
		return ex.respKind
	case ex.minor == 0:
		return http1.CloseBody
	}
	return http1.ChunkedBody
}

// offer remembers what the server says about keeping the connection.
func (u *upconn) offer(r *http1.Response) {
	u.last = !r.KeepAlive || r.KeepAliveTimeout == 0
	if r.KeepAliveTimeout > 0 {
		u.keepUpTo = keepWithin(time.Duration(r.KeepAliveTimeout) * time.Second)
	}
}

// keepWithin is how long a connection may idle that the server closes after d:
// a second less, so that it does not close while a request is on its way.
func keepWithin(d time.Duration) time.Duration {
	if d > 2*time.Second {
		return d - time.Second
	}
	return max(d/2, time.Millisecond)
}

// relay passes body bytes on; first says that the head stands in the loop's
// scratch and was not sent yet.
func (ex *exchange) relay(u *upconn, b []byte, first bool) {
	l, c := ex.l, ex.c
	if !first {
		l.out = l.out[:0]
	}
	data, used, done, ok := ex.frame(b)
	if !ok {
		ex.attemptFailed(failInvalid)
		return
	}
	if done {
		ex.lp.settled(ex)
	}
	ex.answering = true
	if len(data) <= copyBelow {
		l.out = append(l.out, data...)
		data = nil
	}
	if !c.send(l.out, data) {
		return
	}
	u.keep(nil)
	if done {
		ex.answerRead(u, b[used:])
		return
	}
	l.arm(&u.Source, ex.lp.settings.ReadTimeout)
}

// copyBelow is the length up to which a body is copied behind its head rather
// than sent as a second vector.
const copyBelow = 4 << 10

// frame turns the next body bytes of the answer into what the client is sent:
// framing goes into the loop's scratch, data is what follows it. ok is false
// if the server broke its framing.
func (ex *exchange) frame(b []byte) (data []byte, used int, done, ok bool) {
	l := ex.l
	switch ex.respKind {
	case http1.NoBody:
		return nil, 0, true, true
	case http1.LengthBody:
		used = int(min(int64(len(b)), ex.respLeft))
		ex.respLeft -= int64(used)
		ex.sentBody += int64(used)
		return b[:used], used, ex.respLeft == 0, true
	case http1.CloseBody:
		ex.sentBody += int64(len(b))
		if ex.outKind == http1.ChunkedBody && len(b) > 0 {
			l.out = http1.AppendChunk(l.out, b)
			return nil, len(b), false, true
		}
		return b, len(b), false, true
	}
	return ex.frameChunks(b)
}

func (ex *exchange) frameChunks(b []byte) (data []byte, used int, done, ok bool) {
	l := ex.l
	for used < len(b) && !done {
		run, n, last, err := ex.respChunks.Next(b[used:], &l.cfg.Limits)
		if err != nil {
			return nil, used, false, false
		}
		used += n
		done = last
		ex.sentBody += int64(len(run))
		switch {
		case len(run) == 0:
		case ex.outKind == http1.ChunkedBody:
			l.out = http1.AppendChunk(l.out, run)
		default:
			l.out = append(l.out, run...)
		}
	}
	if done && ex.outKind == http1.ChunkedBody {
		trailer := ex.respChunks.Trailer
		if !ex.trailers {
			trailer = nil // a kept buffer may have caught some
		}
		l.out = http1.AppendTrailers(l.out, trailer)
	}
	return nil, used, done, true
}

// upstreamEnded handles the end of what the server sends: clean after FIN,
// not after a reset.
func (ex *exchange) upstreamEnded(clean bool) {
	switch {
	case ex.tunnel:
		ex.tunnelUpEnded(clean)
	case !ex.answering:
		if ex.u.in != nil {
			ex.attemptFailed(failInvalid)
			return
		}
		ex.attemptFailed(failReset)
	case clean && ex.respKind == http1.CloseBody:
		u := ex.u
		ex.lp.settled(ex)
		if ex.outKind == http1.ChunkedBody && !ex.c.send(lastChunk, nil) {
			return
		}
		u.last = true
		ex.answerRead(u, nil)
	default:
		ex.attemptFailed(failReset)
	}
}

var lastChunk = []byte(http1.LastChunk)

// settled tells the picker that the attempt was good.
func (lp *loopPool) settled(ex *exchange) {
	lp.picker.Report(ex.entry, false, lp.l.loop.Now())
	ex.entry.Observe(upstream.Answered, ex.status, ex.times.head-ex.times.began)
}

// answerRead is called when the answer was read whole and passed on: the
// server connection is free, the client may still lag. rest is what the
// server sent behind it: of a connection that is not shared, nobody's.
func (ex *exchange) answerRead(u *upconn, rest []byte) {
	now := ex.l.loop.Clock()
	ex.times.answered = now
	ex.answered = true
	keep := len(rest) == 0 && ex.received && ex.sent == len(ex.up.b) && ex.respKind != http1.CloseBody
	ex.endAttempt()
	ex.leave(now, ex.status >= 500)
	if u.pipe != nil {
		u.turnOver(rest)
	} else {
		u.release(keep)
	}
	if ex.c.out == nil {
		ex.complete(now)
	}
}

// clientDrained is called when the client has taken all that was sent.
func (ex *exchange) clientDrained() {
	l := ex.l
	switch {
	case ex.tunnel:
		ex.tunnelDrained()
	case ex.answered:
		ex.complete(l.loop.Clock())
	default:
		if !ex.received {
			ex.awaitBody()
		}
		if u := ex.u; u != nil && u.state == upBusy && (u.pipe == nil || u.ex == ex) {
			switch { // the server's timers rested
			case ex.sent < len(ex.up.b):
				l.arm(&u.Source, ex.lp.settings.SendTimeout)
			case ex.received:
				l.arm(&u.Source, ex.lp.settings.ReadTimeout)
			}
			if u.readable {
				l.loop.Again(&u.Source)
			}
		}
	}
}

// cut ends the client's connection in the middle of an answer, so that what
// it has is not taken for the whole. An answer that ends with the connection
// is reset, the others lack their last bytes.
func (ex *exchange) cut() {
	c := ex.c
	if ex.outKind == http1.CloseBody {
		netloop.ResetOnClose(c.FD())
	}
	now := ex.l.loop.Clock()
	ex.leave(now, true)
	ex.finish(ex.status, now)
	c.close()
}
