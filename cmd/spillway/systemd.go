package main

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// notify tells the service manager a state, such as "READY=1" (sd_notify). It
// does nothing outside a service that asked to be told.
func notify(env func(string) (string, bool), state string) error {
	path, ok := env("NOTIFY_SOCKET")
	if !ok || path == "" {
		return nil
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("cannot notify the service manager: %w", err)
	}
	defer c.Close()
	if _, err := c.Write([]byte(state)); err != nil {
		return fmt.Errorf("cannot notify the service manager: %w", err)
	}
	return nil
}

// reloading is the state of a reload that begins; systemd wants the time with
// it.
func reloading() string {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		return "RELOADING=1"
	}
	return "RELOADING=1\nMONOTONIC_USEC=" + strconv.FormatInt(ts.Nano()/1000, 10)
}

// firstInherited is the first descriptor of socket activation.
const firstInherited = 3

// inherited returns the sockets the service manager opened (LISTEN_FDS), by
// the address of listen they serve. One that nobody listens on is an error: it
// would answer nobody.
func inherited(env func(string) (string, bool), pid int, listen []string) (map[string]*os.File, error) {
	forPID, _ := env("LISTEN_PID")
	count, _ := env("LISTEN_FDS")
	n, err := strconv.Atoi(count)
	if forPID != strconv.Itoa(pid) || err != nil || n < 1 {
		return nil, nil
	}
	sockets := map[string]*os.File{}
	for fd := firstInherited; fd < firstInherited+n; fd++ {
		unix.CloseOnExec(fd)
		at, err := socketAddr(fd)
		if err != nil {
			return nil, fmt.Errorf("cannot use inherited descriptor %d: %w", fd, err)
		}
		addr := matching(listen, at)
		if addr == "" {
			return nil, fmt.Errorf("inherited socket %q is no address of gateway.listen", at)
		}
		sockets[addr] = os.NewFile(uintptr(fd), addr)
	}
	return sockets, nil
}

// socketAddr is the address of a listening socket as gateway.listen writes it.
func socketAddr(fd int) (string, error) {
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return "", err
	}
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port)).String(), nil
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), uint16(sa.Port)).String(), nil
	case *unix.SockaddrUnix:
		return "unix:" + sa.Name, nil
	}
	return "", fmt.Errorf("neither TCP nor unix")
}

// matching finds the configured address a socket serves. ":80" is any of the
// two wildcards.
func matching(listen []string, at string) string {
	for _, addr := range listen {
		if addr == at {
			return addr
		}
		if port, ok := strings.CutPrefix(addr, ":"); ok && (at == "[::]:"+port || at == "0.0.0.0:"+port) {
			return addr
		}
	}
	return ""
}
