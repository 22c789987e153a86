package figures

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// ErrQuick is returned for results that are too short to be published.
var ErrQuick = errors.New("a quick run gives no figures")

// end closes what a marker opens.
const end = "<!-- /figures -->"

// marker opens the place of a scenario's figures in a document.
func marker(scenario string) string { return "<!-- figures: " + scenario + " -->" }

// Update writes the figures of the results into the document at path, each
// between its marker and the end:
//
//	<!-- figures: latency -->
//	(replaced)
//	<!-- /figures -->
//
// Sections without a result stay as they are. It changes nothing if any result
// is quick or has no place.
func Update(path string, results []*Result) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("cannot read document: %w", err)
	}
	doc := string(text)
	for _, r := range results {
		if r.Quick {
			return fmt.Errorf("cannot put the figures of %q into %q: %w", r.Scenario, path, ErrQuick)
		}
		if doc, err = replace(doc, r); err != nil {
			return fmt.Errorf("cannot put figures into %q: %w", path, err)
		}
	}
	if err := os.WriteFile(path, []byte(doc), 0o644); err != nil {
		return fmt.Errorf("cannot write document: %w", err)
	}
	return nil
}

func replace(doc string, r *Result) (string, error) {
	before, rest, ok := strings.Cut(doc, marker(r.Scenario)+"\n")
	if !ok {
		return "", fmt.Errorf("no line %q", marker(r.Scenario))
	}
	_, after, ok := strings.Cut(rest, end)
	if !ok {
		return "", fmt.Errorf("%q is not followed by %q", marker(r.Scenario), end)
	}
	return before + marker(r.Scenario) + "\n" + r.markdown() + end + after, nil
}

// markdown is the result as a part of a document.
func (r *Result) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Taken %s by `spillway %s`, in %.0f s.\n\n", r.Started.Format("2006-01-02 15:04 MST"), strings.Join(r.Command, " "), r.Seconds)
	for _, line := range r.Setting {
		fmt.Fprintf(&b, "    %s\n", line)
	}
	for i := range r.Tables {
		r.Tables[i].markdown(&b)
	}
	for i, note := range r.Notes {
		if i == 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "- %s\n", note)
	}
	return b.String()
}

func (t *Table) markdown(b *strings.Builder) {
	if t.Detail {
		fmt.Fprintf(b, "\n<details><summary>%s</summary>\n\n", t.Title)
		defer b.WriteString("\n</details>\n")
	} else {
		fmt.Fprintf(b, "\n**%s**\n\n", t.Title)
	}
	cells := make([]string, 0, len(t.Columns))
	for _, c := range t.Columns {
		cells = append(cells, escape(c))
	}
	line(b, cells)
	line(b, append([]string{"---"}, strings.Split(strings.Repeat("---: ", len(t.Columns)-1), " ")[:len(t.Columns)-1]...))
	for _, row := range t.Rows {
		cells = append(cells[:0], escape(row.Name))
		for _, c := range row.Cells {
			cells = append(cells, escape(c.String()))
		}
		line(b, cells)
	}
}

func line(b *strings.Builder, cells []string) {
	fmt.Fprintf(b, "| %s |\n", strings.Join(cells, " | "))
}

func escape(s string) string { return strings.ReplaceAll(s, "|", `\|`) }
