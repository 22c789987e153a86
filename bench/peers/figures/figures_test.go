package figures

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"spillway/bench/report"
)

func example() *Result {
	r := &Result{
		Schema: Schema, Scenario: "latency", Title: "latency at equal rates",
		Started: time.Date(2026, 1, 2, 3, 4, 0, 0, time.UTC), Seconds: 90,
		Command: []string{"bench", "peers", "--scenario", "latency"},
		Setting: []string{"a machine"}, Notes: []string{"a note"},
	}
	t := Table{Title: "at 1000/s", Columns: []string{"peer", "p99 us", "verdict"}}
	t.Add("nginx", Spread(12.34, 11.9, 13.1, 1), Text("a|b"))
	t.Add("direct", Number(5, 0), None())
	r.Tables = append(r.Tables, t)
	return r
}

func TestCells(t *testing.T) {
	tests := []struct {
		cell Cell
		want string
	}{
		{Number(12.345, 2), "12.35"},
		{Number(0, 0), "0"},
		{Spread(2, 1, 3, 1), "2.0 [1.0 3.0]"},
		{Spread(2, 2, 2, 1), "2.0"},
		{Text("client-limited"), "client-limited"},
		{None(), "-"},
	}
	for _, tt := range tests {
		if got := tt.cell.String(); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
}

func TestTextHoldsTablesAndNotes(t *testing.T) {
	var b bytes.Buffer
	r := example()
	r.Quick = true
	if err := r.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"QUICK", "a machine", "at 1000/s", "nginx   12.3 [11.9 13.1]", "direct  5", "note: a note"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("lacks %q:\n%s", want, b.String())
		}
	}
}

func TestSavedResultIsReadBackWithoutHistograms(t *testing.T) {
	r := example()
	r.Runs = []Run{{"nginx", &report.Report{Schema: 1, Answered: 7, Histogram: [][2]float64{{1, 2}}}}}
	path := filepath.Join(t.TempDir(), "latency.json")
	var b bytes.Buffer
	if err := r.WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Runs[0].Report.Histogram) != 1 {
		t.Error("saving took the histogram away from the result itself")
	}
	r.Runs[0].Report.Histogram = nil
	if diff := cmp.Diff(r, got); diff != "" {
		t.Errorf("(-saved +read):\n%s", diff)
	}
}

func TestResultsOfOtherSchemasAreRefused(t *testing.T) {
	for _, text := range []string{`{"schema":0}`, `{"schema":2}`, `{`} {
		path := filepath.Join(t.TempDir(), "x.json")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadFile(path); err == nil {
			t.Errorf("%s was read", text)
		}
	}
}

const document = "# Latency\n\n<!-- figures: latency -->\nold\n<!-- /figures -->\n\nrest\n<!-- figures: churn -->\nkept\n<!-- /figures -->\n"

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "doc.md")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestUpdateReplacesOnlyItsOwnPlace(t *testing.T) {
	const want = "# Latency\n\n<!-- figures: latency -->\n" +
		"Taken 2026-01-02 03:04 UTC by `spillway bench peers --scenario latency`, in 90 s.\n\n" +
		"    a machine\n\n**at 1000/s**\n\n" +
		"| peer | p99 us | verdict |\n| --- | ---: | ---: |\n" +
		"| nginx | 12.3 [11.9 13.1] | a\\|b |\n| direct | 5 | - |\n\n- a note\n" +
		"<!-- /figures -->\n\nrest\n<!-- figures: churn -->\nkept\n<!-- /figures -->\n"
	path := write(t, document)
	for range 2 { // again gives the same
		if err := Update(path, []*Result{example()}); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, string(got)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

func TestUpdateChangesNothingWhenAResultCannotBeUsed(t *testing.T) {
	quick, stray := example(), example()
	quick.Quick, stray.Scenario = true, "unknown"
	tests := []struct {
		name   string
		doc    string
		result *Result
		want   string
	}{
		{"quick", document, quick, ErrQuick.Error()},
		{"no place", document, stray, "no line"},
		{"place without end", "<!-- figures: latency -->\nold\n", example(), "not followed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := write(t, tt.doc)
			err := Update(path, []*Result{example(), tt.result})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
			if got, _ := os.ReadFile(path); string(got) != tt.doc {
				t.Errorf("the document changed:\n%s", got)
			}
			if tt.name == "quick" && !errors.Is(err, ErrQuick) {
				t.Errorf("%v is not ErrQuick", err)
			}
		})
	}
}
