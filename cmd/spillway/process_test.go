package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long anything may take before a test gives up. It is no
// measure of anything: machines that run tests are slow and shared.
const patience = 30 * time.Second

// binary builds the program once, with the race detector where there is a C
// compiler for it.
var binary = sync.OnceValues(func() (string, error) {
	bin, err := filepath.Abs("../../bin/spillway.test")
	if err != nil {
		return "", err
	}
	out, err := exec.Command("go", "build", "-race", "-buildvcs=false", "-o", bin, ".").CombinedOutput()
	if err == nil {
		return bin, nil
	}
	out2, err := exec.Command("go", "build", "-buildvcs=false", "-o", bin, ".").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("cannot build spillway: %w: %s%s", err, out, out2)
	}
	return bin, nil
})

// process is a running program and what it printed so far.
type process struct {
	t    *testing.T
	cmd  *exec.Cmd
	done chan struct{}

	mu       sync.Mutex
	out, err bytes.Buffer
}

// output is one of the two streams of a process.
type output struct {
	p  *process
	to *bytes.Buffer
}

func (o output) Write(b []byte) (int, error) {
	o.p.mu.Lock()
	defer o.p.mu.Unlock()
	return o.to.Write(b)
}

// runSpillway starts the program.
func runSpillway(t *testing.T, args ...string) *process {
	t.Helper()
	bin, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	return launch(t, exec.Command(bin, args...))
}

// launch starts a command that ends with the test; what it printed is shown if
// the test fails.
func launch(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{t: t, cmd: cmd, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = output{p, &p.out}, output{p, &p.err}
	if cmd.Env == nil {
		cmd.Env = os.Environ()
	}
	cmd.Env = append(cmd.Env, "GORACE=atexit_sleep_ms=0") // a second otherwise
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		p.kill()
		if text := p.stderr(); strings.Contains(text, "DATA RACE") || t.Failed() {
			t.Errorf("%s printed: %s", filepath.Base(cmd.Path), text[max(0, len(text)-8000):])
		}
	})
	return p
}

func (p *process) kill() {
	p.cmd.Process.Kill()
	<-p.done
}

func (p *process) signal(sig os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		p.t.Fatal(err)
	}
}

func (p *process) stdout() string { return p.text(&p.out) }
func (p *process) stderr() string { return p.text(&p.err) }

func (p *process) text(b *bytes.Buffer) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return b.String()
}

// exit waits for the end and returns the exit code.
func (p *process) exit() int {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(patience):
		p.t.Fatal("the process does not end")
	}
	return p.cmd.ProcessState.ExitCode()
}

func (p *process) alive() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// logged waits for a line of the log with that message and returns its fields.
func (p *process) logged(msg string) map[string]any {
	p.t.Helper()
	var found map[string]any
	eventually(p.t, fmt.Sprintf("log %q", msg), func() error {
		if found = p.find(msg); found != nil {
			return nil
		}
		if !p.alive() {
			p.t.Fatalf("ended without logging %q", msg)
		}
		return errors.New("not logged")
	})
	return found
}

func (p *process) find(msg string) map[string]any {
	for line := range strings.Lines(p.stderr()) {
		var fields map[string]any
		if json.Unmarshal([]byte(line), &fields) == nil && fields["msg"] == msg {
			return fields
		}
	}
	return nil
}

// eventually asks until there is no error, or fails the test.
func eventually(t *testing.T, what string, ask func() error) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ask()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("no %s: %v", what, err)
		}
	}
}

// sut is a running gateway.
type sut struct {
	*process
	addr, admin string
	file        string // its configuration
}

// serveConfig starts `spillway gateway` with a configuration on free ports and
// waits until it listens.
func serveConfig(t *testing.T, config string, args ...string) *sut {
	t.Helper()
	file := filepath.Join(t.TempDir(), "spillway.yaml")
	writeFile(t, file, config)
	all := append([]string{"gateway", "--config", file, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"}, args...)
	s := &sut{process: runSpillway(t, all...), file: file}
	s.admin = s.logged("admin listening")["address"].(string)
	s.addr = s.logged("listening")["address"].(string)
	return s
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// answer is what a request got.
type answer struct {
	status int
	body   string
	header http.Header
}

// get sends one request on a connection of its own.
func get(url, host string) (answer, error) {
	client := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	return getBy(client, url, host)
}

func getBy(client *http.Client, url, host string) (answer, error) {
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return answer{}, err
	}
	req.Host = host
	resp, err := client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, strings.TrimSpace(string(body)), resp.Header}, err
}

// ask sends one request to the gateway.
func (s *sut) ask(host, path string) (answer, error) { return get("http://"+s.addr+path, host) }

// ops asks the admin server.
func (s *sut) ops(path string) answer {
	s.t.Helper()
	a, err := get("http://"+s.admin+path, "")
	if err != nil {
		s.t.Fatal(err)
	}
	return a
}

// served waits until the answers to a round of requests come from exactly
// these backends.
func (s *sut) served(host, path string, by ...string) {
	s.t.Helper()
	want := map[string]bool{}
	for _, name := range by {
		want[name] = true
	}
	eventually(s.t, fmt.Sprintf("traffic from %v", by), func() error {
		seen := map[string]bool{}
		for range 8 * len(by) {
			a, err := s.ask(host, path)
			if err != nil {
				return err
			}
			if a.status != http.StatusOK || !want[a.body] {
				return fmt.Errorf("answered %d %q", a.status, a.body)
			}
			seen[a.body] = true
		}
		if len(seen) != len(want) {
			return fmt.Errorf("only %v answer", seen)
		}
		return nil
	})
}

// ready waits until the gateway says so, and returns what it says of being
// degraded.
func (s *sut) ready() (degraded string) {
	s.t.Helper()
	eventually(s.t, "readiness", func() error {
		a := s.ops("/-/ready")
		var said struct {
			Ready    bool
			Degraded string
		}
		if err := json.Unmarshal([]byte(a.body), &said); err != nil {
			return err
		}
		if a.status != http.StatusOK || !said.Ready {
			return fmt.Errorf("%d %s", a.status, a.body)
		}
		degraded = said.Degraded
		return nil
	})
	return degraded
}
