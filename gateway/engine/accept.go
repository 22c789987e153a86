package engine

import (
	"net/netip"
	"syscall"
	"time"

	"spillway/gateway/metrics"
	"spillway/internal/netloop"
)

// acceptBudget is how many connections a loop takes off a listening socket
// before other events get their turn.
const acceptBudget = 16

// acceptor is one loop's registration of a listening socket that all loops
// share.
//
//	armed --EMFILE--> disarmed --after 100 ms--> armed
type acceptor struct {
	netloop.Source
	l     *loop
	addr  string
	lfd   int32
	retry netloop.Source // the timer while disarmed; its own source
}

const acceptRetry = 100 * time.Millisecond

func (l *loop) accept(addr string, lfd int32) {
	a := &acceptor{l: l, addr: addr, lfd: lfd}
	l.acceptors[addr] = a
	netloop.NoDelay(lfd) // accepted sockets inherit it: no call for each
	a.arm()
}

func (a *acceptor) arm() {
	if err := a.l.loop.AddListener(&a.Source, a.lfd, a); err != nil {
		a.l.e.opt.Log.Error("cannot accept", "listen", a.addr, "error", err)
		a.l.loop.After(&a.retry, a, a.l.loop.Now()+int64(acceptRetry))
	}
}

func (l *loop) stopAccept(addr string) {
	a := l.acceptors[addr]
	if a == nil {
		return
	}
	delete(l.acceptors, addr)
	for a.Live() && a.one() {
	}
	l.loop.Disarm(&a.retry)
	l.loop.Remove(&a.Source)
}

// Ready accepts what is queued, within the budget; the socket is
// level-triggered and tells again of what is left.
func (a *acceptor) Ready(netloop.Events) {
	for range acceptBudget {
		if !a.one() {
			return
		}
	}
}

// Expired re-arms after the process ran out of descriptors.
func (a *acceptor) Expired(int64) {
	if a.l.acceptors[a.addr] == a && !a.Live() {
		a.arm()
	}
}

// Closed does nothing: the engine owns the socket.
func (a *acceptor) Closed() {}

// one accepts one connection and reports whether there may be more.
func (a *acceptor) one() bool {
	fd, peer, errno := netloop.Accept(a.lfd)
	switch errno {
	case 0:
	case syscall.EINTR, syscall.ECONNABORTED, syscall.EPROTO:
		return true
	case syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM:
		a.l.m.EMFILE.Inc()
		a.l.loop.Remove(&a.Source)
		a.l.loop.After(&a.retry, a, a.l.loop.Now()+int64(acceptRetry))
		return false
	default:
		return false
	}
	a.l.m.Accepted.Inc()
	a.l.place(fd, peer)
	return true
}

// place checks the caps and gives the connection to a loop.
func (l *loop) place(fd int32, peer netip.AddrPort) {
	e := l.e
	if limit := l.cfg.MaxConns; limit > 0 && e.active.Load() >= int64(limit) {
		l.refuse(fd, metrics.RefusedMaxConnections)
		return
	}
	counted := l.cfg.MaxConnsPerAddr > 0 && peer.IsValid()
	if counted && !e.perAddr.add(peer.Addr(), l.cfg.MaxConnsPerAddr) {
		l.refuse(fd, metrics.RefusedPerAddress)
		return
	}
	e.active.Add(1)
	to := e.leastLoaded(l)
	to.clients.Add(1)
	if to == l {
		l.open(fd, peer, counted)
		return
	}
	l.m.Handoffs.Inc()
	to.loop.Post(func() { to.open(fd, peer, counted) })
}

func (l *loop) refuse(fd int32, why metrics.RefusedReason) {
	l.m.Refused[why].Inc()
	netloop.CloseNow(fd)
}

// leastLoaded returns the loop a connection accepted by l should live on: l
// itself, unless l is more than a tenth above the least loaded one.
func (e *Engine) leastLoaded(l *loop) *loop {
	if len(e.loops) == 1 {
		return l
	}
	least := l
	for _, other := range e.loops {
		if other.clients.Load() < least.clients.Load() {
			least = other
		}
	}
	own, low := l.clients.Load()+1, least.clients.Load()
	if own*10 > (low+1)*11 || own-low > 2 && own*20 > low*21 {
		return least
	}
	return l
}
