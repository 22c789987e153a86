package hostinit_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"spillway/scaler/hostinit"
	"spillway/scaler/hostinit/join"
	"spillway/scaler/hostinit/machine"
)

func layers() map[string]hostinit.Layer {
	return map[string]hostinit.Layer{
		"base": {
			Packages: []string{"docker.io"}, DNS: []string{"10.0.0.2"}, NTP: []string{"10.0.0.3"},
			Files:  []hostinit.File{{Path: "/etc/motd", Text: "base\n"}, {Path: "/etc/b", Text: "b"}},
			Labels: map[string]string{"site": "one", "tier": "base"}, DockerOptions: `{"debug":true,"max-concurrent-downloads":6}`,
			Deadlines: map[string]float64{machine.Docker: 90}, Hold: 5,
		},
		"ec2": {
			Base: "base", Routes: []string{"10.8.0.0/16 via 10.0.0.1"}, Mirrors: []string{"http://mirror.ec2:5000"},
			ID: "curl -s http://192.0.2.1/id", DockerOptions: `{"debug":false}`,
		},
		"web": {
			Base: "ec2", DNS: []string{"10.0.0.2", "10.0.0.9"}, Files: []hostinit.File{{Path: "/etc/motd", Text: "it's web\n", Mode: "0600", After: "true"}},
			Labels: map[string]string{"tier": "web"}, Images: []string{"app:1"}, Commands: []string{"echo 'hi'"}, DockerVersion: "20.10",
		},
		"loop-a": {Base: "loop-b"}, "loop-b": {Base: "loop-a"},
		"orphan":  {Base: "nobody"},
		"options": {DockerOptions: "{"},
		"route":   {Routes: []string{"10.0.0.0/8"}},
		"path":    {Files: []hostinit.File{{Path: "etc/x"}}},
	}
}

func TestLayersBuildOnEachOther(t *testing.T) {
	p, err := hostinit.Resolve(layers(), "web")
	if err != nil {
		t.Fatal(err)
	}
	want := hostinit.Layer{
		Packages: []string{"docker.io"}, Commands: []string{"echo 'hi'"}, DNS: []string{"10.0.0.2", "10.0.0.9"}, NTP: []string{"10.0.0.3"},
		Files:  []hostinit.File{{Path: "/etc/motd", Text: "it's web\n", Mode: "0600", After: "true"}, {Path: "/etc/b", Text: "b"}},
		Labels: map[string]string{"site": "one", "tier": "web"}, Routes: []string{"10.8.0.0/16 via 10.0.0.1"},
		Mirrors: []string{"http://mirror.ec2:5000"}, Images: []string{"app:1"}, DockerVersion: "20.10",
		Deadlines: map[string]float64{machine.Docker: 90}, Hold: 5, ID: "curl -s http://192.0.2.1/id",
	}
	want.Address = p.Address // the default
	if diff := cmp.Diff(want, p.Layer); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	engine := join.Config{
		Labels: map[string]string{"site": "one", "tier": "web", "ip": "10.0.0.7"}, Mirrors: []string{"http://mirror.ec2:5000"},
		Options: map[string]any{"debug": false, "max-concurrent-downloads": 6.0},
	}
	if diff := cmp.Diff(engine, p.Engine(map[string]string{"ip": "10.0.0.7"})); diff != "" {
		t.Errorf("engine (-want +got):\n%s", diff)
	}
}

func TestProfilesThatCannotBeResolved(t *testing.T) {
	for name, want := range map[string]string{
		"loop-a":  `cannot resolve profile "loop-a": loop-a -> loop-b -> loop-a is a circle`,
		"orphan":  `cannot resolve profile "orphan": no layer "nobody"`,
		"unknown": `cannot resolve profile "unknown": no layer "unknown"`,
		"options": `layer "options": cannot read the engine's options`,
		"route":   `layer "route": cannot use route "10.0.0.0/8": want CIDR via ADDRESS`,
		"path":    `layer "path": cannot keep file "etc/x"`,
	} {
		if _, err := hostinit.Resolve(layers(), name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", name, err, want)
		}
	}
}

func TestOutcomesOfDeadlines(t *testing.T) {
	limits := hostinit.Limits{Tries: 2, Quarantine: 3}
	for _, tt := range []struct {
		tries, quarantined int
		want               hostinit.Outcome
	}{
		{1, 0, hostinit.Retry},
		{1, 9, hostinit.Retry},
		{2, 0, hostinit.Quarantine},
		{2, 2, hostinit.Quarantine},
		{2, 3, hostinit.Replace},
		{7, 3, hostinit.Replace},
	} {
		got := hostinit.Decide(hostinit.Late{Stage: machine.Docker, Tries: tt.tries, Quarantined: tt.quarantined}, limits)
		if got != tt.want {
			t.Errorf("%d tries, %d kept: %s, want %s", tt.tries, tt.quarantined, got, tt.want)
		}
	}
}
