package engine

import (
	"syscall"
	"time"

	"spillway/gateway/http1"
	"spillway/internal/netloop"
)

// pipe makes an upstream connection carry the requests of many clients at
// once (HTTP/1.1 pipelining, RFC 9112 9.3.2), for upstreams declared able to.
// Requests are written once a batch of events; answers come back in order,
// and each goes to the client whose turn it is.
//
//	                  enqueue            batch ends          answer read
//	(none) -- dial --> filling  --------> sent --- head ----> next head
//	                      ^                 |                    |
//	                      +-----------------+--------------------+
//	                                        | broken, too slow, or the head's client left
//	                                        v in the middle of its answer
//	                                      closed: the head's attempt failed; those behind it
//	                                      are sent again, alone, and it is no failure of theirs
//
// Only requests that may be replayed are piped (see exchange.pipes). One whose
// client left while it waited stays as a turn whose answer is thrown away. A
// head that lags, or a server that is slow with it (PipelineSlow), takes
// no further requests: they go on connections of their own.
type pipe struct {
	turns   []turn
	out     []byte // requests to be sent
	sent    int
	dirty   bool   // stands on loop.dirty
	since   int64  // when the head's turn began
	rest    []byte // what follows the answer just read
	skip    skipper
	skipped bool // the head of turns is being thrown away and its head was read
}

// turn is one request on a pipe. ex is nil if its client has left.
type turn struct {
	ex     *exchange
	method http1.Method
}

// skipper is what throwing an answer away needs to know.
type skipper struct {
	kind   http1.BodyKind
	left   int64
	chunks http1.Chunked
}

// Bounds of a pipe.
const (
	pipeSlow    = 20 * time.Millisecond // a head that takes longer stops new requests
	pipeCoolOff = 5 * time.Second       // for how long, on this server
	pipeRequest = 8 << 10               // a longer request goes alone
)

// pipes reports whether the exchange may share a connection: nothing of it
// can do harm when it is sent twice, all of it is here, and it asks for
// nothing that ends or changes the connection.
func (ex *exchange) pipes() bool {
	return ex.lp.settings.Pipeline > 1 && !ex.alone && ex.received && ex.replay && ex.method.Idempotent() &&
		!ex.upgrade && !ex.connect && len(ex.up.b) <= pipeRequest
}

// enqueue sends the exchange over a shared connection to s. It reports false
// if it has to go alone.
func (ex *exchange) enqueue(s *server) bool {
	l, lp := ex.l, ex.lp
	now := l.loop.Now()
	if now < s.noPipe {
		return false
	}
	u := s.pipe
	if u != nil && (len(u.pipe.turns) >= lp.settings.Pipeline || u.last || u.ended || u.stuck(now)) {
		return false
	}
	if u == nil {
		var errno syscall.Errno
		if u, errno = lp.connect(s, nil); errno != 0 {
			return false // the ordinary way finds out, and counts it
		}
		u.pipe = &pipe{}
		s.pipe = u
	} else {
		lp.m.Reused.Inc()
	}
	p := u.pipe
	p.turns = append(p.turns, turn{ex, ex.method})
	p.out = append(p.out, ex.up.b...)
	ex.sent, ex.u = len(ex.up.b), u
	if len(p.turns) == 1 {
		u.First(false)
		u.begin(now)
	}
	if !p.dirty {
		p.dirty = true
		l.dirty = append(l.dirty, u)
	}
	return true
}

// stuck reports that the head's turn takes long, and has new requests keep
// off this server for a while.
func (u *upconn) stuck(now int64) bool {
	p := u.pipe
	if len(p.turns) == 0 || now-p.since < int64(u.slow()) {
		return false
	}
	u.srv.noPipe = now + int64(pipeCoolOff)
	return true
}

func (u *upconn) slow() time.Duration {
	if d := u.lp.settings.PipelineSlow; d > 0 {
		return d
	}
	return pipeSlow
}

// begin makes the first turn the head.
func (u *upconn) begin(now int64) {
	p := u.pipe
	u.ex = p.turns[0].ex
	p.since, p.skipped = now, false
	if u.state == upBusy {
		u.lp.l.arm(&u.Source, u.lp.settings.ReadTimeout)
	}
}

