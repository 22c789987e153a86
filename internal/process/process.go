// Package process runs other programs for measurements and demonstrations:
// each in a process group of its own, its output in a file, ended with all its
// children.
//
// A Process has one goroutine, which waits for its end. The death of the
// starting thread's process ends it too, so that an interrupted run leaves
// nothing behind.
package process

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
)

const (
	startTimeout = 15 * time.Second
	pollInterval = 20 * time.Millisecond
)

// Process is one program that was started.
type Process struct {
	Name string
	Log  string // path of what it printed
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended; err is set by then
	err  error
}

// Start runs argv, with env beside the environment of ours. What it prints goes
// to the file NAME.log in dir.
func Start(name, dir string, argv, env []string) (*Process, error) {
	p := &Process{Name: name, Log: dir + "/" + name + ".log", done: make(chan struct{})}
	out, err := os.Create(p.Log)
	if err != nil {
		return nil, fmt.Errorf("cannot start %s: %w", name, err)
	}
	defer out.Close()
	p.cmd = exec.Command(argv[0], argv[1:]...)
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

// PID of the program.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when the program has ended; Err may be asked then.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err is how the program ended; nil for exit code 0. Only after Done.
func (p *Process) Err() error { return p.err }

// Signal sends a signal to the program, not to its children.
func (p *Process) Signal(s syscall.Signal) error { return p.cmd.Process.Signal(s) }

// Ask tells the program to end (TERM).
func (p *Process) Ask() { _ = p.Signal(syscall.SIGTERM) }

// Stop asks the program to end, gives it that long, and kills what is left of
// its group.
func (p *Process) Stop(grace time.Duration) {
	p.Ask()
	select {
	case <-p.done:
	case <-time.After(grace):
	}
	// Its children may have survived it; the group is ours alone.
	_ = syscall.Kill(-p.PID(), syscall.SIGKILL)
	<-p.done
}

// Wait repeats a check until it succeeds, the program ends, or 15 seconds are
// over. what says in the error what was waited for.
func (p *Process) Wait(ctx context.Context, what string, check func(context.Context) error) error {
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
			return p.Failure()
		case <-ctx.Done():
			return fmt.Errorf("cannot reach %s at %s within %v: %w: %s", p.Name, what, startTimeout, err, p.Tail())
		case <-tick.C:
		}
	}
}

// Failure says why a program that ended did so, with the end of its output.
// Only after Done.
func (p *Process) Failure() error {
	return fmt.Errorf("cannot run %s: it ended (%v): %s", p.Name, p.err, p.Tail())
}

// Tail is the end of what the program printed.
func (p *Process) Tail() string {
	const most = 500
	text, _ := os.ReadFile(p.Log)
	text = bytes.TrimSpace(text)
	return string(text[max(0, len(text)-most):])
}
