package bench

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"spillway/bench/load"
	"spillway/bench/report"
)

// maxTrials bounds --repeat.
const maxTrials = 1000

// runFlags are those of `bench run`.
type runFlags struct {
	options
	rate, replay string
	expect       string
	repeat       int
	live         bool
}

// run is `bench run`.
func (t *terminal) run(ctx context.Context, args []string) error {
	var f runFlags
	fs := flag.NewFlagSet("run", flag.ContinueOnError)
	f.register(fs)
	fs.StringVar(&f.rate, "rate", "", "requests a second, whatever the target does: `N`, ramp:FROM,TO, steps:A,B,..., sine:MEAN,AMPLITUDE,PERIOD or spike:BASE,PEAK,AT,LENGTH; without it as many as are answered")
	fs.StringVar(&f.replay, "replay", "", "take the rate over time from a CSV `FILE`: seconds, requests a second")
	fs.StringVar(&f.expect, "expect", "", "`CONDITIONS` such as 'p99<5ms,errors<0.01%'; exit 2 if one is missed")
	fs.IntVar(&f.repeat, "repeat", 1, "run this often, into one report")
	fs.BoolVar(&f.live, "live", false, "read lines from standard input while running: 'rate N' and 'event TEXT'")
	if err := t.parse(fs, args, "run --url URL [FLAGS] [-- COMMAND TO START AND ACCOUNT FOR]"); err != nil {
		return err
	}
	if err := f.complete(ctx, args, fs.Args()); err != nil {
		return err
	}
	conditions, cfg, err := f.prepare()
	if err != nil {
		return err
	}
	m := &measurement{terminal: t, options: &f.options, config: cfg, conditions: conditions, live: f.live}
	r, err := m.trials(ctx, f.repeat)
	if err != nil {
		return err
	}
	r.Command, r.Load = args, f.describe(&cfg, f.schedule())
	if err := f.save(t, r); err != nil {
		return err
	}
	return judge(r)
}

// schedule names the rate in reports.
func (f *runFlags) schedule() string {
	if f.replay != "" {
		return "replay of " + f.replay
	}
	return f.rate
}

// prepare reads conditions and schedule.
func (f *runFlags) prepare() ([]report.Condition, load.Config, error) {
	cfg, err := f.config()
	if err != nil {
		return nil, cfg, err
	}
	if f.repeat < 1 || f.repeat > maxTrials {
		return nil, cfg, usageError("--repeat %d: from 1 to %d", f.repeat, maxTrials)
	}
	var conditions []report.Condition
	if f.expect != "" {
		if conditions, err = report.ParseExpect(f.expect); err != nil {
			return nil, cfg, usageError("%w", err)
		}
	}
	curve, err := f.curve()
	if err != nil {
		return nil, cfg, fmt.Errorf("%w: %w", errUsage, err)
	}
	if curve == nil && f.remote {
		return nil, cfg, usageError("load on another machine must be bounded: --rate")
	}
	if curve != nil {
		cfg.Curve = curve.Lead(f.warmup)
	}
	return conditions, cfg, nil
}

// curve reads the schedule, nil for a closed loop.
func (f *runFlags) curve() (*load.Curve, error) {
	switch {
	case f.replay != "" && f.rate != "":
		return nil, fmt.Errorf("--rate and --replay exclude each other")
	case f.replay != "":
		file, err := os.Open(f.replay)
		if err != nil {
			return nil, fmt.Errorf("cannot read rate trace: %w", err)
		}
		defer file.Close()
		points, err := load.ReadTrace(file)
		if err != nil {
			return nil, err
		}
		return load.Trace(points, f.duration), nil
	case f.rate != "" && f.rate != "0":
		return load.ParseCurve(f.rate, f.duration)
	}
	return nil, nil
}

// judge turns a report into an exit code. An invalid run is no basis for
// anything else.
func judge(r *report.Report) error {
	if !r.Valid {
		return &verdict{exitInvalid, "invalid: " + strings.Join(r.Invalid, "; ")}
	}
	var missed []string
	for _, t := range r.Thresholds {
		if !t.OK {
			missed = append(missed, t.Text)
		}
	}
	if len(missed) > 0 {
		return &verdict{exitMissed, "missed: " + strings.Join(missed, ", ")}
	}
	return nil
}

// measurement runs load and makes a report of it.
type measurement struct {
	terminal   *terminal
	options    *options
	config     load.Config
	conditions []report.Condition
	live       bool
}

// trials runs the same load several times, and starts the server before if it
// was told how.
func (m *measurement) trials(ctx context.Context, count int) (*report.Report, error) {
	pid := m.options.pid
	if len(m.options.command) > 0 {
		s, err := startServer(ctx, m.options.command, m.options.target.addr, m.terminal.err)
		if err != nil {
			return nil, err
		}
		defer s.stop()
		pid = s.pid()
	}
	b := newBuilder(m.options.maxLag, pid)
	for i := range count {
		if err := m.trial(ctx, b, i, count); err != nil {
			return nil, err
		}
		if ctx.Err() != nil {
			b.report.Notes = append(b.report.Notes, "interrupted: the figures cover the time until then")
			break
		}
	}
	r := b.finish()
	for i := range m.conditions {
		r.Thresholds = append(r.Thresholds, m.conditions[i].Check(r))
	}
	return r, nil
}

func (m *measurement) trial(ctx context.Context, b *builder, index, count int) error {
	cfg := m.config
	p := newProgress(m.terminal.err, cfg.Duration, m.options.quiet)
	if count > 1 {
		p.label = fmt.Sprintf("%d/%d ", index+1, count)
	}
	cfg.Progress = p.second
	control := new(load.Control)
	notes := &liveNotes{control: control}
	if m.live {
		go notes.follow(os.Stdin, m.terminal.err)
	}
	if err := b.begin(cfg.Warmup); err != nil {
		return err
	}
	res, err := load.Do(ctx, cfg, control)
	p.end()
	if err != nil {
		b.abandon()
		return err
	}
	b.add(res, index, count, notes.take())
	return nil
}

// pause is how long to leave a target alone between two probes.
const pause = 200 * time.Millisecond
