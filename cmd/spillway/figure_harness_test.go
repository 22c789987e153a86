//go:build !race

package main_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// The figures are measured from outside: the gateway runs as a process of its
// own, built without the race detector; clients, servers and the registry are
// elsewhere. In `make test` they are short and gated with slack, because
// machines that run tests are noisy; with FIGURES=full (make bench-sync,
// bench-churn, bench-idle, tools/figure.sh) they have the sizes and the bounds
// that docs/measurements.md states.
const figureSlack = 3

func fullFigures() bool { return os.Getenv("FIGURES") == "full" }

// sized is full at full length and short otherwise.
func sized[T any](full, short T) T {
	if fullFigures() {
		return full
	}
	return short
}

// bound is what a figure may be at most.
func bound[T ~int64 | ~float64](b T) T { return b * sized[T](1, figureSlack) }

// figureBinary builds the program once for all figures.
var figureBinary = sync.OnceValues(func() (string, error) {
	bin, err := filepath.Abs("../../bin/spillway.figure")
	if err != nil {
		return "", err
	}
	out, err := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", bin, ".").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("cannot build spillway: %w: %s", err, out)
	}
	return bin, nil
})

// program is a process that ends with the test.
type program struct {
	t    testing.TB
	pid  int
	log  string
	done chan struct{}
}

// startProgram runs argv; what it prints is shown if the test fails.
func startProgram(t testing.TB, argv ...string) *program {
	t.Helper()
	p := &program{t: t, log: filepath.Join(t.TempDir(), filepath.Base(argv[0])+".log"), done: make(chan struct{})}
	out, err := os.Create(p.log)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.pid = cmd.Process.Pid
	go func() {
		cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-p.done
		if t.Failed() {
			t.Logf("%s printed: %s", filepath.Base(argv[0]), p.tail())
		}
	})
	return p
}

func (p *program) tail() []byte {
	text, _ := os.ReadFile(p.log)
	return text[max(0, len(text)-4000):]
}

// awaits asks until ok, or fails the test after limit or when the process
// ends.
func (p *program) awaits(what string, limit time.Duration, ok func() bool) {
	p.t.Helper()
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-p.done:
			p.t.Fatalf("ended before %s: %s", what, p.tail())
		case <-deadline.C:
			p.t.Fatalf("not %s within %v: %s", what, limit, p.tail())
		}
	}
}

// figureGateway is `spillway gateway` with a configuration.
type figureGateway struct {
	*program
	addr, admin string
}

// startGateway completes config, which begins at the key consul, with
// addresses to listen on, and waits until the gateway is ready.
func startGateway(t testing.TB, loops int, config string) *figureGateway {
	t.Helper()
	bin, err := figureBinary()
	if err != nil {
		t.Fatal(err)
	}
	g := &figureGateway{addr: freeAddr(t), admin: freeAddr(t)}
	head := fmt.Sprintf("gateway:\n  listen: %q\n  loops: %d\nadmin:\n  listen: %q\n", g.addr, loops, g.admin)
	file := filepath.Join(t.TempDir(), "spillway.yaml")
	if err := os.WriteFile(file, []byte(head+config), 0o600); err != nil {
		t.Fatal(err)
	}
	g.program = startProgram(t, bin, "gateway", "--config", file)
	g.awaits("ready", 30*time.Second, func() bool {
		status, _, err := fetch("http://" + g.admin + "/-/ready")
		return err == nil && status == http.StatusOK
	})
	return g
}

// freeAddr is an address nobody listens on now.
func freeAddr(t testing.TB) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

func fetch(url string) (status int, body []byte, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(resp.Body)
	return resp.StatusCode, body, err
}

// metric adds up the series of /metrics that begin with prefix, and says how
// many they are.
func (g *figureGateway) metric(prefix string) (sum float64, series int) {
	g.t.Helper()
	_, text, err := fetch("http://" + g.admin + "/metrics")
	if err != nil {
		g.t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, prefix) {
			continue
		}
		f := strings.Fields(line)
		v, err := strconv.ParseFloat(f[len(f)-1], 64)
		if err != nil {
			g.t.Fatalf("cannot read metric %q: %v", line, err)
		}
		sum, series = sum+v, series+1
	}
	return sum, series
}

// memory reads a line in kB of a file of the process, in bytes.
func (g *figureGateway) memory(file, name string) int64 {
	g.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", g.pid, file))
	if err != nil {
		g.t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == name+":" {
			kb, err := strconv.ParseInt(f[1], 10, 64)
			if err != nil {
				g.t.Fatal(err)
			}
			return kb << 10
		}
	}
	g.t.Fatalf("no %s in %s", name, file)
	return 0
}

// collectGarbage makes garbage of what was done so far no part of what is
// measured next.
func (g *figureGateway) collectGarbage() {
	g.t.Helper()
	for range 2 {
		if _, _, err := fetch("http://" + g.admin + "/debug/pprof/heap?gc=1"); err != nil {
			g.t.Fatal(err)
		}
	}
}

// cpuTime is what the scheduler gave each thread of a process.
type cpuTime map[string]time.Duration

func (g *figureGateway) cpu() cpuTime {
	g.t.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", g.pid))
	if err != nil || len(files) == 0 {
		g.t.Fatalf("no threads of process %d: %v", g.pid, err)
	}
	used := cpuTime{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			g.t.Fatal(err)
		}
		first, _, _ := bytes.Cut(text, []byte(" "))
		ns, err := strconv.ParseInt(string(first), 10, 64)
		if err != nil {
			g.t.Fatal(err)
		}
		used[file] = time.Duration(ns)
	}
	return used
}

// cpuSince is the time used since an earlier reading, all threads together.
func (g *figureGateway) cpuSince(before cpuTime) time.Duration {
	g.t.Helper()
	now, sum := g.cpu(), time.Duration(0)
	for thread, used := range now {
		sum += used - before[thread]
		delete(before, thread)
	}
	if len(before) > 0 {
		g.t.Fatalf("%d threads ended while their time was measured", len(before))
	}
	return sum
}

// pause lets time pass that is part of what is measured.
func pause(d time.Duration) { <-time.After(d) }
