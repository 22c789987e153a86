package bench

import (
	"context"
	"flag"
	"io"

	"spillway/bench/report"
)

// compare is `bench compare A.json B.json`: is B slower than A?
func (t *terminal) compare(_ context.Context, args []string) error {
	var rules report.Rules
	var asJSON bool
	fs := flag.NewFlagSet("compare", flag.ContinueOnError)
	fs.Float64Var(&rules.Alpha, "alpha", 0.05, "probability of chance below which a difference counts")
	fs.Float64Var(&rules.Effect, "effect", 0.05, "relative difference of medians that matters")
	fs.Float64Var(&rules.TailEffect, "tail-effect", 0.25, "the same for p90 and p99")
	fs.BoolVar(&asJSON, "json", false, "print JSON")
	if err := t.parse(fs, args, "compare [FLAGS] A.json B.json"); err != nil {
		return err
	}
	if fs.NArg() != 2 || rules.Alpha <= 0 || rules.Effect <= 0 || rules.TailEffect <= 0 {
		return usageError("want two saved reports and limits above 0: bench compare A.json B.json")
	}
	a, err := report.ReadFile(fs.Arg(0))
	if err != nil {
		return err
	}
	b, err := report.ReadFile(fs.Arg(1))
	if err != nil {
		return err
	}
	c := report.Compare(a, b, rules)
	write := c.WriteText
	if asJSON {
		write = c.WriteJSON
	}
	if err := write(t.out); err != nil {
		return err
	}
	switch c.Verdict {
	case report.Slower:
		return &verdict{exitRegression, "regression"}
	case report.Undecided:
		return &verdict{exitInvalid, "no basis for a verdict"}
	}
	return nil
}

// report is `bench report FILE`: a saved report in another form.
func (t *terminal) report(_ context.Context, args []string) error {
	fs := flag.NewFlagSet("report", flag.ContinueOnError)
	html := fs.String("html", "", "save a page to `FILE`")
	csv := fs.String("csv", "", "save the timeline to `FILE`")
	if err := t.parse(fs, args, "report [--html FILE] [--csv FILE] REPORT.json [MORE.json...]"); err != nil {
		return err
	}
	if fs.NArg() == 0 {
		return usageError("want a saved report: bench report [--html FILE] REPORT.json")
	}
	var all []*report.Report
	for _, path := range fs.Args() {
		r, err := report.ReadFile(path)
		if err != nil {
			return err
		}
		all = append(all, r)
	}
	if err := saveAs(*csv, all[0].WriteCSV); err != nil {
		return err
	}
	if *html != "" {
		return saveAs(*html, func(w io.Writer) error { return report.WritePage(w, all, fs.Args()) })
	}
	return all[0].WriteText(t.out)
}
