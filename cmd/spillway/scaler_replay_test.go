package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"spillway/scaler/policy"
)

const replayConfig = `
providers: {p: {driver: sim, offerings: [{type: small, cpu: 2, memory: 1GiB}]}}
machines: {m: {providers: p}}
apps:
  web:
    container: {image: i, ports: 80}
    policy: {max: 200, window: 2m%s}
    pools: m
`

// recorded writes a trace in which the rate goes from 200 to 2000 and back.
func recorded(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	for s := range 1800 {
		n := 200
		if s >= 300 && s < 900 {
			n = 2000
		}
		fmt.Fprintf(&b, `{"t":%d,"u":"web","a":%d,"c":%d,"e":0,"r":0,"l":9.7,"p50_us":8123,"p95_us":21877,"p99_us":40120}`+"\n", 1764000000+s, n, n)
		fmt.Fprintf(&b, `{"t":%d,"u":"other","a":5,"c":5,"e":0,"r":0,"l":1,"p50_us":1,"p95_us":1,"p99_us":1}`+"\n", 1764000000+s)
	}
	b.WriteString(`{"t":17640`) // copied while it was written
	return write(t, filepath.Join(dir, "trace.jsonl"), b.String())
}

func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func runReplay(args ...string) (code int, out, errs string) {
	var o, e bytes.Buffer
	term := &terminal{out: &o, err: &e, env: func(string) (string, bool) { return "", false }}
	code = term.scalerReplay(args)
	return code, o.String(), e.String()
}

func TestReplayComparesTwoPolicies(t *testing.T) {
	dir := t.TempDir()
	trace := recorded(t, dir)
	a := write(t, filepath.Join(dir, "a.yaml"), fmt.Sprintf(replayConfig, ""))
	b := write(t, filepath.Join(dir, "b.yaml"), fmt.Sprintf(replayConfig, ", spare_share: 0.5, utilization: 0.5"))
	code, out, errs := runReplay("--trace", trace, "--config", a, "--compare", b, "--boot", "30s", "--price", "0.5")
	if code != replayOK || errs != "" {
		t.Fatalf("exit code %d: %s", code, errs)
	}
	for _, want := range []string{"2025-11-24 16:00:00 to 2025-11-24 16:29:59, 30m0s; machines boot in 30s", "a.yaml", "b.yaml", "difference", "cost", "flaps"} {
		if !strings.Contains(out, want) {
			t.Errorf("found no %q in\n%s", want, out)
		}
	}
	rows := map[string][]string{}
	for line := range strings.Lines(out) {
		what, rest := strings.TrimSpace(line), ""
		if i := strings.Index(what, "  "); i > 0 {
			what, rest = what[:i], what[i:]
		}
		rows[what] = strings.Fields(rest)
	}
	over := rows["seconds over the target"]
	if len(over) < 2 || over[0] < over[1] && len(over[0]) == len(over[1]) {
		t.Errorf("seconds over the target are %v, want more with less headroom", over)
	}
	if cost := rows["cost"]; len(cost) < 3 || !strings.HasPrefix(cost[2], "+") {
		t.Errorf("cost is %v, want more with more headroom", cost)
	}
}

func TestReplayTellsWrongCallsFromFailures(t *testing.T) {
	dir := t.TempDir()
	trace := recorded(t, dir)
	config := write(t, filepath.Join(dir, "a.yaml"), fmt.Sprintf(replayConfig, ""))
	idle := write(t, filepath.Join(dir, "idle.jsonl"), `{"t":1764000000,"u":"other","a":5}`+"\n")
	broken := write(t, filepath.Join(dir, "broken.jsonl"), "{}\n")
	tests := []struct {
		name string
		args []string
		code int
		says string
	}{
		{"no trace", []string{"--config", config}, replayUsage, "--trace FILE is missing"},
		{"no configuration", []string{"--trace", trace}, replayUsage, "--config FILE is missing"},
		{"unknown flag", []string{"--speed", "2"}, replayUsage, "unknown flag"},
		{"a boot of nothing", []string{"--trace", trace, "--config", config, "--boot", "0s"}, replayUsage, "--boot is 0s"},
		{"help", []string{"--help"}, replayOK, ""},
		{"missing file", []string{"--trace", filepath.Join(dir, "none"), "--config", config}, replayFailure, "cannot read trace"},
		{"unknown app", []string{"--trace", trace, "--config", config, "--app", "api"}, replayFailure, `no app "api", it has web`},
		{"nothing of the upstream", []string{"--trace", idle, "--config", config}, replayFailure, `no second of upstream "web"`},
		{"no trace at all", []string{"--trace", broken, "--config", config}, replayFailure, "line 1: t is 0"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			code, _, errs := runReplay(tt.args...)
			if code != tt.code || !strings.Contains(errs, tt.says) {
				t.Errorf("exit code %d and %q, want %d and %q", code, errs, tt.code, tt.says)
			}
		})
	}
}

func TestTracesOfSeveralGatewaysAreAddedUp(t *testing.T) {
	dir := t.TempDir()
	a := write(t, filepath.Join(dir, "a"), `{"t":100,"u":"web","a":1}`+"\n\n"+`{"t":103,"u":"web","a":4}`+"\n")
	b := write(t, filepath.Join(dir, "b"), `{"t":100,"u":"web","a":2}`+"\n"+`{"t":100,"u":"web","a`)
	samples, err := readTraces([]string{a, b}, "web")
	if err != nil {
		t.Fatal(err)
	}
	if len(samples) != 2 || samples[0].Arrivals != 3 || samples[1].Arrivals != 4 || samples[1].At.Unix() != 103 {
		t.Errorf("found %v", samples)
	}
	if _, err := readTraces([]string{a, write(t, filepath.Join(dir, "c"), "{}x\n"+`{"t":1,"u":"web","a":1}`)}, "web"); err == nil {
		t.Error("found no error with a line that is no JSON")
	}
}

// The file's defaults are those of the policy itself.
func TestDefaultPolicyOfTheFileIsTheDefaultPolicy(t *testing.T) {
	dir := t.TempDir()
	config := write(t, filepath.Join(dir, "a.yaml"), strings.Replace(replayConfig, "policy: {max: 200, window: 2m%s}", "drain: {}", 1))
	term := &terminal{env: func(string) (string, bool) { return "", false }}
	_, got, err := term.appPolicy(config, "")
	if err != nil {
		t.Fatal(err)
	}
	want := policy.Default()
	if fmt.Sprintf("%+v", *got) != fmt.Sprintf("%+v", want) {
		t.Errorf("found  %+v\nwant %+v", *got, want)
	}
}

func FuzzTrace(f *testing.F) {
	f.Add([]byte(`{"t":100,"u":"web","a":1}` + "\n"))
	f.Add([]byte(`{"t":100,"u":"web","a":1e300}` + "\n{"))
	f.Fuzz(func(t *testing.T, data []byte) {
		sums := map[int64]float64{}
		if err := sumTrace(bytes.NewReader(data), "web", sums); err != nil {
			return
		}
		for at, n := range sums {
			if at <= 0 || n < 0 {
				t.Fatalf("%d has %g arrivals", at, n)
			}
		}
	})
}
