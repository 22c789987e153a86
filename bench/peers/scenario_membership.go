package peers

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"spillway/bench/peers/figures"
)

// sparePorts are backend addresses that come and go.
const sparePorts = 32

func fullMembership(o *Options) {
	o.Connections = []int{64}
	o.Rounds, o.Duration, o.spare = 1, 30*time.Second, sparePorts
	o.intervals = []time.Duration{10 * time.Second, time.Second}
}

func shortMembership(o *Options) {
	o.Connections = []int{8}
	o.Duration = 300 * time.Millisecond
	o.intervals = []time.Duration{60 * time.Millisecond}
	o.Rate = 500
}

func fullChurn(o *Options) {
	o.Connections = []int{64}
	o.Rounds, o.Duration, o.spare = 1, 20*time.Second, sparePorts
	o.intervals = []time.Duration{10 * time.Millisecond}
}

func shortChurn(o *Options) {
	o.Connections = []int{8}
	o.Duration = 300 * time.Millisecond
	o.Rate = 500
}

// leadShare is the part of a load that passes before the first change, and
// leastChanges how many changes a load has room for.
const (
	leadShare    = 6
	leastChanges = 6
)

// planOf makes a plan of an interval.
func (o *Options) planOf(interval time.Duration, keep int, rate float64) plan {
	length := max(o.Duration, leastChanges*interval)
	return plan{interval: interval, lead: max(interval, length/leadShare), length: length, keep: keep, rate: rate}
}

// runMembership takes servers in and out one by one: the experiment that
// nginx-upsync was published with.
func runMembership(ctx context.Context, s *study) error {
	s.note("one server beside %d fixed ones comes, the next change takes it out, and so on; it goes on answering, so a failed request is the proxy's doing", backendPorts)
	return s.changes(ctx, 0)
}

// churnKeep is how many spares stay in under churn. At 100 changes a second a
// server is one for 320 ms, and then none for as long.
const churnKeep = 15

// runChurn does the same 100 times a second.
func runChurn(ctx context.Context, s *study) error {
	s.note("up to %d servers beside %d fixed ones come and go, each for 320 ms", churnKeep+1, backendPorts)
	s.note("reloads are at least %v apart, as the tools that make them wait for more changes: a reload brings all changes since the last one, and many servers have gone again before it", reloadGap)
	return s.changes(ctx, churnKeep)
}

func (s *study) changes(ctx context.Context, keep int) error {
	chosen, err := s.ways()
	if err != nil {
		return err
	}
	if err := s.openWays(ctx, chosen); err != nil {
		return err
	}
	rate, err := s.halfOfMost(ctx)
	if err != nil {
		return err
	}
	var raw []*Changed
	for _, interval := range s.o.intervals {
		p := s.o.planOf(interval, keep, rate)
		all, err := s.underPlan(ctx, chosen, p)
		if err != nil {
			return err
		}
		s.result.Tables = append(s.result.Tables, changeTable(all, p), timelineTable(all, p))
		for _, c := range all {
			s.result.Runs = append(s.result.Runs, figures.Run{Name: s.runName(c, interval), Report: c.report})
		}
		raw = append(raw, all...)
	}
	s.result.Raw = raw
	s.note("open loop at a constant rate of %.0f requests/s; latency counts from the planned time of sending", rate)
	s.note("the time to the first request runs from before the write (of the key, the configuration file, the command) to the moment the new server has a request; nginx and haproxy have no registry before them here, which would add its own delay")
	s.note("connections per change: what clients had to open anew, and what the proxy opened to servers")
	return nil
}

// runName tells the runs of several intervals apart.
func (s *study) runName(c *Changed, interval time.Duration) string {
	if len(s.o.intervals) == 1 {
		return c.Peer
	}
	return fmt.Sprintf("%s, %v", c.Peer, interval)
}

// ways are the ways of changing servers that are installed and were asked for,
// by their full names or the proxy's.
func (s *study) ways() ([]way, error) {
	var chosen []way
	var missing []string
	for _, w := range ways(s.o) {
		proxy, _, _ := strings.Cut(w.name, ",")
		if len(s.o.Peers) > 0 && !slices.Contains(s.o.Peers, proxy) {
			continue
		}
		program, err := findProgram(w.program)
		if err == nil && w.registry {
			_, err = findProgram(s.o.Consul)
		}
		switch {
		case err == nil:
			w.program = program
			chosen = append(chosen, w)
		case len(s.o.Peers) > 0:
			return nil, fmt.Errorf("cannot compare %q: %w (make deps, build and consul bring what is missing)", w.name, err)
		default:
			missing = append(missing, w.name)
		}
	}
	s.missing(missing)
	if len(chosen) == 0 {
		return nil, fmt.Errorf("cannot compare %v: servers change under spillway, nginx or haproxy", s.o.Peers)
	}
	return chosen, nil
}

// openWays starts the backend, the registry if one of the ways needs it, and the
// proxies.
func (s *study) openWays(ctx context.Context, chosen []way) error {
	if err := s.open(ctx, nil); err != nil {
		return err
	}
	var definitions []definition
	for _, w := range chosen {
		definitions = append(definitions, w.definition)
		if w.registry && s.consul == nil {
			var err error
			if s.consul, err = s.startRegistry(ctx, s.o.Consul); err != nil {
				return err
			}
		}
	}
	if err := s.startAll(ctx, definitions, nil); err != nil {
		return err
	}
	s.describe(ctx, definitions)
	return nil
}

