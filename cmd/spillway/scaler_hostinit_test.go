package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"spillway/scaler/hostinit/machine"
)

const hostinitConfig = `
providers: {p: {driver: sim, offerings: [{type: small, cpu: 2, memory: 1GiB}]}}
profiles:
  base: {dns: 10.0.0.2, labels: {site: one}}
  web: {base: base, images: "app:1", files: [{path: /etc/motd, content: hello}]}
machines: {m: {providers: p, profile: web}}
apps:
  app:
    container: {image: i, ports: 80}
    policy: {max: 9}
    pools: m
`

func runHostinit(args ...string) (code int, out, errs string) {
	var o, e bytes.Buffer
	term := &terminal{out: &o, err: &e, env: func(string) (string, bool) { return "", false }}
	code = term.run(append([]string{"scaler", "hostinit"}, args...))
	return code, o.String(), e.String()
}

func TestHostinitRenderPrintsUserDataAndHash(t *testing.T) {
	file := write(t, filepath.Join(t.TempDir(), "scaler.yaml"), hostinitConfig)
	code, out, errs := runHostinit("render", "--config", file, "--profile", "web")
	if code != exitOK || errs != "" {
		t.Fatalf("exit code %d: %s", code, errs)
	}
	c, err := machine.Parse([]byte(out))
	if err != nil || len(c.Files) != 2 || c.Files[0].Path != "/etc/resolv.conf" || c.Images[0] != "app:1" {
		t.Errorf("rendered %+v, %v", c, err)
	}
	_, hash, _ := runHostinit("render", "--config", file, "--profile", "web", "--hash")
	if len(hash) != 65 || !strings.Contains(out, "# hash "+strings.TrimSpace(hash)) {
		t.Errorf("hash %q is not in the end of the text: %q", hash, out[max(0, len(out)-200):])
	}
}

func TestHostinitRenderRefuses(t *testing.T) {
	file := write(t, filepath.Join(t.TempDir(), "scaler.yaml"), hostinitConfig)
	for _, tt := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{}, exitUsage, "is not render"},
		{[]string{"render"}, exitUsage, "--config FILE is missing"},
		{[]string{"render", "--config", file}, exitUsage, "--profile NAME is missing"},
		{[]string{"render", "--config", file, "--profile", "other"}, exitInvalid, `no layer "other"`},
		{[]string{"render", "--config", file, "--profile", "web", "--max", "100"}, exitInvalid, "the provider takes 100"},
		{[]string{"render", "--config", file + "x", "--profile", "web"}, exitFailure, "no such file"},
	} {
		if code, _, errs := runHostinit(tt.args...); code != tt.code || !strings.Contains(errs, tt.want) {
			t.Errorf("%q: exit code %d: %s", tt.args, code, errs)
		}
	}
}

func TestMachineInitIsForMachinesAlone(t *testing.T) {
	for _, args := range [][]string{{"machine-init"}, {"machine-init", t.TempDir()}} {
		var o, e bytes.Buffer
		term := &terminal{out: &o, err: &e}
		if code := term.run(args); code == exitOK || e.Len() == 0 {
			t.Errorf("%q: exit code %d: %s", args, code, e.String())
		}
	}
	var o bytes.Buffer
	(&terminal{out: &o}).run([]string{"help"})
	if strings.Contains(o.String(), "machine-init") {
		t.Error("help shows a verb that is for machines alone")
	}
}
