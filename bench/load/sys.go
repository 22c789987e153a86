package load

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

const (
	clockMonotonic = 1
	tfdNonblock    = 0x800
	tfdCloexec     = 0x80000
	rusageThread   = 1
)

// openTimer returns a timerfd: the loop's own deadlines are too coarse to pace.
func openTimer() (int32, error) {
	fd, _, errno := syscall.RawSyscall(syscall.SYS_TIMERFD_CREATE, clockMonotonic, tfdNonblock|tfdCloexec, 0)
	if errno != 0 {
		return -1, fmt.Errorf("cannot create timer: %w", errno)
	}
	return int32(fd), nil
}

// armTimer makes the timer readable after a delay, once. It need not be read:
// arming anew clears it, and an edge-triggered epoll tells of each expiry.
func armTimer(fd int32, delay time.Duration) {
	spec := [2]syscall.Timespec{1: syscall.NsecToTimespec(int64(max(delay, 1)))}
	syscall.RawSyscall6(syscall.SYS_TIMERFD_SETTIME, uintptr(fd), 0, uintptr(unsafe.Pointer(&spec)), 0, 0, 0)
}

// discard takes up to n bytes off a socket without copying them (MSG_TRUNC,
// tcp(7)).
func discard(fd int32, n int64, scratch []byte) (int64, syscall.Errno) {
	for {
		r, _, e := syscall.RawSyscall6(syscall.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&scratch[0])), uintptr(n), syscall.MSG_TRUNC, 0, 0)
		if e == 0 {
			return int64(r), 0
		}
		if e != syscall.EINTR {
			return 0, e
		}
	}
}

// threadUse is what the calling thread has had of the processor so far.
type threadUse struct {
	user, system time.Duration
	waited       time.Duration // ready to run, but the processor was taken
}

// readThreadUse must be called on a locked thread to mean anything.
func readThreadUse() threadUse {
	var ru syscall.Rusage
	if err := syscall.Getrusage(rusageThread, &ru); err != nil {
		return threadUse{}
	}
	u := threadUse{user: time.Duration(ru.Utime.Nano()), system: time.Duration(ru.Stime.Nano())}
	// schedstat: time on the processor, time waited for it, slices.
	text, _ := os.ReadFile("/proc/thread-self/schedstat")
	if f := strings.Fields(string(text)); len(f) == 3 {
		ns, _ := strconv.ParseInt(f[1], 10, 64)
		u.waited = time.Duration(ns)
	}
	return u
}

func (u threadUse) since(before threadUse) threadUse {
	return threadUse{user: u.user - before.user, system: u.system - before.system, waited: u.waited - before.waited}
}
