package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// demoApp is a server that costs a known amount of CPU for each request, for
// demonstrations and tests of the scaler: what one instance can serve is set
// by the CPU its machine has. It stands in no help text.
func (t *terminal) demoApp(args []string) int {
	fs := t.newFlags("demo-app")
	listen := fs.String("listen", ":8080", "`ADDRESS` to serve on")
	work := fs.Duration("work", 200*time.Microsecond, "CPU time of one request")
	id := fs.String("id", "", "what to answer with (default: the host's name)")
	drain := fs.Duration("drain", 500*time.Millisecond, "how long to go on accepting after TERM, answering Connection: close")
	grace := fs.Duration("grace", 20*time.Second, "how long requests in flight may take after that")
	if code, done := t.parse(fs, args, 0); done {
		return code
	}
	if *work < 0 || *work > time.Second {
		return t.misuse("demo-app: --work is %s, allowed: 0 to 1s", *work)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	app := &demoServer{id: *id, work: *work, drain: *drain, grace: *grace}
	if app.id == "" {
		app.id, _ = os.Hostname()
	}
	ln, err := net.Listen("tcp", *listen)
	if err != nil {
		fmt.Fprintln(t.err, "spillway demo-app:", err)
		return exitFailure
	}
	fmt.Fprintf(t.out, "demo-app %s: listening on %s\n", app.id, ln.Addr())
	if err := app.run(ctx, ln); err != nil {
		fmt.Fprintln(t.err, "spillway demo-app:", err)
		return exitFailure
	}
	fmt.Fprintf(t.out, "demo-app %s: %d requests served\n", app.id, app.served.Load())
	return exitOK
}

// demoServer serves until its context ends:
//
//	serving --TERM--> draining: accepts, answers Connection: close, /healthz fails
//	                      | drain is over
//	                      v
//	                  closing: accepts nothing, requests in flight finish --> done
type demoServer struct {
	id           string
	work         time.Duration
	drain, grace time.Duration
	draining     atomic.Bool
	served       atomic.Int64
}

func (d *demoServer) run(ctx context.Context, ln net.Listener) error {
	s := &http.Server{Handler: d, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 5 * time.Minute}
	failed := make(chan error, 1)
	go func() { failed <- s.Serve(ln) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	d.draining.Store(true)
	select {
	case err := <-failed:
		return err
	case <-time.After(d.drain):
	}
	grace, cancel := context.WithTimeout(context.Background(), d.grace)
	defer cancel()
	if err := s.Shutdown(grace); err != nil {
		return fmt.Errorf("requests in flight were cut off after %s: %w", d.grace, err)
	}
	if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// ServeHTTP answers every path with the server's id, after the work.
func (d *demoServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	draining := d.draining.Load()
	h := w.Header()
	if draining {
		h.Set("Connection", "close")
	}
	h.Set("Content-Type", "text/plain; charset=utf-8")
	if r.URL.Path == "/healthz" {
		d.health(w, draining)
		return
	}
	burn(d.work)
	d.served.Add(1)
	h.Set("X-Instance", d.id)
	h.Set("Content-Length", strconv.Itoa(len(d.id)+1))
	fmt.Fprintln(w, d.id)
}

func (d *demoServer) health(w http.ResponseWriter, draining bool) {
	if draining {
		http.Error(w, "draining", http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}

// burn uses that much CPU time. It counts the thread's own time, not the
// wall's: a thread that its cgroup holds back does no work meanwhile, and the
// server's capacity is exactly what its machine has.
func burn(work time.Duration) {
	if work <= 0 {
		return
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	end := threadTime() + work
	for x := uint32(1); x != 0 && threadTime() < end; { // x is never 0, but the compiler cannot know
		x = spin(x)
	}
}

// spin keeps a core busy for some microseconds between two looks at the clock.
func spin(x uint32) uint32 {
	for range 2000 {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
	}
	return x
}

func threadTime() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts); err != nil {
		panic("BUG: cannot read the thread's CPU time: " + err.Error())
	}
	return time.Duration(ts.Nano())
}
