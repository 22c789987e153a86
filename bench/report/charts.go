package report

import (
	"fmt"
	"html/template"
	"math"
	"strings"
)

// charts are the drawings of one report: the timeline of rate and of latency,
// and the distribution.
func (r *Report) charts() []chart {
	var all []chart
	if len(r.Timeline) > 0 {
		all = append(all, r.rateChart(), r.latencyChart())
		for i := range r.Watched {
			all = append(all, r.watchedChart(&r.Watched[i]))
		}
	}
	if len(r.Histogram) > 0 {
		all = append(all, r.distribution())
	}
	return all
}

// times is the horizontal scale of a timeline. Trials stand one after the other.
func (r *Report) times() (xs []float64, x *scale) {
	for i := range r.Timeline {
		xs = append(xs, float64(i))
	}
	last := max(float64(len(xs)-1), 1)
	x = &scale{high: last, from: marginLeft, to: chartWidth - marginRight}
	step := max(niceStep(last/8), 1)
	for v := 0.0; v <= last; v += step {
		x.ticks = append(x.ticks, tick{v, fmt.Sprintf("%gs", v)})
	}
	return xs, x
}

// eventPlace finds an event among the seconds of its own trial.
func (r *Report) eventPlace(e *Event) float64 {
	for i := range r.Timeline {
		if r.Timeline[i].Trial == e.Trial {
			return float64(i) + e.At
		}
	}
	return e.At
}

func (r *Report) marks(d *drawing) {
	for i := range r.Events {
		d.mark(r.eventPlace(&r.Events[i]), r.Events[i].Text)
	}
}

func (r *Report) series(value func(*Second) float64) []float64 {
	ys := make([]float64, len(r.Timeline))
	for i := range r.Timeline {
		ys[i] = value(&r.Timeline[i])
	}
	return ys
}

func (r *Report) rateChart() chart {
	xs, x := r.times()
	answered := r.series(func(s *Second) float64 { return float64(s.Answered) })
	planned := r.series(func(s *Second) float64 { return s.Planned })
	failed := r.series(func(s *Second) float64 { return float64(s.Errors) })
	top := 0.0
	for i := range xs {
		top = max(top, answered[i], planned[i], failed[i])
	}
	d := newDrawing("requests a second over time", x, linear(top, thousands))
	c := chart{Title: "Rate", Caption: "Requests a second, by the second in which they ended."}
	if r.Load.Loop == "open" {
		d.line("planned", xs, planned)
		c.Legend = append(c.Legend, legend{"planned", "planned"})
	}
	d.line("one", xs, answered)
	c.Legend = append(c.Legend, legend{"one", "answered"})
	if r.Errors.Total > 0 {
		d.line("bad", xs, failed)
		c.Legend = append(c.Legend, legend{"bad", "failed"})
	}
	r.marks(d)
	c.SVG = d.end()
	return c
}

func thousands(v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%gM", v/1e6)
	case v >= 1e4:
		return fmt.Sprintf("%gk", v/1e3)
	}
	return fmt.Sprintf("%g", v)
}

func (r *Report) latencyChart() chart {
	xs, x := r.times()
	lines := []struct {
		class, name string
		ys          []float64
	}{
		{"four", "max", r.series(func(s *Second) float64 { return gapAtZero(s.Max) })},
		{"three", "p99", r.series(func(s *Second) float64 { return gapAtZero(s.P99) })},
		{"two", "p90", r.series(func(s *Second) float64 { return gapAtZero(s.P90) })},
		{"one", "p50", r.series(func(s *Second) float64 { return gapAtZero(s.P50) })},
	}
	low, high := math.Inf(1), 1.0
	for _, l := range lines {
		for _, y := range l.ys {
			if !math.IsNaN(y) {
				low, high = min(low, y), max(high, y)
			}
		}
	}
	if math.IsInf(low, 1) {
		low = 1
	}
	d := newDrawing("latency over time", x, decades(low, high))
	c := chart{Title: "Latency over time", Caption: "Corrected latency of the requests that ended in each second, logarithmic."}
	for _, l := range lines {
		d.line(l.class, xs, l.ys)
		c.Legend = append(c.Legend, legend{l.class, l.name})
	}
	r.marks(d)
	c.SVG = d.end()
	return c
}

// gapAtZero makes a second without answers a gap in the line.
func gapAtZero(v float64) float64 {
	if v == 0 {
		return math.NaN()
	}
	return v
}

// watchedChart draws values that hold until they change, as steps.
func (r *Report) watchedChart(w *Watched) chart {
	xs, x := r.times()
	top := 0.0
	for _, l := range w.Lines {
		for _, p := range l.Points {
			top = max(top, p[1])
		}
	}
	d := newDrawing(w.Title+" over time", x, linear(top, thousands))
	c := chart{Title: w.Title, Caption: w.Unit + " over time."}
	classes := []string{"planned", "three", "two", "one", "four", "bad"}
	for i, l := range w.Lines {
		class := classes[i%len(classes)]
		d.line(class, xs, l.at(xs))
		c.Legend = append(c.Legend, legend{class, l.Name})
	}
	r.marks(d)
	c.SVG = d.end()
	return c
}

