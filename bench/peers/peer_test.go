package peers

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"spillway/configs"
)

func testPlace(t *testing.T) place {
	t.Helper()
	return place{
		Listen:   "127.0.0.1:18080",
		Admin:    "127.0.0.1:18081",
		Backends: []string{"127.0.0.1:18082", "127.0.0.1:18083"},
		Dir:      t.TempDir(),
		Consul:   "127.0.0.1:18084",
		Workers:  1,
	}
}

func allDefinitions(t *testing.T) []definition {
	t.Helper()
	o := Defaults()
	o.Self = []string{"/self", "bench", "peers"}
	features, err := featureVariants(o.Spillway)
	if err != nil {
		t.Fatal(err)
	}
	if len(features) == 0 {
		t.Fatal("no feature to measure")
	}
	return append(definitions(&o), features...)
}

// A peer that is told nothing of an address would measure something else.
func TestEveryPeerIsToldWhereToListenAndForward(t *testing.T) {
	for _, d := range allDefinitions(t) {
		t.Run(d.name, func(t *testing.T) {
			where, err := d.configure(testPlace(t))
			if err != nil {
				t.Fatal(err)
			}
			told := strings.Join(d.args(where), " ")
			if where.Config != "" {
				text, err := os.ReadFile(where.Config)
				if err != nil {
					t.Fatal(err)
				}
				told += string(text)
			}
			for _, want := range append([]string{where.Listen}, where.Backends...) {
				if !strings.Contains(told, want) {
					t.Errorf("nothing about %s in:\n%s", want, told)
				}
			}
			if d.template != "" && len(d.hash()) != 16 {
				t.Errorf("configuration has the hash %q", d.hash())
			}
		})
	}
}

// The programs' own checkers know their languages best.
func TestConfigurationsAreAcceptedByTheirPrograms(t *testing.T) {
	checks := map[string]func(place) []string{
		"nginx":   func(p place) []string { return []string{"-t", "-p", p.Dir, "-e", "stderr", "-c", p.Config} },
		"haproxy": func(p place) []string { return []string{"-c", "-f", p.Config} },
	}
	for _, d := range allDefinitions(t) {
		args, ok := checks[d.name]
		if !ok {
			continue
		}
		where, err := d.configure(testPlace(t))
		if err != nil {
			t.Fatal(err)
		}
		program, err := findProgram(d.program)
		if err != nil {
			t.Fatalf("%v (make deps installs it)", err)
		}
		out, err := exec.Command(program, args(where)...).CombinedOutput()
		if err != nil || strings.Contains(strings.ToLower(string(out)), "warn") {
			t.Errorf("%s: %v\n%s", d.name, err, out)
		}
	}
}

func TestSpillwayAcceptsItsConfigurations(t *testing.T) {
	for _, d := range allDefinitions(t) {
		if d.program != Defaults().Spillway {
			continue
		}
		where, err := d.configure(testPlace(t))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := configs.Load(configs.Source{Path: where.Config}); err != nil {
			t.Errorf("%s: %v", d.name, err)
		}
	}
}

func TestOurOwnPeersAreStartedThroughTheCommand(t *testing.T) {
	d := ours("fasthttp", []string{"/self", "bench", "peers"})
	got := d.program + " " + strings.Join(d.args(testPlace(t)), " ")
	want := "/self bench peers serve fasthttp --listen 127.0.0.1:18080 --backends 127.0.0.1:18082,127.0.0.1:18083"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