// halfOfMost is the rate of the changes: --rate, or half of nginx's maximum.
func (s *study) halfOfMost(ctx context.Context) (float64, error) {
	if s.o.Rate > 0 {
		return s.o.Rate, nil
	}
	base := s.subjects[0]
	for _, peer := range s.subjects {
		if strings.HasPrefix(peer.name, Baseline) {
			base = peer
		}
	}
	sample, err := s.drive(ctx, base, loadSpec{URL: base.url, Connections: s.o.Connections[0], Duration: 3 * time.Second})
	if err != nil {
		return 0, err
	}
	s.note("the rate is half of what %s does at most: %.0f requests/s (limit: %s)", base.name, sample.Rate, limitOf(sample.ProxyBusy, sample.CoreBusy))
	return sample.Rate / 2, nil
}

func (s *study) underPlan(ctx context.Context, chosen []way, p plan) ([]*Changed, error) {
	var all []*Changed
	for round := 1; round <= s.o.Rounds; round++ {
		for i, w := range chosen {
			c, err := s.underChange(ctx, w, s.subjects[i], p)
			if err != nil {
				return nil, err
			}
			if s.o.Rounds > 1 {
				c.Peer = fmt.Sprintf("%s (%d)", c.Peer, round)
			}
			all = append(all, c)
			s.tell("every %v  %-22s %4d changes  %d failed  p99 %8.0f us  max %9.0f us  %d of %d new servers used",
				p.interval, c.Peer, c.Changes, c.report.Errors.Total, c.report.Latency.Corrected.P99, c.report.Latency.Corrected.Max, len(c.Firsts), c.Added)
		}
	}
	return all, nil
}

func changeTable(all []*Changed, p plan) figures.Table {
	t := figures.Table{
		Title: fmt.Sprintf("a change every %v, from %v on, for %v at %.0f requests/s",
			p.interval, p.lead.Round(time.Millisecond), (p.length - p.lead).Round(time.Millisecond), p.rate),
		Columns: []string{
			"peer", "changes", "failed", "kinds", "p50 us", "p99 us", "max us", "p99 of quiet seconds", "p99 of seconds with a change",
			"client connections a change", "server connections a change", "processes", "RSS MiB", "CPU us/request quiet", "CPU us/request changing",
			"first request ms", "servers used",
		},
	}
	for _, c := range all {
		q := &c.report.Latency.Corrected
		per := func(n int) figures.Cell { return figures.Number(float64(n)/float64(max(c.Changes, 1)), 2) }
		first := figures.None()
		if len(c.Firsts) > 0 {
			sp := spreadOf(c.Firsts)
			first = spreadCell(&sp, 2)
		}
		t.Add(c.Peer, figures.Number(float64(c.Changes), 0), figures.Number(float64(c.report.Errors.Total), 0), figures.Text(kindsOf(c.report.Errors.ByKind)),
			figures.Number(q.P50, 0), figures.Number(q.P99, 0), figures.Number(q.Max, 0),
			spreadCell(&c.P99Quiet, 0), spreadCell(&c.P99Change, 0),
			per(c.ClientConnections), per(c.ServerConnections),
			figures.Number(float64(c.Processes), 0), figures.Number(float64(c.RSS)/(1<<20), 1),
			figures.Number(c.CPUQuiet, 2), figures.Number(c.CPUAfter, 2),
			first, figures.Text(fmt.Sprintf("%d of %d", len(c.Firsts), c.Added)))
	}
	return t
}

func kindsOf(kinds map[string]uint64) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(kinds)) {
		if kinds[k] > 0 {
			parts = append(parts, fmt.Sprintf("%s %d", k, kinds[k]))
		}
	}
	if len(parts) == 0 {
		return "-"
	}
	return strings.Join(parts, ", ")
}

// timelineTable has a row a second, and three columns a peer.
func timelineTable(all []*Changed, p plan) figures.Table {
	t := figures.Table{Title: fmt.Sprintf("every second, a change every %v", p.interval), Columns: []string{"second"}, Detail: true}
	last := 0
	for _, c := range all {
		t.Columns = append(t.Columns, c.Peer+": changes", "answered", "failed", "p99 us")
		last = max(last, len(c.report.Timeline))
	}
	for i := range last {
		var cells []figures.Cell
		for _, c := range all {
			cells = append(cells, c.secondCells(i)...)
		}
		t.Add(fmt.Sprint(i), cells...)
	}
	return t
}

func (c *Changed) secondCells(i int) []figures.Cell {
	if i >= len(c.report.Timeline) {
		return []figures.Cell{figures.None(), figures.None(), figures.None(), figures.None()}
	}
	sec := &c.report.Timeline[i]
	return []figures.Cell{
		figures.Number(float64(c.perSecond[int(sec.At)]), 0), figures.Number(float64(sec.Answered), 0),
		figures.Number(float64(sec.Errors), 0), figures.Number(sec.P99, 0),
	}
}
