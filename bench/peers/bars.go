package peers

import (
	"time"

	"spillway/bench/peers/figures"
	"spillway/bench/report"
)

// barsOf makes the reports that a page compares with bars: each row with its
// rounds as trials. seconds is the length of one of them.
func barsOf(rows []Row, samples []Sample, seconds float64) []figures.Run {
	var runs []figures.Run
	for i := range rows {
		runs = append(runs, figures.Run{Name: rows[i].Peer, Report: rows[i].asReport(samples, seconds)})
	}
	return runs
}

// asReport takes the latencies from the first round: distributions of several
// have no meaning where rounds differ.
func (r *Row) asReport(samples []Sample, seconds float64) *report.Report {
	own := ofRow(r, samples)
	out := &report.Report{Schema: report.Schema, Started: time.Now().UTC().Truncate(time.Second), Environment: report.Describe(), Valid: true}
	if first := own[0].report; first != nil {
		*out = *first
	}
	out.Load.URL, out.Load.Connections = r.Peer, r.Connections
	out.Rate = report.Rate{Achieved: r.Rate.Median}
	out.Errors = report.Errors{Total: uint64(r.Errors)}
	if r.CPU.Median > 0 {
		out.Server = &report.Server{CPU: r.CPU.Median, CPUUser: r.CPUUser, CPUSystem: r.CPUSystem, RSSPeak: r.RSS, Processes: 1}
	}
	out.Requests, out.Answered, out.Duration = 0, 0, 0
	for _, s := range own {
		out.Requests += uint64(s.Requests)
		out.Answered += uint64(s.Requests)
		out.Duration += seconds
		out.Trials = append(out.Trials, report.Trial{
			Index: s.Round, Rate: s.Rate, P50: float64(s.P50US), P99: float64(s.P99US),
			Errors: uint64(s.Errors), CPU: s.CPU, Valid: true,
		})
	}
	if len(own) > 1 {
		out.Notes = append(out.Notes, "latencies and timeline are those of the first round")
	}
	return out
}

// ofRow are the measurements behind a row, at least one.
func ofRow(r *Row, samples []Sample) []*Sample {
	var own []*Sample
	for i := range samples {
		if samples[i].key() == r.key() {
			own = append(own, &samples[i])
		}
	}
	return own
}
