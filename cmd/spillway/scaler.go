package main

import (
	"fmt"

	"spillway/configs"
)

// scalerVerbs are the words after "spillway scaler".
func scalerVerbs() []verb {
	return []verb{
		{"run", "--config FILE", "scale: watch, decide, order, place, drain and give back", (*terminal).scalerRun},
		{"validate", "--config FILE", "check a configuration", (*terminal).scalerValidate},
		{"down", "--config FILE --yes", "end the cluster: drain and give back everything", (*terminal).scalerDown},
		{"replay", "--trace FILE --config FILE", "what a policy would have done with recorded traffic", (*terminal).scalerReplay},
		{"hostinit", "render --config FILE --profile NAME", "show the user-data of new machines", (*terminal).scalerHostinit},
	}
}

// scaler is the verb that scales.
func (t *terminal) scaler(args []string) int {
	if len(args) == 0 || args[0] == "--help" || args[0] == "-h" {
		fmt.Fprint(t.out, "usage: spillway scaler VERB [FLAGS]\n\n")
		for _, v := range scalerVerbs() {
			fmt.Fprintf(t.out, "  %-46s %s\n", v.name+" "+v.args, v.about)
		}
		if len(args) == 0 {
			return exitUsage
		}
		return exitOK
	}
	for _, v := range scalerVerbs() {
		if v.name == args[0] {
			return v.run(t, args[1:])
		}
	}
	return t.misuse("scaler: unknown verb %q", args[0])
}

// scalerConfig loads the file named by --config.
func (t *terminal) scalerConfig(path string) (*configs.Scaler, int) {
	if path == "" {
		return nil, t.misuse("scaler: --config FILE is missing")
	}
	s, err := configs.LoadScaler(configs.Source{Path: path, Env: t.env})
	if err != nil {
		return nil, t.failLoad(err)
	}
	return s, exitOK
}

// scalerValidate says whether a configuration could be run.
func (t *terminal) scalerValidate(args []string) int {
	fs := t.newFlags("scaler validate")
	path := fs.String("config", "", "`FILE` with the scaler's configuration")
	if code, done := t.parse(fs, args, 0); done {
		return code
	}
	cfg, code := t.scalerConfig(*path)
	if code != exitOK {
		return code
	}
	if _, err := scalerSettings(cfg); err != nil {
		fmt.Fprintln(t.err, err)
		return exitInvalid
	}
	fmt.Fprintf(t.out, "%s: valid\n", *path)
	return exitOK
}
