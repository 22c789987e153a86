package report

import (
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
)

// WriteCSV writes the timeline, one line a second.
func (r *Report) WriteCSV(w io.Writer) error {
	c := csv.NewWriter(w)
	c.Write([]string{
		"trial", "at_s", "planned", "sent", "answered", "errors", "connections",
		"mean_us", "p50_us", "p90_us", "p99_us", "max_us",
	})
	for i := range r.Timeline {
		c.Write(r.Timeline[i].record())
	}
	c.Flush()
	if err := c.Error(); err != nil {
		return fmt.Errorf("cannot write timeline: %w", err)
	}
	return nil
}

func (s *Second) record() []string {
	f := func(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }
	u := func(v uint64) string { return strconv.FormatUint(v, 10) }
	return []string{
		strconv.Itoa(s.Trial), f(s.At), f(s.Planned), u(s.Sent), u(s.Answered), u(s.Errors), u(s.Connections),
		f(s.Mean), f(s.P50), f(s.P90), f(s.P99), f(s.Max),
	}
}