// flushPipes sends what the exchanges of this batch put on pipes.
func (l *loop) flushPipes() {
	for i, u := range l.dirty {
		l.dirty[i] = nil
		if u.Live() && u.pipe != nil {
			u.pipe.dirty = false
			u.flushPipe()
		}
	}
	l.dirty = l.dirty[:0]
}

func (u *upconn) flushPipe() {
	p := u.pipe
	if u.state != upBusy {
		return
	}
	for p.sent < len(p.out) {
		n, errno := send(&u.Source, p.out[p.sent:], nil)
		if errno == syscall.EAGAIN {
			return
		}
		if errno != 0 { // what was answered before is read first
			u.readable = true
			u.lp.l.loop.Again(&u.Source)
			return
		}
		p.sent += n
		u.lp.m.BytesOut.Add(uint64(n))
	}
	p.out, p.sent = p.out[:0], 0
}

// readyPipe handles an event of a pipe.
func (u *upconn) readyPipe(ev netloop.Events) {
	if u.state == upConnecting {
		if ev&netloop.Writable == 0 && !ev.Ended() {
			return
		}
		if u.connectError(ev) != 0 {
			u.breakPipe(failConnect)
			return
		}
		u.state = upBusy
		u.lp.l.arm(&u.Source, u.lp.settings.ReadTimeout)
	}
	if ev&netloop.Writable != 0 {
		u.flushPipe()
	}
	if ev&netloop.Readable != 0 || ev.Ended() || ev == 0 {
		u.readable = true
		u.pumpPipe()
	}
}

// pumpPipe reads answers until there is nothing left or a client lags.
func (u *upconn) pumpPipe() {
	l := u.lp.l
	for budget := scratchSize; u.Live() && u.readable; {
		if u.ex != nil && u.ex.c.lagging() {
			u.srv.noPipe = l.loop.Now() + int64(pipeCoolOff)
			l.loop.Disarm(&u.Source)
			return
		}
		if budget <= 0 {
			l.loop.Again(&u.Source)
			return
		}
		have := 0
		if u.in != nil { // the start of a head: it goes before what is read now
			have = copy(l.in, u.in.bytes())
			u.keep(nil)
		}
		n, errno := recv(&u.Source, l.in[have:])
		if errno == syscall.EAGAIN {
			u.keep(l.in[:have])
			u.readable = false
			return
		}
		if errno != 0 || n == 0 {
			u.readable = false
			u.pipeEnded(errno == 0)
			return
		}
		budget -= n
		u.readable = have+n == len(l.in) || u.ended
		u.lp.m.BytesIn.Add(uint64(n))
		u.deal(l.in[:have+n])
	}
}

// deal gives the bytes of several answers to the exchanges they belong to.
func (u *upconn) deal(b []byte) {
	p := u.pipe
	for len(b) > 0 && u.Live() {
		if len(p.turns) == 0 {
			u.close() // nobody asked for it
			return
		}
		ex := u.ex
		if ex == nil {
			b = u.throwAway(b)
			continue
		}
		ex.gotByte = true
		p.rest = nil
		ex.answer(u, b)
		b = p.rest
	}
}

// turnOver is called when the head's answer was read whole; rest is what
// follows it.
func (u *upconn) turnOver(rest []byte) {
	p, l := u.pipe, u.lp.l
	p.rest = rest
	copy(p.turns, p.turns[1:])
	p.turns[len(p.turns)-1] = turn{}
	p.turns = p.turns[:len(p.turns)-1]
	u.ex = nil
	u.served++
	u.reused = true
	if len(p.turns) > 0 {
		if u.last {
			u.breakPipe(failReset) // the server closes: those behind go elsewhere
			return
		}
		u.begin(l.loop.Now())
		return
	}
	limit := u.lp.settings.KeepaliveRequests
	if u.last || u.ended || u.srv.resting || limit > 0 && u.served >= limit {
		u.close()
		return
	}
	u.First(true)
	l.arm(&u.Source, u.keepFor(u.lp.settings.KeepaliveTimeout))
}

