package signal

import (
	"maps"
	"time"
)

// keep is how many seconds are remembered.
const keep = 600

// total is one second of one upstream, over all gateways.
type total struct {
	t          int64 // its end; the slot is another second's if it differs
	a, c, e, r float64
	l          float64
	h          [Buckets]float64
}

// series are the last seconds of one upstream.
type series struct {
	ring [keep]total
}

func (s *series) slot(t int64) *total { return &s.ring[t%keep] }

func (s *series) add(t int64, a *secondAnswer) {
	sl := s.slot(t)
	if sl.t > t {
		return // older than what is remembered
	}
	if sl.t != t {
		*sl = total{t: t}
	}
	sl.a, sl.c, sl.e, sl.r, sl.l = sl.a+a.A, sl.c+a.C, sl.e+a.E, sl.r+a.R, sl.l+a.L
	for k, n := range a.H {
		sl.h[k] += n
	}
}

// second is the public form of what is remembered of t.
func (s *series) second(t int64) Second {
	out := Second{At: time.Unix(t, 0).UTC()}
	if t <= 0 {
		return out
	}
	if sl := s.slot(t); sl.t == t {
		out.Arrivals, out.Completions, out.Errors, out.Refused = sl.a, sl.c, sl.e, sl.r
		out.InFlight, out.Latency = sl.l, sl.h
		out.P95 = out.Quantile(0.95)
	}
	return out
}

// peer is one gateway as we know it.
//
//	registered --> answers --> silent --> answers ...
//	     |                                    |
//	     +----------> left (registration gone): kept until its seconds are old
type peer struct {
	id, admin string
	joined    int64 // second from which it is expected
	left      int64 // second from which it no longer is, 0: registered
	// covered marks the seconds it told of, by t%keep.
	covered [keep]int64
	newest  int64 // second, by our clock; 0 none
	first   int64 // oldest second it ever told of; 0 none

	since  int64 // what to ask for: Unix ms by its clock
	shift  int64 // seconds its clock is ahead of ours
	asked  time.Time
	told   map[string]map[string]serverAnswer // by upstream and address
	failed error                              // of the last request
}

// grace is how long a new gateway may take until its first seconds are missed.
const grace = 5

// expected reports whether the peer should have told of second t.
func (p *peer) expected(t int64) bool {
	from := p.joined + grace
	if p.first != 0 {
		from = min(from, p.first)
	}
	return t >= from && (p.left == 0 || t < p.left) || p.has(t)
}

func (p *peer) has(t int64) bool { return t > 0 && p.covered[t%keep] == t }

// fresh reports whether the peer tells what happens now: its last good answer
// is young, and so is what it told.
func (p *peer) fresh(now time.Time, limit time.Duration) bool {
	return p.left == 0 && !p.asked.IsZero() && now.Sub(p.asked) <= limit &&
		now.Sub(time.Unix(p.newest, 0)) <= limit+ownDelay
}

// take enters an answer to a request that was sent at asked. It returns what is
// new in it, in our time.
func (p *peer) take(a *answer, asked, received time.Time, add func(upstream string, t int64, s *secondAnswer)) {
	p.align(a.NowMS, asked, received)
	news := map[int64]bool{}
	last := p.since / 1000
	for name, u := range a.Upstreams {
		for i := range u.Seconds {
			s := &u.Seconds[i]
			last = max(last, s.T)
			if t := s.T - p.shift; t > 0 && !p.has(t) {
				news[t] = true
				add(name, t, s)
			}
		}
	}
	if len(a.Upstreams) == 0 {
		last = p.silence(a.NowMS/1000-1, news)
	}
	for t := range news {
		p.cover(t)
	}
	p.since = last * 1000
	if a.NowMS < p.since { // its clock was set back
		p.since = 0
	}
	p.asked, p.failed = asked, nil
	p.told = map[string]map[string]serverAnswer{}
	for name, u := range a.Upstreams {
		p.told[name] = maps.Clone(u.Servers)
	}
}

// silence covers the seconds up to until, by its clock, in which a gateway
// without any of our upstreams saw nothing of them.
func (p *peer) silence(until int64, news map[int64]bool) int64 {
	from := p.since/1000 + 1
	if from == 1 || until-from > keep {
		from = until
	}
	for t := from; t <= until; t++ {
		news[t-p.shift] = true
	}
	return max(until, p.since/1000)
}

func (p *peer) cover(t int64) {
	if t <= 0 || p.covered[t%keep] > t {
		return
	}
	p.covered[t%keep] = t
	p.newest = max(p.newest, t)
	if p.first == 0 || t < p.first {
		p.first = t
	}
}

// align follows the peer's clock: its seconds are put to ours. The shift is a
// whole number of seconds and changes only when it is clearly another one, so
// that seconds are neither counted twice nor left out because an answer was
// slow.
func (p *peer) align(nowMS int64, asked, received time.Time) {
	low, high := nowMS-received.UnixMilli(), nowMS-asked.UnixMilli() // it is ahead by something between
	const slack = 900
	current := p.shift * 1000
	if current >= low-slack && current <= high+slack {
		return
	}
	middle := (low + high) / 2
	p.shift = floorDiv(middle+500, 1000)
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}
