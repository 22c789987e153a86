package bench

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// generatorFlags are those of `bench generator`.
type generatorFlags struct {
	connections, threads, rounds int
	duration                     time.Duration
	wrk                          string
}

// duel is one round: CPU time per request, in microseconds.
type duel struct {
	ours, wrks float64
}

// generator is `bench generator`: it loads one backend with wrk and with
// ourselves in turns, each as a process of its own, and compares the processor
// time that each has taken a request, start and end included. The last line is
// `ratio X`, ours by wrk's, the median over the rounds.
func (t *terminal) generator(ctx context.Context, args []string) error {
	var f generatorFlags
	fs := flag.NewFlagSet("generator", flag.ContinueOnError)
	fs.IntVar(&f.connections, "connections", 64, "keep-alive connections")
	fs.IntVar(&f.threads, "threads", 1, "threads of wrk, and loops of ours")
	fs.IntVar(&f.rounds, "rounds", 5, "measurements of each")
	fs.DurationVar(&f.duration, "duration", 3*time.Second, "of one measurement, whole seconds")
	fs.StringVar(&f.wrk, "wrk", "wrk", "`PATH` of wrk")
	if err := t.parse(fs, args, "generator [FLAGS]"); err != nil {
		return err
	}
	if f.connections < f.threads || f.threads < 1 || f.rounds < 1 || f.duration < time.Second {
		return usageError("want at least a connection for each thread, one round and one second")
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("cannot find our own program: %w", err)
	}
	backend, url, err := startBackend(ctx, self, t)
	if err != nil {
		return err
	}
	defer backend.stop()
	var rounds []duel
	for i := range f.rounds {
		d, err := f.round(ctx, self, url)
		if err != nil {
			return err
		}
		rounds = append(rounds, d)
		fmt.Fprintf(t.out, "round %d: ours %.2f us, wrk %.2f us of CPU a request\n", i+1, d.ours, d.wrks)
	}
	fmt.Fprintf(t.out, "ratio %.3f\n", medianRatio(rounds))
	return nil
}

func medianRatio(rounds []duel) float64 {
	var ratios []float64
	for _, d := range rounds {
		ratios = append(ratios, d.ours/d.wrks)
	}
	slices.Sort(ratios)
	n := len(ratios)
	return (ratios[(n-1)/2] + ratios[n/2]) / 2
}

// startBackend starts a server that does the least a server can.
func startBackend(ctx context.Context, self string, t *terminal) (*server, string, error) {
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", fmt.Errorf("cannot find a free port: %w", err)
	}
	addr := ln.Addr().(*net.TCPAddr).AddrPort()
	ln.Close()
	argv := []string{self, "bench", "peers", "serve", "backend", "--listen", addr.String()}
	s, err := startServer(ctx, argv, addr, t.err)
	return s, "http://" + addr.String() + "/", err
}

// round measures both, one after the other.
func (f *generatorFlags) round(ctx context.Context, self, url string) (duel, error) {
	seconds := strconv.Itoa(int(f.duration / time.Second))
	connections, threads := strconv.Itoa(f.connections), strconv.Itoa(f.threads)
	var d duel
	var err error
	if d.wrks, err = cost(ctx, wrkRequests, f.wrk, "-t"+threads, "-c"+connections, "-d"+seconds+"s", url); err != nil {
		return d, err
	}
	d.ours, err = cost(ctx, ownRequests, self, "bench", "run", "--url", url, "--connections", connections,
		"--loops", threads, "--duration", seconds+"s", "--json", "-")
	return d, err
}

// cost runs a generator and divides its processor time by its requests.
func cost(ctx context.Context, requests func([]byte) (int, error), argv ...string) (float64, error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.Output()
	if err != nil {
		return 0, fmt.Errorf("cannot run %s: %w", argv[0], err)
	}
	n, err := requests(out)
	if err != nil {
		return 0, fmt.Errorf("cannot read the output of %s: %w", argv[0], err)
	}
	used := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	return float64(used) / 1e3 / float64(n), nil
}

func wrkRequests(out []byte) (int, error) {
	m := regexp.MustCompile(`(\d+) requests in`).FindSubmatch(out)
	if m == nil {
		return 0, fmt.Errorf("no number of requests in %q", out)
	}
	return positive(strconv.Atoi(string(m[1])))
}

func ownRequests(out []byte) (int, error) {
	var r struct{ Answered int }
	err := json.Unmarshal(out, &r)
	return positive(r.Answered, err)
}

func positive(n int, err error) (int, error) {
	if err == nil && n < 1 {
		err = fmt.Errorf("no request was answered")
	}
	return n, err
}
