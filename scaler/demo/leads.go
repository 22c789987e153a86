package demo

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"time"
)

// stages of a machine from the decision to the first request, in the order in
// which they mostly come. The last two are of the first container on it.
var stages = []string{
	"decided", "requested", "running", "address", "phone-home", "docker", "settled", "engine", "images", "ready", "serving", "first request",
}

// leads are the stages of every rented machine, by its id, taken from the
// scaler's ledger while it runs.
type leads map[string]map[string]time.Time

// learn adds what the records say now; a machine that is gone keeps what it had.
func (l *leads) learn(r *records) {
	if *l == nil {
		*l = leads{}
	}
	for id, m := range r.machines {
		if m.Owned {
			continue
		}
		if (*l)[id] == nil {
			(*l)[id] = map[string]time.Time{}
		}
		for _, s := range m.Stages {
			l.set(id, s.Name, s.At)
		}
	}
	for _, i := range r.instances {
		l.set(i.Machine, "serving", i.Healthy)
		l.set(i.Machine, "first request", i.FirstRequest)
	}
}

// set notes a stage that was reached the first time.
func (l *leads) set(machine, stage string, at time.Time) {
	if reached := (*l)[machine]; reached != nil && !at.IsZero() && reached[stage].IsZero() {
		reached[stage] = at
	}
}

// after is how long after the decision each machine reached a stage, sorted.
func (l leads) after(stage string) (all []time.Duration) {
	for _, reached := range l {
		if at, decided := reached[stage], reached["decided"]; !at.IsZero() && !decided.IsZero() {
			all = append(all, at.Sub(decided))
		}
	}
	slices.Sort(all)
	return all
}

// quantile of sorted times by the nearest rank.
func quantile(sorted []time.Duration, q float64) (d time.Duration, ok bool) {
	if len(sorted) == 0 {
		return 0, false
	}
	rank := int(q*float64(len(sorted)) + 0.999999)
	return sorted[min(max(rank, 1), len(sorted))-1], true
}

// write prints a line for each machine: seconds after the decision.
func (l leads) write(out io.Writer) {
	if len(l) == 0 {
		return
	}
	fmt.Fprintf(out, "\n%-20s", "seconds after decided")
	for _, s := range stages[1:] {
		fmt.Fprintf(out, " %10s", short(s))
	}
	fmt.Fprintln(out)
	for _, id := range slices.Sorted(maps.Keys(l)) {
		l.line(out, id, func(stage string) (time.Duration, bool) {
			at, decided := l[id][stage], l[id]["decided"]
			return at.Sub(decided), !at.IsZero() && !decided.IsZero()
		})
	}
	l.line(out, "median", func(stage string) (time.Duration, bool) { return quantile(l.after(stage), 0.5) })
	l.line(out, "p90", func(stage string) (time.Duration, bool) { return quantile(l.after(stage), 0.9) })
}

func (leads) line(out io.Writer, name string, value func(string) (time.Duration, bool)) {
	fmt.Fprintf(out, "%-21s", name)
	for _, s := range stages[1:] {
		text := "-"
		if d, ok := value(s); ok {
			text = fmt.Sprintf("%.1f", d.Seconds())
		}
		fmt.Fprintf(out, " %10s", text)
	}
	fmt.Fprintln(out)
}

// short is a stage's name as the head of a column.
func short(stage string) string {
	if stage == "first request" {
		return "1st req."
	}
	return stage
}

// sentence is the whole lead time in one line.
func (l leads) sentence() string {
	all := l.after("first request")
	median, ok := quantile(all, 0.5)
	if !ok {
		return "no lead time was measured"
	}
	p90, _ := quantile(all, 0.9)
	return fmt.Sprintf("lead time from decision to first request: median %.1f s, p90 %.1f s (%d machines)", median.Seconds(), p90.Seconds(), len(all))
}
