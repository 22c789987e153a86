package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"spillway/configs"
	"spillway/scaler/policy"
)

// Exit codes of `scaler replay`, which are those of bench: a wrong call must
// not look like a policy that is worse.
const (
	replayOK      = 0
	replayFailure = 1
	replayUsage   = 64
)

// replayFlags are the options of `scaler replay`.
type replayFlags struct {
	traces          []string
	config, compare string
	app             string
	boot            time.Duration
	price, start    float64
}

// scalerReplay runs the policy of an app, and another one, on recorded traffic
// with a virtual clock.
func (t *terminal) scalerReplay(args []string) int {
	fs := t.newFlags("scaler replay")
	var f replayFlags
	fs.StringSliceVar(&f.traces, "trace", nil, "`FILE` a gateway recorded (gateway.trace); repeat it for several gateways")
	fs.StringVarP(&f.config, "config", "c", "", "the scaler's configuration `FILE`")
	fs.StringVar(&f.compare, "compare", "", "a second configuration `FILE`, whose policy is set beside the first")
	fs.StringVar(&f.app, "app", "", "`NAME` of the app; may be left out if there is one only")
	fs.DurationVar(&f.boot, "boot", 90*time.Second, "`TIME` from an order to the first request served")
	fs.Float64Var(&f.price, "price", 1, "`MONEY` for an hour of one unit")
	fs.Float64Var(&f.start, "start", 0, "`UNITS` that are ready at the beginning; 0: what the first minute needs")
	switch code, done := t.parse(fs, args, 0); {
	case done && code != exitOK:
		return replayUsage
	case done:
		return replayOK
	}
	if err := f.check(); err != nil {
		fmt.Fprintf(t.err, "spillway: scaler replay: %v\n", err)
		return replayUsage
	}
	if err := t.replay(&f); err != nil {
		fmt.Fprintln(t.err, err)
		return replayFailure
	}
	return replayOK
}

func (f *replayFlags) check() error {
	switch {
	case len(f.traces) == 0:
		return errors.New("--trace FILE is missing")
	case f.config == "":
		return errors.New("--config FILE is missing")
	case f.boot < time.Second || f.boot > 24*time.Hour:
		return fmt.Errorf("--boot is %v, want 1s to 24h", f.boot)
	case !(f.price >= 0) || !(f.start >= 0):
		return errors.New("--price or --start is below 0")
	}
	return nil
}

// replayed is one policy and what came of it.
type replayed struct {
	name   string
	policy *policy.Policy
	report policy.Report
}

func (t *terminal) replay(f *replayFlags) error {
	var runs []replayed
	var trace []policy.Sample
	for _, path := range []string{f.config, f.compare} {
		if path == "" {
			continue
		}
		app, p, err := t.appPolicy(path, f.app)
		if err != nil {
			return err
		}
		if trace == nil {
			if trace, err = readTraces(f.traces, app.Upstream); err != nil {
				return err
			}
		}
		world := policy.World{Boot: f.boot, Quantum: app.Units, Price: f.price, Start: f.start}
		runs = append(runs, replayed{path, p, policy.Replay(p, trace, world)})
	}
	first, last := trace[0].At, trace[len(trace)-1].At
	fmt.Fprintf(t.out, "%s to %s, %v; machines boot in %v\n\n", first.Format(time.DateTime), last.Format(time.DateTime), last.Sub(first)+time.Second, f.boot)
	return writeReplay(t.out, runs)
}

// appPolicy is the named app of a configuration, the only one without a name.
func (t *terminal) appPolicy(path, name string) (*configs.ScalerApp, *policy.Policy, error) {
	cfg, err := configs.LoadScaler(configs.Source{Path: path, Env: t.env})
	if err != nil {
		return nil, nil, err
	}
	names := cfg.AppNames()
	if name == "" && len(names) == 1 {
		name = names[0]
	}
	app, ok := cfg.Apps[name]
	if !ok {
		return nil, nil, fmt.Errorf("%s: no app %q, it has %s", path, name, strings.Join(names, ", "))
	}
	p, err := scalerPolicy(&app.Policy)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: apps.%s.policy: %w", path, name, err)
	}
	return &app, p, nil
}

// replayRow is a line of the table. Of every number less is better.
type replayRow struct {
	what   string
	value  func(r *policy.Report) float64
	format string
}

func replayRows() []replayRow {
	return []replayRow{
		{"cost", func(r *policy.Report) float64 { return r.Cost }, "%.2f"},
		{"unit hours", func(r *policy.Report) float64 { return r.UnitHours }, "%.2f"},
		{"seconds over the target", func(r *policy.Report) float64 { return float64(r.Violations) }, "%.0f"},
		{"requests refused", func(r *policy.Report) float64 { return r.Refused }, "%.0f"},
		{"worst p95, ms", func(r *policy.Report) float64 { return float64(r.WorstP95) / 1e6 }, "%.0f"},
		{"flaps", func(r *policy.Report) float64 { return float64(r.Flaps) }, "%.0f"},
		{"changes of size", func(r *policy.Report) float64 { return float64(r.Changes) }, "%.0f"},
		{"largest step, units", func(r *policy.Report) float64 { return r.MaxStep }, "%.2f"},
		{"peak, units", func(r *policy.Report) float64 { return r.Peak }, "%.2f"},
	}
}

// writeReplay prints one column for each policy, and the difference of two.
func writeReplay(w io.Writer, runs []replayed) error {
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	for i := range runs {
		fmt.Fprintf(tab, "\t%s", runs[i].name)
	}
	if len(runs) == 2 {
		fmt.Fprint(tab, "\tdifference")
	}
	fmt.Fprintln(tab, "\t")
	for _, row := range replayRows() {
		fmt.Fprint(tab, row.what)
		for i := range runs {
			fmt.Fprintf(tab, "\t"+row.format, row.value(&runs[i].report))
		}
		if len(runs) == 2 {
			fmt.Fprint(tab, "\t", difference(row.value(&runs[0].report), row.value(&runs[1].report), row.format))
		}
		fmt.Fprintln(tab, "\t")
	}
	if err := tab.Flush(); err != nil {
		return fmt.Errorf("cannot print report: %w", err)
	}
	return nil
}

// difference is how much the second value is above the first.
func difference(a, b float64, format string) string {
	text := fmt.Sprintf(strings.Replace(format, "%", "%+", 1), b-a)
	if a != 0 {
		text += fmt.Sprintf(" (%+.0f %%)", 100*(b-a)/a)
	}
	return text
}
