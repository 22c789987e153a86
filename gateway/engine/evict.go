package engine

import (
	"time"

	"spillway/gateway/metrics"
	"spillway/internal/netloop"
)

// eviction ends the tunnels of a server that gets no requests any more: they
// would keep it for as long as somebody talks. It has a timer of its own, as
// those of the connections serve other ends.
type eviction struct {
	netloop.Source
	l *loop
	s *server
}

// Ready does nothing: there is no descriptor.
func (e *eviction) Ready(netloop.Events) {}

// Closed does nothing: nothing is reused.
func (e *eviction) Closed() {}

// Expired cuts what is left.
func (e *eviction) Expired(int64) {
	for n := len(e.s.tunnels); n > 0; n = len(e.s.tunnels) {
		u := e.s.tunnels[n-1]
		e.s.forgetTunnel(u)
		if u.ex != nil {
			e.l.m.Timeouts[metrics.TimeoutTunnel].Inc()
			u.ex.c.abort()
		}
	}
}

// rest follows whether the server is out of service: then nothing idle is
// kept, and its tunnels have until limit (0: as long as they like).
func (s *server) rest(l *loop, resting bool, limit time.Duration) {
	began := resting && !s.resting
	s.resting = resting
	switch {
	case !resting && s.evict != nil:
		l.loop.Disarm(&s.evict.Source)
	case began && len(s.tunnels) > 0:
		s.evictIn(l, limit)
	}
	if resting {
		s.closeIdle()
	}
}

// evictIn ends the tunnels at the end of limit.
func (s *server) evictIn(l *loop, limit time.Duration) {
	if limit <= 0 {
		return
	}
	if s.evict == nil {
		s.evict = &eviction{l: l, s: s}
	}
	l.loop.After(&s.evict.Source, s.evict, l.loop.Now()+int64(limit))
}

// noteTunnel remembers that u carries a tunnel.
func (s *server) noteTunnel(u *upconn) {
	s.tunnels = append(s.tunnels, u)
	u.slot = len(s.tunnels)
	if s.resting && (s.evict == nil || s.evict.Deadline() == 0) { // its request was under way when the server was drained
		s.evictIn(u.lp.l, u.lp.settings.DrainTimeout)
	}
}

// forgetTunnel takes it off the list again.
func (s *server) forgetTunnel(u *upconn) {
	last := s.tunnels[len(s.tunnels)-1]
	s.tunnels[u.slot-1], last.slot = last, u.slot
	s.tunnels = s.tunnels[:len(s.tunnels)-1]
	u.slot = 0
}
