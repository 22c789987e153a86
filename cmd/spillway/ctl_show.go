package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"spillway/scaler/api"
)

// table writes rows in columns; the first row is the head.
func table(w io.Writer, rows ...[]string) {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		for i, cell := range row {
			if cell == "" {
				row[i] = "-"
			}
		}
		fmt.Fprintln(tw, strings.Join(row, "\t"))
	}
	tw.Flush()
}

// number shows at most two digits after the point.
func number(v float64) string {
	return strings.TrimSuffix(strings.TrimRight(strconv.FormatFloat(v, 'f', 2, 64), "0"), ".")
}

// counts shows what there is of each name: "ready 3, booting 1".
func counts(of map[string]int) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(of)) {
		if of[name] > 0 {
			parts = append(parts, fmt.Sprintf("%s %d", name, of[name]))
		}
	}
	return strings.Join(parts, ", ")
}

// age shows how long something is so.
func age(since, now time.Time) string {
	if since.IsZero() {
		return ""
	}
	d := now.Sub(since)
	switch {
	case d < time.Minute:
		return d.Round(time.Second).String()
	case d < time.Hour:
		return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}

func clockTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format(time.DateTime)
}

func orAll(app string) string {
	if app == "" {
		return "all apps"
	}
	return app
}

func printStatus(w io.Writer, s *api.Status, now time.Time) {
	fmt.Fprintf(w, "cluster %s, led by %s, last tick %s ago\n", s.Cluster, s.Node, age(s.Tick, now))
	if s.DryRun {
		fmt.Fprintln(w, "DRY RUN: it decides and does nothing")
	}
	for _, alarm := range s.Alarms {
		fmt.Fprintf(w, "ALARM: %s\n", alarm)
	}
	fmt.Fprintln(w)
	printApps(w, s.Apps, now)
	fmt.Fprintln(w)
	rows := [][]string{{"POOL", "PROVIDER", "MACHINES", "UNITS", "AN HOUR"}}
	for _, p := range s.Pools {
		rows = append(rows, []string{p.Name, p.Provider, counts(p.States), number(p.Units), number(p.PriceHour)})
	}
	table(w, rows...)
	if len(s.Orders) > 0 {
		fmt.Fprintln(w)
		printOrders(w, s.Orders, now)
	}
	fmt.Fprintf(w, "\nspend: %s an hour now; %s this hour%s, %s today%s\n", number(s.Spend.RateHour),
		number(s.Spend.Hour), limitText(s.Spend.LimitHour), number(s.Spend.Day), limitText(s.Spend.LimitDay))
}

func limitText(limit float64) string {
	if limit == 0 {
		return ""
	}
	return " of " + number(limit)
}

func printApps(w io.Writer, apps []api.App, now time.Time) {
	rows := [][]string{{"APP", "WANT", "READY", "BOOTING", "DRAINING", "INSTANCES", "RATE", "IN FLIGHT", "P95 MS", "COVERAGE", "LEAD", "NOTES"}}
	for _, a := range apps {
		notes := slices.Clone(a.Flags)
		if a.ETA != nil {
			notes = append(notes, "more in "+age(now, *a.ETA))
		}
		if a.Override != nil {
			notes = append(notes, overrideText(a.Override))
		}
		rows = append(rows, []string{
			a.Name, number(a.Want), number(a.Ready), number(a.Booting), number(a.Draining), counts(a.States),
			number(a.Rate), number(a.InFlight), number(a.P95), number(a.Coverage),
			(time.Duration(a.LeadMS) * time.Millisecond).Round(time.Second / 10).String(), strings.Join(notes, "; "),
		})
	}
	table(w, rows...)
}

func printOrders(w io.Writer, orders []api.Order, now time.Time) {
	rows := [][]string{{"ORDER", "POOL", "TYPE", "ZONE", "COUNT", "STATE", "FOR", "REASON"}}
	for _, o := range orders {
		rows = append(rows, []string{o.ID, o.Pool, o.Type, o.Zone, strconv.Itoa(o.Count), o.State, age(o.Since, now), o.Reason})
	}
	table(w, rows...)
}

