package main

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"spillway/configs"
	"spillway/scaler"
	"spillway/scaler/fleet"
)

func TestEveryScalerExampleBecomesSettings(t *testing.T) {
	files, err := filepath.Glob("../../configs/examples/scaler*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	for _, file := range files {
		c, err := configs.LoadScaler(configs.Source{Path: file})
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		s, err := scalerSettings(c)
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		if len(s.Apps) != len(c.Apps) || len(s.Pools) != len(c.Machines) {
			t.Errorf("%s: %d apps and %d pools of %d and %d", file, len(s.Apps), len(s.Pools), len(c.Apps), len(c.Machines))
		}
	}
}

func TestKeysOfTheKVSource(t *testing.T) {
	f := func(key, upstream, prefix, service string) {
		t.Helper()
		a := configs.ScalerApp{Source: configs.SourceKV, Key: key, Upstream: upstream}
		gotPrefix, gotService := keyParts(&a, "web")
		if gotPrefix != prefix || gotService != service || appService(&a, "web") != service {
			t.Errorf("key %q of upstream %q: %q and %q, want %q and %q", key, upstream, gotPrefix, gotService, prefix, service)
		}
	}
	f("", "", "upstreams", "web")
	f("", "shop", "upstreams", "shop")
	f("a/b/c/", "", "a/b", "c")
	f("one", "", "", "one")
}

func TestLabelsMayHaveSeveralValues(t *testing.T) {
	got := labelValues(map[string]string{"idc": "a, b", "role": "*"})
	if diff := cmp.Diff(map[string][]string{"idc": {"a", "b"}, "role": {"*"}}, got); diff != "" {
		t.Error(diff)
	}
}

func TestCrashAt(t *testing.T) {
	for _, text := range []string{"before", "between:3", "after:"} {
		if _, err := crashAt(text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
	around, err := crashAt("after:3")
	if err != nil {
		t.Fatal(err)
	}
	around(fleet.Effect{}, false)
	around(fleet.Effect{}, true) // the first one: this test goes on
}

// TestUserDataOfAnOrderIsAlwaysTheSame: a repeated order must be the same
// request, also after a restart.
func TestUserDataOfAnOrderIsAlwaysTheSame(t *testing.T) {
	c := configs.DefaultScaler()
	c.StateDir = t.TempDir()
	c.Join.Listen = "127.0.0.1:0"
	c.Providers = map[string]configs.ScalerProvider{"local": {Driver: "local"}}
	c.Machines = map[string]configs.ScalerMachines{"rented": {Providers: []string{"local"}}}
	render := func() string {
		t.Helper()
		site, err := openJoinSite(c, nil)
		if err != nil {
			t.Fatal(err)
		}
		text, err := site.userData(fleet.Order{ID: "rented-7"}, &scaler.Pool{Name: "rented"}, time.Unix(1000, 0))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	if first, second := render(), render(); first != second || first == "" {
		t.Errorf("user data differs:\n%s\n%s", first, second)
	}
}
