package engine

import (
	"slices"

	"spillway/gateway/upstream"
	"spillway/internal/netloop"
)

// Abandon has the requests that wait for the first byte of an answer from s
// tried on another server at once, as if their time was up: s was found not to
// answer. Those that may not be sent twice, or have nowhere to go, wait on.
func (e *Engine) Abandon(s *upstream.Server) {
	e.each(func(l *loop) { l.abandon(s) })
}

func (l *loop) abandon(s *upstream.Server) {
	var waiting []*client // connections are not closed while they are counted
	l.loop.Each(func(h netloop.Handler) {
		if c, ok := h.(*client); ok && c.ex != nil && c.ex.waitsFor(s) {
			waiting = append(waiting, c)
		}
	})
	for _, c := range waiting {
		// Blameless: that s is not asked again is up to whoever found out.
		if ex := c.ex; ex != nil && ex.waitsFor(s) && ex.failed(timeoutOf(ex.u.state), true) {
			ex.attempt()
		}
	}
}

// waitsFor reports whether the exchange has nothing of an answer from s yet,
// and another server can be asked instead. One on a shared connection stays:
// it is not told apart from those in front of it.
func (ex *exchange) waitsFor(s *upstream.Server) bool {
	return ex.entry != nil && ex.entry.Server == s && ex.u != nil && ex.u.pipe == nil &&
		!ex.gotByte && !ex.tunnel && ex.resendable() && ex.another(failReadTimeout) && ex.elsewhere()
}

// elsewhere reports whether there is a server that was not tried yet.
func (ex *exchange) elsewhere() bool {
	now := ex.l.loop.Now()
	return slices.ContainsFunc(ex.lp.snap.Entries, func(e upstream.Entry) bool {
		return !slices.Contains(ex.tried, e.Server) && e.Unavailable(&e.Spec, now) == ""
	})
}
