package bench

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os/signal"
	"syscall"

	"spillway/bench/peers"
)

// Exit codes of Command.
const (
	exitOK         = 0
	exitFailure    = 1
	exitMissed     = 2 // a threshold
	exitInvalid    = 3 // the generator was the limit, or there is no basis for a verdict
	exitRegression = 4
	exitUsage      = 64
)

// errUsage marks mistakes in arguments.
var errUsage = errors.New("wrong usage")

func usageError(format string, args ...any) error {
	return fmt.Errorf("%w: %w", errUsage, fmt.Errorf(format, args...))
}

// verdict is an exit code that is no failure to run.
type verdict struct {
	code int
	text string
}

func (v *verdict) Error() string { return v.text }

const usage = `usage: spillway bench VERB [FLAGS]

  run         load on one target, at a rate or as fast as it answers
  search      the highest rate at which conditions hold
  compare     two saved reports: is one slower, or is it noise?
  report      a saved report again: as text, CSV or HTML
  peers       CPU per request beside other proxies
  generator   our load generator beside wrk

Every verb has --help.

exit codes: 0 ok, 1 failure, 2 a threshold was missed, 3 the run is invalid
(the generator was the limit, or there is too little to judge), 4 regression,
64 usage
`

// Command is `spillway bench ARGS`. It returns the exit code.
func Command(args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		fmt.Fprint(stderr, usage)
		return exitUsage
	}
	t := &terminal{out: stdout, err: stderr}
	verb, rest := args[0], args[1:]
	run := map[string]func(context.Context, []string) error{
		"run": t.run, "search": t.search, "compare": t.compare, "report": t.report, "generator": t.generator,
	}[verb]
	switch {
	case verb == "peers":
		return peers.Command(rest, stdout, stderr)
	case verb == "help" || verb == "-h" || verb == "--help":
		fmt.Fprint(stdout, usage)
		return exitOK
	case run == nil:
		fmt.Fprintf(stderr, "%q is no verb of bench\n%s", verb, usage)
		return exitUsage
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	return t.code(run(ctx, rest))
}

// terminal is where a verb writes: what it was asked for to out, everything else
// to err.
type terminal struct {
	out, err io.Writer
}

// code prints an error and turns it into an exit code.
func (t *terminal) code(err error) int {
	var v *verdict
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
		return exitOK
	case errors.As(err, &v):
		fmt.Fprintln(t.err, v.text)
		return v.code
	case errors.Is(err, errUsage):
		fmt.Fprintln(t.err, err)
		return exitUsage
	}
	fmt.Fprintln(t.err, err)
	return exitFailure
}

// parse reads flags. The usage line names what follows the flags.
func (t *terminal) parse(fs *flag.FlagSet, args []string, line string) error {
	fs.SetOutput(t.err)
	fs.Usage = func() {
		fmt.Fprintf(t.err, "usage: spillway bench %s\n\n", line)
		fs.PrintDefaults()
	}
	err := fs.Parse(args)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	return err
}
