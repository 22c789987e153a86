package demo

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"spillway/scaler/cloud/local"
)

// program builds spillway as an image can hold it. The demonstrations run it as
// gateway, scaler, app, load and first program of machines.
func program(t *testing.T) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Fatal("needs root: machines are made of namespaces and cgroups")
	}
	if _, err := exec.LookPath("dockerd"); err != nil {
		t.Fatalf("needs a Docker Engine's program (make deps installs it): %v", err)
	}
	path := filepath.Join(t.TempDir(), "spillway")
	build := exec.Command("go", "build", "-buildvcs=false", "-o", path, "spillway/cmd/spillway")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("cannot build spillway: %v\n%s", err, out)
	}
	return path
}

// consul is the real one.
func consul(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs("../../bin/consul")
	if err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		t.Fatalf("needs Consul (make consul builds it): %v", err)
	}
	return path
}

// limit is below any timeout of tests: a demonstration that is ended by its
// context still takes away what it made, one that is ended by a timeout of the
// test binary cannot.
const limit = 4 * time.Minute

// must fails the test with everything that was printed.
func must(t *testing.T, out *bytes.Buffer, err error) {
	t.Helper()
	t.Log(out.String())
	if err != nil {
		t.Error(err)
	}
}

// The short form of `make demo-scale`. Latency is not judged, other tests run
// beside it; failed requests, doubles and leftovers are.
func TestASpikeBuysCapacityAndGivesItBack(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	o := Default()
	o.Self, o.Consul = program(t), consul(t)
	o.Base, o.Peak, o.Quiet, o.Rise, o.Hold, o.Settle = 50, 500, 5*time.Second, 10*time.Second, 20*time.Second, 2*time.Minute
	o.Slack = time.Hour
	o.pace.Window, o.pace.Slow, o.pace.Hold = 10*time.Second, 5*time.Second, 10*time.Second
	var out bytes.Buffer
	o.Out = &out
	must(t, &out, Run(ctx, o))
}

// The short form of `spillway demo crash`.
func TestScalersKilledAtAnyStepDoNoHarm(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	o := DefaultCrash()
	o.Self, o.Consul = program(t), consul(t)
	o.Machines, o.Rounds, o.Absent = 1, 1, 0
	var out bytes.Buffer
	o.Out = &out
	must(t, &out, Crash(ctx, o))
}

// doing calls a function at the first thing that is printed.
type doing func()

func (f doing) Write(p []byte) (int, error) {
	f()
	return len(p), nil
}

func TestAnInterruptedDemonstrationLeavesNothing(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	dir, err := os.MkdirTemp("/var/tmp", "spillway-demo-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	o := Default()
	o.Self, o.Consul, o.Dir = program(t), consul(t), dir
	o.Out = doing(cancel)
	if err := Run(ctx, o); !errors.Is(err, context.Canceled) {
		t.Errorf("it ended with %v", err)
	}
	for _, root := range []string{"owned", "rented"} {
		left, err := local.Leftovers(filepath.Join(dir, root))
		if err != nil || len(left) > 0 {
			t.Errorf("%s: left over: %q %v", root, left, err)
		}
	}
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range lines {
		if text, err := os.ReadFile(line); err == nil && bytes.Contains(text, []byte(dir)) {
			t.Errorf("still running: %s", bytes.ReplaceAll(text, []byte{0}, []byte(" ")))
		}
	}
}
