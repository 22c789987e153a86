package bench

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os/exec"
	"syscall"
	"time"
)

const (
	startTimeout = 15 * time.Second
	stopTimeout  = 5 * time.Second
	pollInterval = 10 * time.Millisecond
)

// server is a program under test that we started.
type server struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	err  error
}

// startServer starts a command in a process group of its own and waits until
// something listens on addr. What it prints goes to output.
func startServer(ctx context.Context, argv []string, addr netip.AddrPort, output io.Writer) (*server, error) {
	s := &server{cmd: exec.Command(argv[0], argv[1:]...), done: make(chan struct{})}
	s.cmd.Stdout, s.cmd.Stderr = output, output
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	s.cmd.WaitDelay = stopTimeout
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("cannot start %q: %w", argv[0], err)
	}
	go func() {
		s.err = s.cmd.Wait()
		close(s.done)
	}()
	if err := s.waitFor(ctx, addr); err != nil {
		s.stop()
		return nil, fmt.Errorf("cannot use %q: %w", argv[0], err)
	}
	return s, nil
}

func (s *server) pid() int { return s.cmd.Process.Pid }

func (s *server) waitFor(ctx context.Context, addr netip.AddrPort) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr.String())
		if err == nil {
			return conn.Close()
		}
		select {
		case <-s.done:
			return fmt.Errorf("it has ended: %v", s.err)
		case <-ctx.Done():
			return fmt.Errorf("nothing listens on %s: %w", addr, err)
		case <-tick.C:
		}
	}
}

// stop asks the program to end, and kills its group if it does not.
func (s *server) stop() {
	syscall.Kill(-s.pid(), syscall.SIGTERM)
	select {
	case <-s.done:
	case <-time.After(stopTimeout):
		syscall.Kill(-s.pid(), syscall.SIGKILL)
		<-s.done
	}
}
