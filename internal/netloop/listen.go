package netloop

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
)

// Listen opens a listening socket for "host:port", "[ipv6]:port" or
// "unix:/path". The file keeps the descriptor; it is non-blocking and shared
// by loops through AddListener. A stale unix socket file is replaced.
func Listen(addr string) (*os.File, net.Addr, error) {
	network, name := "tcp", addr
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		network, name = "unix", path
		if err := removeStaleSocket(path); err != nil {
			return nil, nil, err
		}
	}
	// Multipath TCP, Go's default, makes each accept and all of its sockets
	// dearer, for clients that ask for it or not.
	var lc net.ListenConfig
	lc.SetMultipathTCP(false)
	ln, err := lc.Listen(context.Background(), network, name)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot listen on %q: %w", addr, err)
	}
	defer ln.Close()
	if u, ok := ln.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false)
	}
	f, err := ln.(interface{ File() (*os.File, error) }).File()
	if err != nil {
		return nil, nil, fmt.Errorf("cannot listen on %q: %w", addr, err)
	}
	if f, err = Unpolled(f); err != nil {
		return nil, nil, fmt.Errorf("cannot listen on %q: %w", addr, err)
	}
	return f, ln.Addr(), nil
}

// Unpolled takes over a socket from f, which it closes, and returns it as a
// non-blocking file that Go's own poller does not know: one it knows wakes a
// thread of the runtime for every connection, beside the loop.
func Unpolled(f *os.File) (*os.File, error) {
	defer f.Close()
	conn, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	var fd uintptr
	var errno syscall.Errno
	err = conn.Control(func(old uintptr) {
		fd, _, errno = syscall.Syscall(syscall.SYS_FCNTL, old, syscall.F_DUPFD_CLOEXEC, 0)
	})
	switch {
	case err != nil:
		return nil, err
	case errno != 0:
		return nil, errno
	}
	// NewFile registers what is non-blocking when it is called.
	if err := syscall.SetNonblock(int(fd), false); err != nil {
		return nil, err
	}
	own := os.NewFile(fd, f.Name())
	return own, syscall.SetNonblock(int(fd), true)
}

// removeStaleSocket removes a unix socket file that nobody answers on.
func removeStaleSocket(path string) error {
	st, err := os.Stat(path)
	if err != nil || st.Mode()&os.ModeSocket == 0 {
		return nil
	}
	if c, err := net.Dial("unix", path); err == nil {
		c.Close()
		return fmt.Errorf("cannot listen on %q: %w", "unix:"+path, syscall.EADDRINUSE)
	}
	return os.Remove(path)
}
