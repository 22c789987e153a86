package peers

import (
	"context"
	"fmt"
	"time"

	"spillway/bench/account"
	"spillway/bench/report"
)

// Sample is one measurement: one peer, one load, one round.
type Sample struct {
	Peer        string `json:"peer"`
	Connections int    `json:"connections"`
	Body        int    `json:"body_bytes"`
	Client      string `json:"client"` // that made the load: "wrk" or "bench"
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

	report *report.Report // of our own generator, if that made the load
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
	if o.Client == clientWrk || o.CrossCheck > 0 {
		if _, err := findProgram("wrk"); err != nil {
			return nil, fmt.Errorf("cannot make load: %w (make deps installs wrk)", err)
		}
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

// The clients that make load.
const (
	clientWrk = "wrk"
	clientOwn = "bench"
)

// kind is what the measurements of one table have in common.
type kind struct {
	connections int
	target      string // of the requests, see bodySizes
	client      string
}

// kinds are the tables of a run: every body with every number of connections,
// and the cross-check by the other client.
func (o *Options) kinds() []kind {
	var all []kind
	for _, target := range o.Targets {
		for _, n := range o.Connections {
			all = append(all, kind{n, target, o.Client})
		}
	}
	if o.CrossCheck > 0 {
		all = append(all, kind{o.CrossCheck, o.Targets[0], clientWrk})
	}
	return all
}

// rounds measures A B C A B C for each kind, after warming up.
func (l *lab) rounds(ctx context.Context, o *Options) ([]Sample, error) {
	var samples []Sample
	for _, k := range o.kinds() {
		for _, s := range l.subjects {
			if _, err := l.measure(ctx, s, k, min(time.Second, o.Duration)); err != nil {
				return nil, err
			}
		}
		for round := 1; round <= o.Rounds; round++ {
			for _, s := range l.subjects {
				sample, err := l.measure(ctx, s, k, o.Duration)
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
	return fmt.Sprintf("%4d connections  %6d bytes  %-5s  round %d/%d  %-12s %7.2f us/request  %8.0f/s  %d errors  core %3.0f%% busy",
		s.Connections, s.Body, s.Client, s.Round, rounds, s.Peer, s.CPU, s.Rate, s.Errors, 100*s.CoreBusy)
}

// measure makes one load of that kind on a peer.
func (l *lab) measure(ctx context.Context, s subject, k kind, d time.Duration) (Sample, error) {
	url := s.url + k.target[1:]
	if k.client == clientOwn {
		out, err := l.drive(ctx, s, loadSpec{URL: url, Connections: k.connections, Duration: d})
		out.Body = bodySizes[k.target]
		return out, err
	}
	out, err := l.sample(s, func() (tally, error) { return l.runWrk(ctx, url, k.connections, d) })
	out.Connections, out.Body, out.Client = k.connections, bodySizes[k.target], k.client
	return out, err
}

// sample reads the clocks, makes a load, reads them again.
func (l *lab) sample(s subject, make func() (tally, error)) (Sample, error) {
	out := Sample{Peer: s.name}
	usageBefore, err := s.usage()
	if err != nil {
		return out, err
	}
	coreBefore, err := readCore(l.proxyCPU)
	if err != nil {
		return out, err
	}
	w, err := make()
	if err != nil {
		return out, err
	}
	coreAfter, err := readCore(l.proxyCPU)
	if err != nil {
		return out, err
	}
	usageAfter, err := s.usage()
	if err != nil {
		return out, err
	}
	out.RSS = usageAfter.RSS
	out.CoreBusy = coreAfter.busySince(coreBefore)
	out.fill(w, usageAfter.Since(usageBefore))
	return out, nil
}

// fill turns counts and times into figures per request. Without a request
// there is no such figure: they stay zero, and the error count speaks.
func (s *Sample) fill(w tally, cpu account.Spent) {
	s.Requests, s.Rate, s.Errors = w.Requests, w.rate(), w.errors()
	s.P50US, s.P99US, s.MaxUS = w.P50US, w.P99US, w.MaxUS
	if w.DurationUS > 0 {
		s.ProxyBusy = cpu.Total().Seconds() / (float64(w.DurationUS) / 1e6)
	}
	if w.Requests == 0 {
		return
	}
	perRequest := func(d time.Duration) float64 {
		return float64(d) / float64(time.Microsecond) / float64(w.Requests)
	}
	s.CPU, s.CPUUser, s.CPUSystem = perRequest(cpu.Total()), perRequest(cpu.User), perRequest(cpu.System)
}
