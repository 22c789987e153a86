package netloop

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// polled lists the descriptors that any epoll of this process watches.
func polled(t *testing.T) map[string]bool {
	t.Helper()
	infos, err := filepath.Glob("/proc/self/fdinfo/*")
	if err != nil || len(infos) == 0 {
		t.Fatalf("no descriptors to look at: %v", err)
	}
	found := map[string]bool{}
	for _, path := range infos {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // closed meanwhile
		}
		for line := range strings.Lines(string(text)) {
			if rest, ok := strings.CutPrefix(line, "tfd:"); ok {
				found[strings.Fields(rest)[0]] = true
			}
		}
	}
	return found
}

// TestListenersAreNotInGosPoller guards the cost of a connection: a listening
// socket that the runtime polls wakes one of its threads for each.
func TestListenersAreNotInGosPoller(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", "unix:" + filepath.Join(t.TempDir(), "s")} {
		f, _, err := Listen(addr)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		fd := fmt.Sprint(f.Fd())
		if polled(t)[fd] {
			t.Errorf("%s: the runtime polls the listening socket", addr)
		}
		if _, _, errno := Accept(int32(f.Fd())); !errno.Temporary() {
			t.Errorf("%s: accepting with nobody there: %v, want EAGAIN at once", addr, errno)
		}
	}
	// What the test looks at does tell: a pipe of the runtime is polled.
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	conn, err := r.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var fd string
	conn.Control(func(n uintptr) { fd = fmt.Sprint(n) })
	if !polled(t)[fd] {
		t.Error("a pipe that the runtime polls is not seen: the test sees nothing")
	}
}
