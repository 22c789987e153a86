package health

import (
	"context"
	"fmt"
	"time"

	"spillway/gateway/upstream"
)

// watched is one server under watch. The monitor's goroutine owns it.
type watched struct {
	pool   *pool
	server *upstream.Server
	spec   *upstream.Spec
	tally  *upstream.Tally
	health upstream.Health // as people are told
	fresh  bool            // not configured yet
	gone   bool            // not a server of the pool any more

	state    state
	ejection ejection
	stats    stats
	suspect  bool // did not take a connection: a probe decides
	reached  int  // good probes in a row while it is ejected as unreachable
	starts   bool // slowly, since health.Started

	probe, comeback event
	queued          bool
	cancel          context.CancelFunc // of the running probe, nil without one
}

func newWatched(p *pool, s *upstream.Server, now time.Time) *watched {
	w := &watched{pool: p, server: s, fresh: true, tally: &upstream.Tally{}}
	w.probe.do = func(time.Time) { p.m.start(w) }
	w.comeback.do = w.readmit
	w.state.since = now
	standing := s.Standing() // what a newcomer was greeted with
	if standing&upstream.Unproven != 0 {
		w.state.phase = unproven
	}
	if standing.Share() < upstream.FullShare {
		w.starts, w.health.Started = true, now
	}
	w.health.Since = now
	p.m.servers[s] = w
	return w
}

// leave ends the watch.
func (w *watched) leave() {
	w.gone = true
	w.pool.m.agenda.strike(&w.probe)
	w.pool.m.agenda.strike(&w.comeback)
	if w.cancel != nil {
		w.cancel()
	}
	w.server.Watch(nil)
	delete(w.pool.m.servers, w.server)
}

// configure obeys the settings of the pool, which are new to the server.
func (w *watched) configure(now time.Time) {
	w.fresh = false
	s := w.pool.settings
	w.watch(&s.Outlier)
	if s.Check.Kind == "" {
		w.state = state{since: w.state.since}
	}
	if !s.Outlier.Enabled && w.ejection.out() {
		w.pool.m.agenda.strike(&w.comeback)
		w.ejection = ejection{}
	}
	if s.SlowStart.Window <= 0 {
		w.starts = false
		w.server.Amend(func(s upstream.Standing) upstream.Standing { return s.WithShare(upstream.FullShare) })
	}
	w.stand(now)
	if !w.wantsProbe() {
		w.pool.m.agenda.strike(&w.probe)
		return
	}
	w.pool.m.agenda.set(&w.probe, now.Add(w.pool.m.pace.first(w.check(), w.state, w.server.Addr, now)))
}

// watch has the attempts at the server counted as o wants them.
func (w *watched) watch(o *upstream.Outlier) {
	if !o.Enabled {
		w.tally = &upstream.Tally{}
		w.server.Watch(nil)
		return
	}
	w.tally = &upstream.Tally{
		Gateway: int32(o.ConsecutiveGateway), Errors: int32(o.Consecutive5xx), Suspect: w.pool.m.suspect,
	}
	w.stats = stats{}
	w.server.Watch(w.tally)
}

// check is how the server is probed. One that the settings do not probe is
// asked for a connection, when there is reason to.
func (w *watched) check() *upstream.Check {
	if c := &w.pool.settings.Check; c.Kind != "" {
		return c
	}
	return &upstream.Check{
		Kind: upstream.CheckTCP, Interval: time.Second, FastInterval: time.Second, Timeout: time.Second,
		Jitter: 0.2, Rise: 2, Fall: 1,
	}
}

// wantsProbe reports whether the server is to be probed again.
func (w *watched) wantsProbe() bool {
	return w.pool.settings.Check.Kind != "" || w.suspect || w.ejection.reason == unreachable
}

// probed takes the outcome of a probe in.
func (w *watched) probed(r Result, now time.Time) {
	w.cancel = nil
	if w.gone {
		return
	}
	if r.Good {
		w.pool.good.Add(1)
	} else {
		w.pool.bad.Add(1)
	}
	w.health.Probe, w.health.ProbedAt = r.What, now
	if c := &w.pool.settings.Check; c.Kind != "" {
		var changed bool
		if w.state, changed = w.state.step(c, r.Good, now); changed {
			w.health.Since = now
			w.log(w.state.phase == healthy, "healthy", "unhealthy", r.What)
		}
	}
	w.reach(r, now)
	w.stand(now)
	if w.wantsProbe() {
		w.pool.m.agenda.set(&w.probe, now.Add(w.pause(now)))
	}
}

