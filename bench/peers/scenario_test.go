package peers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"spillway/bench/peers/figures"
)

// smoke runs a scenario at its shortest, as a user would, with what is built
// and installed here.
func smoke(t *testing.T, name string, args ...string) *figures.Result {
	t.Helper()
	t.Setenv("TMPDIR", t.TempDir())
	dir := filepath.Join(t.TempDir(), "out")
	args = append([]string{
		"--scenario", name, "--quick", "--out", dir, "--spillway", "../../bin/spillway", "--consul", "../../bin/consul",
	}, args...)
	var stdout, stderr bytes.Buffer
	if code := Command(args, &stdout, &stderr); code != exitOK {
		t.Fatalf("exit %d\n%s%s", code, stdout.String(), stderr.String())
	}
	r, err := figures.ReadFile(filepath.Join(dir, name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	if !r.Quick || r.Scenario != name || len(r.Tables) == 0 || len(r.Setting) == 0 || r.Raw == nil || r.Seconds <= 0 {
		t.Errorf("result lacks something: %+v", r)
	}
	for i := range r.Tables {
		checkTable(t, &r.Tables[i])
		if !strings.Contains(stdout.String(), r.Tables[i].Title) {
			t.Errorf("table %q is not printed:\n%s", r.Tables[i].Title, stdout.String())
		}
	}
	page, err := os.ReadFile(filepath.Join(dir, name+".html"))
	if err != nil || !bytes.Contains(page, []byte("</html>")) || len(r.Runs) == 0 {
		t.Errorf("%d runs, page of %d bytes: %v", len(r.Runs), len(page), err)
	}
	checkNothingLeft(t)
	return r
}

func checkTable(t *testing.T, table *figures.Table) {
	t.Helper()
	if len(table.Rows) == 0 {
		t.Errorf("table %q is empty", table.Title)
	}
	for _, row := range table.Rows {
		if len(row.Cells) != len(table.Columns)-1 {
			t.Errorf("table %q: row %q has %d cells for %d columns", table.Title, row.Name, len(row.Cells), len(table.Columns)-1)
		}
	}
}

// cell finds a figure; it fails the test if there is none.
func cell(t *testing.T, table *figures.Table, row, column string) figures.Cell {
	t.Helper()
	at := slices.Index(table.Columns, column)
	for _, r := range table.Rows {
		if r.Name == row && at > 0 {
			return r.Cells[at-1]
		}
	}
	t.Fatalf("table %q has no %q of %q", table.Title, column, row)
	return figures.Cell{}
}

func TestScenarioCPU(t *testing.T) {
	r := smoke(t, "cpu", "--peers", "nginx,forward,direct")
	if c := cell(t, &r.Tables[0], "nginx", "requests/s"); c.Value == nil || *c.Value <= 0 {
		t.Errorf("nginx did %v requests/s", c)
	}
	if c := cell(t, &r.Tables[0], "direct", "CPU us/request"); c.String() != "-" {
		t.Errorf("no proxy took %v of CPU", c)
	}
	for _, peer := range []string{"nginx", "forward", "direct"} {
		if c := cell(t, &r.Tables[0], peer, "errors"); *c.Value != 0 {
			t.Errorf("%s: %v errors", peer, c)
		}
	}
}

func TestScenarioLatency(t *testing.T) {
	r := smoke(t, "latency", "--peers", "nginx,direct", "--rate", "1000")
	if len(r.Tables) != len(shares) || len(r.Runs) != 2 {
		t.Fatalf("%d tables and %d runs, want one table a share and one run a peer", len(r.Tables), len(r.Runs))
	}
	for i, share := range shares {
		c := cell(t, &r.Tables[i], "direct", "answered/s")
		if want := 1000 * share; c.Value == nil || *c.Value < want*0.5 || *c.Value > want*1.5 {
			t.Errorf("at %.0f/s: %v answered/s", want, c)
		}
	}
}

func TestScenarioMembership(t *testing.T) {
	r := smoke(t, "membership")
	if c := cell(t, &r.Tables[0], "haproxy, runtime API", "changes"); *c.Value != 5 {
		t.Errorf("%v changes, want one at each of 60, 120, 180, 240, 300 ms", c)
	}
	used := 0 // by any: one alone may get no processor in the moment that matters
	for _, row := range r.Tables[0].Rows {
		var n, added int
		text := cell(t, &r.Tables[0], row.Name, "servers used").String()
		if _, err := fmt.Sscanf(text, "%d of %d", &n, &added); err != nil || added != 3 {
			t.Errorf("%s used %q servers, want some of 3", row.Name, text)
		}
		used += n
	}
	if used == 0 {
		t.Error("no new server was used")
	}
	if c := cell(t, &r.Tables[0], "nginx, reload", "processes"); *c.Value < 2 {
		t.Errorf("nginx had %v processes, want a master and a worker at least", c)
	}
	if len(r.Runs[0].Report.Events) != 5 {
		t.Errorf("%d events on the timeline, want 5", len(r.Runs[0].Report.Events))
	}
}

func TestScenarioChurn(t *testing.T) {
	r := smoke(t, "churn", "--peers", "haproxy")
	if c := cell(t, &r.Tables[0], "haproxy, runtime API", "changes"); *c.Value < 20 {
		t.Errorf("%v changes in 250 ms, want 100 a second", c)
	}
}

func TestScenarioConnections(t *testing.T) {
	r := smoke(t, "connections", "--peers", "nginx,nethttp", "--connections", "200")
	nginx, nethttp := cell(t, &r.Tables[0], "nginx", "bytes each"), cell(t, &r.Tables[0], "nethttp", "bytes each")
	if *nethttp.Value < 4<<10 || *nethttp.Value < *nginx.Value {
		t.Errorf("bytes a connection: nginx %v, net/http %v; a goroutine and its buffers take more than 4 KiB", nginx, nethttp)
	}
	if c := cell(t, &r.Tables[1], "nginx", "connections/s"); *c.Value <= 0 {
		t.Errorf("nginx took %v connections/s", c)
	}
}

func TestScenarioScaling(t *testing.T) {
	r := smoke(t, "scaling", "--peers", "nginx")
	one, two := cell(t, &r.Tables[0], "nginx, 1", "cores for 200k/s"), cell(t, &r.Tables[0], "nginx, 2", "by one worker's")
	if *one.Value < 1 || two.Value == nil {
		t.Errorf("cores %v, ratio %v", one, two)
	}
}

func TestScenarioTwoHundred(t *testing.T) {
	r := smoke(t, "two-hundred", "--peers", "nginx,forward,direct")
	for _, peer := range []string{"nginx", "forward", "direct"} {
		if c := cell(t, &r.Tables[0], peer, "errors"); *c.Value != 0 {
			t.Errorf("%s: %v errors under pipelined clients", peer, c)
		}
	}
	if nginx, direct := cell(t, &r.Tables[0], "nginx", "requests/s"), cell(t, &r.Tables[0], "direct", "requests/s"); *direct.Value < *nginx.Value {
		t.Errorf("the backend does %v requests/s, less than nginx before it: %v", direct, nginx)
	}
}

func TestScenariosHaveNamesAndNumbers(t *testing.T) {
	all := scenarios()
	for i, s := range all {
		for _, name := range []string{s.name, string(rune('1' + i))} {
			got, err := scenariosNamed(name)
			if err != nil || len(got) != 1 || got[0].name != s.name {
				t.Errorf("%q finds %v, %v; want %q", name, got, err, s.name)
			}
		}
		for _, quick := range []bool{false, true} {
			o := s.defaults(quick)
			o.Self = []string{"x"}
			if err := o.check(); err != nil {
				t.Errorf("defaults of %s (quick %v): %v", s.name, quick, err)
			}
		}
	}
	if got, err := scenariosNamed("all"); err != nil || len(got) != len(all) {
		t.Errorf("all finds %d, %v", len(got), err)
	}
	for _, bad := range []string{"0", "8", "latency ", "nothing"} {
		if _, err := scenariosNamed(bad); err == nil {
			t.Errorf("%q was found", bad)
		}
	}
}

func TestEveryScenarioHasItsPlaceInTheDocument(t *testing.T) {
	text, err := os.ReadFile("../../docs/benchmarks.md")
	if err != nil {
		t.Fatal(err)
	}
	makefile, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range scenarios() {
		if !strings.Contains(string(text), "<!-- figures: "+s.name+" -->\n") {
			t.Errorf("docs/benchmarks.md has no place for %s", s.name)
		}
		if !strings.Contains(string(makefile), "$(SCENARIO) "+s.name+"\n") {
			t.Errorf("the Makefile has no target for %s", s.name)
		}
	}
}

// Results of quick runs are real but meaningless; a document must not get them.
func TestQuickResultsAreNotRendered(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	dir := t.TempDir()
	document, result := filepath.Join(dir, "doc.md"), filepath.Join(dir, "scaling.json")
	const text = "<!-- figures: scaling -->\nold\n<!-- /figures -->\n"
	if err := os.WriteFile(document, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, quick := range []bool{true, false} {
		r := &figures.Result{Schema: figures.Schema, Scenario: "scaling", Quick: quick}
		if err := saveAs(result, r.WriteJSON); err != nil {
			t.Fatal(err)
		}
		var stdout, stderr bytes.Buffer
		code := Command([]string{"--render", document, result}, &stdout, &stderr)
		got, err := os.ReadFile(document)
		if err != nil {
			t.Fatal(err)
		}
		if (code == exitOK) == quick || (string(got) == text) != quick {
			t.Errorf("quick %v: exit %d, %s\n%s", quick, code, stderr.String(), got)
		}
	}
}

func TestAnInterruptedScenarioLeavesNothingBehind(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for _, s := range scenarios() {
		if s.name != "churn" {
			continue
		}
		o := s.defaults(true)
		o.Self, o.Peers = []string{os.Args[0], "bench", "peers"}, []string{"haproxy"}
		o.Progress = cancelOnWrite(cancel) // when the first way has been measured
		if _, err := s.measure(ctx, &o, true); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want a cancelled run", err)
		}
	}
	checkNothingLeft(t)
}
