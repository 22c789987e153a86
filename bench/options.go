package bench

import (
	"context"
	"flag"
	"fmt"
	"slices"
	"time"

	"spillway/bench/load"
	"spillway/bench/report"
	"spillway/bench/scenario"
)

// maxDuration bounds a run unless --long is given.
const maxDuration = time.Hour

// options are the flags that run and search share.
type options struct {
	url, scenario      string
	remote, insecure   bool
	connections, lanes int
	pipeline           int
	fresh              bool
	duration, warmup   time.Duration
	timeout            time.Duration
	arrivals           string
	pid                int
	seed               uint64
	maxLag             time.Duration
	long, quiet        bool
	json, csv, html    string

	command []string // a server to start, after --
	target  *target
	mix     *scenario.Scenario
}

func (o *options) register(fs *flag.FlagSet) {
	fs.StringVar(&o.url, "url", "", "`URL` of the target: http:// or https://")
	fs.StringVar(&o.scenario, "scenario", "", "YAML `FILE` that describes the requests")
	fs.BoolVar(&o.remote, "remote", false, "allow a target on another machine; needs a rate")
	fs.BoolVar(&o.insecure, "insecure", false, "accept any certificate")
	fs.IntVar(&o.connections, "connections", 64, "connections, kept open unless --fresh")
	fs.IntVar(&o.lanes, "loops", 0, "event loops; 0: one for each processor")
	fs.IntVar(&o.pipeline, "pipeline", 1, "requests on a connection at once")
	fs.BoolVar(&o.fresh, "fresh", false, "a new connection for each request")
	fs.DurationVar(&o.duration, "duration", 10*time.Second, "how long to measure")
	fs.DurationVar(&o.warmup, "warmup", 0, "how long to send before measuring")
	fs.DurationVar(&o.timeout, "timeout", 10*time.Second, "for an answer, and for a handshake")
	fs.StringVar(&o.arrivals, "arrivals", "even", "how an open loop spreads requests: even or poisson")
	fs.IntVar(&o.pid, "pid", 0, "account for this `PID` and its children, as the server")
	fs.Uint64Var(&o.seed, "seed", 1, "of everything random")
	fs.DurationVar(&o.maxLag, "max-lag", 0, "p99 of the generator's lag above which a run is invalid (default 2ms, or a tenth of the p99 latency if that is more)")
	fs.BoolVar(&o.long, "long", false, fmt.Sprintf("allow runs of more than %v", maxDuration))
	fs.BoolVar(&o.quiet, "quiet", false, "no progress line")
	fs.StringVar(&o.json, "json", "", "save the report to `FILE`; - prints it instead of the text")
	fs.StringVar(&o.csv, "csv", "", "save the timeline to `FILE`")
	fs.StringVar(&o.html, "html", "", "save a page to `FILE`")
}

// complete checks the flags and resolves the target.
func (o *options) complete(ctx context.Context, args, rest []string) (err error) {
	o.command = rest
	switch {
	case len(rest) > 0 && !slices.Contains(args, "--"):
		return usageError("cannot use argument %q: a command to start follows --", rest[0])
	case o.duration <= 0 || o.warmup < 0:
		return usageError("a run takes time: --duration %v --warmup %v", o.duration, o.warmup)
	case o.duration+o.warmup > maxDuration && !o.long:
		return usageError("a run of %v needs --long", o.duration+o.warmup)
	case len(o.command) > 0 && o.pid != 0:
		return usageError("--pid and a command to start exclude each other")
	case o.connections < 1 || o.pipeline < 1 || o.lanes < 0:
		return usageError("at least one connection and one request at a time")
	}
	o.mix = &scenario.Scenario{}
	if o.scenario != "" {
		if o.mix, err = scenario.Read(o.scenario); err != nil {
			return fmt.Errorf("%w: %w", errUsage, err)
		}
	}
	if o.url == "" {
		o.url = o.mix.URL
	}
	if o.url == "" {
		return usageError("say what to load: --url")
	}
	o.target, err = parseTarget(ctx, o.url, o.remote, o.insecure)
	return err
}

// config is the load without a schedule.
func (o *options) config() (load.Config, error) {
	arrivals, err := load.ParseArrivals(o.arrivals)
	if err != nil {
		return load.Config{}, usageError("%w", err)
	}
	requests := slices.Clone(o.mix.Requests)
	if len(requests) == 0 {
		requests = []load.Request{{}}
	}
	for i := range requests {
		if requests[i].Path == "" {
			requests[i].Path = o.target.path
		}
	}
	return load.Config{
		Addr: o.target.addr, Host: o.target.host, TLS: o.target.tls,
		Requests: requests, Connections: o.connections, Lanes: o.lanes,
		Pipeline: o.pipeline, Fresh: o.fresh || o.mix.Fresh,
		Arrivals: arrivals, Duration: o.duration, Warmup: o.warmup, Timeout: o.timeout, Seed: o.seed,
	}, nil
}

// describe is what the report says about the load.
func (o *options) describe(cfg *load.Config, schedule string) report.Load {
	l := report.Load{
		URL: o.url, Scenario: o.scenario, ScenarioSHA: o.mix.SHA256,
		Connections: cfg.Connections, Pipeline: cfg.Pipeline, Fresh: cfg.Fresh,
		Loop: "closed", Seconds: cfg.Duration.Seconds(), Warmup: cfg.Warmup.Seconds(), Timeout: cfg.Timeout.Seconds(),
	}
	if schedule != "" {
		l.Loop, l.Schedule, l.Arrivals = "open", schedule, o.arrivals
	}
	for i := range cfg.Requests {
		if r := &cfg.Requests[i]; r.Name != "" {
			l.Requests = append(l.Requests, r.Name)
		}
	}
	return l
}

// save writes the report to the files that were asked for and prints it.
func (o *options) save(t *terminal, r *report.Report) error {
	if o.json == "-" {
		if err := r.WriteJSON(t.out); err != nil {
			return err
		}
	} else {
		if err := r.WriteText(t.out); err != nil {
			return err
		}
		if err := saveAs(o.json, r.WriteJSON); err != nil {
			return err
		}
	}
	if err := saveAs(o.csv, r.WriteCSV); err != nil {
		return err
	}
	return saveAs(o.html, r.WriteHTML)
}
