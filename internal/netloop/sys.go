package netloop

import (
	"net/netip"
	"syscall"
	"unsafe"
)

// Recv reads from a non-blocking socket. n is 0 with errno 0 at end of
// stream. EINTR is retried.
func Recv(fd int32, b []byte) (n int, errno syscall.Errno) {
	if len(b) == 0 {
		return 0, syscall.EINVAL
	}
	for {
		r, _, e := syscall.RawSyscall6(syscall.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), 0, 0, 0)
		if e == 0 {
			return int(r), 0
		}
		if e != syscall.EINTR {
			return 0, e
		}
	}
}

// Send writes to a non-blocking socket and raises no SIGPIPE. EINTR is
// retried. A short count is no error.
func Send(fd int32, b []byte) (n int, errno syscall.Errno) {
	if len(b) == 0 {
		return 0, 0
	}
	for {
		r, _, e := syscall.RawSyscall6(syscall.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), syscall.MSG_NOSIGNAL, 0, 0)
		if e == 0 {
			return int(r), 0
		}
		if e != syscall.EINTR {
			return 0, e
		}
	}
}

// SendTwo writes a then b with one system call (a head and its body).
func SendTwo(fd int32, a, b []byte) (n int, errno syscall.Errno) {
	if len(b) == 0 {
		return Send(fd, a)
	}
	if len(a) == 0 {
		return Send(fd, b)
	}
	iov := [2]syscall.Iovec{{Base: &a[0], Len: uint64(len(a))}, {Base: &b[0], Len: uint64(len(b))}}
	msg := syscall.Msghdr{Iov: &iov[0], Iovlen: 2}
	for {
		r, _, e := syscall.RawSyscall(syscall.SYS_SENDMSG, uintptr(fd), uintptr(unsafe.Pointer(&msg)), syscall.MSG_NOSIGNAL)
		if e == 0 {
			return int(r), 0
		}
		if e != syscall.EINTR {
			return 0, e
		}
	}
}

// ShutdownWrite sends FIN.
func ShutdownWrite(fd int32) {
	syscall.RawSyscall(syscall.SYS_SHUTDOWN, uintptr(fd), syscall.SHUT_WR, 0)
}

// SocketError takes the pending error of a socket (SO_ERROR).
func SocketError(fd int32) syscall.Errno {
	var v int32
	n := uint32(4)
	_, _, e := syscall.RawSyscall6(syscall.SYS_GETSOCKOPT, uintptr(fd), syscall.SOL_SOCKET, syscall.SO_ERROR,
		uintptr(unsafe.Pointer(&v)), uintptr(unsafe.Pointer(&n)), 0)
	if e != 0 {
		return e
	}
	return syscall.Errno(v)
}

func setInt(fd int32, level, opt int, v int32) {
	syscall.RawSyscall6(syscall.SYS_SETSOCKOPT, uintptr(fd), uintptr(level), uintptr(opt), uintptr(unsafe.Pointer(&v)), 4, 0)
}

// NoDelay turns Nagle's algorithm off; it is harmless on a unix socket.
func NoDelay(fd int32) { setInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1) }

// ResetOnClose makes close(2) send RST instead of FIN.
func ResetOnClose(fd int32) {
	l := syscall.Linger{Onoff: 1, Linger: 0}
	syscall.RawSyscall6(syscall.SYS_SETSOCKOPT, uintptr(fd), syscall.SOL_SOCKET, syscall.SO_LINGER, uintptr(unsafe.Pointer(&l)), unsafe.Sizeof(l), 0)
}

// CloseNow closes a descriptor that no loop knows.
func CloseNow(fd int32) { closeFD(fd) }

func closeFD(fd int32) { syscall.RawSyscall(syscall.SYS_CLOSE, uintptr(fd), 0, 0) }

