package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"spillway/gateway/admin"
)

// upstreamList is GET /api/v1/upstreams.
type upstreamList struct {
	Upstreams []struct {
		Name     string `json:"name"`
		Source   string `json:"source"`
		Version  uint64 `json:"version"`
		Servers  int    `json:"servers"`
		Up       int    `json:"up"`
		Inflight int64  `json:"inflight"`
		Degraded string `json:"degraded,omitempty"`
	} `json:"upstreams"`
	Total int `json:"total"`
}

// upstreamDetail is what is shown of GET /api/v1/upstreams/NAME.
type upstreamDetail struct {
	Name           string         `json:"name"`
	Balance        string         `json:"balance"`
	SnapshotSource string         `json:"snapshot_source"`
	SnapshotIndex  uint64         `json:"snapshot_index"`
	Degraded       string         `json:"degraded,omitempty"`
	Panic          bool           `json:"panic,omitempty"`
	Overrides      admin.Orders   `json:"overrides"`
	Servers        []serverDetail `json:"servers"`
	Sync           struct {
		Source       string          `json:"source"`
		LastError    string          `json:"last_error,omitempty"`
		LastDecision *admin.Decision `json:"last_decision"`
	} `json:"sync"`
}

type serverDetail struct {
	Address    string           `json:"address"`
	Host       string           `json:"host,omitempty"`
	Weight     int              `json:"weight"`
	WeightFrom string           `json:"weight_from"`
	State      string           `json:"state"`
	Why        string           `json:"why,omitempty"`
	Inflight   int64            `json:"inflight"`
	Overrides  []admin.Standing `json:"overrides,omitempty"`
	Flapping   *admin.Flapping  `json:"flapping,omitempty"`
	LeavesAt   *time.Time       `json:"leaves_at,omitempty"`
	Health     *struct {
		Held     string  `json:"held,omitempty"`
		Pardoned bool    `json:"pardoned,omitempty"`
		Share    float64 `json:"share"`
	} `json:"health,omitempty"`
}

// upstreamHistory is GET /api/v1/upstreams/NAME/history.
type upstreamHistory struct {
	Upstream  string        `json:"upstream"`
	Decisions []admin.Event `json:"decisions"`
}

func (c *ctl) upstreams(args []string) int {
	fs := c.gatewayFlags()
	if code, done := c.parse(fs, args, 0, 1); done {
		return code
	}
	return c.askGateway(func(ctx context.Context, g *gatewayClient) error {
		if fs.NArg() == 1 {
			var u upstreamDetail
			if err := g.get(ctx, upstreamPath(fs.Arg(0)), &u); err != nil {
				return err
			}
			return c.show(u, func(w io.Writer) { printUpstream(w, &u) })
		}
		var list upstreamList
		if err := g.get(ctx, "/api/v1/upstreams", &list); err != nil {
			return err
		}
		return c.show(list, func(w io.Writer) { printUpstreams(w, &list) })
	})
}

func (c *ctl) explain(args []string) int {
	fs := c.gatewayFlags()
	if code, done := c.parse(fs, args, 1, 1); done {
		return code
	}
	return c.askGateway(func(ctx context.Context, g *gatewayClient) error {
		var u upstreamDetail
		if err := g.get(ctx, upstreamPath(fs.Arg(0)), &u); err != nil {
			return err
		}
		return c.show(explained(&u), func(w io.Writer) { printExplained(w, &u) })
	})
}

func (c *ctl) upstreamHistory(args []string) int {
	fs := c.gatewayFlags()
	if code, done := c.parse(fs, args, 1, 1); done {
		return code
	}
	return c.askGateway(func(ctx context.Context, g *gatewayClient) error {
		var h upstreamHistory
		if err := g.get(ctx, upstreamPath(fs.Arg(0))+"/history", &h); err != nil {
			return err
		}
		return c.show(h, func(w io.Writer) { printHistory(w, &h) })
	})
}

func printUpstreams(w io.Writer, list *upstreamList) {
	rows := [][]string{{"UPSTREAM", "SOURCE", "UP", "SERVERS", "IN FLIGHT", "NOTES"}}
	for _, u := range list.Upstreams {
		rows = append(rows, []string{
			u.Name, u.Source, strconv.Itoa(u.Up), strconv.Itoa(u.Servers), strconv.FormatInt(u.Inflight, 10), u.Degraded,
		})
	}
	table(w, rows...)
}

func printUpstream(w io.Writer, u *upstreamDetail) {
	printHead(w, u)
	rows := [][]string{{"SERVER", "STATE", "WEIGHT", "FROM", "IN FLIGHT", "WHY"}}
	for _, s := range u.Servers {
		from, _, _ := strings.Cut(s.WeightFrom, " ")
		rows = append(rows, []string{s.Address, s.State, strconv.Itoa(s.Weight), from, strconv.FormatInt(s.Inflight, 10), s.Why})
	}
	table(w, rows...)
}

// printHead tells of an upstream as a whole.
func printHead(w io.Writer, u *upstreamDetail) {
	fmt.Fprintf(w, "%s: %s from %s, index %d\n", u.Name, u.Balance, u.SnapshotSource, u.SnapshotIndex)
	if f := u.Overrides.Frozen; f != nil {
		what := "FROZEN"
		if f.RolledBack {
			what = "ROLLED BACK"
		}
		fmt.Fprintf(w, "%s %s", what, saidText(f.Said))
		if f.Waiting {
			fmt.Fprint(w, "; a newer list waits")
		}
		fmt.Fprintln(w)
	}
	if u.Panic {
		fmt.Fprintln(w, "PANIC: too few servers are admitted, so all get requests")
	}
	if u.Degraded != "" {
		fmt.Fprintf(w, "DEGRADED: %s\n", u.Degraded)
	}
	if u.Sync.LastError != "" {
		fmt.Fprintf(w, "source fails: %s\n", u.Sync.LastError)
	}
}

