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

func (r *Row) asReport(samples []Sample, seconds float64) *report.Report {
	out := &report.Report{
		Schema: report.Schema, Started: time.Now().UTC().Truncate(time.Second), Environment: report.Describe(), Valid: true,
		Load: report.Load{URL: r.Peer, Connections: r.Connections, Pipeline: 1, Loop: "closed", Seconds: seconds},
		Rate: report.Rate{Achieved: r.Rate.Median}, Errors: report.Errors{Total: uint64(r.Errors)},
		Server: &report.Server{CPU: r.CPU.Median, CPUUser: r.CPUUser, CPUSystem: r.CPUSystem, RSSPeak: r.RSS},
	}
	for i := range samples {
		s := &samples[i]
		if s.key() != r.key() {
			continue
		}
		out.Requests += uint64(s.Requests)
		out.Answered += uint64(s.Requests)
		out.Duration += seconds
		out.Trials = append(out.Trials, report.Trial{
			Index: s.Round, Rate: s.Rate, P50: float64(s.P50US), P99: float64(s.P99US),
			Errors: uint64(s.Errors), CPU: s.CPU, Valid: true,
		})
	}
	return out
}
