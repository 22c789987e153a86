package peers

import (
	"context"
	"fmt"
	"time"

	"spillway/bench/peers/figures"
)

// shares are the parts of nginx's maximum at which latency is measured.
var shares = [...]float64{0.3, 0.5, 0.8}

func fullLatency(o *Options) {
	o.Connections = []int{64}
	o.Rounds, o.Duration = 3, 10*time.Second
}

func shortLatency(o *Options) {
	o.Connections = []int{8}
	o.Rounds, o.Duration = 1, 100*time.Millisecond
}

// timed is one open-loop measurement.
type timed struct {
	Sample
	Share float64 `json:"share"`
	Valid bool    `json:"valid"`
	P999  float64 `json:"p99_9_us"`
	Lag   float64 `json:"lag_p99_us"`
}

// runLatency loads every peer at the same rates, which are shares of what nginx
// does at most.
func runLatency(ctx context.Context, s *study) error {
	chosen, missing, err := selected(s.o)
	if err != nil {
		return err
	}
	s.missing(missing)
	if err := s.open(ctx, chosen); err != nil {
		return err
	}
	most, err := s.most(ctx)
	if err != nil {
		return err
	}
	var all []timed
	for _, share := range shares {
		measured, err := s.atRate(ctx, most, share)
		if err != nil {
			return err
		}
		all = append(all, measured...)
		s.result.Tables = append(s.result.Tables, latencyTable(s.subjects, measured, share, share*most))
		if share == 0.5 {
			s.result.Runs = runsOf(s.subjects, measured)
		}
	}
	s.result.Raw = all
	s.note("open loop: latency counts from the planned time of sending, whatever the peer does; lag is how late the generator itself was, and a round it spoiled is marked")
	s.note("medians [min max] over %d interleaved rounds of %v, %d connections, %d-byte body", s.o.Rounds, s.o.Duration, s.o.Connections[0], bodySize)
	return nil
}

// most is the rate that others are shares of: --rate, or what nginx does at
// most in a closed loop, or the first peer where nginx is not among them.
func (s *study) most(ctx context.Context) (float64, error) {
	if s.o.Rate > 0 {
		s.note("100 %% is %.0f requests/s, as asked for", s.o.Rate)
		return s.o.Rate, nil
	}
	base := s.subjects[0]
	for _, peer := range s.subjects {
		if peer.name == Baseline {
			base = peer
		}
	}
	sample, err := s.drive(ctx, base, loadSpec{URL: base.url, Connections: s.o.Connections[0], Duration: s.o.Duration})
	if err != nil {
		return 0, err
	}
	s.tell("%s does %.0f requests/s at most, using %.0f %% of its core", base.name, sample.Rate, 100*sample.ProxyBusy)
	s.note("100 %% is %.0f requests/s, what %s did in a closed loop (limit: %s)", sample.Rate, base.name, limitOf(sample.ProxyBusy, sample.CoreBusy))
	return sample.Rate, nil
}

func (s *study) atRate(ctx context.Context, most, share float64) ([]timed, error) {
	var all []timed
	for round := 1; round <= s.o.Rounds; round++ {
		for _, peer := range s.subjects {
			sample, err := s.drive(ctx, peer, loadSpec{
				URL: peer.url, Rate: share * most, Connections: s.o.Connections[0], Duration: s.o.Duration,
			})
			if err != nil {
				return nil, err
			}
			sample.Round, sample.Body = round, bodySize
			r := sample.report
			m := timed{
				Sample: sample, Share: share, Valid: r.Valid,
				P999: r.Latency.Corrected.P999, Lag: r.Latency.GeneratorLag.P99,
			}
			all = append(all, m)
			s.tell("%3.0f %%  round %d/%d  %-12s p50 %6d us  p99 %7d us  max %8d us  %d errors",
				100*share, round, s.o.Rounds, peer.name, m.P50US, m.P99US, m.MaxUS, m.Errors)
		}
	}
	return all, nil
}

func latencyTable(subjects []subject, measured []timed, share, rate float64) figures.Table {
	t := figures.Table{
		Title: fmt.Sprintf("at %.0f %%: %.0f requests/s", 100*share, rate),
		Columns: []string{
			"peer", "p50 us", "p99 us", "p99.9 us", "max us", "answered/s", "errors", "CPU us/request", "lag p99 us", "spoiled rounds",
		},
	}
	for _, peer := range subjects {
		var own []timed
		for _, m := range measured {
			if m.Peer == peer.name {
				own = append(own, m)
			}
		}
		of := func(figure func(timed) float64, digits int) figures.Cell { return spreadCellOf(own, figure, digits) }
		spoiled, errors := 0, int64(0)
		for _, m := range own {
			errors += m.Errors
			if !m.Valid {
				spoiled++
			}
		}
		t.Add(peer.name,
			of(func(m timed) float64 { return float64(m.P50US) }, 0), of(func(m timed) float64 { return float64(m.P99US) }, 0),
			of(func(m timed) float64 { return m.P999 }, 0), of(func(m timed) float64 { return float64(m.MaxUS) }, 0),
			of(func(m timed) float64 { return m.Rate }, 0), figures.Number(float64(errors), 0),
			orNone(of(func(m timed) float64 { return m.CPU }, 2)), of(func(m timed) float64 { return m.Lag }, 0),
			figures.Number(float64(spoiled), 0))
	}
	return t
}

// orNone leaves out a figure that was not measured: there is no CPU time where
// there is no proxy.
func orNone(c figures.Cell) figures.Cell {
	if c.Value != nil && *c.Value == 0 {
		return figures.None()
	}
	return c
}

// spreadCellOf is the cell of one figure over several measurements.
func spreadCellOf[M any](all []M, figure func(M) float64, digits int) figures.Cell {
	values := make([]float64, len(all))
	for i, m := range all {
		values[i] = figure(m)
	}
	s := spreadOf(values)
	return spreadCell(&s, digits)
}

// runsOf takes the first round of every peer for the page.
func runsOf(subjects []subject, measured []timed) []figures.Run {
	var runs []figures.Run
	for i := range subjects {
		m := measured[i]
		m.report.Load.URL = m.Peer
		runs = append(runs, figures.Run{Name: m.Peer, Report: m.report})
	}
	return runs
}
