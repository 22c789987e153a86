package engine

import (
	"syscall"
	"time"

	"spillway/internal/netloop"
)

// upconn is a connection to a server. It carries one exchange at a time.
//
//	          connect              answer read, kept
//	(none) ----------> connecting ------> busy ------------------> idle
//	                     |     ready        |  ^                     | |
//	                     | refused, timeout |  +---------------------+ | FIN, reset,
//	                     v                  | error, not to be kept     v surplus, age
//	                   closed <-------------+----------------------- closed
//
// Timers: connecting connect_timeout; busy read_timeout or send_timeout;
// idle keepalive_timeout, less if the server said so.
type upconn struct {
	netloop.Source
	lp    *loopPool
	srv   *server
	ex    *exchange
	in    *buffer // what was read of an unfinished head
	pipe  *pipe   // set if requests of many clients share the connection; ex is then the one being answered
	state upState

	readable bool // there may be something to read
	ended    bool // an event said that FIN or an error follows
	last     bool // the server closes after this answer
	cut      bool // sending failed: only the answer is awaited
	reused   bool // an exchange was served before
	served   int
	slot     int           // its place among the server's tunnels, from 1; 0 is none
	keepUpTo time.Duration // what the server's Keep-Alive allows, 0 unknown
}

type upState uint8

const (
	upConnecting upState = iota
	upBusy
	upIdle
)

// connect starts a connection to s for ex. It returns nil and the error if
// that failed at once.
func (lp *loopPool) connect(s *server, ex *exchange) (*upconn, syscall.Errno) {
	fd, errno := netloop.Connect(&s.sa)
	if errno != 0 && errno != syscall.EINPROGRESS {
		return nil, errno
	}
	l := lp.l
	u := l.freeUp.get()
	*u = upconn{Source: u.Source, lp: lp, srv: s, ex: ex}
	if err := l.loop.Add(&u.Source, fd, u); err != nil {
		netloop.CloseNow(fd)
		l.freeUp.put(u)
		return nil, syscall.ENOMEM
	}
	lp.m.Opened.Inc()
	lp.m.Active.Inc()
	l.arm(&u.Source, lp.settings.ConnectTimeout)
	if errno == 0 && netloop.SelfConnected(fd, &s.sa) {
		u.ex = nil
		u.close()
		return nil, syscall.ECONNREFUSED
	}
	if errno == 0 {
		u.state = upBusy
	}
	return u, 0
}

// Ready handles an event of the connection.
func (u *upconn) Ready(ev netloop.Events) {
	if ev.Ended() {
		u.ended = true
	}
	if u.pipe != nil {
		u.readyPipe(ev)
		return
	}
	switch u.state {
	case upIdle:
		if ev&netloop.Readable != 0 || ev.Ended() {
			u.close() // FIN, reset, or bytes nobody asked for
		}
	case upConnecting:
		u.connecting(ev)
	case upBusy:
		u.busy(ev)
	}
}

func (u *upconn) connecting(ev netloop.Events) {
	if ev&netloop.Writable == 0 && !ev.Ended() {
		return
	}
	if u.connectError(ev) != 0 {
		u.ex.attemptFailed(failConnect)
		return
	}
	u.state = upBusy
	u.readable = u.readable || ev&netloop.Readable != 0 || ev.Ended()
	ex := u.ex
	ex.connected()
	if u.ex == ex && u.readable {
		ex.pumpResponse()
	}
}

// connectError is how the connect that an event reports went.
func (u *upconn) connectError(ev netloop.Events) syscall.Errno {
	errno := netloop.SocketError(u.FD())
	if errno == 0 && ev&(netloop.HangUp|netloop.Failed) != 0 && ev&netloop.Readable == 0 {
		errno = syscall.ECONNREFUSED
	}
	if errno == 0 && netloop.SelfConnected(u.FD(), &u.srv.sa) {
		errno = syscall.ECONNREFUSED
	}
	return errno
}

func (u *upconn) busy(ev netloop.Events) {
	ex := u.ex
	if ev&netloop.Writable != 0 {
		ex.upstreamWritable()
		if u.ex != ex {
			return
		}
	}
	if ev&netloop.Readable != 0 || ev.Ended() || ev == 0 {
		u.readable = true
		ex.pumpResponse()
	}
}

// Expired ends a connection that is idle too long, and fails the attempt of
// one that is busy.
func (u *upconn) Expired(int64) {
	switch {
	case u.pipe != nil && len(u.pipe.turns) > 0:
		u.breakPipe(timeoutOf(u.state))
	case u.pipe != nil, u.state == upIdle:
		u.close()
	case u.state == upConnecting:
		u.ex.attemptFailed(failConnectTimeout)
	default:
		u.ex.upstreamTimeout()
	}
}

func timeoutOf(s upState) failure {
	if s == upConnecting {
		return failConnectTimeout
	}
	return failReadTimeout
}

// release gives the connection back after an exchange whose answer was read
// whole; keep says that nothing speaks against another request on it.
func (u *upconn) release(keep bool) {
	u.ex = nil
	u.served++
	lp := u.lp
	limit := lp.settings.KeepaliveRequests
	if keep && u.readable { // the last read filled its buffer: more would be surplus
		_, errno := recv(&u.Source, lp.l.in[:1])
		keep, u.readable = errno == syscall.EAGAIN, false
	}
	if !keep || u.last || u.ended || u.cut || u.srv.resting || limit > 0 && u.served >= limit {
		u.close()
		return
	}
	u.reused = true
	lp.park(u)
}

// keepFor is how long the connection may idle.
func (u *upconn) keepFor(d time.Duration) time.Duration {
	if d <= 0 {
		d = maxIdle
	}
	if u.keepUpTo > 0 && u.keepUpTo < d {
		d = u.keepUpTo
	}
	return d
}

// close ends the connection, whatever state it is in; the caller has taken
// care of its exchange.
func (u *upconn) close() {
	if !u.Live() {
		return
	}
	if u.state == upIdle {
		u.srv.unpark(u)
		u.lp.m.Idle.Dec()
	} else {
		u.lp.m.Active.Dec()
	}
	if u.pipe != nil && u.srv.pipe == u {
		u.srv.pipe = nil
	}
	if u.slot != 0 {
		u.srv.forgetTunnel(u)
	}
	u.lp.m.Closed.Inc()
	u.ex = nil
	l := u.lp.l
	l.buffers.put(u.in)
	u.in = nil
	l.loop.Close(&u.Source)
}

// Closed gives the memory back.
func (u *upconn) Closed() {
	l := u.lp.l
	u.lp, u.srv, u.pipe = nil, nil, nil
	l.freeUp.put(u)
}
