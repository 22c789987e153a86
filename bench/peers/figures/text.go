package figures

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// WriteText prints the result for people.
func (r *Result) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n", r.Scenario, r.Title)
	if r.Quick {
		fmt.Fprintln(&b, "QUICK: this shows that the scenario works, its figures mean nothing")
	}
	for _, line := range r.Setting {
		fmt.Fprintln(&b, line)
	}
	for i := range r.Tables {
		r.Tables[i].text(&b)
	}
	if len(r.Notes) > 0 {
		b.WriteByte('\n')
	}
	for _, note := range r.Notes {
		fmt.Fprintf(&b, "note: %s\n", note)
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("cannot print results: %w", err)
	}
	return nil
}

func (t *Table) text(b *strings.Builder) {
	fmt.Fprintf(b, "\n%s\n", t.Title)
	w := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, strings.Join(t.Columns, "\t"))
	for _, row := range t.Rows {
		fmt.Fprint(w, row.Name)
		for _, c := range row.Cells {
			fmt.Fprintf(w, "\t%s", c)
		}
		fmt.Fprintln(w)
	}
	w.Flush() // to a builder, which cannot fail
}
