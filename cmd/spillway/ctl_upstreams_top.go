package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"time"
)

// topWindow is how many of the last seconds the figures of top are of, and
// topEvery how often a terminal is drawn anew.
const (
	topWindow = 5
	topEvery  = time.Second
)

// gatewaySignals is what top reads of GET /api/v1/signals: see docs/signals.md.
type gatewaySignals struct {
	Gateway   string `json:"gateway"`
	NowMS     int64  `json:"now_ms"`
	Upstreams map[string]struct {
		Seconds []struct {
			T int64    `json:"t"`
			A uint64   `json:"a"`
			C uint64   `json:"c"`
			E uint64   `json:"e"`
			R uint64   `json:"r"`
			H []uint64 `json:"h"`
		} `json:"seconds"`
		Servers map[string]struct {
			Serving bool    `json:"serving"`
			L       float64 `json:"l"`
		} `json:"servers"`
	} `json:"upstreams"`
}

// topRow is one upstream in top. Latencies are upper bounds of the bucket, in
// milliseconds; nil where nothing was answered.
type topRow struct {
	Upstream string   `json:"upstream"`
	Rate     float64  `json:"requests_per_second"`
	Errors   float64  `json:"errors_per_second"`
	Refused  float64  `json:"refused_per_second"`
	P50      *float64 `json:"p50_ms"`
	P99      *float64 `json:"p99_ms"`
	InFlight float64  `json:"in_flight"`
	Serving  int      `json:"serving"`
	Servers  int      `json:"servers"`
}

func (c *ctl) top(args []string) int {
	fs := c.gatewayFlags()
	once := fs.Bool("once", false, "show it once, also on a terminal")
	if code, done := c.parse(fs, args, 0, 0); done {
		return code
	}
	return c.askGateway(func(ctx context.Context, g *gatewayClient) error {
		if *once || c.output == "json" || !c.console.isTerminal() {
			return c.topOnce(ctx, g, c.out)
		}
		tick := time.NewTicker(topEvery)
		defer tick.Stop()
		for {
			fmt.Fprint(c.out, "\x1b[H\x1b[2J")
			if err := c.topOnce(ctx, g, c.out); err != nil {
				fmt.Fprintf(c.out, "%v\n", err) // it may come back
			}
			select {
			case <-ctx.Done():
				return nil
			case <-tick.C:
			}
		}
	})
}

func (c *ctl) topOnce(ctx context.Context, g *gatewayClient, w io.Writer) error {
	var s gatewaySignals
	since := c.now().Add(-(topWindow + 2) * time.Second).UnixMilli()
	if err := g.get(ctx, "/api/v1/signals?since="+strconv.FormatInt(max(0, since), 10), &s); err != nil {
		return err
	}
	rows := s.rows()
	return c.show(rows, func(io.Writer) { printTop(w, &s, rows) })
}

// rows sums the last seconds up, in order of the names.
func (s *gatewaySignals) rows() []topRow {
	rows := []topRow{}
	for _, name := range slices.Sorted(maps.Keys(s.Upstreams)) {
		u := s.Upstreams[name]
		row := topRow{Upstream: name, Servers: len(u.Servers)}
		seconds := u.Seconds[max(0, len(u.Seconds)-topWindow):]
		var h []uint64
		for _, sec := range seconds {
			row.Rate += float64(sec.A)
			row.Errors += float64(sec.E)
			row.Refused += float64(sec.R)
			h = addCounts(h, sec.H)
		}
		if n := float64(len(seconds)); n > 0 {
			row.Rate, row.Errors, row.Refused = row.Rate/n, row.Errors/n, row.Refused/n
		}
		row.P50, row.P99 = latencyAt(h, 0.50), latencyAt(h, 0.99)
		for _, server := range u.Servers {
			row.InFlight += server.L
			if server.Serving {
				row.Serving++
			}
		}
		rows = append(rows, row)
	}
	return rows
}

func addCounts(sum, h []uint64) []uint64 {
	for len(sum) < len(h) {
		sum = append(sum, 0)
	}
	for i, n := range h {
		sum[i] += n
	}
	return sum
}

// latencyAt is the upper bound in milliseconds of the bucket that holds the
// quantile: 50 µs, and each twice the one before.
func latencyAt(h []uint64, quantile float64) *float64 {
	var total, below uint64
	for _, n := range h {
		total += n
	}
	if total == 0 {
		return nil
	}
	for i, n := range h {
		if below += n; float64(below) >= quantile*float64(total) {
			ms := 0.05 * float64(uint64(1)<<i)
			return &ms
		}
	}
	return nil
}

func printTop(w io.Writer, s *gatewaySignals, rows []topRow) {
	fmt.Fprintf(w, "%s at %s, of the last %d s; latencies are at most\n", s.Gateway, clockTime(time.UnixMilli(s.NowMS)), topWindow)
	out := [][]string{{"UPSTREAM", "REQUESTS/S", "P50 MS", "P99 MS", "IN FLIGHT", "ERRORS/S", "REFUSED/S", "SERVING"}}
	for _, r := range rows {
		out = append(out, []string{
			r.Upstream, number(r.Rate), atMost(r.P50), atMost(r.P99), number(r.InFlight), number(r.Errors), number(r.Refused),
			fmt.Sprintf("%d of %d", r.Serving, r.Servers),
		})
	}
	table(w, out...)
}

func atMost(ms *float64) string {
	if ms == nil {
		return ""
	}
	return number(*ms)
}
