package health

import (
	"sync/atomic"
	"time"

	"spillway/gateway/upstream"
)

// pool is an upstream whose servers are watched. The monitor's goroutine owns
// it, but for the counters.
type pool struct {
	m        *Monitor
	pool     *upstream.Pool
	settings *upstream.Settings
	snap     *upstream.Snapshot
	servers  []*watched // in the order of the snapshot

	compare   event
	compared  time.Time
	raise     event
	good, bad atomic.Uint64 // probes
	ejected   [reasons]atomic.Uint64
}

func newPool(m *Monitor, p *upstream.Pool) *pool {
	wp := &pool{m: m, pool: p}
	wp.compare.do, wp.raise.do = wp.comparing, wp.raising
	return wp
}

// update takes the current servers and settings over.
func (p *pool) update(now time.Time) {
	settings := p.pool.Settings()
	changed := settings != p.settings
	p.settings, p.snap = settings, p.pool.Load()
	was := map[*upstream.Server]*watched{}
	for _, w := range p.servers {
		was[w.server] = w
	}
	servers := make([]*watched, 0, len(p.snap.Entries))
	for i := range p.snap.Entries {
		e := &p.snap.Entries[i]
		w := was[e.Server]
		delete(was, e.Server)
		if w == nil {
			w = newWatched(p, e.Server, now)
		}
		w.spec = &e.Spec
		servers = append(servers, w)
		if changed || w.fresh {
			w.configure(now)
		}
	}
	p.servers = servers
	for _, w := range was {
		w.leave()
	}
	if changed {
		p.compared = now
		p.plan(now)
	}
	p.pardon()
	p.raising(now)
}

// plan puts the next comparison down, if the settings compare anything.
func (p *pool) plan(now time.Time) {
	o := &p.settings.Outlier
	if o.Enabled && (o.SuccessFactor > 0 || o.LatencyFactor > 0) {
		p.m.agenda.set(&p.compare, now.Add(o.Interval))
		return
	}
	p.m.agenda.strike(&p.compare)
}

// release lets go of all servers: nothing is held against them any more.
func (p *pool) release() {
	for _, w := range p.servers {
		w.leave()
		w.server.Amend(func(upstream.Standing) upstream.Standing { return 0 })
		w.server.SetHealth(upstream.Health{})
	}
	p.m.agenda.strike(&p.compare)
	p.m.agenda.strike(&p.raise)
}

func (p *pool) pardon() { upstream.Pardon(p.snap.Entries, p.settings.PanicThreshold) }

// comparing compares the servers that get requests with each other.
func (p *pool) comparing(now time.Time) {
	o := &p.settings.Outlier
	elapsed := now.Sub(p.compared)
	p.compared = now
	var peers []*watched
	var samples []sample
	for _, w := range p.servers {
		inflight := w.server.Inflight.Load()
		w.stats.advance(o, w.tally.Load(), inflight, elapsed)
		if !w.spec.Down && !w.server.Standing().Barred() {
			peers, samples = append(peers, w), append(samples, w.stats.sample(inflight))
		}
	}
	for i, v := range outliers(o, samples) {
		if v.reason != none {
			peers[i].eject(v.reason, v.why, now)
		}
	}
	p.plan(now)
}

// room reports whether one more server may be ejected.
func (p *pool) room(why Reason) bool {
	all, out := 0, 0
	for _, w := range p.servers {
		if w.spec.Down {
			continue
		}
		all++
		if w.ejection.out() {
			out++
		}
	}
	if why == unreachable { // seen twice, and no comparison that can be wrong
		return all > 1
	}
	return mayEject(all, out, p.settings.Outlier.MaxShare)
}

// raising gives servers that start slowly what they get from now on.
func (p *pool) raising(now time.Time) {
	r := &p.settings.SlowStart
	if r.Window <= 0 {
		return
	}
	var full, starting float64
	var starters []*watched
	for _, w := range p.servers {
		switch {
		case w.spec.Down || w.spec.Backup || w.server.Standing().Held() != 0:
		case w.starts:
			starters = append(starters, w)
			starting += float64(w.spec.Weight)
		default:
			full += float64(w.spec.Weight)
		}
	}
	least := leastShare(full, starting, len(starters), r.MaxOverload)
	more := false
	for _, w := range starters {
		parts, done := ramp(r, now.Sub(w.health.Started), least)
		w.starts = !done
		w.server.Amend(func(s upstream.Standing) upstream.Standing { return s.WithShare(parts) })
		more = more || !done
	}
	if more {
		p.m.agenda.set(&p.raise, now.Add(rampStep(r)))
	}
}
