package exec_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"spillway/scaler/cloud"
)

// ended reports whether a process has ended, reaped or not.
func ended(t *testing.T, pid string) bool {
	t.Helper()
	b, err := os.ReadFile("/proc/" + strings.TrimSpace(pid) + "/stat")
	if err != nil {
		return true
	}
	_, after, _ := strings.Cut(string(b), ") ")
	return strings.HasPrefix(after, "Z") || strings.HasPrefix(after, "X")
}

// wantEnded waits for the kernel to end a process that was killed.
func wantEnded(t *testing.T, pid string) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(5 * time.Second); !ended(t, pid); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("process %s was left behind", strings.TrimSpace(pid))
		}
	}
}

func TestTimeoutKillsTheWholeGroup(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	o := options(`sh -c 'sleep 100 & echo $! >"$OUT/child"; wait' & echo $$ >"$OUT/parent"; wait`)
	o.Env = append(o.Env, "OUT="+dir)
	o.Timeout = 400 * time.Millisecond
	d := open(t, o)
	from := time.Now()
	_, err := d.Create(t.Context(), request())
	check(t, "Create", err, cloud.Ambiguous, -1, "no answer within 400ms")
	if took := time.Since(from); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
	wantEnded(t, read(t, dir, "parent"))
	if child, err := os.ReadFile(filepath.Join(dir, "child")); err == nil {
		wantEnded(t, string(child))
	}
}

func TestCancelledCallIsInDoubt(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fifo := filepath.Join(dir, "began")
	o := options(`echo x >"$OUT/began"; sleep 100`)
	o.Env = append(o.Env, "OUT="+dir)
	d := open(t, o)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { // ends with the file or the test's context
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for t.Context().Err() == nil {
			if _, err := os.Stat(fifo); err == nil {
				cancel()
				return
			}
			<-tick.C
		}
	}()
	_, err := d.Create(ctx, request())
	check(t, "Create", err, cloud.Ambiguous, -1, "context canceled")
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v hides the reason", err)
	}
	_, err = d.Create(ctx, request())
	check(t, "Create with an ended context", err, cloud.Transient, -1, "context canceled")
}

func TestChildrenDoNotOutliveTheAnswer(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	o := options(`sleep 100 & echo $! >"$OUT/child"; echo '{}'`)
	o.Env = append(o.Env, "OUT="+dir)
	d := open(t, o)
	if err := d.Delete(t.Context(), "i-1"); err != nil {
		t.Fatal(err)
	}
	wantEnded(t, read(t, dir, "child"))
}

// A child in a session of its own is out of reach, and must not hold the call
// up by the pipes it inherited.
func TestChildThatLeftDoesNotHoldTheCall(t *testing.T) {
	t.Parallel()
	d := open(t, options(`setsid sleep 4 & echo '{}'`))
	from := time.Now()
	if err := d.Delete(t.Context(), "i-1"); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(from); took > 3500*time.Millisecond {
		t.Errorf("the call took %v, as long as the child", took)
	}
}

func TestOutputIsBounded(t *testing.T) {
	t.Parallel()
	o := options(`yes '{"machines":[]}'`)
	o.MaxOutput = 1 << 20
	_, err := open(t, o).List(t.Context(), nil)
	check(t, "List", err, cloud.Transient, -1, "more than it may")
}

func TestStderrIsBoundedAndItsEndIsKept(t *testing.T) {
	t.Parallel()
	d := open(t, options(`head -c 300000 /dev/zero | tr '\0' x >&2; echo the reason >&2; exit 1`))
	_, err := d.List(t.Context(), nil)
	check(t, "List", err, cloud.Transient, -1, "the reason")
	if n := len(fmt.Sprint(err)); n > 5000 {
		t.Errorf("the error has %d bytes", n)
	}
}

func TestProgramThatWentAwayIsTransient(t *testing.T) {
	path := filepath.Join(t.TempDir(), "driver")
	script := "#!/bin/sh\n" + program
	if err := os.WriteFile(path, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	o := options("")
	o.Command = []string{path}
	d := open(t, o)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	_, err := d.Create(t.Context(), request())
	check(t, "Create", err, cloud.Transient, -1, "cannot start program")
}
