package bench

import (
	"context"
	"flag"
	"fmt"
	"time"

	"spillway/bench/load"
	"spillway/bench/report"
)

// searchFlags are those of `bench search`.
type searchFlags struct {
	options
	slo       string
	start     float64
	limit     float64
	precision float64
	confirm   time.Duration
}

// search is `bench search`.
func (t *terminal) search(ctx context.Context, args []string) error {
	var f searchFlags
	fs := flag.NewFlagSet("search", flag.ContinueOnError)
	f.register(fs)
	fs.Lookup("duration").Usage = "how long to try a rate"
	fs.Lookup("duration").DefValue = "3s"
	f.duration = 3 * time.Second
	fs.StringVar(&f.slo, "slo", "", "`CONDITIONS` that must hold, such as 'p99<5ms,errors=0'")
	fs.Float64Var(&f.start, "start", 100, "first `RATE` to try")
	fs.Float64Var(&f.limit, "max", 500_000, "`RATE` not to go beyond")
	fs.Float64Var(&f.precision, "precision", 0.02, "`SHARE` of the rate to which to find it")
	fs.DurationVar(&f.confirm, "confirm", 0, "how long to hold the rate that was found (default twice --duration)")
	if err := t.parse(fs, args, "search --url URL --slo CONDITIONS [FLAGS] [-- COMMAND TO START]"); err != nil {
		return err
	}
	if err := f.complete(ctx, args, fs.Args()); err != nil {
		return err
	}
	conditions, err := f.check()
	if err != nil {
		return err
	}
	s := &searcher{terminal: t, flags: &f, conditions: conditions}
	r, err := s.find(ctx)
	if err != nil {
		return err
	}
	r.Command = args
	if err := f.save(t, r); err != nil {
		return err
	}
	return s.verdict(r)
}

func (f *searchFlags) check() ([]report.Condition, error) {
	if f.slo == "" {
		return nil, usageError("say what must hold: --slo 'p99<5ms,errors=0'")
	}
	conditions, err := report.ParseExpect(f.slo)
	switch {
	case err != nil:
		return nil, usageError("%w", err)
	case f.start <= 0 || f.limit < f.start || f.limit > load.MaxRate:
		return nil, usageError("--start %g --max %g: want 0 < start <= max <= %d", f.start, f.limit, load.MaxRate)
	case f.precision < 0.001 || f.precision > 0.5:
		return nil, usageError("--precision %g: from 0.001 to 0.5", f.precision)
	}
	if f.confirm == 0 {
		f.confirm = 2 * f.duration
	}
	return conditions, nil
}

// searcher tries rates on a target.
type searcher struct {
	terminal   *terminal
	flags      *searchFlags
	conditions []report.Condition
	pid        int
	found      *report.Report // of the confirming run
}

// find runs the search, with a server if one is to be started.
func (s *searcher) find(ctx context.Context) (*report.Report, error) {
	s.pid = s.flags.pid
	if len(s.flags.command) > 0 {
		srv, err := startServer(ctx, s.flags.command, s.flags.target.addr, s.terminal.err)
		if err != nil {
			return nil, err
		}
		defer srv.stop()
		s.pid = srv.pid()
	}
	k := &knee{start: s.flags.start, limit: s.flags.limit, precision: s.flags.precision}
	k.probe = func(rate float64) (outcome, error) { return s.try(ctx, rate, s.flags.duration) }
	k.confirm = func(rate float64) (outcome, error) { return s.try(ctx, rate, s.flags.confirm) }
	rate, err := k.find()
	if err != nil {
		return nil, err
	}
	r := s.found
	r.Search = &report.Search{SLO: s.flags.slo, Rate: round(rate, 2), Limit: k.why, Probes: k.probes}
	return r, nil
}

// try makes one run and judges it.
func (s *searcher) try(ctx context.Context, rate float64, length time.Duration) (outcome, error) {
	f := s.flags
	cfg, err := f.config()
	if err != nil {
		return 0, err
	}
	cfg.Curve = load.Constant(rate, length).Lead(f.warmup)
	cfg.Duration = length
	m := &measurement{terminal: s.terminal, options: &f.options, config: cfg, conditions: s.conditions}
	b := newBuilder(f.maxLag, s.pid)
	if err := m.trial(ctx, b, 0, 1); err != nil {
		return 0, err
	}
	if ctx.Err() != nil {
		return 0, fmt.Errorf("cannot finish the search: %w", ctx.Err())
	}
	r := b.finish()
	for i := range s.conditions {
		r.Thresholds = append(r.Thresholds, s.conditions[i].Check(r))
	}
	r.Load = f.describe(&cfg, fmt.Sprintf("%.6g", rate))
	s.found = r
	got := outcomeOf(r)
	if !f.quiet {
		fmt.Fprintf(s.terminal.err, "%10.1f/s  %-7s  p99 %s  errors %d  unsent %d\n",
			rate, got, report.Micros(r.Latency.Corrected.P99), r.Errors.Total, r.Unsent)
	}
	return got, pauseFor(ctx)
}

// pauseFor leaves the target time to settle.
func pauseFor(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return fmt.Errorf("cannot finish the search: %w", ctx.Err())
	case <-time.After(pause):
		return nil
	}
}

// sustained is the share of the planned requests that must be answered for a
// rate to count as held.
const sustained = 0.99

func outcomeOf(r *report.Report) outcome {
	for _, t := range r.Thresholds {
		if !t.OK {
			// Our own lag can only make latencies worse: a threshold that is
			// missed in an invalid run tells nothing.
			if !r.Valid {
				return unclear
			}
			return fails
		}
	}
	switch {
	case float64(r.Answered) >= sustained*float64(r.Requests+r.Unsent):
		return holds
	case !r.Valid:
		return unclear
	}
	return fails
}

func (s *searcher) verdict(r *report.Report) error {
	switch {
	case r.Search.Rate == 0:
		return &verdict{exitMissed, fmt.Sprintf("no rate holds %s", s.flags.slo)}
	case r.Search.Limit == limitGenerator:
		return &verdict{exitInvalid, fmt.Sprintf("%s holds at %.1f/s; beyond that the generator is the limit", s.flags.slo, r.Search.Rate)}
	}
	fmt.Fprintf(s.terminal.err, "%s holds up to %.1f/s (%s)\n", s.flags.slo, r.Search.Rate, r.Search.Limit)
	return nil
}
