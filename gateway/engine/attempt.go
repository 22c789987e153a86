package engine

import (
	"slices"
	"syscall"

	"spillway/gateway/balance"
	"spillway/gateway/metrics"
	"spillway/gateway/upstream"
)

// failure is how an attempt at a server went wrong.
type failure uint8

const (
	failConnect        failure = iota // refused, unreachable
	failConnectTimeout                // no connection in time
	failReset                         // the connection ended before an answer
	failReadTimeout                   // no answer in time
	failSendTimeout                   // the request was not taken in time
	failInvalid                       // the answer is no HTTP
	failStatus                        // the answer's status is tried elsewhere
)

// status is what the client is answered if nothing else is left to try.
func (f failure) status() int {
	switch f {
	case failConnectTimeout, failReadTimeout, failSendTimeout:
		return 504
	}
	return 502
}

func (f failure) reason() metrics.RetryReason {
	switch f {
	case failConnectTimeout, failReadTimeout, failSendTimeout:
		return metrics.RetryTimeout
	case failInvalid:
		return metrics.RetryInvalid
	case failStatus:
		return metrics.RetryStatus
	}
	return metrics.RetryError
}

// outcome is what the server's judge is told of it.
func (f failure) outcome() upstream.Outcome {
	switch f {
	case failConnect, failConnectTimeout:
		return upstream.Refused
	case failReadTimeout, failSendTimeout:
		return upstream.Late
	case failStatus:
		return upstream.Answered
	}
	return upstream.Broke
}

// attempt sends the request to the next server, and to others while that
// fails at once. If none is left it answers.
func (ex *exchange) attempt() {
	l, lp := ex.l, ex.lp
	for {
		l.pick = balance.Request{Now: l.loop.Now(), Key: ex.key, Tried: ex.tried, Prefer: ex.prefers}
		e := lp.picker.Pick(&l.pick)
		if e == nil {
			ex.noServer()
			return
		}
		ex.tried = append(ex.tried, e.Server)
		if ex.times.picked == 0 {
			ex.times.picked = ex.times.start
		}
		e.Inflight.Add(1)
		s := lp.servers[e.Server]
		ex.entry, ex.srv = e, s
		ex.times.began = l.pick.Now
		if ex.pipes() && ex.enqueue(s) {
			return
		}
		if u := lp.takeIdle(s); u != nil {
			lp.m.Reused.Inc()
			ex.send(u)
			return
		}
		errno := ex.dial(s)
		if errno == 0 || !ex.failed(failConnect, ownShortage(errno)) {
			return
		}
	}
}

// ownShortage reports whether a connection failed for want of something of
// our own, for which the server is not to be blamed.
func ownShortage(errno syscall.Errno) bool {
	switch errno {
	case syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.ENOBUFS, syscall.EADDRNOTAVAIL:
		return true
	}
	return false
}

// dial starts a connection for the exchange. It returns the error if that
// failed at once.
func (ex *exchange) dial(s *server) syscall.Errno {
	ex.times.dialed, ex.times.connected = ex.l.loop.Clock(), 0
	u, errno := ex.lp.connect(s, ex)
	if errno != 0 {
		return errno
	}
	ex.u = u
	if u.state == upBusy {
		ex.connected()
	}
	return 0
}

// connected is called when the exchange's new connection is established.
func (ex *exchange) connected() {
	ex.times.connected = ex.l.loop.Clock()
	ex.flushUp()
}

// send gives the exchange a connection that has served before.
func (ex *exchange) send(u *upconn) {
	u.ex, ex.u = ex, u
	ex.flushUp()
}

// attemptFailed ends the attempt and makes the next one, or answers.
func (ex *exchange) attemptFailed(why failure) {
	u := ex.u
	if u.pipe != nil {
		u.breakPipe(why)
		return
	}
	stale := why == failReset && u.reused && !ex.gotByte
	if stale && ex.redial() {
		return
	}
	if ex.failed(why, stale) {
		ex.attempt()
	}
}

