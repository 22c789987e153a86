package engine_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Tests that measure this process keep everything but the gateway out of it:
// clients and servers run in a child, the test binary executed again. Parent
// and child speak in lines over the child's standard input and output.
const childRole = "SPILLWAY_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childRole) != "" {
		runChild()
		return
	}
	// A loop keeps its processor for up to 10 ms while it waits (see netloop),
	// so there have to be more of them than loops at any time.
	runtime.GOMAXPROCS(8)
	os.Exit(m.Run())
}

// child is the parent's end.
type child struct {
	t    testing.TB
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Reader
	addr string // of the server in the child
}

func startChild(t testing.TB) *child {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childRole+"=1")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c := &child{t: t, cmd: cmd, in: in, out: bufio.NewReader(out)}
	t.Cleanup(c.kill)
	fmt.Sscan(c.line(), &c.addr)
	return c
}

func (c *child) kill() {
	c.cmd.Process.Kill()
	c.cmd.Wait()
}

func (c *child) line() string {
	c.t.Helper()
	s, err := c.out.ReadString('\n')
	if err != nil {
		c.t.Fatalf("child: %v", err)
	}
	return strings.TrimSpace(s)
}

// do sends one command and returns the answer, which begins with "ok".
func (c *child) do(format string, args ...any) string {
	c.t.Helper()
	fmt.Fprintf(c.in, format+"\n", args...)
	s := c.line()
	rest, ok := strings.CutPrefix(s, "ok")
	if !ok {
		c.t.Fatalf("child: %s answered %q", fmt.Sprintf(format, args...), s)
	}
	return strings.TrimSpace(rest)
}

// duration does a command whose answer is a time in nanoseconds.
func (c *child) duration(format string, args ...any) time.Duration {
	c.t.Helper()
	var d time.Duration
	if _, err := fmt.Sscanf(c.do(format, args...), "%d", &d); err != nil {
		c.t.Fatal(err)
	}
	return d
}

// actor is the child's end.
type actor struct {
	held   []net.Conn
	over   atomic.Bool
	loop   sync.WaitGroup
	mu     sync.Mutex
	window []time.Duration
	failed error
}

func runChild() {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println("error", err)
		return
	}
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go childServer(c)
		}
	}()
	fmt.Println(ln.Addr())
	a := &actor{}
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		answer, err := a.obey(in.Text())
		if err != nil {
			fmt.Println("error", err)
			continue
		}
		fmt.Println("ok", answer)
	}
}

// obey runs one command.
func (a *actor) obey(line string) (any, error) {
	var verb, addr string
	var n, size int64
	fmt.Sscan(line, &verb, &addr, &n, &size)
	switch verb {
	case "run": // n requests on each of size connections
		return "", a.each(int(size), func(int) error { return requests(addr, n) })
	case "hold": // n connections, each used once
		return "", a.hold(addr, int(n), get("/hold"), true)
	case "connect": // n connections that say nothing
		return "", a.hold(addr, int(n), "", false)
	case "stall": // n connections asking for size bytes each and not reading
		return "", a.hold(addr, int(n), get(fmt.Sprintf("/bytes/%d", size)), false)
	case "drop":
		for _, c := range a.held {
			c.Close()
		}
		a.held = nil
		return "", nil
	case "start": // n connections that ask again and again
		return "", a.start(addr, int(n))
	case "p99": // of the requests since the last time
		return a.percentile(99)
	case "stop":
		a.over.Store(true)
		a.loop.Wait()
		return "", a.failed
	case "upload":
		return "", upload(addr, n)
	case "download":
		return "", download(addr, n)
	}
	return nil, fmt.Errorf("unknown command %q", line)
}

func (a *actor) each(n int, f func(i int) error) error {
	errs := make(chan error, n)
	for i := range n {
		go func() { errs <- f(i) }()
	}
	var first error
	for range n {
		if err := <-errs; err != nil && first == nil {
			first = err
		}
	}
	return first
}

var childRequest = []byte("GET /bench HTTP/1.1\r\nHost: bench.example\r\nUser-Agent: child\r\nAccept: */*\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n")

// asker asks one thing again and again. All answers are alike but for the
// gateway's own fields, so that after the first only their size is looked at.
type asker struct {
	c    net.Conn
	r    *bufio.Reader
	size int
}

func newAsker(addr string) (*asker, error) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	return &asker{c: c, r: bufio.NewReader(c)}, nil
}

func (a *asker) ask() error {
	if _, err := a.c.Write(childRequest); err != nil {
		return err
	}
	if a.size == 0 {
		m, err := readAnswer(a.r, "GET")
		if err != nil || m.Status != 200 {
			return fmt.Errorf("got %+v: %w", m, err)
		}
		a.size = len(m.Head) + len(m.Body)
		return nil
	}
	got, err := a.r.Peek(a.size)
	if err == nil && !bytes.HasPrefix(got, []byte("HTTP/1.1 200 ")) {
		err = fmt.Errorf("got %q", got)
	}
	a.r.Discard(len(got))
	return err
}

