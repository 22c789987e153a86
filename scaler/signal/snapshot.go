package signal

import "time"

// staleAfter is how long a gateway's last answer counts: two rounds may fail.
func (o *Options) staleAfter() time.Duration { return 3*o.Interval + o.Timeout }

// ownDelay is how old the newest second of a gateway is when all is well: it is
// told when it has ended, at the next round.
const ownDelay = 2 * time.Second

// Snapshot implements Source. It leaves out the newest seconds that a gateway
// which answers has not told of yet.
func (g *Gateways) Snapshot(upstream string, window time.Duration) Snapshot {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.opt.Now()
	s := Snapshot{Upstream: upstream, At: now, Servers: map[string]Server{}}
	horizon, newest := int64(0), int64(0)
	var last time.Time
	for _, p := range g.peers {
		newest = max(newest, p.newest)
		if p.asked.After(last) {
			last = p.asked
		}
		if p.left != 0 {
			continue
		}
		if p.expected(now.Unix()) {
			s.Expected++
		}
		if p.fresh(now, g.opt.staleAfter()) {
			s.Reporting++
			s.Age = max(s.Age, now.Sub(p.asked))
			horizon = lower(horizon, p.newest)
			p.addServers(upstream, s.Servers)
		}
	}
	if s.Reporting == 0 {
		horizon = newest
		if !last.IsZero() {
			s.Age = now.Sub(last)
		}
	}
	if behind := now.Sub(time.Unix(horizon, 0)) - ownDelay; horizon > 0 {
		s.Age = max(s.Age, behind)
	}
	s.Seconds = g.seconds(upstream, horizon, window)
	return s
}

// lower is the smaller of two seconds of which 0 is none.
func lower(a, b int64) int64 {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

func (p *peer) addServers(upstream string, servers map[string]Server) {
	for addr, a := range p.told[upstream] {
		s := servers[addr]
		s.Address = addr
		s.InFlight += a.L
		s.Requests += a.C
		s.Told++
		if a.Serving {
			s.Serving++
		}
		servers[addr] = s
	}
}

// seconds are those of a window that ends with last; mu is held.
func (g *Gateways) seconds(upstream string, last int64, window time.Duration) []Second {
	u := g.upstreams[upstream]
	if u == nil || last == 0 {
		return nil
	}
	n := min(int64(window/time.Second), keep-10)
	first := max(last-n+1, g.oldest())
	list := make([]Second, 0, max(0, last-first+1))
	c := g.counted(last)
	for t := first; t <= last; t++ {
		s := u.second(t)
		s.Reporting, s.Expected = c.of(t)
		list = append(list, s)
	}
	return list
}

// census is how many gateways told, and should have told, of each of the last
// seconds. It is the same for every upstream.
type census struct {
	last                int64
	reporting, expected [keep]int
}

func (c *census) of(t int64) (reporting, expected int) {
	return c.reporting[c.last-t], c.expected[c.last-t]
}

// counted is the census up to last; mu is held.
func (g *Gateways) counted(last int64) *census {
	if g.census != nil && g.census.last == last {
		return g.census
	}
	c := &census{last: last}
	for _, p := range g.peers {
		for back := range int64(keep) {
			if p.expected(last - back) {
				c.expected[back]++
			}
			if p.has(last - back) {
				c.reporting[back]++
			}
		}
	}
	g.census = c
	return c
}

// oldest is the first second that any gateway told of; mu is held.
func (g *Gateways) oldest() int64 {
	first := int64(0)
	for _, p := range g.peers {
		if p.first != 0 {
			first = lower(first, p.first)
		}
	}
	return first
}

// Acked tells whether the server is out of rotation everywhere, as of a request
// that was sent after since: known says that every registered gateway has
// answered such a request, acked that none of them sends the server anything
// new. inFlight is what it has under way at all gateways, as far as they told,
// and -1 if none has. Without any gateway nothing is known.
func (g *Gateways) Acked(upstream, address string, since time.Time) (acked bool, inFlight float64, known bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	registered, told := 0, 0
	acked = true
	for _, p := range g.peers {
		if p.left != 0 {
			continue
		}
		registered++
		if !p.asked.After(since) {
			continue
		}
		told++
		s := p.told[upstream][address]
		acked = acked && !s.Serving
		inFlight += s.L
	}
	if told == 0 {
		return false, -1, false
	}
	known = told == registered
	return acked && known, inFlight, known
}

// LastTold is when the oldest of the newest reports was asked for, and which
// gateways do not answer, for whoever asks what is wrong.
func (g *Gateways) LastTold() (at time.Time, silent map[string]error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	silent = map[string]error{}
	for id, p := range g.peers {
		if p.left != 0 {
			continue
		}
		if at.IsZero() || p.asked.Before(at) {
			at = p.asked
		}
		if p.failed != nil {
			silent[id] = p.failed
		}
	}
	return at, silent
}
