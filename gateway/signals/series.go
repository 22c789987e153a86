package signals

// Window is how many seconds are kept of an upstream.
const Window = 120

// Second is what one upstream saw in one second.
type Second struct {
	// T is the end of the second, Unix time.
	T int64
	// Arrivals are requests that began. Each ends as a completion, or as
	// refused when there was no server to ask. Errors are the completions
	// that were answered 5xx, or whose answer broke off.
	Arrivals, Completions, Errors, Refused uint32
	// InFlight is the average over the second of the requests that had begun
	// and whose answer was not read whole yet: the request-seconds that fell
	// into it, so that their sum is exact even where a second was not.
	InFlight float32
	// Latency counts completions by the time from the request's arrival to
	// its answer being read whole from the server; tunnels are left out.
	Latency [Buckets]uint32
}

// quiet reports whether nothing happened in the second.
func (s *Second) quiet() bool {
	return s.Arrivals == 0 && s.Completions == 0 && s.Refused == 0 && s.InFlight == 0
}

// sums is one upstream over the loops, for one sample.
type sums struct {
	counts Flow
	area   uint64 // request-nanoseconds
}

func (s *sums) add(p *Part) {
	c := &s.counts
	c.Arrivals += p.Counts.Arrivals
	c.Completions += p.Counts.Completions
	c.Errors += p.Counts.Errors
	c.Refused += p.Counts.Refused
	for k, n := range p.Counts.Latency {
		c.Latency[k] += n
	}
	s.area += p.Area
}

// share is part i of n of what was counted: a sample that came late stands
// for several seconds, which get an equal part each, to the last request.
func (s *sums) share(t int64, i, n uint64) Second {
	part := func(total uint64) uint32 { return uint32(total*(i+1)/n - total*i/n) }
	c := &s.counts
	out := Second{
		T: t, Arrivals: part(c.Arrivals), Completions: part(c.Completions),
		Errors: part(c.Errors), Refused: part(c.Refused), InFlight: float32(float64(s.area) / float64(n) / 1e9),
	}
	for k, total := range c.Latency {
		out.Latency[k] = part(total)
	}
	return out
}

// series is the last two minutes of one upstream. Seconds without traffic are
// not stored.
type series struct {
	ring   [Window]Second // by T modulo Window; a slot with another T is an old one's
	newest int64
	// answers are those of each server in the newest second.
	answers map[string]uint64
}

func (s *series) put(sec Second) {
	s.ring[sec.T%Window] = sec
	s.newest = sec.T
}

// at returns the second that ended at t, which may be one without traffic.
func (s *series) at(t int64) Second {
	if s != nil {
		if sec := s.ring[t%Window]; sec.T == t {
			return sec
		}
	}
	return Second{T: t}
}

// Quantile is the latency in microseconds below which a share q of the
// completions were, by linear interpolation within a bucket; 0 without any.
// Of the last bucket only the lower bound is known.
func (s *Second) Quantile(q float64) float64 {
	total := 0.0
	for _, n := range s.Latency {
		total += float64(n)
	}
	rank, last := q*total, 0.0
	for k, n := range s.Latency {
		if n == 0 {
			continue
		}
		low, high := bounds(k)
		if rank <= float64(n) {
			return low + (high-low)*rank/float64(n)
		}
		rank -= float64(n)
		last = high
	}
	return last
}

// bounds are those of a bucket in microseconds.
func bounds(k int) (low, high float64) {
	high = float64(uint64(FirstBound)<<k) / 1e3
	if k > 0 {
		low = high / 2
	}
	if k == Buckets-1 {
		high = low
	}
	return low, high
}