func requests(addr string, n int64) error {
	a, err := newAsker(addr)
	if err != nil {
		return err
	}
	defer a.c.Close()
	for range n {
		if err := a.ask(); err != nil {
			return err
		}
	}
	return nil
}

// hold opens n connections, eight at a time, and keeps them.
func (a *actor) hold(addr string, n int, request string, answered bool) error {
	const dialers = 8
	return a.each(dialers, func(i int) error {
		for range (n + i) / dialers { // adds up to n
			c, err := holdOne(addr, request, answered)
			if err != nil {
				return err
			}
			a.mu.Lock()
			a.held = append(a.held, c)
			a.mu.Unlock()
		}
		return nil
	})
}

func holdOne(addr, request string, answered bool) (net.Conn, error) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	if _, err := io.WriteString(c, request); err != nil {
		return nil, err
	}
	if answered {
		_, err = readAnswer(bufio.NewReaderSize(c, 512), "GET")
	}
	return c, err
}

// start has n connections ask every 20 ms, each at its own instant. Times are
// from when a request was due: one that is late because the one before was
// slow is slow too.
func (a *actor) start(addr string, n int) error {
	const every = 20 * time.Millisecond
	for i := range n {
		asks, err := newAsker(addr)
		if err != nil {
			return err
		}
		a.loop.Go(func() {
			due := time.Now().Add(every * time.Duration(i) / time.Duration(n))
			for ; !a.over.Load(); due = due.Add(every) {
				<-time.After(time.Until(due))
				err := asks.ask()
				a.note(time.Since(due), err)
				if err != nil {
					return
				}
			}
		})
	}
	return nil
}

func (a *actor) note(took time.Duration, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.window = append(a.window, took)
	if err != nil {
		a.failed = err
	}
}

func (a *actor) percentile(p int) (int64, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.window) < 100 {
		return 0, fmt.Errorf("only %d requests", len(a.window))
	}
	slices.Sort(a.window)
	d := a.window[len(a.window)*p/100]
	a.window = a.window[:0]
	return int64(d), nil
}

func upload(addr string, n int64) error {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	io.WriteString(c, req("POST", "/", "", fmt.Sprintf("Content-Length: %d", n)))
	buf := make([]byte, 256<<10)
	for left := n; left > 0; {
		m, err := c.Write(buf[:min(int64(len(buf)), left)])
		if err != nil {
			return err
		}
		left -= int64(m)
	}
	m, err := readAnswer(bufio.NewReader(c), "POST")
	if err == nil && string(m.Body) != fmt.Sprint(n) {
		err = fmt.Errorf("server read %q of %d bytes", m.Body, n)
	}
	return err
}

func download(addr string, n int64) error {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	io.WriteString(c, get(fmt.Sprintf("/bytes/%d", n)))
	r := bufio.NewReaderSize(c, 256<<10)
	if _, err := readHead(r); err != nil {
		return err
	}
	got, err := discard(r, n)
	if got != n {
		return fmt.Errorf("read %d of %d bytes: %w", got, n, err)
	}
	return nil
}

// discard reads n bytes with as few copies as the kernel allows.
func discard(r io.Reader, n int64) (got int64, err error) {
	buf := make([]byte, 256<<10)
	for got < n && err == nil {
		var m int
		m, err = r.Read(buf[:min(int64(len(buf)), n-got)])
		got += int64(m)
	}
	return got, err
}

// childServer answers /bytes/N with N bytes, and everything else with the
// number of bytes it was sent.
func childServer(c net.Conn) {
	defer c.Close()
	r := bufio.NewReaderSize(c, 16<<10)
	answer := ok("0", "Server: child", "Date: Tue, 15 Nov 1994 08:12:31 GMT")
	for {
		if plain(r) {
			if _, err := io.WriteString(c, answer); err != nil {
				return
			}
			continue
		}
		m, err := readHead(r)
		if err != nil {
			return
		}
		got, _ := discard(r, max(m.Length, 0))
		var n int64
		if _, err := fmt.Sscanf(strings.Fields(m.Start)[1], "/bytes/%d", &n); err == nil {
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", n)
			buf := make([]byte, 256<<10)
			for n > 0 {
				k, err := c.Write(buf[:min(int64(len(buf)), n)])
				if err != nil {
					return
				}
				n -= int64(k)
			}
			continue
		}
		if _, err := io.WriteString(c, ok(fmt.Sprint(got), "Server: child", "Date: Tue, 15 Nov 1994 08:12:31 GMT")); err != nil {
			return
		}
	}
}

// plain takes the load tests' request off r, if that is what is next.
func plain(r *bufio.Reader) bool {
	if start, err := r.Peek(11); err != nil || string(start) != "GET /bench " {
		return false
	}
	for {
		line, err := r.ReadSlice('\n')
		if err != nil || len(line) == 2 {
			return err == nil
		}
	}
}
