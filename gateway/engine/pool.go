package engine

import (
	"time"

	"spillway/gateway/balance"
	"spillway/gateway/metrics"
	"spillway/gateway/signals"
	"spillway/gateway/upstream"
	"spillway/internal/netloop"
)

// loopPool is one loop's side of an upstream: its picker, and its idle
// connections to each server. It follows Pool.Load between batches.
type loopPool struct {
	l        *loop
	pool     *upstream.Pool
	m        *metrics.Upstream
	snap     *upstream.Snapshot
	settings *upstream.Settings
	picker   balance.Picker
	observer balance.Observer // the picker, nil if it does not want to know
	hash     hashKey
	sticky   *sticky // nil without a cookie
	servers  map[*upstream.Server]*server

	flow   signals.Flow
	told   told      // of flow, when the loop was last asked
	active bool      // stands on loop.active
	served []*server // that gave answers since the loop was last asked
	left   bool      // the pool is not in the set any more
}

// server is one loop's side of a server: where to dial it and the
// connections that wait for a request, the latest used last.
type server struct {
	*upstream.Server
	sa   netloop.Sockaddr
	idle []*upconn
	pipe *upconn // the shared connection, nil without one

	noPipe  int64 // no request is piped before
	resting bool  // down, or not in the snapshot any more: nothing is kept
	tunnels []*upconn
	evict   *eviction // of tunnels, nil before the first
	answers uint64    // since the loop was last asked; if any, it stands on loopPool.served
}

func newLoopPool(l *loop, p *upstream.Pool) *loopPool {
	lp := &loopPool{l: l, pool: p, m: l.statsOf(p.Name), servers: map[*upstream.Server]*server{}}
	lp.update()
	return lp
}

// update takes the pool's current snapshot and settings over. Live state
// stays where the server stays; idle connections to servers that left or went
// down close.
func (lp *loopPool) update() {
	if s := lp.pool.Settings(); s != lp.settings {
		lp.configure(s)
	}
	snap := lp.pool.Load()
	if snap == lp.snap {
		return
	}
	lp.snap = snap
	lp.picker.Update(snap)
	if lp.sticky != nil {
		lp.sticky.update(snap)
	}
	stays := make(map[*upstream.Server]*server, len(snap.Entries))
	for i := range snap.Entries {
		e := &snap.Entries[i]
		s := lp.servers[e.Server]
		if s == nil {
			s = newServer(e.Server)
		}
		stays[e.Server] = s
		s.rest(lp.l, e.Spec.Down, lp.settings.DrainTimeout)
	}
	for srv, s := range lp.servers {
		if stays[srv] == nil {
			s.rest(lp.l, true, lp.settings.DrainTimeout)
		}
	}
	lp.servers = stays
}

func (lp *loopPool) configure(s *upstream.Settings) {
	if lp.picker == nil || s.Balance != lp.settings.Balance || s.Tuning != lp.settings.Tuning {
		picker, err := balance.Tuned(s.Balance, s.Tuning, lp.l.index, len(lp.l.e.loops))
		if err != nil { // refused when the configuration was read
			lp.l.e.opt.Log.Error("unknown balance, using round_robin", "upstream", lp.pool.Name, "error", err)
			picker, _ = balance.New("round_robin", lp.l.index, len(lp.l.e.loops))
		}
		lp.picker, lp.snap = picker, nil
		lp.observer, _ = picker.(balance.Observer)
	}
	if lp.settings == nil || s.Sticky != lp.settings.Sticky {
		lp.sticky, lp.snap = newSticky(s.Sticky), nil
	}
	lp.hash = parseHashKey(s.Balance, s.HashKey)
	lp.settings = s
}

// drop closes what is idle when the pool has left the set.
func (lp *loopPool) drop() {
	lp.left = true
	for _, s := range lp.servers {
		s.rest(lp.l, true, lp.settings.DrainTimeout)
	}
}

func newServer(s *upstream.Server) *server {
	path := ""
	if !s.AddrPort.IsValid() {
		path = s.Addr[len("unix:"):]
	}
	return &server{Server: s, sa: netloop.MakeSockaddr(s.AddrPort, path)}
}

func (s *server) closeIdle() {
	for len(s.idle) > 0 {
		s.idle[len(s.idle)-1].close()
	}
	s.closePipe()
}

// takeIdle returns the connection that was used last, nil if none waits.
func (lp *loopPool) takeIdle(s *server) *upconn {
	n := len(s.idle)
	if n == 0 {
		return nil
	}
	u := s.idle[n-1]
	s.idle = s.idle[:n-1]
	lp.m.Idle.Dec()
	lp.m.Active.Inc()
	u.state = upBusy
	u.First(false)
	return u
}

// park keeps a connection for the next request.
func (lp *loopPool) park(u *upconn) {
	s := u.srv
	if len(s.idle) >= lp.settings.Keepalive {
		u.close()
		return
	}
	u.state = upIdle
	u.First(true)
	s.idle = append(s.idle, u)
	lp.m.Active.Dec()
	lp.m.Idle.Inc()
	lp.l.arm(&u.Source, u.keepFor(lp.settings.KeepaliveTimeout))
}

// unpark takes a connection that ended while it was idle out of the list.
func (s *server) unpark(u *upconn) {
	for i, v := range s.idle {
		if v == u {
			s.idle = append(s.idle[:i], s.idle[i+1:]...)
			return
		}
	}
}

// maxIdle bounds how long an idle connection is kept when neither side says.
const maxIdle = 10 * time.Minute
