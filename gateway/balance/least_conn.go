package balance

import "spillway/gateway/upstream"

// leastConn chooses the peer with the fewest requests in flight for its
// weight, counted over all loops. Those that are equal take turns by smooth
// weighted round robin (ngx_http_upstream_get_least_conn_peer).
type leastConn struct{}

func (leastConn) update(*servers, *upstream.Snapshot) {}

func (leastConn) choose(g *group, r *Request) *peer {
	l := leastLoaded(g, r)
	if l.ties == 0 {
		return l.peer
	}
	best, total := l.peer, l.peer.advance()
	for i := l.at + 1; i < len(g.peers); i++ {
		c := &g.peers[i]
		if c.inflight()*l.peer.weight != l.conns*c.weight || !c.usable(r) {
			continue
		}
		total += c.advance()
		if c.current > best.current {
			best = c
		}
	}
	best.current -= total
	return best
}

// least is the first of the least loaded peers of a group.
type least struct {
	peer  *peer // nil if no peer is usable
	at    int
	conns int64 // its requests in flight when it was looked at
	ties  int   // peers after it with the same load
}

func leastLoaded(g *group, r *Request) least {
	var l least
	for i := range g.peers {
		c := &g.peers[i]
		if !c.usable(r) {
			continue
		}
		conns := c.inflight()
		// Cross-multiplied, to compare conns/weight without dividing.
		switch {
		case l.peer == nil || conns*l.peer.weight < l.conns*c.weight:
			l = least{peer: c, at: i, conns: conns}
		case conns*l.peer.weight == l.conns*c.weight:
			l.ties++
		}
	}
	return l
}
