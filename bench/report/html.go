package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
)

//go:embed page.html.tmpl
var pageText string

// page is what the template shows.
type page struct {
	Title   string
	Reports []section
	Bars    []chart
	Notes   []string
}

// section is one report on the page.
type section struct {
	Name   string
	Report *Report
	Rows   []latencyRow
	Charts []chart
}

type latencyRow struct {
	Name  string
	Cells []string
}

// WriteHTML writes the report as one page that needs nothing else.
func (r *Report) WriteHTML(w io.Writer) error { return WritePage(w, []*Report{r}, nil) }

// WritePage writes one page for one or more reports: tables, the distribution of
// latencies, the timeline with its events, and with several reports bars that
// compare them. The page asks for nothing from anywhere. names are what the
// reports are called; without one a report is called by its URL.
func WritePage(w io.Writer, reports []*Report, names []string) error {
	t, err := template.New("page").Funcs(template.FuncMap{"micros": Micros, "counts": counts}).Parse(pageText)
	if err != nil {
		return fmt.Errorf("cannot read the page's template: %w", err)
	}
	p := page{Title: "Load on " + reports[0].Load.URL}
	for i, r := range reports {
		s := section{Name: r.Load.URL, Report: r, Rows: r.latencyRows(), Charts: r.charts()}
		if i < len(names) {
			s.Name = names[i]
		}
		p.Reports = append(p.Reports, s)
	}
	if len(reports) > 1 {
		p.Title = fmt.Sprintf("%d runs compared", len(reports))
		p.Bars = compareBars(p.Reports)
	}
	if len(reports) == 2 {
		p.Notes = Compare(reports[0], reports[1], Rules{}).sentences()
	}
	if err := t.Execute(w, &p); err != nil {
		return fmt.Errorf("cannot write page: %w", err)
	}
	return nil
}

func (r *Report) latencyRows() []latencyRow {
	var rows []latencyRow
	for _, d := range r.Latency.series() {
		if d.q.Count == 0 {
			continue
		}
		row := latencyRow{Name: d.name}
		for _, us := range []float64{d.q.Mean, d.q.P50, d.q.P90, d.q.P99, d.q.P999, d.q.P9999, d.q.Max} {
			row.Cells = append(row.Cells, Micros(us))
		}
		rows = append(rows, row)
	}
	return rows
}

// sentences say what a comparison found.
func (c *Comparison) sentences() []string {
	var all []string
	for i := range c.Metrics {
		d := &c.Metrics[i]
		all = append(all, fmt.Sprintf("%s: %.4g and %.4g, ratio %.3f [%.3f %.3f], p %.4f, Cliff's delta %+.2f: %s",
			d.Metric, d.A, d.B, d.Ratio, d.Low, d.High, d.P, d.Cliff, d.Verdict))
	}
	return append(all, c.Notes...)
}