// Accept takes one connection off a listening socket. The peer's address is
// invalid for a unix socket; v4-mapped addresses are unmapped.
func Accept(lfd int32) (fd int32, peer netip.AddrPort, errno syscall.Errno) {
	var rsa syscall.RawSockaddrAny
	n := uint32(syscall.SizeofSockaddrAny)
	r, _, e := syscall.RawSyscall6(syscall.SYS_ACCEPT4, uintptr(lfd), uintptr(unsafe.Pointer(&rsa)), uintptr(unsafe.Pointer(&n)),
		syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0, 0)
	if e != 0 {
		return -1, peer, e
	}
	return int32(r), addrPort(&rsa), 0
}

func addrPort(rsa *syscall.RawSockaddrAny) netip.AddrPort {
	switch rsa.Addr.Family {
	case syscall.AF_INET:
		sa := (*syscall.RawSockaddrInet4)(unsafe.Pointer(rsa))
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), ntohs(sa.Port))
	case syscall.AF_INET6:
		sa := (*syscall.RawSockaddrInet6)(unsafe.Pointer(rsa))
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr).Unmap(), ntohs(sa.Port))
	}
	return netip.AddrPort{}
}

// ntohs turns a port as it lies in memory into a number, and back.
func ntohs(p uint16) uint16 { return p>>8 | p<<8 }

// Sockaddr is a peer's address in the kernel's form, made once and used for
// every connect.
type Sockaddr struct {
	raw    syscall.RawSockaddrAny
	len    uint32
	family int
}

// MakeSockaddr returns the kernel's form of a TCP address, or of the path of
// a unix socket if ap is invalid.
func MakeSockaddr(ap netip.AddrPort, unixPath string) Sockaddr {
	var s Sockaddr
	switch {
	case !ap.IsValid():
		s.family = syscall.AF_UNIX
		sa := (*syscall.RawSockaddrUnix)(unsafe.Pointer(&s.raw))
		sa.Family = syscall.AF_UNIX
		n := 0
		for n < len(unixPath) && n < len(sa.Path)-1 {
			sa.Path[n] = int8(unixPath[n])
			n++
		}
		s.len = uint32(2 + n + 1)
	case ap.Addr().Is4():
		s.family = syscall.AF_INET
		sa := (*syscall.RawSockaddrInet4)(unsafe.Pointer(&s.raw))
		sa.Family, sa.Port, sa.Addr = syscall.AF_INET, ntohs(ap.Port()), ap.Addr().As4()
		s.len = syscall.SizeofSockaddrInet4
	default:
		s.family = syscall.AF_INET6
		sa := (*syscall.RawSockaddrInet6)(unsafe.Pointer(&s.raw))
		sa.Family, sa.Port, sa.Addr = syscall.AF_INET6, ntohs(ap.Port()), ap.Addr().As16()
		s.len = syscall.SizeofSockaddrInet6
	}
	return s
}

// Connect starts a non-blocking connection. errno is EINPROGRESS while the
// handshake runs (the source then becomes writable), 0 when it is done. On
// any other errno no descriptor is left open.
func Connect(to *Sockaddr) (fd int32, errno syscall.Errno) {
	r, _, e := syscall.RawSyscall(syscall.SYS_SOCKET, uintptr(to.family), syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
	if e != 0 {
		return -1, e
	}
	fd = int32(r)
	if to.family != syscall.AF_UNIX {
		NoDelay(fd)
	}
	for {
		_, _, e = syscall.RawSyscall(syscall.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&to.raw)), uintptr(to.len))
		if e == 0 || e == syscall.EINPROGRESS {
			return fd, e
		}
		if e != syscall.EINTR {
			closeFD(fd)
			return -1, e
		}
	}
}

// SelfConnected reports whether a TCP socket is connected to itself, which
// happens on loopback when the kernel picks the port dialled as the local one.
func SelfConnected(fd int32, to *Sockaddr) bool {
	if to.family == syscall.AF_UNIX {
		return false
	}
	var rsa syscall.RawSockaddrAny
	n := uint32(syscall.SizeofSockaddrAny)
	if _, _, e := syscall.RawSyscall(syscall.SYS_GETSOCKNAME, uintptr(fd), uintptr(unsafe.Pointer(&rsa)), uintptr(unsafe.Pointer(&n))); e != 0 {
		return false
	}
	return addrPort(&rsa) == addrPort(&to.raw)
}
