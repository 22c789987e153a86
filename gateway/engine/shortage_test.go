package engine_test

import (
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// shortRole marks the process that may run out of descriptors: the test
// binary again, with this one test.
const shortRole = "SPILLWAY_TEST_SHORTAGE"

// Out of descriptors the gateway stops accepting, without spinning; those it
// has go on; and it accepts again by itself when there are some.
func TestOutOfDescriptors(t *testing.T) {
	t.Parallel()
	if differs(t, "it logs and goes on by itself") {
		return
	}
	if os.Getenv(shortRole) != "" {
		runShort(t)
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestOutOfDescriptors$", "-test.v", "-test.timeout=30s")
	cmd.Env = append(os.Environ(), shortRole+"=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func runShort(t *testing.T) {
	c := startChild(t) // clients and servers: the limit is the gateway's alone
	p := startProxy(t, proxyConfig{Backends: []string{c.addr}, Loops: 2})
	steady := p.dial()
	ask := func() {
		steady.send(get("/bytes/5"))
		if m := steady.answer(200); len(m.Body) != 5 {
			t.Errorf("got %q", m.Body)
		}
	}
	ask()
	limitFiles(t, openFiles(t)+6)
	c.do("connect %s %d", p.Addr, 40)
	for late := deadline(); p.counters().shortages == 0; {
		ask()
		if late() {
			t.Fatal("it never ran out of descriptors")
		}
	}
	began, before := time.Now(), p.counters().shortages
	for time.Since(began) < 500*time.Millisecond {
		ask()
	}
	if n := p.counters().shortages - before; n > 20 {
		t.Errorf("it tried to accept %d times in half a second", n)
	}
	if n := p.counters().accepted; n > 10 {
		t.Errorf("it accepted %d connections with 6 descriptors", n)
	}
	c.do("drop")
	for late := deadline(); p.counters().accepted < 41 || p.inflight() > 0 || sum(p.active()) > 1; {
		ask()
		if late() {
			t.Fatalf("accepted %d of 41, %d are open", p.counters().accepted, p.active())
		}
	}
	c.do("run %s %d %d", p.Addr, 20, 2)
	ask()
}

func sum(all []int64) (n int64) {
	for _, v := range all {
		n += v
	}
	return n
}

// openFiles is the lowest descriptor that is free.
func openFiles(t *testing.T) uint64 {
	t.Helper()
	fd, err := syscall.Dup(0)
	if err != nil {
		t.Fatal(err)
	}
	syscall.Close(fd)
	return uint64(fd)
}

func limitFiles(t *testing.T, n uint64) {
	t.Helper()
	var lim syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &lim); err != nil {
		t.Fatal(err)
	}
	lim.Cur = n
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &lim); err != nil {
		t.Fatal(err)
	}
}
