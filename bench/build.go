package bench

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"spillway/bench/account"
	"spillway/bench/hist"
	"spillway/bench/load"
	"spillway/bench/report"
)

// accountInterval is how often the server's memory is looked at.
const accountInterval = time.Second

// builder makes one report of one or more results.
type builder struct {
	report *report.Report
	maxLag time.Duration
	pid    int
	watch  *account.Watch
	reset  *time.Timer

	corrected, raw, lag, connect hist.Histogram

	planned  float64 // requests
	cpu      time.Duration
	spent    account.Spent
	peak     account.Peak
	gone     bool
	duration time.Duration
}

func newBuilder(maxLag time.Duration, pid int) *builder {
	return &builder{
		maxLag: maxLag, pid: pid,
		report: &report.Report{
			Schema: report.Schema, Started: time.Now().UTC().Truncate(time.Second), Environment: report.Describe(),
			Valid: true, Errors: report.Errors{ByKind: map[string]uint64{}}, Status: map[string]uint64{},
		},
	}
}

// begin starts to account for the server, from the end of the warm-up on.
func (b *builder) begin(warmup time.Duration) error {
	if b.pid == 0 {
		return nil
	}
	w, err := account.Start(b.pid, accountInterval)
	if err != nil {
		return err
	}
	b.watch = w
	if warmup > 0 {
		b.reset = time.AfterFunc(warmup, w.Reset)
	}
	return nil
}

// abandon ends the accounting of a run that gave no result.
func (b *builder) abandon() {
	if b.watch != nil {
		b.account()
	}
}

func (b *builder) account() account.Spent {
	if b.reset != nil {
		b.reset.Stop()
	}
	spent, peak, err := b.watch.Stop()
	b.watch = nil
	b.spent.User += spent.User
	b.spent.System += spent.System
	b.spent.Voluntary += spent.Voluntary
	b.spent.Involuntary += spent.Involuntary
	p := &b.peak
	p.RSS, p.PSS = max(p.RSS, peak.RSS), max(p.PSS, peak.PSS)
	p.Processes, p.Threads, p.FDs = max(p.Processes, peak.Processes), max(p.Threads, peak.Threads), max(p.FDs, peak.FDs)
	b.gone = b.gone || err != nil
	return spent
}

// add takes a result in.
func (b *builder) add(res *load.Result, index, count int, events []report.Event) {
	r := b.report
	var spent account.Spent
	if b.watch != nil {
		spent = b.account()
	}
	b.corrected.Merge(res.Corrected)
	b.raw.Merge(res.Raw)
	b.lag.Merge(res.Lag)
	b.connect.Merge(res.Connect)
	b.planned += res.Planned * res.Elapsed.Seconds()
	b.duration += res.Elapsed
	r.Requests += res.Sent
	r.Answered += res.Answered
	r.Unsent += res.Unsent
	r.Connections += res.Connections
	r.Received += res.Received
	b.count(res)
	b.judge(res, index, count)
	if count > 1 {
		r.Trials = append(r.Trials, trialOf(res, index, spent))
	}
	number := 0
	if count > 1 {
		number = index + 1
	}
	for i := range res.Timeline {
		r.Timeline = append(r.Timeline, secondOf(&res.Timeline[i], number))
	}
	for _, e := range events {
		e.Trial = number
		r.Events = append(r.Events, e)
	}
}

func (b *builder) count(res *load.Result) {
	r := b.report
	r.Errors.Total += res.ErrorTotal()
	for k, n := range res.Errors {
		r.Errors.ByKind[k] += n
	}
	for code, n := range res.Status {
		r.Status[strconv.Itoa(code)] += n
	}
	for _, u := range res.Workers {
		b.cpu += u.User + u.System
		r.Generator.Busy = max(r.Generator.Busy, round(u.Busy, 4))
	}
}