// throwAway reads past the answer to a request whose client has left.
func (u *upconn) throwAway(b []byte) (rest []byte) {
	p, l := u.pipe, u.lp.l
	if !p.skipped {
		n, err := l.resp.Parse(b, &l.cfg.Limits, p.turns[0].method)
		switch {
		case err != nil || l.resp.Status == 101:
			u.breakPipe(failInvalid)
			return nil
		case n == 0:
			u.keep(b)
			return nil
		case l.resp.Status < 200:
			return b[n:]
		}
		b = b[n:]
		u.offer(&l.resp)
		p.skipped = true
		p.skip.chunks.Reset()
		p.skip.kind, p.skip.left = l.resp.Body(p.turns[0].method)
	}
	rest, done, ok := p.skip.past(b, &l.cfg.Limits)
	switch {
	case !ok || p.skip.kind == http1.CloseBody:
		u.breakPipe(failInvalid)
		return nil
	case done:
		u.turnOver(rest)
		return p.rest
	}
	return nil
}

// past consumes body bytes.
func (s *skipper) past(b []byte, lim *http1.Limits) (rest []byte, done, ok bool) {
	switch s.kind {
	case http1.LengthBody:
		n := min(int64(len(b)), s.left)
		s.left -= n
		return b[n:], s.left == 0, true
	case http1.ChunkedBody:
		for len(b) > 0 {
			_, n, last, err := s.chunks.Next(b, lim)
			if err != nil {
				return nil, false, false
			}
			b = b[n:]
			if last {
				return b, true, true
			}
		}
		return nil, false, true
	}
	return b, true, true
}

// leave takes an exchange that ends early off its pipe. Behind the head it
// becomes a turn whose answer is thrown away; the head itself, if its answer
// has begun, takes the pipe with it.
func (u *upconn) leave(ex *exchange) {
	p := u.pipe
	ex.u = nil
	for i := range p.turns {
		if p.turns[i].ex != ex {
			continue
		}
		p.turns[i].ex = nil
		if i > 0 {
			return
		}
		u.ex = nil
		if ex.answering {
			u.breakPipe(failReset)
		}
		return
	}
}

// pipeEnded handles the end of what the server sends.
func (u *upconn) pipeEnded(clean bool) {
	if len(u.pipe.turns) == 0 {
		u.close()
		return
	}
	if ex := u.ex; clean && ex != nil && ex.answering && ex.respKind == http1.CloseBody {
		ex.upstreamEnded(true)
		return
	}
	u.breakPipe(failReset)
}

// breakPipe closes the connection. The head's attempt failed for why; those
// behind it are sent again on connections of their own.
func (u *upconn) breakPipe(why failure) {
	p := u.pipe
	turns := p.turns
	p.turns, u.ex = nil, nil
	u.srv.noPipe = u.lp.l.loop.Now() + int64(pipeCoolOff)
	u.close()
	for i, t := range turns {
		if t.ex == nil {
			continue
		}
		t.ex.u, t.ex.alone = nil, true
		if i == 0 || why == failConnect || why == failConnectTimeout {
			t.ex.pipeFailed(why)
		} else {
			t.ex.again()
		}
	}
}

// pipeFailed ends the attempt of a head.
func (ex *exchange) pipeFailed(why failure) {
	if why == failReset && !ex.gotByte && !ex.answering {
		ex.again() // as with any kept connection that turns out to be dead
		return
	}
	if ex.failed(why, false) {
		ex.attempt()
	}
}

// again repeats the attempt elsewhere or here, alone; it was nobody's fault.
func (ex *exchange) again() {
	ex.endAttempt()
	ex.tried = ex.tried[:len(ex.tried)-1]
	ex.sent, ex.gotByte = 0, false
	ex.attempt()
}

// closePipe closes a pipe that carries nothing, when its server left.
func (s *server) closePipe() {
	if u := s.pipe; u != nil && len(u.pipe.turns) == 0 {
		u.close()
	}
}
