package main

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// typed runs a verb inside the test, with an empty environment.
func typed(args ...string) (code int, stdout, stderr string) {
	var out, err bytes.Buffer
	t := &terminal{out: &out, err: &err, env: func(string) (string, bool) { return "", false }}
	code = t.run(args)
	return code, out.String(), err.String()
}

func TestVerbs(t *testing.T) {
	dir := t.TempDir()
	bad, odd := dir+"/bad.yaml", dir+"/odd.yaml"
	writeFile(t, bad, "gateway:\n  loop: 2\nupstreams:\n  web: {servers: [\"127.0.0.1:1\"]}\nroutes:\n  - upstream: wob\n")
	writeFile(t, odd, "gateway: {access_log: {path: '-', format: '$remote_adr'}}\nupstreams:\n  web: {servers: [\"127.0.0.1:1\"]}\nroutes:\n  - upstream: web\n")
	heavy := dir + "/heavy.yaml"
	writeFile(t, heavy, "upstreams:\n  web:\n    servers:\n      - 127.0.0.1:1\n      - 127.0.0.1:2 weight=100000\nroutes:\n  - upstream: web\n")
	const good = "testdata/gateway.yaml"
	for _, c := range []struct {
		args   string
		code   int
		out    string // in stdout
		stderr string // in stderr
	}{
		{"", exitUsage, "", "usage: spillway VERB"},
		{"help", exitOK, "validate --config FILE", ""},
		{"help gateway", exitOK, "--loops", ""},
		{"-h", exitOK, "usage: spillway VERB", ""},
		{"gatewya", exitUsage, "", `unknown verb "gatewya"`},
		{"-x", exitUsage, "", `flag "-x" before a verb`},
		{"gateway", exitUsage, "", "--config FILE is missing"},
		{"gateway --config " + bad, exitInvalid, "", bad + `:2:3: gateway: found unknown key "loop"`},
		{"gateway --config /nonexistent", exitFailure, "", "no such file"},
		{"gateway --nonsense", exitUsage, "", "unknown flag: --nonsense"},
		{"gateway more", exitUsage, "", `unexpected argument "more"`},
		{"validate --config " + good, exitOK, good + ": valid", ""},
		{"-t -c " + good, exitOK, good + ": valid", ""},
		{"-tc " + good, exitOK, good + ": valid", ""},
		{"validate -c " + bad, exitInvalid, "", bad + `:6:15: routes[0].upstream: found unknown upstream "wob", allowed: web; did you mean "web"?`},
		{"validate -c " + odd, exitInvalid, "", odd + ":1:"},
		{"validate -c " + odd, exitInvalid, "", "$remote_addr"},
		{"validate -c " + heavy, exitInvalid, "", heavy + ":5:9: upstreams.web.servers[1]: found"},
		{"validate", exitUsage, "", "--config FILE is missing"},
		{"version", exitOK, "spillway ", ""},
		{"-v", exitOK, "spillway ", ""},
		{"version --json", exitOK, `"platform"`, ""},
		{"config schema", exitOK, `"$schema"`, ""},
		{"config dump -c " + good, exitOK, "address: \"127.0.0.1:8500\"", ""},
		{"config dump --origin -c " + good, exitOK, "# " + good + ":7:12", ""},
		{"config dump", exitUsage, "", "--config FILE is missing"},
		{"config", exitUsage, "", "neither dump nor schema"},
		{"bench", 64, "", "usage: spillway bench VERB"},
		{"bench nonsense", 64, "", `"nonsense" is no verb of bench`},
		{"help bench", exitOK, "usage: spillway bench VERB", ""},
		{"bench peers --help", exitOK, "", "-rounds"},
		{"dev --rate 5000", exitUsage, "", "allowed: 0 to 1000"},
	} {
		code, out, stderr := typed(strings.Fields(c.args)...)
		if code != c.code || !strings.Contains(out, c.out) || !strings.Contains(stderr, c.stderr) {
			t.Errorf("spillway %s: exit code %d, want %d\nstdout: %s\nstderr: %s", c.args, code, c.code, out, stderr)
		}
	}
}

func TestValidateStrict(t *testing.T) {
	file := t.TempDir() + "/warned.yaml"
	writeFile(t, file, "upstreams:\n  web: {source: consul-kv, key: upstreams/web}\nroutes:\n  - upstream: web\n")
	if code, _, stderr := typed("validate", "-c", file); code != exitOK || !strings.Contains(stderr, "warning: "+file+":2:") {
		t.Errorf("exit code %d, stderr %q", code, stderr)
	}
	if code, _, _ := typed("validate", "--strict", "-c", file); code != exitInvalid {
		t.Errorf("strict: exit code %d", code)
	}
}
