package machine

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestTheConfigurationIsALineOfTheScript(t *testing.T) {
	tests := []struct {
		name, text string
		want       Config
		err        string
	}{
		{"nothing", "", Config{}, ""},
		{"a script of others", "#!/bin/sh\necho hi\n", Config{}, ""},
		{"ours", "#!/bin/sh\n#spillway {\"scaler\":\"https://a\",\"lease\":{\"idle\":5}}\n#spillway x\n", Config{Scaler: "https://a", Lease: LeaseConfig{Idle: 5}}, ""},
		{"not JSON", "#spillway hello", Config{}, "cannot read the user-data's configuration"},
		{"of a later version", `#spillway {"sky":1}`, Config{}, `unknown field "sky"`},
	}
	for _, tt := range tests {
		got, err := Parse([]byte(tt.text))
		if tt.err == "" && err != nil || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
			t.Errorf("%s: error %v", tt.name, err)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("#spillway {\"deadlines\":{\"docker\":1.5}}\n"))
	f.Fuzz(func(_ *testing.T, text []byte) {
		c, _ := Parse(text)
		for _, s := range Stages() {
			c.Deadline(s)
		}
	})
}

func TestDeadlines(t *testing.T) {
	c := Config{Deadlines: map[string]float64{Docker: 1.5}}
	for stage, want := range map[string]time.Duration{Docker: 1500 * time.Millisecond, Running: time.Minute, Images: 3 * time.Minute, Settled: 2 * time.Minute} {
		if got := c.deadline(stage); got != want {
			t.Errorf("%s: %v", stage, got)
		}
	}
}

func TestRoutesThatAreNone(t *testing.T) {
	for route, ok := range map[string]bool{
		"10.0.0.0/8 via 10.1.0.1": true, "fd00::/8 via fd01::1": true,
		"": false, "10.0.0.0/8": false, "10.0.0.0/8 via": false, "x via 10.1.0.1": false, "10.0.0.0/8 via x; reboot": false,
	} {
		if err := CheckRoute(route); (err == nil) != ok {
			t.Errorf("%q: %v", route, err)
		}
	}
}
