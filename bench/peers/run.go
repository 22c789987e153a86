package peers

import (
	"context"
	"fmt"
	"time"
)

// Sample is one measurement: one peer, one number of connections, one round.
type Sample struct {
	Peer        string `json:"peer"`
	Connections int    `json:"connections"`
	Round       int    `json:"round"`

	Requests int64   `json:"requests"`
	Rate     float64 `json:"rate"` // requests a second
	// CPU time per request in microseconds, of the proxy and its children.
	CPU       float64 `json:"cpu_us"`
	CPUUser   float64 `json:"cpu_user_us"`
	CPUSystem float64 `json:"cpu_system_us"`
	P50US     int64   `json:"p50_us"`
	P99US     int64   `json:"p99_us"`
	MaxUS     int64   `json:"max_us"`
	Errors    int64   `json:"errors"`
	RSS       int64   `json:"rss_bytes"`
	// ProxyBusy is the share of its core that the proxy used, CoreBusy the
	// share that anybody used.
	ProxyBusy float64 `json:"proxy_busy"`
	CoreBusy  float64 `json:"core_busy"`
}

// Run starts the peers, measures them in interleaved rounds and ends them.
// It returns an error if a peer cannot be started or measured at all; failed
// requests are counted in the report instead.
func Run(ctx context.Context, o Options) (*Report, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	chosen, missing, err := selected(&o)
	if err != nil {
		return nil, err
	}
	if _, err := findProgram("wrk"); err != nil {
		return nil, fmt.Errorf("cannot make load: %w (make deps installs wrk)", err)
	}
	l, err := openLab(ctx, &o)
	if err != nil {
		return nil, err
	}
	defer l.close()
	if err := l.startAll(ctx, chosen, o.Attached); err != nil {
		return nil, err
	}
	report := &Report{
		Environment: describe(ctx, l, chosen),
		Rounds:      o.Rounds,
		Duration:    o.Duration.Seconds(),
		BodyBytes:   bodySize,
		Missing:     missing,
	}
	report.Samples, err = l.rounds(ctx, &o)
	if err != nil {
		return nil, err
	}
	report.Rows = summarize(report.Samples)
	return report, nil
}

func (l *lab) startAll(ctx context.Context, chosen []definition, attached []Attached) error {
	for _, d := range chosen {
		if err := l.startPeer(ctx, d); err != nil {
			return err
		}
	}
	for _, a := range attached {
		if err := l.attach(a); err != nil {
			return err
		}
	}
	return nil
}

// rounds measures A B C A B C for each number of connections, after one second
// of warming up.
func (l *lab) rounds(ctx context.Context, o *Options) ([]Sample, error) {
	var samples []Sample
	for _, connections := range o.Connections {
		for _, s := range l.subjects {
			if _, err := l.runWrk(ctx, s.url, connections, time.Second); err != nil {
				return nil, err
			}
		}
		for round := 1; round <= o.Rounds; round++ {
			for _, s := range l.subjects {
				sample, err := l.measure(ctx, s, connections, o.Duration)
				if err != nil {
					return nil, err
				}
				sample.Round = round
				samples = append(samples, sample)
				fmt.Fprintln(o.Progress, sample.line(o.Rounds))
			}
		}
	}
	return samples, nil
}

func (s *Sample) line(rounds int) string {
	return fmt.Sprintf("%4d connections  round %d/%d  %-12s %7.2f us/request  %8.0f/s  %d errors  core %3.0f%% busy",
		s.Connections, s.Round, rounds, s.Peer, s.CPU, s.Rate, s.Errors, 100*s.CoreBusy)
}

// measure reads the clocks, runs wrk, reads them again.
func (l *lab) measure(ctx context.Context, s subject, connections int, d time.Duration) (Sample, error) {
	out := Sample{Peer: s.name, Connections: connections}
	usageBefore, err := readUsage(s.pid)
	if err != nil {
		return out, err
	}
	coreBefore, err := readCore(l.proxyCPU)
	if err != nil {
		return out, err
	}
	started := time.Now()
	w, err := l.runWrk(ctx, s.url, connections, d)
	if err != nil {
		return out, err
	}
	wall := time.Since(started)
	coreAfter, err := readCore(l.proxyCPU)
	if err != nil {
		return out, err
	}
	usageAfter, err := readUsage(s.pid)
	if err != nil {
		return out, err
	}
	if out.RSS, err = readRSS(s.pid); err != nil {
		return out, err
	}
	out.CoreBusy = coreAfter.busySince(coreBefore)
	out.fill(w, usageAfter.since(usageBefore), wall)
	return out, nil
}

// fill turns counts and times into figures per request. Without a request
// there is no such figure: they stay zero, and the error count speaks.
func (s *Sample) fill(w load, cpu spent, wall time.Duration) {
	s.Requests, s.Rate, s.Errors = w.Requests, w.rate(), w.errors()
	s.P50US, s.P99US, s.MaxUS = w.P50US, w.P99US, w.MaxUS
	s.ProxyBusy = cpu.total().Seconds() / wall.Seconds()
	if w.Requests == 0 {
		return
	}
	perRequest := func(d time.Duration) float64 {
		return float64(d) / float64(time.Microsecond) / float64(w.Requests)
	}
	s.CPU, s.CPUUser, s.CPUSystem = perRequest(cpu.total()), perRequest(cpu.user), perRequest(cpu.system)
}
