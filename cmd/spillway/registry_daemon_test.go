package main_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// daemon is a process a row started: a gateway, a Consul, a backend. It is
// ended by its pid when the test ends, if it has not ended before.
type daemon struct {
	name  string
	cmd   *exec.Cmd
	out   lineLog
	ended chan struct{}
	err   error // of Wait; set when ended is closed
}

func startDaemon(t *testing.T, name string, env []string, path string, args ...string) *daemon {
	t.Helper()
	d := &daemon{name: name, cmd: exec.Command(path, args...), ended: make(chan struct{})}
	d.cmd.Stdout, d.cmd.Stderr = &d.out, &d.out
	d.cmd.Env = append(os.Environ(), env...)
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := d.cmd.Start(); err != nil {
		t.Fatalf("cannot start %s: %v", name, err)
	}
	go func() {
		d.err = d.cmd.Wait()
		close(d.ended)
	}()
	t.Cleanup(func() {
		d.kill()
		if t.Failed() {
			t.Logf("the last of what %s said:\n%s", name, d.out.tail(40))
		}
	})
	return d
}

func (d *daemon) signal(sig syscall.Signal) { _ = d.cmd.Process.Signal(sig) }

// kill is kill -9; it returns when the process is gone.
func (d *daemon) kill() {
	d.signal(syscall.SIGKILL)
	<-d.ended
}

// end asks the process to end and reports whether it did in time.
func (d *daemon) end(limit time.Duration) bool {
	d.signal(syscall.SIGTERM)
	return d.gone(limit)
}

func (d *daemon) gone(limit time.Duration) bool {
	select {
	case <-d.ended:
		return true
	case <-time.After(limit):
		return false
	}
}

// lineLog keeps what a process prints.
type lineLog struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lineLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lineLog) lines() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Split(strings.TrimSpace(l.b.String()), "\n")
}

// count returns how many lines contain text.
func (l *lineLog) count(text string) (n int) {
	for _, line := range l.lines() {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}

func (l *lineLog) tail(n int) string {
	lines := l.lines()
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// await polls a condition until it holds, fails the test after limit, and
// returns how long it took.
func await(t *testing.T, limit time.Duration, what string, cond func() bool) time.Duration {
	t.Helper()
	start := time.Now()
	for tick := time.NewTicker(2 * time.Millisecond); ; <-tick.C {
		if cond() {
			tick.Stop()
			return time.Since(start)
		}
		if time.Since(start) > limit {
			tick.Stop()
			t.Fatalf("not within %v: %s", limit, what)
		}
	}
}

// buildSpillway builds the binary all rows drive.
func buildSpillway(t *testing.T) string {
	t.Helper()
	path := t.TempDir() + "/spillway"
	args := []string{"build", "-buildvcs=false", "-o", path}
	if raceDetector {
		args = append(args, "-race")
	}
	if out, err := exec.Command("go", append(args, ".")...).CombinedOutput(); err != nil {
		t.Fatalf("cannot build spillway: %v\n%s", err, out)
	}
	return path
}

// checkRaces fails the test if a gateway found a data race or panicked.
func checkRaces(t *testing.T, d *daemon) {
	t.Helper()
	for _, bad := range []string{"DATA RACE", "panic:", "level=ERROR msg=panic"} {
		if n := d.out.count(bad); n > 0 {
			t.Errorf("%s said %q %d times", d.name, bad, n)
		}
	}
}

func loopback(i int) string { return fmt.Sprintf("127.%d.%d.1", 64+os.Getpid()%128, i) }
