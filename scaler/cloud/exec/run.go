package exec

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// result is what is left of a process.
type result struct {
	began  bool // it was started
	stdout []byte
	stderr []byte // the end of it
	err    error  // it was killed, or did not exit with 0
}

var errOutput = errors.New("it wrote more than it may")

// run starts the program, gives it the question and takes its output. It
// returns when the program has ended; what it leaves behind in its process
// group is killed.
func run(ctx context.Context, o Options, q question) result {
	input, err := json.Marshal(q)
	if err != nil {
		return result{err: fmt.Errorf("cannot encode question: %w", err)}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, o.Timeout, fmt.Errorf("no answer within %v", o.Timeout))
	defer cancel()
	if ctx.Err() != nil {
		return result{err: context.Cause(ctx)}
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	stdout := &head{most: o.MaxOutput, full: func() { stop(errOutput) }}
	stderr := &tail{most: maxStderr}
	cmd := command(ctx, o, q)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(append(input, '\n')), stdout, stderr
	if err := cmd.Start(); err != nil {
		return result{err: fmt.Errorf("cannot start program: %w", err)}
	}
	awaitExit(cmd.Process.Pid)
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // whoever is left of its group
	err = cmd.Wait()
	return result{began: true, stdout: stdout.data, stderr: stderr.data, err: ending(ctx, cmd, err)}
}

// awaitExit returns when the process has ended, and leaves its entry in place:
// until it is reaped, its number is nobody else's and its group can be killed.
func awaitExit(pid int) {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

func command(ctx context.Context, o Options, q question) *exec.Cmd {
	cmd := exec.CommandContext(ctx, o.Command[0], o.Command[1:]...)
	cmd.Dir = o.Dir
	cmd.Env = environment(o, q)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	// A child that left the group may hold the pipes open: they are waited for
	// no longer than this.
	cmd.WaitDelay = time.Second
	return cmd
}

// ending is why a process did not end well. One that ended well and left a
// child with its pipes has answered all the same.
func ending(ctx context.Context, cmd *exec.Cmd, err error) error {
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, exec.ErrWaitDelay), errors.Is(err, syscall.EPIPE):
		return nil
	case err == nil:
		return nil
	case cmd.ProcessState != nil && cmd.ProcessState.Success():
		return nil // it did not read its question to the end
	}
	return fmt.Errorf("program failed: %w", err)
}

// environment is what the program gets: little of ours, what is configured,
// and the question again in words that a shell can use.
func environment(o Options, q question) []string {
	var env []string
	for _, key := range []string{"PATH", "HOME", "LANG", "TMPDIR"} {
		if value, ok := os.LookupEnv(key); ok {
			env = append(env, key+"="+value)
		}
	}
	env = append(env, o.Env...)
	set := func(key, value string) { env = append(env, "SPILLWAY_"+key+"="+value) }
	set("OP", q.Op)
	set("ID", q.ID)
	tags := q.Tags
	if r := q.Request; r != nil {
		set("TOKEN", r.Token)
		set("TYPE", r.Type)
		set("ZONE", r.Zone)
		set("SPOT", fmt.Sprint(r.Spot))
		set("COUNT", fmt.Sprint(r.Count))
		set("NAMES", strings.Join(r.Names, "\n"))
		tags = r.Tags
	}
	set("TAGS", lines(tags))
	return env
}

// head keeps the beginning of what is written to it and calls full once there
// is more.
type head struct {
	most int
	full func()
	data []byte
}

func (h *head) Write(b []byte) (int, error) {
	if len(h.data)+len(b) > h.most {
		h.full()
		return 0, errOutput
	}
	h.data = append(h.data, b...)
	return len(b), nil
}

// tail keeps the end of what is written to it.
type tail struct {
	most int
	data []byte
}

func (t *tail) Write(b []byte) (int, error) {
	t.data = append(t.data, b...)
	if over := len(t.data) - t.most; over > 0 {
		t.data = append(t.data[:0], t.data[over:]...)
	}
	return len(b), nil
}
