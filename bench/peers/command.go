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
	scenario    string // name, number or "all"; empty: the plain comparison
	quick       bool
	json, html  string
	out         string
	render      string
	files       []string
	gate, slack float64
}

// Command is `spillway bench peers ARGS`: it runs the comparison or a scenario,
// prints it and returns the exit code: 0 ok, 1 failure, 2 --gate exceeded, 3 no
// valid figure to gate on, 64 usage. `serve KIND` runs one of our own servers
// instead, and `load SPEC` makes one load; the comparison starts itself that
// way, as `os.Executable() bench peers serve`.
func Command(args []string, stdout, stderr io.Writer) int {
	if len(args) > 0 && args[0] == "serve" {
		return serveCommand(args[1:], stderr)
	}
	if len(args) == 2 && args[0] == "load" {
		return failed(generate(args[1], stdout), stderr)
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
	switch {
	case s.render != "":
		return failed(renderFiles(s.render, s.files), stderr)
	case s.scenario != "":
		return failed(s.scenarios(ctx, args, stdout), stderr)
	}
	report, err := Run(ctx, s.options)
	if err != nil {
		return failed(err, stderr)
	}
	return s.finish(report, stdout, stderr)
}

// failed prints an error and returns the exit code that goes with it.
func failed(err error, stderr io.Writer) int {
	if err == nil {
		return exitOK
	}
	fmt.Fprintln(stderr, err)
	return exitFailure
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

// parseArgs reads the flags twice where a scenario is asked for: its defaults
// differ, and are known only then.
func parseArgs(args []string, stderr io.Writer) (*settings, error) {
	s := &settings{options: Defaults()}
	if err := s.parse(args, stderr); err != nil {
		return nil, err
	}
	if s.scenario != "" {
		first, err := scenariosNamed(s.scenario)
		if err != nil {
			return nil, err
		}
		again := &settings{options: first[0].defaults(s.quick)}
		if err := again.parse(args, stderr); err != nil {
			return nil, err
		}
		s = again
	}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("cannot find our own program: %w", err)
	}
	s.options.Self = []string{self, "bench", "peers"}
	return s, s.options.check()
}

func (s *settings) parse(args []string, stderr io.Writer) error {
	s.options.Progress = stderr
	fs := flag.NewFlagSet("spillway bench peers", flag.ContinueOnError)
	fs.SetOutput(stderr)
	s.options.register(fs)
	fs.StringVar(&s.scenario, "scenario", "", "`NAME` or number of a scenario, or all: "+scenarioList())
	fs.BoolVar(&s.quick, "quick", false, "with --scenario: as short as it goes, to see that it works")
	fs.StringVar(&s.html, "html", "", "with --scenario: save a page to `FILE`")
	fs.StringVar(&s.out, "out", "", "with --scenario: save NAME.json and NAME.html in `DIR`")
	fs.StringVar(&s.render, "render", "", "write the figures of saved results, which follow, into `DOCUMENT`, and run nothing")
	fs.StringVar(&s.json, "json", "", "save the report as JSON to `FILE`")
	fs.Float64Var(&s.gate, "gate", 0, "exit 2 if Spillway's CPU per request is above this `RATIO` of nginx's; 0: no gate")
	fs.Float64Var(&s.slack, "slack", 1, "`FACTOR` on --gate, for machines that do other work")
	if err := fs.Parse(args); err != nil {
		return err
	}
	s.files = fs.Args()
	switch {
	case s.render == "" && fs.NArg() > 0:
		return fmt.Errorf("cannot use argument %q: only flags are known", fs.Arg(0))
	case s.render != "" && fs.NArg() == 0:
		return errors.New("cannot render without results: name the JSON files of scenarios")
	case s.scenario == "" && (s.quick || s.html != "" || s.out != ""):
		return errors.New("--quick, --html and --out need --scenario")
	case s.scenario == "all" && (s.json != "" || s.html != ""):
		return errors.New("--json and --html name one file: --out takes all scenarios")
	case s.scenario != "" && s.gate != 0:
		return errors.New("--gate judges the plain comparison, not a scenario")
	}
	return nil
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
