package main

import (
	"errors"
	"fmt"

	"github.com/spf13/pflag"

	"spillway/configs"
)

// newFlags returns the flag set of a verb.
func (t *terminal) newFlags(verb string) *pflag.FlagSet {
	fs := pflag.NewFlagSet(verb, pflag.ContinueOnError)
	fs.SetOutput(t.err)
	fs.Usage = func() {
		fmt.Fprintf(t.out, "usage: spillway %s [FLAGS]\n\n%s", verb, fs.FlagUsages())
	}
	return fs
}

// parse reads the flags of a verb that takes at most extra arguments. done
// says that the verb ends here, with that exit code.
func (t *terminal) parse(fs *pflag.FlagSet, args []string, extra int) (code int, done bool) {
	switch err := fs.Parse(args); {
	case errors.Is(err, pflag.ErrHelp):
		return exitOK, true
	case err != nil:
		return t.misuse("%s: %v", fs.Name(), err), true
	case fs.NArg() > extra:
		return t.misuse("%s: unexpected argument %q", fs.Name(), fs.Arg(extra)), true
	}
	return exitOK, false
}

// source is where a verb's configuration comes from.
func (t *terminal) source(flags *configs.FlagValues) configs.Source {
	return configs.Source{Env: t.env, Flags: flags}
}

// failLoad prints why there is no configuration and returns the exit code.
func (t *terminal) failLoad(err error) int {
	fmt.Fprintln(t.err, err)
	var mistakes configs.Errors
	if errors.As(err, &mistakes) {
		return exitInvalid
	}
	return exitFailure
}
