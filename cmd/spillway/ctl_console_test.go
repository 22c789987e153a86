package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"spillway/scaler/api"
)

// pty is a terminal: keys are typed into master, and a process has the other
// end.
type pty struct {
	master, slave *os.File

	mu    sync.Mutex
	shown bytes.Buffer
	more  chan struct{} // a byte was shown
}

func openPTY(t *testing.T) *pty {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close() })
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { slave.Close() })
	p := &pty{master: master, slave: slave, more: make(chan struct{}, 1)}
	go p.watch()
	return p
}

func (p *pty) watch() {
	buf := make([]byte, 4096)
	for {
		n, err := p.master.Read(buf)
		p.mu.Lock()
		p.shown.Write(buf[:n])
		p.mu.Unlock()
		select {
		case p.more <- struct{}{}:
		default:
		}
		if err != nil {
			return
		}
	}
}

func (p *pty) screen() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.shown.String()
}

// expect waits until text is on the screen.
func (p *pty) expect(t *testing.T, text string) {
	t.Helper()
	limit := time.After(patience)
	for !strings.Contains(p.screen(), text) {
		select {
		case <-p.more:
		case <-limit:
			t.Fatalf("%q is not shown: %q", text, p.screen())
		}
	}
}

func (p *pty) press(t *testing.T, keys string) {
	t.Helper()
	if _, err := io.WriteString(p.master, keys); err != nil {
		t.Fatal(err)
	}
}

func (p *pty) resize(t *testing.T, columns, rows uint16) {
	t.Helper()
	if err := unix.IoctlSetWinsize(int(p.master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Col: columns, Row: rows}); err != nil {
		t.Fatal(err)
	}
}

func (p *pty) settings(t *testing.T) unix.Termios {
	t.Helper()
	s, err := unix.IoctlGetTermios(int(p.slave.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return *s
}

// start runs spillway ctl with the terminal as its own.
func (p *pty) start(t *testing.T, address string, args ...string) *exec.Cmd {
	t.Helper()
	bin, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(bin, append([]string{"ctl"}, args...)...)
	cmd.Env = append(os.Environ(), "SPILLWAY_CTL_ADDRESS="+address, "SPILLWAY_CTL_TOKEN=secret")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = p.slave, p.slave, p.slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return cmd
}

// echo is a shell that says of every key what it is, and of every size; q ends
// it.
func echo(ctx context.Context, r api.ExecRequest, s api.Streams) (int, error) {
	keys := make(chan byte)
	go func() {
		defer close(keys)
		key := make([]byte, 1)
		for {
			if _, err := s.In.Read(key); err != nil {
				return
			}
			keys <- key[0]
		}
	}()
	fmt.Fprintf(s.Out, "tty=%v\n", r.TTY)
	for {
		select {
		case key, ok := <-keys:
			switch {
			case !ok:
				return 0, ctx.Err()
			case key == 'q':
				return 23, nil
			}
			fmt.Fprintf(s.Out, "<%d>", key)
		case size, ok := <-s.Resize:
			if !ok {
				return 0, ctx.Err()
			}
			fmt.Fprintf(s.Out, "[%dx%d]", size[0], size[1])
		}
	}
}

// exec in a real terminal: every key arrives as it is typed, ^C too; the size
// follows the window; the exit code is the command's; and the terminal is left
// as it was found.
func TestCtlExecIsATerminal(t *testing.T) {
	p := openPTY(t)
	p.resize(t, 100, 30)
	before := p.settings(t)
	cmd := p.start(t, serveCtl(t, &ctlBackend{exec: echo}), "exec", "web-1")
	p.expect(t, "tty=true")
	p.expect(t, "[100x30]")
	p.press(t, "a\x03\x1a\x1c\r")
	p.expect(t, "<97><3><26><28><13>") // a, ^C, ^Z, ^\, return
	p.resize(t, 132, 43)
	p.expect(t, "[132x43]")
	p.press(t, "q")
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() != 23 {
		t.Errorf("ended with %v, want exit code 23; shown %q", err, p.screen())
	}
	if diff := cmp.Diff(before, p.settings(t)); diff != "" {
		t.Errorf("the terminal is not as it was (-before +after)\n%s", diff)
	}
	if shown := p.screen(); strings.Contains(shown, "aq") || strings.Contains(shown, "^C") {
		t.Errorf("keys were shown by the terminal itself: %q", shown)
	}
}

// A scaler that goes away, and a TERM, leave a usable terminal behind.
func TestCtlExecRestoresTheTerminalHoweverItEnds(t *testing.T) {
	lost := func(_ context.Context, _ api.ExecRequest, s api.Streams) (int, error) {
		fmt.Fprint(s.Out, "ready")
		return 0, fmt.Errorf("the engine does not answer: %w", api.ErrUnavailable)
	}
	p := openPTY(t)
	before := p.settings(t)
	cmd := p.start(t, serveCtl(t, &ctlBackend{exec: lost}), "exec", "web-1")
	p.expect(t, "spillway: the engine does not answer")
	if _ = cmd.Wait(); cmd.ProcessState.ExitCode() != exitFailure {
		t.Errorf("ended with %v", cmd.ProcessState)
	}
	if diff := cmp.Diff(before, p.settings(t)); diff != "" {
		t.Errorf("after a failure (-before +after)\n%s", diff)
	}
	cmd = p.start(t, serveCtl(t, &ctlBackend{exec: echo}), "exec", "web-1")
	p.expect(t, "tty=true")
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if _ = cmd.Wait(); cmd.ProcessState.ExitCode() != exitFailure {
		t.Errorf("TERM: ended with %v", cmd.ProcessState)
	}
	if diff := cmp.Diff(before, p.settings(t)); diff != "" {
		t.Errorf("after TERM (-before +after)\n%s", diff)
	}
}

// Between pipes there is no terminal, and the input ends the command's.
func TestCtlExecInAPipe(t *testing.T) {
	count := func(_ context.Context, r api.ExecRequest, s api.Streams) (int, error) {
		n, err := io.Copy(io.Discard, s.In)
		fmt.Fprintf(s.Out, "%d bytes, tty=%v\n", n, r.TTY)
		fmt.Fprint(s.Err, "to stderr")
		return 4, err
	}
	bin, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(bin, "ctl", "exec", "web-1", "wc", "-c")
	cmd.Env = append(os.Environ(), "SPILLWAY_CTL_ADDRESS="+serveCtl(t, &ctlBackend{exec: count}), "SPILLWAY_CTL_TOKEN=secret")
	cmd.Stdin = strings.NewReader(strings.Repeat("x", 300_000))
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	_ = cmd.Run() // the exit code is looked at below
	if cmd.ProcessState.ExitCode() != 4 || out.String() != "300000 bytes, tty=false\n" || errs.String() != "to stderr" {
		t.Errorf("%v, stdout %q, stderr %q", cmd.ProcessState, out.String(), errs.String())
	}
}
