package accesslog

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memory is an output of a test. While gate is set, writes wait for it.
type memory struct {
	mu    sync.Mutex
	data  bytes.Buffer
	fail  int // bytes taken before the error; -1: no error
	calls int
	gate  chan struct{}
}

func (m *memory) Write(p []byte) (int, error) {
	if m.gate != nil {
		<-m.gate
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls++
	if m.fail >= 0 {
		n := min(m.fail, len(p))
		m.data.Write(p[:n])
		return n, errors.New("no space left on device")
	}
	return m.data.Write(p)
}

func (m *memory) Close() error { return nil }

func (m *memory) setFail(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fail = n
}

func (m *memory) String() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.data.String()
}

// closeLog closes and fails the test if that fails.
func closeLog(t testing.TB, l *Logger) {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

func flush(t testing.TB, l *Logger) {
	t.Helper()
	if err := l.Flush(); err != nil {
		t.Error(err)
	}
}

func routed(id string) *Entry { return &Entry{Method: []byte("GET"), Route: id} }

func TestLinesArriveWithoutFlushOrClose(t *testing.T) {
	out := &memory{fail: -1, gate: make(chan struct{})}
	l := start("x", mustCompile(t, "$route"), 1, out)
	for i := range 3 { // each line finds the writer asleep
		l.Loop(0).Log(routed(strconv.Itoa(i)))
		out.gate <- struct{}{}
	}
	close(out.gate)
	closeLog(t, l)
	if got, want := out.String(), "0\n1\n2\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestEveryLineOfEveryLoopIsWrittenOnce logs from several loops while the
// file is rotated, and counts every line.
func TestEveryLineOfEveryLoopIsWrittenOnce(t *testing.T) {
	const loops, lines, rotations = 4, 3000, 10
	path := filepath.Join(t.TempDir(), "access.log")
	l, err := Open(path, mustCompile(t, "$route end"), loops)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range loops {
		wg.Go(func() {
			for n := range lines {
				l.Loop(i).Log(routed(fmt.Sprintf("%d-%d", i, n)))
				if n%500 == 0 {
					_ = l.Flush() // stay within the ring
				}
			}
		})
	}
	for i := range rotations {
		if err := os.Rename(path, fmt.Sprintf("%s.%d", path, i)); err != nil {
			t.Error(err)
		}
		if err := l.Reopen(); err != nil {
			t.Error(err)
		}
	}
	wg.Wait()
	closeLog(t, l)

	files, err := filepath.Glob(path + "*")
	if err != nil || len(files) != rotations+1 {
		t.Fatalf("%d files, want %d (%v)", len(files), rotations+1, err)
	}
	seen := map[string]int{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(data)) {
			seen[line]++
		}
	}
	for i := range loops {
		for n := range lines {
			if line := fmt.Sprintf("%d-%d end\n", i, n); seen[line] != 1 {
				t.Fatalf("%q written %d times", line, seen[line])
			}
		}
	}
	if len(seen) != loops*lines || l.Dropped() != 0 {
		t.Errorf("%d different lines, %d dropped, want %d and 0", len(seen), l.Dropped(), loops*lines)
	}
}

func TestOverflowDropsWholeLinesAndCounts(t *testing.T) {
	out := &memory{fail: -1, gate: make(chan struct{})}
	l := start("x", mustCompile(t, "$route"), 1, out)
	id := strings.Repeat("x", 999)
	const logged = 3 * ringSize / 1000
	for range logged { // the writer takes at most one ringful, then waits at the gate
		l.Loop(0).Log(routed(id))
	}
	close(out.gate)
	closeLog(t, l)
	written := 0
	for line := range strings.Lines(out.String()) {
		if line != id+"\n" {
			t.Fatalf("torn line of %d bytes", len(line))
		}
		written++
	}
	if written+int(l.Dropped()) != logged || l.Dropped() == 0 {
		t.Errorf("%d written, %d dropped, %d logged", written, l.Dropped(), logged)
	}
}

func TestFullDiskIsCountedAndServingGoesOn(t *testing.T) {
	out := &memory{fail: 6}
	l := start("x", mustCompile(t, "$route"), 1, out)
	for _, id := range []string{"one", "two", "three"} { // "one\ntw" fits
		l.Loop(0).Log(routed(id))
	}
	flush(t, l)
	if l.Dropped() != 2 || l.WriteErrors() != 1 {
		t.Errorf("%d dropped in %d errors, want 2 in 1", l.Dropped(), l.WriteErrors())
	}
	out.setFail(-1)
	l.Loop(0).Log(routed("four"))
	l.Loop(0).Log(routed("five"))
	closeLog(t, l)
	if got, want := out.String(), "one\ntw\nfour\nfive\n"; got != want {
		t.Errorf("got %q, want %q: what follows a torn line stands on a line of its own", got, want)
	}
	if l.Dropped() != 2 {
		t.Errorf("%d dropped at the end, want 2", l.Dropped())
	}
}

func TestManyLinesAreOneWrite(t *testing.T) {
	out := &memory{fail: -1, gate: make(chan struct{})}
	l := start("x", mustCompile(t, "$route"), 2, out)
	done := make(chan struct{})
	go func() { defer close(done); _ = l.Flush() }()
	l.Loop(0).Log(routed("first"))
	out.gate <- struct{}{} // the writer is past the first line
	for range 100 {
		l.Loop(0).Log(routed("a"))
		l.Loop(1).Log(routed("b"))
	}
	close(out.gate)
	<-done
	closeLog(t, l)
	if out.calls > 4 {
		t.Errorf("201 lines took %d writes", out.calls)
	}
}

func TestAnOversizeLineIsLoggedWithItsValuesCut(t *testing.T) {
	out := &memory{fail: -1}
	l := start("x", mustCompile(t, "escape=json {\"u\":\"$request_uri\",\"h\":\"$http_h\"}"), 1, out)
	e := routed("")
	e.Target = []byte("/" + strings.Repeat("\x01", 8000))
	e.Headers = [][]byte{[]byte(strings.Repeat("h", 32<<10))}
	l.Loop(0).Log(e)
	closeLog(t, l)
	line := out.String()
	if len(line) < 2*shortValue || len(line) > maxLine || l.Dropped() != 0 {
		t.Errorf("%d bytes, %d dropped", len(line), l.Dropped())
	}
	assertJSON(t, []byte(line))
}

func TestReopenKeepsTheOldFileIfTheNewCannotBeOpened(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "logs")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	l, err := Open(filepath.Join(dir, "a"), mustCompile(t, "$route"), 1)
	if err != nil {
		t.Fatal(err)
	}
	moved := dir + ".moved"
	if err := os.Rename(dir, moved); err != nil {
		t.Fatal(err)
	}
	if err := l.Reopen(); err == nil || !strings.HasPrefix(err.Error(), "cannot open access log ") {
		t.Errorf("got %v", err)
	}
	l.Loop(0).Log(routed("kept"))
	closeLog(t, l)
	got, err := os.ReadFile(filepath.Join(moved, "a"))
	if err != nil || string(got) != "kept\n" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestOpenAppends(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a")
	for _, id := range []string{"1", "2"} {
		l, err := Open(path, mustCompile(t, "$route"), 1)
		if err != nil {
			t.Fatal(err)
		}
		l.Loop(0).Log(routed(id))
		closeLog(t, l)
	}
	if got, _ := os.ReadFile(path); string(got) != "1\n2\n" {
		t.Errorf("got %q", got)
	}
}

func TestOpenReportsAPathThatCannotBe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "no", "such")
	if _, err := Open(path, mustCompile(t, "$route"), 1); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func TestClosedLoggerAnswers(t *testing.T) {
	l := start("x", mustCompile(t, "$route"), 1, &memory{fail: -1})
	closeLog(t, l)
	closeLog(t, l)
	if err := l.Reopen(); !errors.Is(err, errClosed) {
		t.Errorf("got %v", err)
	}
}

func TestCloseGivesUpOnAStuckFile(t *testing.T) {
	out := &memory{fail: -1, gate: make(chan struct{})}
	l := start("x", mustCompile(t, "$route"), 1, out)
	l.Loop(0).Log(routed("a"))
	if err := l.Close(); err == nil {
		t.Error("Close succeeded though nothing could be written")
	}
	close(out.gate)
	<-l.done
}

func TestNilBufferLogsNothing(t *testing.T) {
	var b *Buffer
	b.Log(routed("x"))
}
