package hostinit_test

import (
	"flag"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"spillway/scaler/hostinit"
	"spillway/scaler/hostinit/machine"
)

var rewrite = flag.Bool("rewrite", false, "write testdata/web.sh anew")

func resolve(t *testing.T, all map[string]hostinit.Layer, name string) *hostinit.Profile {
	t.Helper()
	p, err := hostinit.Resolve(all, name)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func boot() hostinit.Boot {
	return hostinit.Boot{
		Scaler: "https://scaler.test:9912", CA: "-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----\n",
		Token: "b3JkZXI.0123", Lease: time.Hour, Checkers: []string{"10.0.0.0/24"},
	}
}

func TestUserDataIsTheSameForTheSameProfile(t *testing.T) {
	var first []byte
	for range 5 {
		got, err := resolve(t, layers(), "web").Render(boot(), 16<<10)
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = got
		}
		if string(first) != string(got) {
			t.Fatal("one profile has two user-data")
		}
	}
	if *rewrite {
		if err := os.WriteFile("testdata/web.sh", first, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/web.sh")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(first)); diff != "" {
		t.Errorf("if this is meant: go test -rewrite (-want +got):\n%s", diff)
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-n")
	cmd.Stdin = strings.NewReader(string(first))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("the shell cannot read it: %s", out)
	}
}

func TestUserDataCarriesTheConfigurationForOurInit(t *testing.T) {
	text, err := resolve(t, layers(), "web").Render(boot(), 16<<10)
	if err != nil {
		t.Fatal(err)
	}
	c, err := machine.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	want := machine.Config{
		Scaler: boot().Scaler, CA: boot().CA, Token: boot().Token,
		Files: []machine.File{
			{Path: "/etc/resolv.conf", Text: "nameserver 10.0.0.2\nnameserver 10.0.0.9\n"},
			{Path: "/etc/systemd/timesyncd.conf.d/spillway.conf", Text: "[Time]\nNTP=10.0.0.3\n", After: "systemctl try-restart systemd-timesyncd || true"},
			{Path: "/etc/motd", Text: "it's web\n", Mode: "0600", After: "true"},
			{Path: "/etc/b", Text: "b"},
		},
		Routes: []string{"10.8.0.0/16 via 10.0.0.1"}, Hold: 5, Images: []string{"app:1"}, EngineVersion: "20.10",
		Deadlines: map[string]float64{"docker": 90}, Lease: machine.LeaseConfig{Idle: 3600, Checkers: []string{"10.0.0.0/24"}},
	}
	if diff := cmp.Diff(want, c); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestUserDataBeyondTheProvidersLimit(t *testing.T) {
	_, err := resolve(t, layers(), "web").Render(boot(), 1000)
	if err == nil || !strings.Contains(err.Error(), "the provider takes 1000: put files into an image") {
		t.Errorf("error %v", err)
	}
}

func TestTheHashTellsEveryChangeAndNoOrder(t *testing.T) {
	hash := func(all map[string]hostinit.Layer) string {
		t.Helper()
		h, err := resolve(t, all, "web").Hash()
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	first := hash(layers())
	if len(first) != 64 || first != hash(layers()) {
		t.Errorf("hashes %s, %s", first, hash(layers()))
	}
	for name, change := range map[string]func(*hostinit.Layer){
		"packages": func(l *hostinit.Layer) { l.Packages = append(l.Packages, "x") },
		"commands": func(l *hostinit.Layer) { l.Commands = append(l.Commands, "x") },
		"file":     func(l *hostinit.Layer) { l.Files = append(l.Files, hostinit.File{Path: "/x"}) },
		"label":    func(l *hostinit.Layer) { l.Labels = map[string]string{"new": "x"} },
		"mirror":   func(l *hostinit.Layer) { l.Mirrors = []string{"http://x"} },
		"options":  func(l *hostinit.Layer) { l.DockerOptions = `{"x":1}` },
		"deadline": func(l *hostinit.Layer) { l.Deadlines = map[string]float64{"settled": 7} },
		"image":    func(l *hostinit.Layer) { l.Images = []string{"x"} },
		"address":  func(l *hostinit.Layer) { l.Address = "x" },
	} {
		all := layers()
		l := all["base"]
		change(&l)
		all["base"] = l
		if hash(all) == first {
			t.Errorf("%s: the hash is the same", name)
		}
	}
}