func overrideText(o *api.Override) string {
	what := fmt.Sprintf("%+d instances", o.Delta)
	if o.Paused {
		what = "paused"
	}
	name := orAll(o.App)
	if o.Pool != "" {
		name += "/" + o.Pool
	}
	text := fmt.Sprintf("%s: %s until %s, by %s", name, what, clockTime(o.Until), o.By)
	if o.Reason != "" {
		text += " (" + o.Reason + ")"
	}
	return text
}

func printWhy(w io.Writer, y *api.Why) {
	urgent := ""
	if y.Urgent {
		urgent = ", urgent"
	}
	fmt.Fprintf(w, "%s at %s: %s units wanted, %s there%s; decided by %s\n", y.App, clockTime(y.At), number(y.Want), number(y.Have), urgent, y.Winner)
	for _, flag := range y.Flags {
		fmt.Fprintf(w, "  flag %s\n", flag)
	}
	rows := [][]string{{"CANDIDATE", "UNITS", "WHY"}}
	for _, x := range y.Candidates {
		rows = append(rows, []string{x.Rule, number(x.Units), x.Why})
	}
	table(w, rows...)
	if len(y.Clamps) > 0 {
		rows = [][]string{{"CLAMP", "FROM", "TO", "WHY"}}
		for _, x := range y.Clamps {
			rows = append(rows, []string{x.Limit, number(x.From), number(x.To), x.Why})
		}
		table(w, rows...)
	}
	if len(y.Refused) > 0 {
		fmt.Fprintf(w, "hosts refused: %s\n", counts(y.Refused))
	}
	for _, reason := range y.Reasons {
		fmt.Fprintf(w, "  %s\n", reason)
	}
	if len(y.Inputs) > 0 {
		printInputs(w, y.Inputs)
	}
}

func printInputs(w io.Writer, inputs map[string]float64) {
	rows := [][]string{{"INPUT", "VALUE"}}
	for _, name := range slices.Sorted(maps.Keys(inputs)) {
		rows = append(rows, []string{name, number(inputs[name])})
	}
	table(w, rows...)
}

func printPlan(w io.Writer, p *api.Plan) {
	fmt.Fprintf(w, "at %s; nothing of this was done\n", clockTime(p.At))
	rows := [][]string{{"APP", "WANT", "HAVE", "RULE"}}
	for _, d := range p.Decisions {
		rows = append(rows, []string{d.App, number(d.Want), number(d.Have), d.Winner})
	}
	table(w, rows...)
	if len(p.Actions) == 0 {
		fmt.Fprintln(w, "nothing to do")
		return
	}
	rows = [][]string{{"ACTION", "APP", "POOL", "TARGET", "COUNT", "WHY"}}
	for _, a := range p.Actions {
		rows = append(rows, []string{a.Kind, a.App, a.Pool, a.Target, strconv.Itoa(a.Count), a.Why})
	}
	table(w, rows...)
}

func printNodes(w io.Writer, nodes []api.Node, now time.Time) {
	rows := [][]string{{"NODE", "POOL", "PROVIDER", "TYPE", "ZONE", "STATE", "FOR", "ADDRESS", "INSTANCES", "AN HOUR", "REASON"}}
	for _, n := range nodes {
		rows = append(rows, []string{
			n.ID, n.Pool, n.Provider, n.Type, n.Zone, n.State, age(n.Since, now), n.Address,
			strconv.Itoa(n.Instances), number(n.PriceHour), n.Reason,
		})
	}
	table(w, rows...)
}

func printInstances(w io.Writer, instances []api.Instance, now time.Time) {
	rows := [][]string{{"INSTANCE", "APP", "POOL", "NODE", "STATE", "FOR", "ADDRESS", "IMAGE", "REASON"}}
	for _, i := range instances {
		rows = append(rows, []string{i.ID, i.App, i.Pool, i.Node, i.State, age(i.Since, now), i.Address, i.Image, i.Reason})
	}
	table(w, rows...)
}

func printAudit(w io.Writer, entries []api.AuditEntry) {
	rows := [][]string{{"TIME", "ID", "BY", "FROM", "WHAT", "STATUS", "DETAIL"}}
	for _, e := range entries {
		status, detail := "asked", string(e.Body)
		if e.Status != 0 {
			status, detail = strconv.Itoa(e.Status), e.Error
		}
		rows = append(rows, []string{clockTime(e.At), strconv.FormatUint(e.ID, 10), e.By, e.From, e.What, status, detail})
	}
	table(w, rows...)
}