func saidText(s admin.Said) string {
	text := fmt.Sprintf("by %s until %s", s.By, clockTime(s.Until))
	if s.Reason != "" {
		text += " (" + s.Reason + ")"
	}
	return text
}

// explanation is what explain says of one server.
type explanation struct {
	Address    string `json:"address"`
	Gets       bool   `json:"gets_requests"`
	Why        string `json:"why"`
	Weight     int    `json:"weight"`
	WeightFrom string `json:"weight_from"`
}

// explained is explain's answer for programs.
func explained(u *upstreamDetail) any {
	out := struct {
		Upstream     string          `json:"upstream"`
		Frozen       *admin.Freeze   `json:"frozen,omitempty"`
		Servers      []explanation   `json:"servers"`
		LastDecision *admin.Decision `json:"last_decision"`
	}{u.Name, u.Overrides.Frozen, []explanation{}, u.Sync.LastDecision}
	for i := range u.Servers {
		out.Servers = append(out.Servers, explainServer(&u.Servers[i], u.primaryUp()))
	}
	return out
}

// primaryUp reports whether a server that is no backup gets requests.
func (u *upstreamDetail) primaryUp() bool {
	for _, s := range u.Servers {
		if s.State == "up" {
			return true
		}
	}
	return false
}

func explainServer(s *serverDetail, primaryUp bool) explanation {
	e := explanation{Address: s.Address, Weight: s.Weight, WeightFrom: s.WeightFrom, Why: s.Why}
	e.Gets = s.State == "up" || s.State == "backup" && !primaryUp
	var also []string
	if s.State != "up" {
		also = append(also, s.State)
	}
	if s.Why != "" {
		also = append(also, s.Why)
	}
	if h := s.Health; h != nil && h.Pardoned {
		also = append(also, "is "+h.Held+", but too few others are left")
	}
	if h := s.Health; h != nil && h.Share > 0 && h.Share < 1 {
		also = append(also, fmt.Sprintf("starts slowly: %.0f%% of its load", 100*h.Share))
	}
	if f := s.Flapping; f != nil && !f.Suppressed {
		also = append(also, fmt.Sprintf("went %d times lately, penalty %.1f", f.Times, f.Penalty))
	}
	if s.LeavesAt != nil {
		also = append(also, "not listed any more, leaves at "+clockTime(*s.LeavesAt))
	}
	for _, v := range s.Overrides {
		if v.Action == "ready" {
			also = append(also, "held up "+saidText(v.Said))
		}
	}
	e.Why = strings.Join(also, "; ")
	return e
}

func printExplained(w io.Writer, u *upstreamDetail) {
	printHead(w, u)
	rows := [][]string{{"SERVER", "REQUESTS", "WEIGHT", "FROM", "WHY"}}
	for i := range u.Servers {
		e := explainServer(&u.Servers[i], u.primaryUp())
		gets := "no"
		if e.Gets {
			gets = "yes"
		}
		rows = append(rows, []string{e.Address, gets, strconv.Itoa(e.Weight), e.WeightFrom, e.Why})
	}
	table(w, rows...)
	if d := u.Sync.LastDecision; d != nil {
		fmt.Fprintf(w, "last decision at %s: %s, %s (+%d -%d ~%d, index %d)\n",
			clockTime(d.At), d.Verdict, d.Reason, d.Added, d.Removed, d.Changed, d.Index)
	}
	for _, v := range u.Overrides.Servers {
		if !u.lists(v.Server) {
			fmt.Fprintf(w, "%s of %s, which is not listed now, %s\n", v.Action, v.Server, saidText(v.Said))
		}
	}
}

func (u *upstreamDetail) lists(server string) bool {
	for _, s := range u.Servers {
		for _, v := range s.Overrides {
			if v.Server == server {
				return true
			}
		}
	}
	return false
}

func printHistory(w io.Writer, h *upstreamHistory) {
	rows := [][]string{{"TIME", "INDEX", "VERDICT", "+", "-", "~", "LATENCY", "REASON"}}
	for _, d := range h.Decisions {
		latency, reason := "", d.Reason
		if d.LatencyMS != nil {
			latency = fmt.Sprintf("%.1fms", *d.LatencyMS)
		}
		if d.Waiting > 0 {
			reason += fmt.Sprintf("; %d servers wait", d.Waiting)
		}
		rows = append(rows, []string{
			clockTime(d.At), strconv.FormatUint(d.Index, 10), d.Verdict,
			few(d.Added), few(d.Removed), few(d.Changed), latency, reason,
		})
	}
	table(w, rows...)
}

// few names up to two addresses, and else their number.
func few(addrs []string) string {
	if len(addrs) > 2 {
		return strconv.Itoa(len(addrs))
	}
	return strings.Join(addrs, ",")
}

func printDone(w io.Writer, d *admin.Done) {
	what := d.Upstream
	if d.Server != "" {
		what += " " + d.Server
	}
	fmt.Fprintf(w, "%s: %s", what, d.Action)
	if d.Until != nil {
		fmt.Fprintf(w, " until %s", clockTime(*d.Until))
		if !d.SurvivesRestart {
			fmt.Fprint(w, ", or a restart of the gateway")
		}
	}
	fmt.Fprintf(w, "; %d servers get requests\n", d.Left)
	if d.Left == 0 {
		fmt.Fprintln(w, "WARNING: no server is left, requests are answered 503")
	}
}