// redial repeats the attempt on a fresh connection to the same server, when
// the kept one turned out to be dead before a byte of the answer (RFC 9112
// 9.3.1), or on another server if that one left the upstream meanwhile. It
// reports false if the request may not be repeated.
func (ex *exchange) redial() bool {
	u := ex.u
	if !ex.resendable() {
		return false
	}
	ex.lp.m.Retries[metrics.RetryStale].Inc()
	s := ex.lp.servers[ex.entry.Server]
	if s == nil {
		ex.endAttempt()
		u.close()
		ex.tried, ex.sent = ex.tried[:len(ex.tried)-1], 0
		ex.attempt()
		return true
	}
	ex.u = nil
	u.close()
	ex.sent = 0
	if errno := ex.dial(s); errno != 0 && ex.failed(failConnect, ownShortage(errno)) {
		ex.attempt()
	}
	return true
}

// failed ends the attempt, counts it, and reports whether another one may be
// made; if not, the client is answered. blameless failures do not count
// against the server.
func (ex *exchange) failed(why failure, blameless bool) bool {
	e, u := ex.entry, ex.u
	ex.lastFailure = why
	ex.countFailure(why)
	if !blameless {
		ex.lp.picker.Report(e, true, ex.l.loop.Now())
		e.Observe(why.outcome(), ex.tryStatus(), ex.times.head-ex.times.began)
	}
	resendable := ex.resendable() || why == failConnect || why == failConnectTimeout
	ex.endAttempt()
	if u != nil {
		u.close()
	}
	if ex.answering {
		ex.cut()
		return false
	}
	if resendable && ex.replay && ex.another(why) {
		ex.lp.m.Retries[why.reason()].Inc()
		ex.sent, ex.gotByte = 0, false
		ex.status, ex.times.head = 0, 0
		return true
	}
	ex.answerLocally(&localAnswer{status: why.status()})
	return false
}

// resendable reports whether the request may be sent a second time: it is
// kept whole so far, and either had no effect yet or may have it twice
// (RFC 9110 9.2.2).
func (ex *exchange) resendable() bool {
	return ex.replay && !ex.answering &&
		(ex.sent == 0 || ex.method.Idempotent() || ex.lp.settings.Retry.NonIdempotent)
}

// another reports whether the retry policy allows one more attempt.
func (ex *exchange) another(why failure) bool {
	r := &ex.lp.settings.Retry
	if len(ex.tried) >= r.Tries || ex.retryEnd != 0 && ex.l.loop.Now() > ex.retryEnd {
		return false
	}
	switch why.reason() {
	case metrics.RetryTimeout:
		return r.OnTimeout
	case metrics.RetryInvalid:
		return r.OnInvalid
	case metrics.RetryStatus:
		return true // checked against the list already
	}
	return r.OnError
}

// statusRetried reports whether an answer of that status is thrown away for
// an attempt elsewhere: the policy says so, and there is an elsewhere.
func (ex *exchange) statusRetried(status int) bool {
	r := &ex.lp.settings.Retry
	return len(r.Status) > 0 && slices.Contains(r.Status, status) && ex.resendable() && ex.another(failStatus) && ex.elsewhere()
}

func (ex *exchange) countFailure(why failure) {
	m := ex.lp.m
	switch why {
	case failConnect:
		m.ConnectErrors.Inc()
	case failConnectTimeout:
		m.ConnectTimeouts.Inc()
	case failReset:
		m.Resets.Inc()
	case failReadTimeout:
		m.ReadTimeouts.Inc()
	case failSendTimeout:
		m.SendTimeouts.Inc()
	case failInvalid:
		m.Invalid.Inc()
	}
}

// noServer answers when no server can be picked: 503 if none was tried, else
// what the last failure says.
func (ex *exchange) noServer() {
	if len(ex.tried) == 0 {
		ex.lp.m.NoServer.Inc()
		ex.refused()
		ex.answerLocally(&localAnswer{status: 503})
		return
	}
	ex.answerLocally(&localAnswer{status: ex.lastFailure.status()})
}

// upstreamTimeout is the server's timer while the exchange is with it.
func (ex *exchange) upstreamTimeout() {
	if ex.sent < len(ex.up.b) {
		ex.attemptFailed(failSendTimeout)
		return
	}
	ex.attemptFailed(failReadTimeout)
}
