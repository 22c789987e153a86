package peers

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

const (
	startTimeout = 15 * time.Second
	stopTimeout  = 2 * time.Second
	pollInterval = 20 * time.Millisecond
)

// process is one program we started, in a process group of its own.
type process struct {
	name string
	cmd  *exec.Cmd
	log  string        // path of what it printed
	done chan struct{} // closed when it has ended; err is set by then
	err  error
}

// startProcess runs argv on the processors of a taskset list. What it prints goes to a file in dir.
func startProcess(name, dir, cpus string, argv, env []string) (*process, error) {
	p := &process{name: name, log: dir + "/" + name + ".log", done: make(chan struct{})}
	out, err := os.Create(p.log)
	if err != nil {
		return nil, fmt.Errorf("cannot start %s: %w", name, err)
	}
	defer out.Close()
	p.cmd = exec.Command("taskset", append([]string{"-c", cpus}, argv...)...)
	p.cmd.Stdout, p.cmd.Stderr = out, out
	p.cmd.Env = append(os.Environ(), env...)
	// The group makes its children reachable when it has to be killed; the
	// death signal ends it when we are killed ourselves.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("cannot start %s: %w", name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// pid is the process itself: taskset has replaced itself by the program.
func (p *process) pid() int { return p.cmd.Process.Pid }

// ask tells the process to end.
func (p *process) ask() { p.cmd.Process.Signal(syscall.SIGTERM) }

// stop asks the process to end, and kills it with its children if it does not.
func (p *process) stop() {
	p.ask()
	select {
	case <-p.done:
	case <-time.After(stopTimeout):
	}
	// Its children may have survived it; the group is ours alone.
	syscall.Kill(-p.pid(), syscall.SIGKILL)
	<-p.done
}

// failure says why a process that ended did so, with the end of its output.
func (p *process) failure() error {
	return fmt.Errorf("cannot run %s: it ended (%v): %s", p.name, p.err, tail(p.log))
}

func tail(path string) string {
	const most = 500
	text, _ := os.ReadFile(path)
	text = bytes.TrimSpace(text)
	return string(text[max(0, len(text)-most):])
}

// waitReady asks url until it answers with the backend's own body, which also
// proves that the proxy passes answers on unchanged.
func (p *process) waitReady(ctx context.Context, url string) error {
	return p.wait(ctx, url, func(ctx context.Context) error { return fetch(ctx, url) })
}

// wait repeats a check until it succeeds, the process ends, or it takes too long.
func (p *process) wait(ctx context.Context, what string, check func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		err := check(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return p.failure()
		case <-ctx.Done():
			return fmt.Errorf("cannot reach %s at %s within %v: %w: %s", p.name, what, startTimeout, err, tail(p.log))
		case <-tick.C:
		}
	}
}

// fetch asks once, on a connection of its own.
func fetch(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("cannot ask %q: %w", url, err)
	}
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("cannot ask %q: %w", url, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<16))
	if err != nil {
		return fmt.Errorf("cannot read the answer of %q: %w", url, err)
	}
	if resp.StatusCode != http.StatusOK || string(body) != bodyOf(bodySize) {
		return fmt.Errorf("%q answers %d with %d bytes, not the backend's body", url, resp.StatusCode, len(body))
	}
	return nil
}

// findProgram looks in PATH and where Debian keeps servers. No program at all is
// found, too.
func findProgram(name string) (string, error) {
	if name == "" {
		return "", nil
	}
	if strings.ContainsRune(name, '/') {
		_, err := os.Stat(name)
		return name, err
	}
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	path := "/usr/sbin/" + name
	_, err := os.Stat(path)
	return path, err
}