// at reads the value of a line at the given times; there is none before its
// first point.
func (l *Line) at(xs []float64) []float64 {
	ys := make([]float64, len(xs))
	next, value := 0, math.NaN()
	for i, x := range xs {
		for next < len(l.Points) && l.Points[next][0] <= x {
			value = l.Points[next][1]
			next++
		}
		ys[i] = value
	}
	return ys
}

// distribution draws latency by percentile, the axis stretched towards 100 %:
// each step to the right is a tenth of the requests that are left.
func (r *Report) distribution() chart {
	total := 0.0
	for _, b := range r.Histogram {
		total += b[1]
	}
	nines := min(math.Ceil(math.Log10(total)), 6)
	x := &scale{high: max(nines, 1), from: marginLeft, to: chartWidth - marginRight}
	for n := 0.0; n <= nines; n++ {
		x.ticks = append(x.ticks, tick{n, strings.TrimSuffix(fmt.Sprintf("%.*f", int(max(n-2, 0)), 100*(1-math.Pow(10, -n))), ".") + "%"})
	}
	var xs, ys []float64
	seen := 0.0
	for _, b := range r.Histogram {
		seen += b[1]
		left := max((total-seen)/total, math.Pow(10, -nines))
		xs, ys = append(xs, -math.Log10(left)), append(ys, b[0])
	}
	d := newDrawing("latency by percentile", x, decades(ys[0], ys[len(ys)-1]))
	d.line("one", xs, ys)
	return chart{
		Title: "Latency by percentile", Caption: "Corrected latency that this share of the requests did not exceed, logarithmic.",
		SVG: d.end(),
	}
}

// compareBars draws one chart for each figure that reports are compared by.
func compareBars(sections []section) []chart {
	return []chart{
		bars(sections, "Rate", "requests a second", thousands, func(r *Report) float64 { return r.Rate.Achieved }, func(t *Trial) float64 { return t.Rate }),
		bars(sections, "p50", "corrected latency", Micros, func(r *Report) float64 { return r.Latency.Corrected.P50 }, func(t *Trial) float64 { return t.P50 }),
		bars(sections, "p99", "corrected latency", Micros, func(r *Report) float64 { return r.Latency.Corrected.P99 }, func(t *Trial) float64 { return t.P99 }),
	}
}

// bars draws a value for each report, with the range over its trials if it has
// several.
func bars(sections []section, title, caption string, name func(float64) string, whole func(*Report) float64, of func(*Trial) float64) chart {
	const row, left = 34.0, 190.0
	top := 1e-9
	for i := range sections {
		_, high := rangeOf(sections[i].Report, of)
		top = max(top, whole(sections[i].Report), high)
	}
	width := func(v float64) float64 { return (chartWidth - left - 90) * v / top }
	var b strings.Builder
	fmt.Fprintf(&b, `<svg viewBox="0 0 %g %g" role="img" aria-label="%s">`, chartWidth, row*float64(len(sections)), template.HTMLEscapeString(title))
	for i := range sections {
		y := row * float64(i)
		v := whole(sections[i].Report)
		low, high := rangeOf(sections[i].Report, of)
		fmt.Fprintf(&b, `<text class="label" x="%g" y="%g" text-anchor="end">%s</text>`, left-8, y+21, template.HTMLEscapeString(shorten(sections[i].Name)))
		fmt.Fprintf(&b, `<rect class="bar" x="%g" y="%g" width="%.1f" height="20" rx="2"/>`, left, y+6, width(v))
		if high > low {
			fmt.Fprintf(&b, `<line class="range" x1="%.1f" x2="%.1f" y1="%g" y2="%g"/>`, left+width(low), left+width(high), y+16, y+16)
		}
		fmt.Fprintf(&b, `<text class="value" x="%.1f" y="%g">%s</text>`, left+width(max(v, high))+6, y+21, name(roundTo3(v)))
	}
	b.WriteString("</svg>")
	if len(sections[0].Report.Trials) > 1 {
		caption += "; the line spans the trials"
	}
	return chart{Title: title, Caption: caption, SVG: template.HTML(b.String())}
}

func rangeOf(r *Report, of func(*Trial) float64) (low, high float64) {
	for i := range r.Trials {
		v := of(&r.Trials[i])
		if i == 0 || v < low {
			low = v
		}
		high = max(high, v)
	}
	return low, high
}

func roundTo3(v float64) float64 {
	if v <= 0 {
		return 0
	}
	unit := math.Pow(10, math.Floor(math.Log10(v))-2)
	return math.Round(v/unit) * unit
}

// shorten keeps the end of a long name, which tells files apart.
func shorten(name string) string {
	r := []rune(name)
	if len(r) > 28 {
		return "…" + string(r[len(r)-27:])
	}
	return name
}
