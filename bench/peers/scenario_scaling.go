package peers

import (
	"context"
	"fmt"
	"math"
	"time"

	"spillway/bench/peers/figures"
)

// target200k is the rate that the arithmetic of cores is for.
const target200k = 200_000

func fullScaling(o *Options) {
	o.Peers = []string{Baseline, "haproxy", reference}
	o.Connections = []int{128}
	o.Rounds, o.Duration = 5, 3*time.Second
}

func shortScaling(o *Options) {
	o.Peers = []string{Baseline, reference}
	o.Connections = []int{8}
	o.Rounds, o.Duration = 1, 100*time.Millisecond
}

// scaled is one measurement with a number of workers.
type scaled struct {
	Sample
	Workers int `json:"workers"`
}

// runScaling measures each peer with one worker and with two.
func runScaling(ctx context.Context, s *study) error {
	chosen, missing, err := selected(s.o)
	if err != nil {
		return err
	}
	s.missing(missing)
	var both []definition
	workers := map[string]int{}
	for _, d := range without(chosen, "fasthttp", "nethttp", "forward", "direct", "caddy") {
		for _, n := range []int{1, 2} {
			again := d
			again.name, again.workers = fmt.Sprintf("%s, %d", d.name, n), n
			workers[again.name] = n
			both = append(both, again)
		}
	}
	if err := s.open(ctx, both); err != nil {
		return err
	}
	samples, err := s.rounds(ctx, s.o)
	if err != nil {
		return err
	}
	var raw []scaled
	for _, sample := range samples {
		raw = append(raw, scaled{sample, workers[sample.Peer]})
	}
	s.result.Raw = raw
	s.result.Runs = barsOf(summarize(samples), samples, s.o.Duration.Seconds())
	s.result.Tables = append(s.result.Tables, scalingTable(samples, workers, s.o.Connections[0]))
	s.note("one worker has a core to itself; two share both cores with the generator and the backend, so rates with two are no measure, while CPU per request is")
	s.note("cores = %d requests/s x CPU per request / 1,000,000 us, rounded up; what the cost of two workers is above that of one is taken to be all that sharing costs, which more workers may exceed", target200k)
	return nil
}

func scalingTable(samples []Sample, workers map[string]int, connections int) figures.Table {
	t := figures.Table{
		Title: fmt.Sprintf("%d connections, %d-byte body", connections, bodySize),
		Columns: []string{
			"peer, workers", "CPU us/request", "by one worker's", "requests/s", "core 1 %", "p99 us", "errors", "arithmetic", "cores for 200k/s",
		},
	}
	rows := summarize(samples)
	for i := range rows {
		r := &rows[i]
		by := figures.None()
		if workers[r.Peer] == 2 && i > 0 {
			by = spreadCell(paired(samplesOf(samples, r.Peer), samplesOf(samples, rows[i-1].Peer), Sample.cpu, ratio), 3)
		}
		exact := target200k * r.CPU.Median / 1e6
		t.Add(r.Peer, spreadCell(&r.CPU, 2), by, spreadCell(&r.Rate, 0), figures.Number(100*r.ProxyBusy, 0),
			figures.Number(r.P99US, 0), figures.Number(float64(r.Errors), 0),
			figures.Text(fmt.Sprintf("%d x %.2f us = %.2f s/s", target200k, r.CPU.Median, exact)),
			figures.Number(math.Ceil(exact), 0))
	}
	return t
}

func samplesOf(all []Sample, peer string) []Sample {
	var own []Sample
	for _, s := range all {
		if s.Peer == peer {
			own = append(own, s)
		}
	}
	return own
}
