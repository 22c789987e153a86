package main

import (
	"encoding/json"
	"fmt"

	"spillway/bench"
	"spillway/configs"
	"spillway/internal/buildinfo"
)

// validate checks a configuration and everything that can be known of it
// without listening or asking anyone.
func (t *terminal) validate(args []string) int {
	fs := t.newFlags("validate")
	flags := configs.Flags(fs)
	fs.BoolP("test", "t", false, "accepted for users of nginx -t")
	strict := fs.Bool("strict", false, "warnings are errors")
	if code, done := t.parse(fs, args, 0); done {
		return code
	}
	if flags.Config == "" {
		return t.misuse("validate: --config FILE is missing")
	}
	cfg, err := loadChecked(t.source(flags))
	if err != nil {
		return t.failLoad(err)
	}
	warnings := cfg.Warnings()
	for _, w := range warnings {
		fmt.Fprintf(t.err, "warning: %v\n", w)
	}
	if *strict && len(warnings) > 0 {
		return exitInvalid
	}
	fmt.Fprintf(t.out, "%s: valid\n", flags.Config)
	return exitOK
}

func (t *terminal) version(args []string) int {
	fs := t.newFlags("version")
	asJSON := fs.Bool("json", false, "print JSON")
	if code, done := t.parse(fs, args, 0); done {
		return code
	}
	info := buildinfo.Get()
	if !*asJSON {
		fmt.Fprintln(t.out, info)
		return exitOK
	}
	text, err := json.MarshalIndent(info, "", "  ")
	if err != nil {
		panic("BUG: cannot encode build info: " + err.Error())
	}
	fmt.Fprintf(t.out, "%s\n", text)
	return exitOK
}

// config prints what the configuration says, or may say.
func (t *terminal) config(args []string) int {
	fs := t.newFlags("config dump|schema")
	flags := configs.Flags(fs)
	origin := fs.Bool("origin", false, "dump: say of each value where it comes from")
	if code, done := t.parse(fs, args, 1); done {
		return code
	}
	switch fs.Arg(0) {
	case "schema":
		t.out.Write(configs.JSONSchema())
		return exitOK
	case "dump":
	default:
		return t.misuse("config: %q is neither dump nor schema", fs.Arg(0))
	}
	if flags.Config == "" {
		return t.misuse("config dump: --config FILE is missing")
	}
	cfg, err := configs.Load(t.source(flags))
	if err != nil {
		return t.failLoad(err)
	}
	t.out.Write(configs.Effective(cfg, *origin))
	return exitOK
}

// bench hands over to the measurements, which have flags and exit codes of
// their own.
func (t *terminal) bench(args []string) int { return bench.Command(args, t.out, t.err) }
