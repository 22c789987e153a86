package peers

import (
	"context"
	"fmt"
	"slices"
	"time"

	"spillway/bench/account"
	"spillway/bench/report"
)

// plan is one load with changes of servers in it.
type plan struct {
	interval time.Duration // between two changes
	lead     time.Duration // before the first
	length   time.Duration // of the whole
	keep     int           // see roster
	rate     float64
}

// made is one change that was made.
type made struct {
	change
	at time.Time // before it was handed over
}

// Changed is what a load with changes has shown.
type Changed struct {
	Peer     string  `json:"peer"`
	Interval float64 `json:"interval_s"`
	Rate     float64 `json:"rate"`
	Changes  int     `json:"changes"`

	// Added is the number of servers that came, Firsts the milliseconds from
	// each write to the first request on the new server. Those that were taken
	// out again before they got one are missing from Firsts.
	Added  int       `json:"added"`
	Firsts []float64 `json:"first_request_ms"`

	ClientConnections int `json:"client_connections_opened"` // after the first ones
	ServerConnections int `json:"server_connections_opened"` // after the first change

	Processes int     `json:"processes_peak"`
	RSS       int64   `json:"rss_peak_bytes"`
	CPUQuiet  float64 `json:"cpu_quiet_us"`    // per request, before the first change
	CPUAfter  float64 `json:"cpu_changing_us"` // per request, from there on

	P99Quiet  Spread `json:"p99_quiet_us"`  // over the seconds without a change
	P99Change Spread `json:"p99_change_us"` // over the seconds with one

	report    *report.Report
	perSecond map[int]int // changes
}

// watchInterval is how often processes and memory are looked at.
const watchInterval = 100 * time.Millisecond

// quiet is what was spent and seen before the first change.
type quiet struct {
	spent account.Spent
	seen  sight
}

// underChange loads a peer at a constant rate while servers come and go.
func (s *study) underChange(ctx context.Context, w way, peer subject, p plan) (*Changed, error) {
	watch, err := account.Start(peer.pid, watchInterval)
	if err != nil {
		return nil, err
	}
	out := &Changed{Peer: w.name, Interval: p.interval.Seconds(), Rate: p.rate}
	done, before, err := s.loadAndChange(ctx, w.make(s, peer), peer, p, out)
	spent, peak, gone := watch.Stop()
	if err = firstOf(err, gone); err != nil {
		return nil, err
	}
	after, err := s.look(ctx)
	if err != nil {
		return nil, err
	}
	out.Changes, out.Processes, out.RSS = len(done), peak.Processes, peak.RSS
	out.ServerConnections = max(after.accepted-before.seen.accepted-1, 0) // less our own
	out.ClientConnections = max(int(out.report.Connections)-out.report.Load.Connections, 0)
	lead := p.rate * p.lead.Seconds()
	out.CPUQuiet = float64(before.spent.Total()) / 1e3 / lead
	out.CPUAfter = float64(spent.Total()-before.spent.Total()) / 1e3 / (p.rate*p.length.Seconds() - lead)
	out.firsts(done, &after)
	out.seconds()
	return out, nil
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// loadAndChange makes the load and the changes in it, and takes the spares out
// again when it is over.
func (s *study) loadAndChange(ctx context.Context, ch changer, peer subject, p plan, out *Changed) ([]made, quiet, error) {
	d, err := s.startLoad(ctx, &loadSpec{
		URL: peer.url, Rate: p.rate, Connections: s.o.Connections[0], Duration: p.length,
	})
	if err != nil {
		return nil, quiet{}, err
	}
	before, err := s.untilFirst(ctx, peer, d.began.Add(p.lead))
	if err != nil {
		return nil, before, d.failure(ctx, err)
	}
	r := &roster{fixed: s.backends, spares: s.spares, keep: p.keep}
	done, err := steps(ctx, ch, r, p, d.began)
	if err != nil {
		return nil, before, d.failure(ctx, err)
	}
	if out.report, err = d.wait(ctx); err != nil {
		return nil, before, err
	}
	out.report.Load.URL = out.Peer
	out.mark(done, d.began)
	return done, before, r.restore(ctx, ch)
}

// untilFirst watches the time before the first change.
func (s *study) untilFirst(ctx context.Context, peer subject, first time.Time) (quiet, error) {
	start, err := account.Read(peer.pid)
	if err != nil {
		return quiet{}, err
	}
	if err := waitUntil(ctx, first); err != nil {
		return quiet{}, err
	}
	end, err := account.Read(peer.pid)
	if err != nil {
		return quiet{}, err
	}
	seen, err := s.look(ctx)
	return quiet{end.Since(start), seen}, err
}

// steps makes the changes at their times, until the load is over.
func steps(ctx context.Context, ch changer, r *roster, p plan, began time.Time) ([]made, error) {
	var done []made
	for at := began.Add(p.lead); at.Before(began.Add(p.length)); at = at.Add(p.interval) {
		if err := waitUntil(ctx, at); err != nil {
			return nil, err
		}
		m := made{change: r.step(), at: time.Now()}
		if err := ch.apply(ctx, m.change); err != nil {
			return nil, err
		}
		done = append(done, m)
	}
	return done, nil
}

// legible is the least time between two changes that are drawn one by one.
const legible = 50 * time.Millisecond

// mark puts the changes on the timeline.
func (c *Changed) mark(done []made, began time.Time) {
	c.perSecond = map[int]int{}
	each := c.Interval >= legible.Seconds()
	for i, m := range done {
		at := m.at.Sub(began).Seconds()
		c.perSecond[int(at)]++
		switch {
		case each:
			c.report.Events = append(c.report.Events, report.Event{At: at, Text: m.text()})
		case i == 0:
			c.report.Events = []report.Event{{At: at, Text: fmt.Sprintf("a change every %gs from here", c.Interval)}}
		}
	}
}

// restore takes the spares out again.
func (r *roster) restore(ctx context.Context, ch changer) error {
	for r.keep = 0; len(r.in) > 0; {
		if err := ch.apply(ctx, r.step()); err != nil {
			return err
		}
	}
	return nil
}

func (m *made) text() string {
	if m.added != "" {
		return "+" + m.added
	}
	return "-" + m.removed
}

// waitUntil returns at a time, or when ctx is done.
func waitUntil(ctx context.Context, at time.Time) error {
	t := time.NewTimer(time.Until(at))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("cannot finish the changes: %w", ctx.Err())
	}
}

// firsts finds the first request on each server that came.
func (c *Changed) firsts(done []made, seen *sight) {
	for i := range done {
		addr := done[i].added
		if addr == "" {
			continue
		}
		c.Added++
		until := time.Now()
		if again := slices.IndexFunc(done[i+1:], func(m made) bool { return m.added == addr }); again >= 0 {
			until = done[i+1+again].at
		}
		if at, ok := seen.first(addr, done[i].at, until); ok {
			c.Firsts = append(c.Firsts, float64(at.Sub(done[i].at))/1e6)
		}
	}
}

// seconds divides the timeline into seconds with a change and without. The very
// first is left out: connections open in it.
func (c *Changed) seconds() {
	var quiet, change []float64
	for i, sec := range c.report.Timeline {
		switch {
		case sec.Answered == 0:
		case c.perSecond[int(sec.At)] > 0:
			change = append(change, sec.P99)
		case i > 0:
			quiet = append(quiet, sec.P99)
		}
	}
	if len(quiet) > 0 {
		c.P99Quiet = spreadOf(quiet)
	}
	if len(change) > 0 {
		c.P99Change = spreadOf(change)
	}
}
