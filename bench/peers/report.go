package peers

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
)

// Report is everything a run has found. Its JSON form is what --json saves.
type Report struct {
	Environment Environment `json:"environment"`
	Rounds      int         `json:"rounds"`
	Duration    float64     `json:"duration_s"`        // of one measurement
	Missing     []string    `json:"missing,omitempty"` // peers that are not installed
	Rows        []Row       `json:"rows"`
	Samples     []Sample    `json:"samples"`
}

// ErrGate and ErrInvalid are the two ways in which a gate can fail.
var (
	ErrGate    = errors.New("limit exceeded")
	ErrInvalid = errors.New("no valid figure")
)

// Check compares the CPU per request of a peer, as a ratio to nginx's in the
// same round (median), with a limit. It wraps ErrInvalid if there is no such
// ratio or requests failed, ErrGate if a ratio is above the limit.
func (r *Report) Check(peer string, limit float64) error {
	found := false
	for _, row := range r.Rows {
		if row.Peer != peer {
			continue
		}
		found = true
		switch {
		case row.CPURatio == nil:
			return fmt.Errorf("cannot judge %s at %d connections: %w: not measured beside %s", peer, row.Connections, ErrInvalid, Baseline)
		case row.Errors > 0:
			return fmt.Errorf("cannot judge %s at %d connections: %w: %d failed requests", peer, row.Connections, ErrInvalid, row.Errors)
		case row.CPURatio.Median > limit:
			return fmt.Errorf("%s at %d connections takes %.3f of %s's CPU per request: %w: at most %.3f",
				peer, row.Connections, row.CPURatio.Median, Baseline, ErrGate, limit)
		}
	}
	if !found {
		return fmt.Errorf("cannot judge %s: %w: not measured", peer, ErrInvalid)
	}
	return nil
}

// WriteJSON saves the report.
func (r *Report) WriteJSON(path string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("cannot write report %q: %w", path, err)
	}
	if err := os.WriteFile(path, append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("cannot write report %q: %w", path, err)
	}
	return nil
}

// WriteText prints the environment and one table for each kind of load.
func (r *Report) WriteText(w io.Writer) error {
	fmt.Fprint(w, r.Environment.text())
	fmt.Fprintf(w, "%d rounds of %gs, interleaved; medians, [min max] and interquartile range over rounds\n",
		r.Rounds, r.Duration)
	if len(r.Missing) > 0 {
		fmt.Fprintf(w, "not installed, left out: %s\n", strings.Join(r.Missing, ", "))
	}
	for _, rows := range tables(r.Rows) {
		if err := writeTable(w, rows); err != nil {
			return err
		}
	}
	return nil
}

// tables divides rows by the kind of load.
func tables(rows []Row) [][]Row {
	var all [][]Row
	for start := 0; start < len(rows); {
		end := start + 1
		for end < len(rows) && rows[end].key().beside("") == rows[start].key().beside("") {
			end++
		}
		all = append(all, rows[start:end])
		start = end
	}
	return all
}

// load is the kind of load in words.
func (r *Row) load() string {
	return fmt.Sprintf("%d connections, %d-byte body, load by %s", r.Connections, r.Body, r.Client)
}

func writeTable(w io.Writer, rows []Row) error {
	fmt.Fprintf(w, "\n%s\n", rows[0].load())
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "peer\tCPU us/request\t[min max]\tIQR\tuser\tsystem\tvs "+Baseline+
		"\t[min max]\trequests/s\tvs "+Baseline+"\tp50 us\tp99 us\terrors\tRSS MiB\tcore\t")
	for _, r := range rows {
		fmt.Fprintf(t, "%s\t%.2f\t[%.2f %.2f]\t%.2f\t%.2f\t%.2f\t%s\t%.0f\t%s\t%.0f\t%.0f\t%d\t%.1f\t%.0f%%\t%s\n",
			r.Peer, r.CPU.Median, r.CPU.Min, r.CPU.Max, r.CPU.Q3-r.CPU.Q1, r.CPUUser, r.CPUSystem,
			cpuRatioText(r.CPURatio), r.Rate.Median, rateRatioText(r.RateRatio), r.P50US, r.P99US, r.Errors,
			float64(r.RSS)/(1<<20), 100*r.ProxyBusy, r.note())
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("cannot print the table: %w", err)
	}
	return writeCosts(w, rows)
}

// writeCosts prints what each variant of Spillway costs, if there are any.
func writeCosts(w io.Writer, rows []Row) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, r := range rows {
		if r.Cost != nil {
			fmt.Fprintf(t, "%s\tcosts\t%+.2f us/request\t[%+.2f %+.2f]\tbeside plain %s\n",
				r.Peer, r.Cost.Median, r.Cost.Min, r.Cost.Max, reference)
		}
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("cannot print the costs: %w", err)
	}
	return nil
}

func cpuRatioText(s *Spread) string {
	if s == nil {
		return "-\t-"
	}
	return fmt.Sprintf("%.3f\t[%.3f %.3f]", s.Median, s.Min, s.Max)
}

func rateRatioText(s *Spread) string {
	if s == nil {
		return "-"
	}
	return fmt.Sprintf("%.3f", s.Median)
}

// note says why a row's rate is no measure of the proxy.
func (r *Row) note() string {
	switch r.Limit {
	case LimitClient:
		return "client-limited"
	case LimitOthers:
		return "core shared with other processes"
	}
	return ""
}