// pause is how long the next probe can wait.
func (w *watched) pause(now time.Time) time.Duration {
	c, s := w.check(), w.state
	if w.ejection.reason == unreachable {
		s.phase = unhealthy
	}
	return w.pool.m.pace.next(c, s, w.server.Addr, now)
}

// reach judges a probe of a server that a request could not connect to.
func (w *watched) reach(r Result, now time.Time) {
	switch {
	case w.ejection.reason == unreachable && !r.Good:
		w.reached = 0
	case w.ejection.reason == unreachable:
		if w.reached++; w.reached >= w.check().Rise {
			w.readmit(now)
		}
	case w.suspect:
		w.suspect = false
		if !r.Good {
			w.eject(unreachable, "no connection for a request, nor for a probe: "+r.What, now)
		}
	}
}

// suspected acts on what the tally has to say.
func (w *watched) suspected(now time.Time) {
	why := w.tally.Take()
	o := &w.pool.settings.Outlier
	switch {
	case !o.Enabled || w.ejection.out():
		return
	case why&upstream.GatewayFailures != 0:
		w.eject(gatewayFailures, fmt.Sprintf("%d gateway failures in a row", o.ConsecutiveGateway), now)
	case why&upstream.ServerErrors != 0:
		w.eject(serverErrors, fmt.Sprintf("%d failures in a row", o.Consecutive5xx), now)
	}
	if why&upstream.Unreachable != 0 && o.ConnectProbe && !w.ejection.out() && !w.suspect {
		w.suspect = true
		w.pool.m.agenda.set(&w.probe, now)
	}
}

// eject takes the server out of service, if enough others are left.
func (w *watched) eject(reason Reason, why string, now time.Time) {
	if w.ejection.out() || !w.pool.room(reason) {
		return
	}
	w.ejection = w.ejection.begin(&w.pool.settings.Outlier, reason, now)
	w.reached = 0
	w.pool.ejected[reason].Add(1)
	w.health.Ejection, w.health.Until, w.health.Ejections = why, w.ejection.until, w.ejection.count
	if !w.ejection.until.IsZero() {
		w.pool.m.agenda.set(&w.comeback, w.ejection.until)
	}
	w.log(false, "", "ejected", why)
	w.stand(now)
}

// readmit ends an ejection.
func (w *watched) readmit(now time.Time) {
	w.ejection = w.ejection.end(now)
	w.suspect = false
	w.tally.Take()
	w.stats = stats{last: w.tally.Load()}
	w.health.Until = time.Time{}
	w.log(true, "back from ejection", "", w.health.Ejection)
	w.stand(now)
}

// stand publishes what is held against the server. One that comes back starts
// slowly, unless it was pardoned and served all the time.
//
// A server that is barred is pardoned until it is known that enough others
// are left: at no moment may a picker find nobody.
func (w *watched) stand(now time.Time) {
	hold := w.state.standing()
	if w.ejection.out() {
		hold |= upstream.Ejected
	}
	was := w.server.Standing()
	r := &w.pool.settings.SlowStart
	back := was.Barred() && hold == 0 && r.Window > 0
	if back {
		w.starts, w.health.Started = true, now
	}
	if hold != 0 {
		w.starts = false
	}
	w.server.SetHealth(w.health)
	if was.Held() == hold {
		return
	}
	w.server.Amend(func(s upstream.Standing) upstream.Standing {
		s &^= s.Held()
		switch {
		case hold != 0:
			s = (s | hold | upstream.Pardoned).WithShare(upstream.FullShare)
		case back:
			s = s.WithShare(int(r.Min * upstream.FullShare))
		default:
			s = s.WithShare(upstream.FullShare)
		}
		return s
	})
	w.pool.pardon()
	if back {
		w.pool.raising(now)
	}
	if mute := w.pool.m.opt.Mute; mute != nil && hold&^was != 0 && w.mute() && w.server.Standing().Barred() {
		mute(w.server)
	}
}

// mute reports whether the server does not answer, rather than badly or late.
func (w *watched) mute() bool {
	switch w.ejection.reason {
	case unreachable, gatewayFailures:
		return true
	}
	return w.state.phase == unhealthy || w.stats.stalled > 0
}

// log tells operators of a change.
func (w *watched) log(good bool, better, worse, why string) {
	l := w.pool.m.opt.Log.With("upstream", w.pool.pool.Name, "server", w.server.Addr, "why", why)
	if good {
		l.Info("server is " + better)
		return
	}
	l.Warn("server is " + worse)
}
