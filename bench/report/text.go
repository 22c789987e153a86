package report

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
)

// WriteText prints the report for people.
func (r *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	r.textHead(&b)
	r.textLatency(&b)
	r.textCounts(&b)
	r.textServer(&b)
	r.textVerdict(&b)
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("cannot print report: %w", err)
	}
	return nil
}

func (r *Report) textHead(b *strings.Builder) {
	l := &r.Load
	fmt.Fprintf(b, "%s: %s\n", l.URL, l.Sentence(len(r.Trials)))
	if len(l.Requests) > 1 {
		fmt.Fprintf(b, "requests: %s\n", strings.Join(l.Requests, ", "))
	}
	e := &r.Environment
	fmt.Fprintf(b, "%s, %d processors, Linux %s, governor %s, load average %s\n\n",
		e.CPU, e.Processors, e.Kernel, e.Governor, e.LoadAverage)
}

// Sentence describes the load in one line.
func (l *Load) Sentence(trials int) string {
	loop := "closed loop"
	if l.Loop == "open" {
		loop = "open loop, " + l.Schedule + " " + l.Arrivals
	}
	s := fmt.Sprintf("%s, %d connections", loop, l.Connections)
	if l.Pipeline > 1 {
		s += fmt.Sprintf(", %d requests pipelined", l.Pipeline)
	}
	if l.Fresh {
		s += ", a connection a request"
	}
	s += fmt.Sprintf(", %gs", l.Seconds)
	if trials > 1 {
		s += fmt.Sprintf(", %d trials", trials)
	}
	return s
}

// series is a distribution by the name it is shown with.
type series struct {
	name string
	q    *Quantiles
}

// series returns the distributions in the order they are shown in.
func (l *Latency) series() []series {
	return []series{
		{"corrected", &l.Corrected}, {"raw", &l.Raw}, {"generator lag", &l.GeneratorLag}, {"connect", &l.Connect},
	}
}

func (r *Report) textLatency(b *strings.Builder) {
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "latency\tmean\tp50\tp90\tp99\tp99.9\tp99.99\tmax\t")
	for _, row := range r.Latency.series() {
		if row.q.Count == 0 {
			continue
		}
		fmt.Fprintf(t, "%s\t", row.name)
		for _, us := range []float64{row.q.Mean, row.q.P50, row.q.P90, row.q.P99, row.q.P999, row.q.P9999, row.q.Max} {
			fmt.Fprintf(t, "%s\t", Micros(us))
		}
		fmt.Fprintln(t)
	}
	t.Flush()
}

// Micros writes a duration in microseconds with three digits and a unit.
func Micros(us float64) string {
	switch {
	case us >= 999_500:
		return digits(us/1e6) + "s"
	case us >= 999.5:
		return digits(us/1e3) + "ms"
	}
	return digits(us) + "us"
}

func digits(v float64) string {
	switch {
	case v >= 99.95:
		return fmt.Sprintf("%.0f", v)
	case v >= 9.995:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

func (r *Report) textCounts(b *strings.Builder) {
	fmt.Fprintf(b, "\nrate      %.1f/s", r.Rate.Achieved)
	if r.Rate.Planned > 0 {
		fmt.Fprintf(b, " of %.1f/s planned", r.Rate.Planned)
	}
	fmt.Fprintf(b, "\nrequests  %d sent, %d answered", r.Requests, r.Answered)
	if r.Unsent > 0 {
		fmt.Fprintf(b, ", %d planned but never sent: no connection came free", r.Unsent)
	}
	fmt.Fprintf(b, "\nerrors    %d%s\n", r.Errors.Total, counts(r.Errors.ByKind))
	if len(r.Status) > 0 {
		fmt.Fprintf(b, "status    %s\n", strings.Trim(counts(r.Status), " ()"))
	}
	fmt.Fprintf(b, "generator %.2f us of CPU a request, busiest loop %.0f %% busy\n", r.Generator.CPU, 100*r.Generator.Busy)
}

func counts(m map[string]uint64) string {
	if len(m) == 0 {
		return ""
	}
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, fmt.Sprintf("%s %d", k, m[k]))
	}
	return " (" + strings.Join(parts, ", ") + ")"
}

func (r *Report) textServer(b *strings.Builder) {
	s := r.Server
	if s == nil {
		return
	}
	fmt.Fprintf(b, "server    %.2f us of CPU a request (user %.2f, system %.2f), peak RSS %.1f MiB, PSS %.1f MiB\n",
		s.CPU, s.CPUUser, s.CPUSystem, float64(s.RSSPeak)/(1<<20), float64(s.PSSPeak)/(1<<20))
	fmt.Fprintf(b, "          %d processes, %d threads, %d descriptors; context switches a request: %.3f voluntary, %.3f not\n",
		s.Processes, s.Threads, s.FDs, s.SwitchesVoluntary, s.SwitchesInvoluntary)
	if s.Ended {
		fmt.Fprintln(b, "          it had ended before the end of the run")
	}
}

func (r *Report) textVerdict(b *strings.Builder) {
	for _, t := range r.Thresholds {
		word := "ok    "
		if !t.OK {
			word = "MISSED"
		}
		fmt.Fprintf(b, "%s    %s (%.6g)\n", word, t.Text, t.Actual)
	}
	for _, n := range r.Notes {
		fmt.Fprintf(b, "note      %s\n", n)
	}
	for _, why := range r.Invalid {
		fmt.Fprintf(b, "INVALID   %s\n", why)
	}
}
