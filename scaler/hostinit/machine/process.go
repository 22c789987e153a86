package machine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// processes starts programs and collects everything that ends: the first
// program of a machine is the parent of all orphans, so one place waits for
// children, and os/exec must not.
type processes struct {
	mu    sync.Mutex
	exits map[int]chan unix.WaitStatus
}

func newProcesses() *processes { return &processes{exits: map[int]chan unix.WaitStatus{}} }

// start runs a program; its exit status comes on the channel.
func (p *processes) start(out *os.File, argv ...string) (pid int, exit <-chan unix.WaitStatus, err error) {
	path, err := exec.LookPath(argv[0])
	if err != nil {
		return 0, nil, fmt.Errorf("cannot find program: %w", err)
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return 0, nil, err
	}
	defer null.Close()
	// Held until the child is known, so that collect cannot come before.
	p.mu.Lock()
	defer p.mu.Unlock()
	pid, err = syscall.ForkExec(path, argv, &syscall.ProcAttr{
		Env: os.Environ(), Files: []uintptr{null.Fd(), out.Fd(), out.Fd()}, Sys: &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return 0, nil, fmt.Errorf("cannot start %q: %w", path, err)
	}
	ended := make(chan unix.WaitStatus, 1)
	p.exits[pid] = ended
	return pid, ended, nil
}

// collect waits for every child that has ended. It is called at SIGCHLD.
func (p *processes) collect() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, unix.WNOHANG, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
		if ended, ours := p.exits[pid]; ours {
			ended <- status
			delete(p.exits, pid)
		}
	}
}

const maxOutput = 1 << 20

// output runs a program to its end and returns what it printed. If the context
// ends first, the program is killed.
func (p *processes) output(ctx context.Context, argv ...string) (string, error) {
	// In memory: a machine that is cut short leaves no file. Not a pipe: what a
	// program leaves running must not keep us waiting for its end.
	fd, err := unix.MemfdCreate("output", unix.MFD_CLOEXEC)
	if err != nil {
		return "", fmt.Errorf("cannot run %s: %w", strings.Join(argv, " "), err)
	}
	out := os.NewFile(uintptr(fd), "output")
	defer out.Close()
	pid, exit, err := p.start(out, argv...)
	if err != nil {
		return "", err
	}
	var status unix.WaitStatus
	select {
	case status = <-exit:
	case <-ctx.Done():
		_ = unix.Kill(pid, unix.SIGKILL) // it may have ended just now
		<-exit
		return "", fmt.Errorf("cannot wait for %s: %w", strings.Join(argv, " "), ctx.Err())
	}
	text, err := io.ReadAll(io.NewSectionReader(out, 0, maxOutput))
	if err == nil && status != 0 {
		err = fmt.Errorf("cannot run %s: status %d: %s", strings.Join(argv, " "), status.ExitStatus(), bytes.TrimSpace(text))
	}
	return string(text), err
}

// run is output for programs that have nothing to say.
func (p *processes) run(ctx context.Context, program string, args ...string) error {
	_, err := p.output(ctx, append([]string{program}, args...)...)
	return err
}
