// Package figures holds what a comparison of proxies has found, as tables whose
// cells are numbers, and writes it: text, JSON, Markdown, HTML.
//
// A Result is made once, by the run, and saved as JSON. Documents are generated
// from saved results (Update): no figure is typed by hand, and a document can be
// made again from the files it was made from.
//
// The package measures nothing, starts nothing and knows no proxy.
package figures

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"spillway/bench/report"
)

// Schema is the version of the JSON form.
const Schema = 1

// Result is one scenario's outcome.
type Result struct {
	Schema   int       `json:"schema"`
	Scenario string    `json:"scenario"` // short name: "latency"
	Title    string    `json:"title"`
	Started  time.Time `json:"started"`
	Seconds  float64   `json:"seconds"` // that it took
	Command  []string  `json:"command"` // arguments of spillway
	// Quick results come from runs that are too short to mean anything; they
	// prove that the scenario works.
	Quick bool `json:"quick,omitempty"`
	// Setting says where and with what, a line each.
	Setting []string `json:"setting"`
	Tables  []Table  `json:"tables"`
	Notes   []string `json:"notes,omitempty"` // what a reader must know to read the tables
	Runs    []Run    `json:"runs,omitempty"`
	Raw     any      `json:"raw,omitempty"` // every measurement behind the tables
}

// Run is the load on one peer as the generator saw it.
type Run struct {
	Name   string         `json:"name"`
	Report *report.Report `json:"report"`
}

// Table is one table of figures. The first column names the rows.
type Table struct {
	Title   string   `json:"title"`
	Columns []string `json:"columns"`
	Rows    []Row    `json:"rows"`
	// Detail tables are long; documents fold them.
	Detail bool `json:"detail,omitempty"`
}

// Row is one line: a name and a cell for each further column.
type Row struct {
	Name  string `json:"name"`
	Cells []Cell `json:"cells"`
}

// Cell is a text, or a number with its spread.
type Cell struct {
	Text   string   `json:"text,omitempty"`
	Value  *float64 `json:"value,omitempty"`
	Low    *float64 `json:"low,omitempty"`
	High   *float64 `json:"high,omitempty"`
	Digits int      `json:"digits,omitempty"` // behind the point
}

// Text is a cell of words.
func Text(s string) Cell { return Cell{Text: s} }

// None is the cell of a figure that does not exist.
func None() Cell { return Cell{Text: "-"} }

// Number is a cell of one number.
func Number(v float64, digits int) Cell { return Cell{Value: &v, Digits: digits} }

// Spread is a number with the lowest and the highest one seen.
func Spread(v, low, high float64, digits int) Cell {
	return Cell{Value: &v, Low: &low, High: &high, Digits: digits}
}

// String is the cell as people read it: 12.3 [11.9 12.8].
func (c Cell) String() string {
	if c.Value == nil {
		return c.Text
	}
	f := func(v float64) string { return strconv.FormatFloat(v, 'f', c.Digits, 64) }
	s := f(*c.Value)
	if c.Low != nil && c.High != nil && *c.Low != *c.High { // one measurement has no spread
		s += " [" + f(*c.Low) + " " + f(*c.High) + "]"
	}
	return s
}

// Add appends a row.
func (t *Table) Add(name string, cells ...Cell) {
	t.Rows = append(t.Rows, Row{Name: name, Cells: cells})
}

// WriteJSON writes the saved form. Histograms are left out: they are most of the
// size, and their quantiles stay.
func (r *Result) WriteJSON(w io.Writer) error {
	saved := *r
	saved.Runs = nil
	for _, run := range r.Runs {
		lean := *run.Report
		lean.Histogram = nil
		saved.Runs = append(saved.Runs, Run{run.Name, &lean})
	}
	e := json.NewEncoder(w)
	e.SetIndent("", " ")
	e.SetEscapeHTML(false)
	if err := e.Encode(saved); err != nil {
		return fmt.Errorf("cannot write results: %w", err)
	}
	return nil
}

// WriteHTML writes one page with all runs side by side.
func (r *Result) WriteHTML(w io.Writer) error {
	var reports []*report.Report
	var names []string
	for _, run := range r.Runs {
		reports, names = append(reports, run.Report), append(names, run.Name)
	}
	if len(reports) == 0 {
		return fmt.Errorf("cannot make a page: the scenario %q keeps no runs", r.Scenario)
	}
	return report.WritePage(w, reports, names)
}

// ReadFile reads a saved result.
func ReadFile(path string) (*Result, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read results: %w", err)
	}
	r := new(Result)
	if err := json.Unmarshal(text, r); err != nil {
		return nil, fmt.Errorf("cannot read results %q: %w", path, err)
	}
	if r.Schema < 1 || r.Schema > Schema {
		return nil, fmt.Errorf("cannot read results %q: schema %d, this program knows 1 to %d", path, r.Schema, Schema)
	}
	return r, nil
}
