package peers

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/netip"
	"net/url"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"spillway/bench/hist"
	"spillway/bench/load"
	"spillway/bench/report"
)

// loadSpec is one load by our own generator. Its JSON form is the argument of
// `peers load`, which makes it in a process of its own: so that it can be pinned
// and its processor time told from ours.
type loadSpec struct {
	URL         string        `json:"url"`
	Rate        float64       `json:"rate"` // requests a second; 0: as many as are answered
	Connections int           `json:"connections"`
	Pipeline    int           `json:"pipeline"` // 0: one request at a time
	Fresh       bool          `json:"fresh"`    // a connection a request
	Warmup      time.Duration `json:"warmup"`
	Duration    time.Duration `json:"duration"`
	Timeout     time.Duration `json:"timeout"` // 0: 10s
}

// began is what the generator prints when its measurement begins, followed by
// that time in nanoseconds since 1970; the report follows as JSON.
const began = "began "

// generate makes the load and prints its report.
func generate(text string, out io.Writer) error {
	var spec loadSpec
	if err := json.Unmarshal([]byte(text), &spec); err != nil {
		return fmt.Errorf("cannot read load %q: %w", text, err)
	}
	cfg, err := spec.config()
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	control := new(load.Control)
	ended := make(chan struct{})
	told := make(chan struct{})
	go func() {
		defer close(told)
		announce(control, ended, out)
	}()
	res, err := load.Do(ctx, cfg, control)
	close(ended)
	<-told
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(reportOf(&spec, res))
}

// announce tells when the measurement began, once it has.
func announce(control *load.Control, ended <-chan struct{}, out io.Writer) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for control.Elapsed() == 0 {
		select {
		case <-ended:
			return
		case <-tick.C:
		}
	}
	fmt.Fprintf(out, "%s%d\n", began, time.Now().Add(-control.Elapsed()).UnixNano())
}

func (s *loadSpec) config() (load.Config, error) {
	u, err := url.Parse(s.URL)
	if err != nil {
		return load.Config{}, fmt.Errorf("cannot read URL %q: %w", s.URL, err)
	}
	if err := checkLoopback(s.URL); err != nil {
		return load.Config{}, fmt.Errorf("cannot make load: %w", err)
	}
	addr, err := netip.ParseAddrPort(u.Host)
	if err != nil {
		return load.Config{}, fmt.Errorf("cannot make load on %q: %w", s.URL, err)
	}
	cfg := load.Config{
		Addr: addr, Host: u.Host, Requests: []load.Request{{Path: u.Path}},
		Connections: s.Connections, Pipeline: s.Pipeline, Fresh: s.Fresh, Lanes: 1,
		Warmup: s.Warmup, Duration: s.Duration, Timeout: s.Timeout,
	}
	if s.Rate > 0 {
		cfg.Curve = load.Constant(s.Rate, s.Warmup+s.Duration)
	}
	return cfg, nil
}

// reportOf is the result in the form that is saved and drawn.
func reportOf(s *loadSpec, res *load.Result) *report.Report {
	r := &report.Report{
		Schema: report.Schema, Started: time.Now().UTC().Truncate(time.Second), Environment: report.Describe(),
		Load: s.describe(),
		Latency: report.Latency{
			Corrected: quantilesOf(res.Corrected), Raw: quantilesOf(res.Raw),
			GeneratorLag: quantilesOf(res.Lag), Connect: quantilesOf(res.Connect),
		},
		Rate:     report.Rate{Planned: res.Planned, Achieved: res.Achieved},
		Requests: res.Sent, Answered: res.Answered, Unsent: res.Unsent,
		Errors:      report.Errors{Total: res.ErrorTotal(), ByKind: res.Errors},
		Status:      map[string]uint64{},
		Connections: res.Connections, Received: res.Received, Duration: res.Elapsed.Seconds(),
		Invalid: res.Invalid(0),
	}
	r.Valid = len(r.Invalid) == 0
	for code, n := range res.Status {
		r.Status[strconv.Itoa(code)] = n
	}
	var used time.Duration
	for _, u := range res.Workers {
		used += u.User + u.System
		r.Generator.Busy = max(r.Generator.Busy, u.Busy)
	}
	r.Generator.CPU = float64(used) / 1e3 / math.Max(1, float64(res.Sent))
	for i := range res.Timeline {
		r.Timeline = append(r.Timeline, secondOf(&res.Timeline[i]))
	}
	for b := range res.Corrected.Buckets {
		r.Histogram = append(r.Histogram, [2]float64{float64(b.High) / 1e3, float64(b.Count)})
	}
	return r
}

func (s *loadSpec) describe() report.Load {
	l := report.Load{
		URL: s.URL, Connections: s.Connections, Pipeline: max(s.Pipeline, 1), Fresh: s.Fresh,
		Loop: "closed", Seconds: s.Duration.Seconds(), Warmup: s.Warmup.Seconds(), Timeout: s.Timeout.Seconds(),
	}
	if s.Rate > 0 {
		l.Loop, l.Schedule, l.Arrivals = "open", strconv.FormatFloat(s.Rate, 'f', 0, 64), "even"
	}
	return l
}

func secondOf(s *load.Second) report.Second {
	return report.Second{
		At: float64(s.Index), Planned: s.Planned, Sent: s.Sent, Answered: s.Answered, Errors: s.Errors,
		Connections: s.Connections, Mean: s.Mean / 1e3,
		P50: micros(s.P50), P90: micros(s.P90), P95: micros(s.P95), P99: micros(s.P99), Max: micros(s.Max),
	}
}

func quantilesOf(h *hist.Histogram) report.Quantiles {
	q := func(share float64) float64 { return micros(h.Quantile(share)) }
	return report.Quantiles{
		Count: h.Count(), Mean: h.Mean() / 1e3, Min: micros(h.Min()), P50: q(0.5), P90: q(0.9), P95: q(0.95), P99: q(0.99),
		P999: q(0.999), P9999: q(0.9999), Max: micros(h.Max()),
	}
}

func micros(ns int64) float64 { return float64(ns) / 1e3 }
