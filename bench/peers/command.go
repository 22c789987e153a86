package peers

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
)

// Exit codes of Command.
const (
	exitOK      = 0
	exitFailure = 1
	exitGate    = 2
	exitInvalid = 3
	exitUsage   = 64
)

// settings is what the command line says beyond Options.
type settings struct {
	options     Options
	json        string
	gate, slack float64
}

// Command is `spillway bench peers ARGS`: it runs the comparison, prints it and
// returns the exit code: 0 ok, 1 failure, 2 --gate exceeded, 3 no valid figure
// to gate on, 64 usage. `serve KIND` runs one of our own servers instead; the
// comparison starts itself that way, as `os.Executable() bench peers serve`.
func Command(args []string, stdout, stderr io.Writer) int {
	if len(args) > 0 && args[0] == "serve" {
		return serveCommand(args[1:], stderr)
	}
	s, err := parseArgs(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return exitOK
	}
	if err != nil {
		fmt.Fprintln(stderr, err)
		return exitUsage
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	report, err := Run(ctx, s.options)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return exitFailure
	}
	return s.finish(report, stdout, stderr)
}

func (s *settings) finish(report *Report, stdout, stderr io.Writer) int {
	if err := report.WriteText(stdout); err != nil {
		fmt.Fprintln(stderr, err)
		return exitFailure
	}
	if s.json != "" {
		if err := report.WriteJSON(s.json); err != nil {
			fmt.Fprintln(stderr, err)
			return exitFailure
		}
	}
	if s.gate == 0 {
		return exitOK
	}
	err := report.Check("spillway", s.gate*s.slack)
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, ErrGate):
		fmt.Fprintln(stderr, err)
		return exitGate
	}
	fmt.Fprintln(stderr, err)
	return exitInvalid
}

func parseArgs(args []string, stderr io.Writer) (*settings, error) {
	s := &settings{options: Defaults()}
	o := &s.options
	o.Progress = stderr
	fs := flag.NewFlagSet("spillway bench peers", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.Func("peers", "`NAMES` to compare, separated by commas (default: all that are installed)", func(v string) error {
		o.Peers = strings.Split(v, ",")
		return nil
	})
	fs.Func("connections", "keep-alive connections, one table for each of `N,N` (default 64,128)", func(v string) (err error) {
		o.Connections, err = parseCounts(v)
		return err
	})
	fs.IntVar(&o.Rounds, "rounds", o.Rounds, "measurements of each peer")
	fs.DurationVar(&o.Duration, "duration", o.Duration, "length of one measurement, whole seconds")
	fs.IntVar(&o.ProxyCPU, "proxy-cpu", o.ProxyCPU, "processor of the proxies, -1: the first allowed")
	fs.IntVar(&o.ClientCPU, "client-cpu", o.ClientCPU, "processor of wrk and the backend, -1: the second allowed")
	fs.StringVar(&o.Spillway, "spillway", ownBinary(o.Spillway), "`PATH` of the Spillway binary to measure")
	fs.BoolVar(&o.Features, "features", false, "add Spillway with one feature changed at a time, and say what each costs")
	fs.Func("variant", "`NAME=TEMPLATE`: Spillway with another configuration as one more peer; repeatable", func(v string) error {
		name, file, ok := strings.Cut(v, "=")
		if !ok {
			return errors.New("want NAME=TEMPLATE")
		}
		o.Variants = append(o.Variants, Variant{Name: name, Template: file})
		return nil
	})
	fs.Func("attach", "`NAME=PID=URL`: a proxy that runs already on the proxies' processor; repeatable", func(v string) error {
		a, err := parseAttached(v)
		o.Attached = append(o.Attached, a)
		return err
	})
	fs.StringVar(&s.json, "json", "", "save the report as JSON to `FILE`")
	fs.Float64Var(&s.gate, "gate", 0, "exit 2 if Spillway's CPU per request is above this `RATIO` of nginx's; 0: no gate")
	fs.Float64Var(&s.slack, "slack", 1, "`FACTOR` on --gate, for machines that do other work")
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	if fs.NArg() > 0 {
		return nil, fmt.Errorf("cannot use argument %q: only flags are known", fs.Arg(0))
	}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("cannot find our own program: %w", err)
	}
	o.Self = []string{self, "bench", "peers"}
	return s, o.check()
}

// ownBinary is the running program if that is Spillway itself.
func ownBinary(otherwise string) string {
	self, err := os.Executable()
	if err != nil || !strings.HasSuffix(self, "/spillway") {
		return otherwise
	}
	return self
}

func parseCounts(v string) ([]int, error) {
	var counts []int
	for part := range strings.SplitSeq(v, ",") {
		n, err := strconv.Atoi(part)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("%q is no number of connections", part)
		}
		counts = append(counts, n)
	}
	return counts, nil
}

func parseAttached(v string) (Attached, error) {
	parts := strings.SplitN(v, "=", 3)
	if len(parts) != 3 {
		return Attached{}, errors.New("want NAME=PID=URL")
	}
	pid, err := strconv.Atoi(parts[1])
	if err != nil || pid < 1 {
		return Attached{}, fmt.Errorf("%q is no process id", parts[1])
	}
	return Attached{Name: parts[0], PID: pid, URL: parts[2]}, nil
}

func serveCommand(args []string, stderr io.Writer) int {
	if len(args) == 0 {
		fmt.Fprintln(stderr, "cannot serve: want backend, fasthttp, forward or nethttp")
		return exitUsage
	}
	fs := flag.NewFlagSet("spillway bench peers serve", flag.ContinueOnError)
	fs.SetOutput(stderr)
	var listen, backends string
	fs.StringVar(&listen, "listen", "", "`ADDRESSES` to listen on, separated by commas")
	fs.StringVar(&backends, "backends", "", "`ADDRESSES` to forward to, separated by commas")
	if err := fs.Parse(args[1:]); err != nil {
		return exitUsage
	}
	if err := serve(args[0], splitList(listen), splitList(backends)); err != nil {
		fmt.Fprintln(stderr, err)
		return exitFailure
	}
	return exitOK
}

func splitList(v string) []string {
	if v == "" {
		return nil
	}
	return strings.Split(v, ",")
}
