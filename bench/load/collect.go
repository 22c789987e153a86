package load

import (
	"time"

	"spillway/bench/hist"
)

// Second is what happened in one second of the run, over all lanes. Answers
// count in the second in which they end; those that come after the end of the
// run count in its last second. Latencies are corrected ones, in nanoseconds.
type Second struct {
	Index       int     // from the end of the warm-up
	Planned     float64 // requests, by the schedule; 0 in a closed loop
	Sent        uint64
	Answered    uint64
	Errors      uint64
	Connections uint64 // opened

	Mean                    float64
	P50, P90, P95, P99, Max int64
}

// collector merges the lanes' seconds. It runs on a goroutine of its own and is
// never waited for: the channel has room for all seconds of the run.
type collector struct {
	lanes   int
	seconds chan second
	spares  chan *hist.Histogram
	planned func(index int) float64
	told    func(Second)

	open    map[int]*merging
	done    []Second
	stopped chan struct{}
}

// merging is a second that not all lanes have handed over yet.
type merging struct {
	Second
	latency *hist.Histogram
	lanes   int
}

func newCollector(lanes int, length time.Duration, planned func(int) float64, told func(Second)) *collector {
	room := lanes * (int(length/time.Second) + 2)
	return &collector{
		lanes: lanes, seconds: make(chan second, room), spares: make(chan *hist.Histogram, 2*lanes),
		planned: planned, told: told, open: map[int]*merging{}, stopped: make(chan struct{}),
	}
}

// spare returns an empty histogram.
func (c *collector) spare() *hist.Histogram {
	select {
	case h := <-c.spares:
		return h
	default:
		return new(hist.Histogram)
	}
}

func (c *collector) give(h *hist.Histogram) {
	h.Reset()
	select {
	case c.spares <- h:
	default:
	}
}

// collect runs until the channel is closed.
func (c *collector) collect() {
	defer close(c.stopped)
	for s := range c.seconds {
		m := c.open[s.index]
		if m == nil {
			m = &merging{Second: Second{Index: s.index}, latency: c.spare()}
			c.open[s.index] = m
		}
		c.merge(m, &s)
		if m.lanes == c.lanes {
			delete(c.open, s.index)
			c.finish(m)
		}
	}
}

func (c *collector) merge(m *merging, s *second) {
	m.lanes++
	m.Sent += s.sent
	m.Answered += s.answered
	m.Errors += s.failed
	m.Connections += s.connections
	m.latency.Merge(s.latency)
	c.give(s.latency)
}

func (c *collector) finish(m *merging) {
	m.Planned = c.planned(m.Index)
	m.Mean, m.Max = m.latency.Mean(), m.latency.Max()
	m.P50, m.P90 = m.latency.Quantile(0.5), m.latency.Quantile(0.9)
	m.P95, m.P99 = m.latency.Quantile(0.95), m.latency.Quantile(0.99)
	c.give(m.latency)
	c.done = append(c.done, m.Second)
	if c.told != nil {
		c.told(m.Second)
	}
}
