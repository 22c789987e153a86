package main_test

import (
	"cmp"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

var rewriteTable = flag.Bool("rewrite", false, "write docs/registry-faults.md anew")

const tablePath = "../../docs/registry-faults.md"

// ledger is the table of outcomes. A line enters it only once all that it
// says was asserted; it holds bounds, not measurements, so that it is the same
// on every run.
type ledger struct {
	mu    sync.Mutex
	lines []outcome
}

type outcome struct {
	row                                        int
	test, event, against, served, seen, within string
}

// The registries of the table.
const (
	injector   = "fault injector"
	realConsul = "Consul 1.19.2"
)

func (l *ledger) add(o outcome) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, o)
}

// record enters an episode that went as it must.
func (s *scene) record(e *episode) {
	s.t.Helper()
	s.note(e.row, e.name, e.served, describeSeen(e.seen), cmp.Or(e.within, "≤ "+seconds(e.limit)))
}

// note enters a line if nothing of the row failed so far.
func (s *scene) note(row int, event, served, seen, within string) {
	if s.t.Failed() {
		return
	}
	against := injector
	if s.reg == nil {
		against = realConsul
	}
	s.lab.ledger.add(outcome{row, s.t.Name(), event, against, served, seen, within})
}

func seconds(d time.Duration) string {
	return strings.TrimSuffix(fmt.Sprintf("%.1f", d.Seconds()), ".0") + " s"
}

func describeSeen(seen map[string]string) string {
	var parts []string
	for _, u := range slices.Sorted(maps.Keys(seen)) {
		what := strings.ReplaceAll(strings.Replace(seen[u], " ", " `", 1), "|", "` or `") + "`"
		if u != "*" {
			what = u + ": " + what
		}
		if seen[u] != "" {
			parts = append(parts, what)
		}
	}
	if len(parts) == 0 {
		return "-"
	}
	return strings.Join(parts, "; ")
}

const tableHead = `# When the registry fails

Written by the test that plays every row (` + "`go test ./cmd/spillway -run TestRegistryMatrix -rewrite`" + `); do not
edit. Each line was played against a gateway process with three upstreams, read from KV, the catalog and health,
with requests running through it to three servers all the while: GET and POST, every answer checked, nothing retried
by the clients.

A line is here only if, in the run that wrote it: no request failed; the servers known before the failure went on
serving; the registry was asked no more often than ten times a second a watch; what is named under "seen as" was
counted in /metrics (spillway_upsync_errors_total by reason, spillway_upsync_decisions_total by verdict) and told
with its reason by /api/v1/upstreams/NAME; and a server listed at the end of the failure got requests of all three
upstreams within the time given (three times as long where the test runs under the race detector, which slows
everything).

A second is the bound for whatever ends for the whole registry. Where single reads fail while the registry itself
answers, each watch backs off by itself (0.25 s doubling to 5 s, or what the registry asked for). A read that a
Consul without a leader was sitting on may fail after the leader is back, and backs off then.

| row | event | against | failed requests | served from | seen as | follows again |
|---|---|---|---|---|---|---|
`

func (l *ledger) String() string {
	slices.SortStableFunc(l.lines, func(a, b outcome) int {
		return cmp.Or(cmp.Compare(a.row, b.row), -strings.Compare(a.against, b.against), strings.Compare(a.test, b.test))
	})
	var b strings.Builder
	b.WriteString(tableHead)
	for _, o := range l.lines {
		row := fmt.Sprint(o.row)
		if o.row > 21 {
			row = "+"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | 0 | %s | %s | %s |\n", row, o.event, o.against, o.served, o.seen, o.within)
	}
	return b.String()
}

// verify compares the table with the one in docs.
func (l *ledger) verify(t *testing.T) {
	t.Helper()
	if *rewriteTable {
		if err := os.WriteFile(tablePath, []byte(l.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	b, err := os.ReadFile(tablePath)
	if err != nil {
		t.Fatal(err)
	}
	if got := l.String(); got != string(b) {
		t.Errorf("%s is not what was played (run with -rewrite):\n%s", tablePath, got)
	}
}
