package peers

import (
	"context"
	"fmt"
	"strings"
	"time"

	"spillway/bench/peers/figures"
)

// pipelineDepth is how many requests each client has on its connection at once.
const pipelineDepth = 32

func fullPipelined(o *Options) {
	o.Connections = []int{64}
	o.Rounds, o.Duration = 5, 3*time.Second
}

func shortPipelined(o *Options) {
	o.Connections = []int{4}
	o.Rounds, o.Duration = 1, 100*time.Millisecond
}

// runPipelined loads the peers with pipelined clients: the rate that two cores
// reach when system calls are shared by many requests.
func runPipelined(ctx context.Context, s *study) error {
	chosen, missing, err := selected(s.o)
	if err != nil {
		return err
	}
	s.missing(missing)
	if err := s.open(ctx, pipelinedPeers(without(chosen, "nethttp", "caddy"))); err != nil {
		return err
	}
	samples, err := s.pipelined(ctx)
	if err != nil {
		return err
	}
	s.result.Raw = samples
	s.result.Runs = barsOf(summarize(samples), samples, s.o.Duration.Seconds())
	s.result.Tables = append(s.result.Tables, pipelinedTable(samples, s.o.Connections[0]))
	s.note("this is not what browsers do: each of the clients keeps %d requests on its connection (HTTP/1.1 pipelining), the answers are %d bytes that the backend holds ready, and all of it is on one machine", pipelineDepth, bodySize)
	s.note("the proxy has one core; generator and backend share the other; where the proxy's core was not busy the row is their limit. Rows of %q have two workers on both cores, beside generator and backend: what the whole machine does", bothCores)
	s.note("\"pipeline 128\" is the opt-in by which requests of many clients share a connection to a server, up to 128 at once; no peer here has it, so they write to the server one request at a time")
	s.note("latency is that of a closed loop at full speed: queueing, mostly. It compares nothing")
	return nil
}

// bothCores ends the names of peers that have two workers.
const bothCores = ", both cores"

// pipelinedPeers adds Spillway with shared connections, and what can have two
// workers with two.
func pipelinedPeers(chosen []definition) []definition {
	var peers []definition
	twice := func(d definition) {
		peers = append(peers, d)
		d.name, d.workers = d.name+bothCores, 2
		peers = append(peers, d)
	}
	for _, d := range chosen {
		switch d.name {
		case Baseline, "haproxy":
			twice(d)
		case reference:
			twice(d)
			twice(spillway(reference+", pipeline 128", d.program, "conf/spillway-pipeline.yaml.tmpl", false))
		default:
			peers = append(peers, d)
		}
	}
	return peers
}

func (s *study) pipelined(ctx context.Context) ([]Sample, error) {
	var samples []Sample
	for round := 0; round <= s.o.Rounds; round++ { // round 0 warms up
		for _, peer := range s.subjects {
			sample, err := s.drive(ctx, peer, loadSpec{
				URL: peer.url, Connections: s.o.Connections[0], Pipeline: pipelineDepth, Duration: s.o.Duration,
			})
			if err != nil {
				return nil, err
			}
			sample.Round, sample.Body = round, bodySize
			if round > 0 {
				samples = append(samples, sample)
				s.tell("%s", sample.line(s.o.Rounds))
			}
		}
	}
	return samples, nil
}

func pipelinedTable(samples []Sample, connections int) figures.Table {
	t := figures.Table{
		Title: fmt.Sprintf("%d connections, %d requests pipelined on each, %d-byte body", connections, pipelineDepth, bodySize),
		Columns: []string{
			"peer", "requests/s", "CPU us/request", "CPU by " + Baseline + "'s", "cores used", "limit", "errors", "cores for 200k/s",
		},
	}
	rows := summarize(samples)
	for i := range rows {
		r := &rows[i]
		limit := r.verdict()
		if strings.HasSuffix(r.Peer, bothCores) {
			limit = "shared cores"
		}
		t.Add(r.Peer, spreadCell(&r.Rate, 0), orNone(spreadCell(&r.CPU, 2)), spreadCell(r.CPURatio, 3), figures.Number(r.ProxyBusy, 2),
			figures.Text(limit), figures.Number(float64(r.Errors), 0),
			orNone(figures.Number(target200k*r.CPU.Median/1e6, 2)))
	}
	return t
}
