// Command spillway is a gateway that follows Consul without ever reloading.
//
// It parses flags, wires packages together and turns signals into calls; what
// happens to a request is decided in gateway, where servers come from in
// upsync, what a file may say in configs. See `spillway help`.
package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// Exit codes of every verb but bench and ctl, which have their own.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
	exitInvalid = 3 // of a configuration
)

// terminal is what a verb reads and writes.
type terminal struct {
	out, err io.Writer
	env      func(string) (string, bool)
}

func main() {
	t := &terminal{out: os.Stdout, err: os.Stderr, env: os.LookupEnv}
	os.Exit(t.run(os.Args[1:]))
}

// verb is one word after "spillway".
type verb struct {
	name, args, about string
	run               func(t *terminal, args []string) int
}

// verbs lists the verbs in the order in which help shows them.
func verbs() []verb {
	return []verb{
		{"gateway", "--config FILE", "serve traffic", (*terminal).gateway},
		{"dev", "[--listen ADDRESS]", "a gateway, a development registry and three backends, to try it out", (*terminal).dev},
		{"validate", "--config FILE", "check a configuration (also: spillway -t -c FILE)", (*terminal).validate},
		{"config", "dump|schema", "the configuration in effect, or the JSON Schema of the file", (*terminal).config},
		{"scaler", "[VERB]", "buy, fill, drain and give back machines as the load asks", (*terminal).scaler},
		{"demo", "scale", "the whole loop on this machine: a spike buys capacity and gives it back", (*terminal).demo},
		{"ctl", "VERB", "ask a running gateway or scaler: upstreams, drain, freeze, top; status, why, nodes", (*terminal).ctl},
		{"bench", "[VERB]", "measure: a target, or this gateway beside other proxies", (*terminal).bench},
		{"version", "[--json]", "which build this is", (*terminal).version},
		{"help", "[VERB]", "this text, or the flags of a verb", (*terminal).help},
	}
}

// hidden lists the verbs that other verbs and demonstrations start; help does
// not show them.
func hidden() []verb {
	return []verb{
		{"demo-app", "[FLAGS]", "a server that costs CPU, as the app of a demonstration", (*terminal).demoApp},
		{"machine-init", "DIRECTORY", "the first program of a machine of the local driver", (*terminal).machineInit},
	}
}

// run finds the verb and returns the exit code.
func (t *terminal) run(args []string) int {
	if len(args) == 0 {
		t.usage(t.err)
		return exitUsage
	}
	if strings.HasPrefix(args[0], "-") {
		return t.runFlags(args)
	}
	for _, v := range append(verbs(), hidden()...) {
		if v.name == args[0] {
			return v.run(t, args[1:])
		}
	}
	return t.misuse("unknown verb %q", args[0])
}

// runFlags takes what users of nginx type without a verb.
func (t *terminal) runFlags(args []string) int {
	switch {
	case slices.ContainsFunc(args, isTest):
		return t.validate(args)
	case args[0] == "-h" || args[0] == "--help":
		t.usage(t.out)
		return exitOK
	case args[0] == "-v" || args[0] == "-V" || args[0] == "--version":
		return t.version(args[1:])
	}
	return t.misuse("flag %q before a verb", args[0])
}

func isTest(arg string) bool { return arg == "-t" || arg == "--test" || arg == "-tc" }

func (t *terminal) misuse(format string, args ...any) int {
	fmt.Fprintf(t.err, "spillway: "+format+"; see spillway help\n", args...)
	return exitUsage
}

func (t *terminal) usage(w io.Writer) {
	fmt.Fprint(w, "Spillway is a gateway that follows Consul without ever reloading.\n\nusage: spillway VERB [FLAGS]\n\n")
	for _, v := range verbs() {
		fmt.Fprintf(w, "  %-28s %s\n", v.name+" "+v.args, v.about)
	}
	fmt.Fprint(w, "\n`spillway VERB --help` lists the flags of a verb. Exit codes: 0 ok, 1 failure, 2 usage,\n3 invalid configuration; bench and ctl have their own.\n")
}

func (t *terminal) help(args []string) int {
	if len(args) == 0 {
		t.usage(t.out)
		return exitOK
	}
	if args[0] == "help" {
		t.usage(t.out)
		return exitOK
	}
	return t.run([]string{args[0], "--help"})
}
