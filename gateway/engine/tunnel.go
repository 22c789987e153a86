package engine

import (
	"spillway/gateway/http1"
	"spillway/internal/netloop"
)

// switchProtocols passes a 101 on and makes the exchange a tunnel; rest is
// what the server sent behind it.
func (ex *exchange) switchProtocols(u *upconn, head, rest []byte) {
	l, c := ex.l, ex.c
	r := &l.resp
	if (!ex.connect || r.Status == 101) && (!ex.upgrade || !r.Upgrade || !ex.received) {
		ex.attemptFailed(failInvalid) // nobody asked for it
		return
	}
	ex.status, ex.tunnel, ex.answering, ex.answered = r.Status, true, true, true
	ex.times.head = l.loop.Clock()
	ex.replay = false
	ex.lp.settled(ex)
	l.m.TunnelsOpened.Inc()
	l.m.TunnelsActive.Inc()
	l.loop.Disarm(&u.Source)
	u.srv.noteTunnel(u)
	rw := http1.ResponseRewrite{Upgrade: r.Status == 101, Via: l.cfg.Via}
	l.out = http1.AppendResponseHead(l.out, head, r, &rw)
	if !c.send(l.out, rest) {
		return
	}
	u.keep(nil)
	ex.tunnelTimer()
	if c.in != nil { // what the client sent ahead
		ex.push(c.in.bytes())
		c.keep(nil)
		ex.flushUp()
	}
	l.loop.Again(&c.Source)
}

// tunnelTimer moves the idle deadline of a tunnel.
func (ex *exchange) tunnelTimer() {
	if ex.c.out == nil {
		ex.l.arm(&ex.c.Source, ex.l.cfg.Timeouts.Tunnel)
	}
}

// tunnelDown passes bytes to the client.
func (ex *exchange) tunnelDown(b []byte) {
	ex.sentBody += int64(len(b))
	if ex.c.send(b, nil) {
		ex.tunnelTimer()
	}
}

// tunnelUpEnded passes the server's FIN on, or its reset.
func (ex *exchange) tunnelUpEnded(clean bool) {
	if !clean {
		netloop.ResetOnClose(ex.c.FD())
		ex.c.abort()
		return
	}
	ex.upFin = true
	if ex.c.out == nil {
		ex.tunnelDrained()
	}
}

// tunnelDrained is called when the client has taken all bytes.
func (ex *exchange) tunnelDrained() {
	if ex.upFin {
		netloop.ShutdownWrite(ex.c.FD())
		ex.tunnelEnd()
		return
	}
	ex.tunnelTimer()
	if u := ex.u; u != nil && u.readable {
		ex.l.loop.Again(&u.Source)
	}
}

// tunnelFin passes the client's FIN on, behind what is pending.
func (c *client) tunnelFin() {
	ex := c.ex
	ex.clFin = true
	ex.flushUp()
}

// tunnelEnd closes both connections once each side has sent FIN and got what
// the other sent.
func (ex *exchange) tunnelEnd() {
	if !ex.upFin || !ex.clFin || ex.c.out != nil || ex.sent < len(ex.up.b) {
		return
	}
	c := ex.c
	ex.dropUpstream()
	ex.finish(ex.status, ex.l.loop.Clock())
	c.close()
}
