package peers

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"spillway/bench/account"
)

// TestComparesNginxWithFasthttp runs the real thing, short: real nginx, real
// wrk, our backend and proxy in processes of their own.
func TestComparesNginxWithFasthttp(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	saved := filepath.Join(t.TempDir(), "report.json")
	var stdout, stderr bytes.Buffer
	code := Command([]string{
		"--peers", "nginx,fasthttp", "--connections", "8", "--rounds", "2", "--duration", "1s", "--json", saved,
	}, &stdout, &stderr)
	if code != exitOK {
		t.Fatalf("exit %d\n%s%s", code, stdout.String(), stderr.String())
	}

	text, err := os.ReadFile(saved)
	if err != nil {
		t.Fatal(err)
	}
	var report Report
	if err := json.Unmarshal(text, &report); err != nil {
		t.Fatalf("report is no JSON: %v", err)
	}
	checkSamples(t, report.Samples)
	checkRows(t, report.Rows)
	checkEnvironment(t, report.Environment)
	for _, want := range []string{"8 connections", "nginx", "fasthttp", "CPU us/request", "vs nginx"} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("table lacks %q:\n%s", want, stdout.String())
		}
	}
	checkNothingLeft(t)
}

func checkSamples(t *testing.T, samples []Sample) {
	t.Helper()
	var order []string
	for _, s := range samples {
		order = append(order, fmt.Sprintf("%s %d", s.Peer, s.Round))
		if s.Requests == 0 || s.Errors != 0 || s.CPU <= 0 || s.CPUSystem <= 0 || s.RSS == 0 || s.P99US < s.P50US || s.P50US == 0 {
			t.Errorf("sample without its figures: %+v", s)
		}
	}
	if got := strings.Join(order, ", "); got != "nginx 1, fasthttp 1, nginx 2, fasthttp 2" {
		t.Errorf("rounds are not interleaved: %s", got)
	}
}

func checkRows(t *testing.T, rows []Row) {
	t.Helper()
	if len(rows) != 2 || rows[0].CPURatio == nil || rows[1].CPURatio == nil {
		t.Fatalf("want two rows with ratios, got %+v", rows)
	}
	if nginx := *rows[0].CPURatio; nginx != (Spread{1, 1, 1, 1, 1}) {
		t.Errorf("nginx against itself is %+v, want 1", nginx)
	}
}

func checkEnvironment(t *testing.T, e Environment) {
	t.Helper()
	if !strings.HasPrefix(e.Versions["nginx"], "nginx version: nginx/") || !strings.HasPrefix(e.Versions["wrk"], "wrk ") {
		t.Errorf("versions: %v", e.Versions)
	}
	if len(e.Configs["nginx"]) != 16 || e.Kernel == "" || e.CPU == "" || e.Processors == 0 {
		t.Errorf("environment lacks something: %+v", e)
	}
}

// checkNothingLeft looks for the run's directory, which names every process
// that was started with a file in it.
func checkNothingLeft(t *testing.T) {
	t.Helper()
	left, err := filepath.Glob(filepath.Join(os.TempDir(), "spillway-peers-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("files left behind: %v %v", left, err)
	}
	own, err := account.Read(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if own.Processes > 1 {
		t.Errorf("%d processes left behind", own.Processes-1)
	}
}

// cancelOnWrite ends a run when the first measurement is told.
type cancelOnWrite context.CancelFunc

func (c cancelOnWrite) Write(b []byte) (int, error) {
	c()
	return len(b), nil
}

func TestAnInterruptedRunLeavesNothingBehind(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	o := Defaults()
	o.Peers, o.Connections, o.Rounds, o.Duration = []string{"nginx"}, []int{4}, 100, time.Second
	o.Self = []string{os.Args[0], "bench", "peers"}
	o.Progress = cancelOnWrite(cancel)
	if _, err := Run(ctx, o); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want a cancelled run", err)
	}
	checkNothingLeft(t)
}

func TestAPeerThatDoesNotStartIsNamedWithItsOutput(t *testing.T) {
	broken := filepath.Join(t.TempDir(), "broken")
	if err := os.WriteFile(broken, []byte("#!/bin/sh\necho unknown key nonsense >&2\nexit 3\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", t.TempDir())
	var stdout, stderr bytes.Buffer
	code := Command([]string{"--peers", "spillway", "--spillway", broken}, &stdout, &stderr)
	if code != exitFailure {
		t.Errorf("exit %d, want %d", code, exitFailure)
	}
	for _, want := range []string{"cannot run spillway", "exit status 3", "unknown key nonsense"} {
		if !strings.Contains(stderr.String(), want) {
			t.Errorf("stderr lacks %q: %s", want, stderr.String())
		}
	}
	checkNothingLeft(t)
}
