package peers

import (
	"context"
	"fmt"
	"strings"
	"time"

	"spillway/bench/peers/figures"
)

func fullCPU(o *Options) {
	o.Connections = []int{16, 128, 512}
	o.Targets = []string{"/", "/4k", "/100k"}
	o.CrossCheck = 128
	o.Rounds, o.Duration = 5, 2*time.Second
}

func shortCPU(o *Options) {
	o.Connections, o.Targets, o.CrossCheck = []int{8}, []string{"/", "/100k"}, 0
	o.Rounds, o.Duration = 1, 100*time.Millisecond
}

// runCPU is the plain comparison with our own generator, for several bodies,
// and wrk as its witness.
func runCPU(ctx context.Context, s *study) error {
	r, err := Run(ctx, *s.o)
	if err != nil {
		return err
	}
	s.result.Setting = append(strings.Split(strings.TrimSpace(r.Environment.text()), "\n"),
		fmt.Sprintf("closed loop; %d rounds of %gs, interleaved; medians [min max]", r.Rounds, r.Duration))
	s.result.Raw = r.Samples
	for _, rows := range tables(r.Rows) {
		s.result.Tables = append(s.result.Tables, cpuTable(rows))
	}
	all := tables(r.Rows)
	s.result.Runs = barsOf(all[min(1, len(all)-1)], r.Samples, r.Duration) // the middle number of connections
	s.missing(r.Missing)
	s.note("CPU is user and system time of the proxy and its children, by its scheduler's account; it compares whatever the limit was")
	s.note("a row is client-limited where the proxy used less than %.0f %% of its core: generator and backend, on the other core, were the limit, and the rate is no measure of the proxy", 100*busyEnough)
	return nil
}

func cpuTable(rows []Row) figures.Table {
	t := figures.Table{
		Title: rows[0].load(),
		Columns: []string{
			"peer", "CPU us/request", "user", "system", "CPU by " + Baseline + "'s",
			"requests/s", "rate by " + Baseline + "'s", "p50 us", "p99 us", "errors", "RSS MiB", "core %", "limit",
		},
	}
	for i := range rows {
		r := &rows[i]
		t.Add(r.Peer, orNone(spreadCell(&r.CPU, 2)), orNone(figures.Number(r.CPUUser, 2)), orNone(figures.Number(r.CPUSystem, 2)), spreadCell(r.CPURatio, 3),
			spreadCell(&r.Rate, 0), spreadCell(r.RateRatio, 3), figures.Number(r.P50US, 0), figures.Number(r.P99US, 0),
			figures.Number(float64(r.Errors), 0), figures.Number(float64(r.RSS)/(1<<20), 1),
			figures.Number(100*r.ProxyBusy, 0), figures.Text(r.verdict()))
	}
	return t
}

// verdict says what limited the rate.
func (r *Row) verdict() string {
	if note := r.note(); note != "" {
		return note
	}
	return "the proxy"
}

func spreadCell(s *Spread, digits int) figures.Cell {
	if s == nil {
		return figures.None()
	}
	return figures.Spread(s.Median, s.Min, s.Max, digits)
}