func (b *builder) judge(res *load.Result, index, count int) {
	r := b.report
	for _, why := range res.Invalid(b.maxLag) {
		if count > 1 {
			why = fmt.Sprintf("trial %d: %s", index+1, why)
		}
		r.Valid, r.Invalid = false, append(r.Invalid, why)
	}
	if due := res.Sent + res.Unsent; float64(res.Unsent) > 0.01*float64(due) && len(r.Invalid) == 0 {
		r.Notes = append(r.Notes, fmt.Sprintf("%.1f %% of the planned requests found no free connection: the target is slower than the plan, or --connections too few",
			100*float64(res.Unsent)/float64(due)))
	}
}

func trialOf(res *load.Result, index int, spent account.Spent) report.Trial {
	h := res.Corrected
	return report.Trial{
		Index: index + 1, Rate: round(res.Achieved, 2), Mean: round(h.Mean()/1e3, 3),
		P50: micros(h.Quantile(0.5)), P90: micros(h.Quantile(0.9)), P99: micros(h.Quantile(0.99)),
		Errors: res.ErrorTotal(), CPU: perRequest(spent.Total(), res.Answered), Valid: len(res.Invalid(0)) == 0,
	}
}

func secondOf(s *load.Second, trial int) report.Second {
	return report.Second{
		Trial: trial, At: float64(s.Index), Planned: round(s.Planned, 2), Sent: s.Sent, Answered: s.Answered,
		Errors: s.Errors, Connections: s.Connections, Mean: round(s.Mean/1e3, 3),
		P50: micros(s.P50), P90: micros(s.P90), P95: micros(s.P95), P99: micros(s.P99), Max: micros(s.Max),
	}
}

// finish computes what needs all results.
func (b *builder) finish() *report.Report {
	r := b.report
	r.Latency = report.Latency{
		Corrected: quantiles(&b.corrected), Raw: quantiles(&b.raw),
		GeneratorLag: quantiles(&b.lag), Connect: quantiles(&b.connect),
	}
	seconds := max(b.duration.Seconds(), 1e-9)
	r.Duration = round(seconds, 6)
	r.Rate = report.Rate{Planned: round(b.planned/seconds, 3), Achieved: round(float64(r.Answered)/seconds, 3)}
	r.Generator.CPU = perRequest(b.cpu, r.Requests)
	for bucket := range b.corrected.Buckets {
		r.Histogram = append(r.Histogram, [2]float64{micros(bucket.High), float64(bucket.Count)})
	}
	if b.pid != 0 {
		r.Server = b.server()
	}
	return r
}

func (b *builder) server() *report.Server {
	n := b.report.Answered
	share := func(count int64) float64 { return round(float64(count)/float64(max(n, 1)), 5) }
	return &report.Server{
		PID: b.pid, CPU: perRequest(b.spent.Total(), n),
		CPUUser: perRequest(b.spent.User, n), CPUSystem: perRequest(b.spent.System, n),
		RSSPeak: b.peak.RSS, PSSPeak: b.peak.PSS,
		SwitchesVoluntary: share(b.spent.Voluntary), SwitchesInvoluntary: share(b.spent.Involuntary),
		FDs: b.peak.FDs, Threads: b.peak.Threads, Processes: b.peak.Processes, Ended: b.gone,
	}
}

func quantiles(h *hist.Histogram) report.Quantiles {
	return report.Quantiles{
		Count: h.Count(), Mean: round(h.Mean()/1e3, 3), Min: micros(h.Min()),
		P50: micros(h.Quantile(0.5)), P90: micros(h.Quantile(0.9)), P95: micros(h.Quantile(0.95)), P99: micros(h.Quantile(0.99)),
		P999: micros(h.Quantile(0.999)), P9999: micros(h.Quantile(0.9999)), Max: micros(h.Max()),
	}
}

func micros(ns int64) float64 { return float64(ns) / 1e3 }

func perRequest(d time.Duration, n uint64) float64 {
	if n == 0 {
		return 0
	}
	return round(float64(d)/1e3/float64(n), 4)
}

func round(v float64, places int) float64 {
	p := math.Pow10(places)
	return math.Round(v*p) / p
}
