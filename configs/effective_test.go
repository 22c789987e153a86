package configs

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

func sameConfig() cmp.Options {
	return cmp.Options{cmpopts.IgnoreUnexported(Config{}), cmpopts.EquateComparable(netip.Prefix{}), cmpopts.EquateEmpty()}
}

func TestEffectiveReadsBackToTheSame(t *testing.T) {
	paths := append(fixtures(t, "testdata/*.good.yml"), fixtures(t, "examples/*.yaml")...)
	for _, path := range paths {
		for _, provenance := range []bool{false, true} {
			c := mustLoad(t, Source{Path: path})
			again, err := Load(Source{Path: "effective", Data: Effective(c, provenance)})
			if err != nil {
				t.Errorf("%s: Load refuses what Effective wrote: %v", filepath.Base(path), err)
				continue
			}
			if diff := cmp.Diff(c, again, sameConfig()); diff != "" {
				t.Errorf("%s (-written +read):\n%s", filepath.Base(path), diff)
			}
		}
	}
}

// Any text survives being written and read.
func TestTextsReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := Default()
		u := exampleUpstream()
		u.MaxFails, u.Servers[0].MaxFails, u.Servers[0].FailTimeout = 3, 3, u.FailTimeout
		c.Upstreams["web"] = u
		text := strings.Map(func(r rune) rune {
			if r == 0 || r == '\uFEFF' {
				return -1
			}
			return r
		}, rapid.String().Draw(t, "text"))
		if text == "off" {
			text = ""
		}
		c.Gateway.AccessLog.Path, c.Consul.Datacenter = text, text
		c.Routes = []Route{{Name: "x" + text, Upstream: "web"}}
		again, err := Load(Source{Data: Effective(c, false)})
		if err != nil {
			t.Fatalf("Load refuses %q: %v", text, err)
		}
		if diff := cmp.Diff(c, again, sameConfig()); diff != "" {
			t.Fatalf("%q (-written +read):\n%s", text, diff)
		}
	})
}

func TestSecretsAreNeverPrinted(t *testing.T) {
	c := mustLoad(t, Source{Data: []byte("admin: {token: hunter2}\nconsul: {token: hunter2}\n" + routed)})
	if c.Admin.Token != "hunter2" {
		t.Fatalf("found token %q", string(c.Admin.Token))
	}
	asJSON, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	prints := map[string]string{
		"Effective": string(Effective(c, false)), "provenance": string(Effective(c, true)), "JSON": string(asJSON),
		"%v": fmt.Sprintf("%v", c), "%+v": fmt.Sprintf("%+v", *c), "%#v": fmt.Sprintf("%#v", c.Admin), "%q": fmt.Sprintf("%q", c.Consul.Token),
	}
	for how, text := range prints {
		if strings.Contains(text, "hunter2") || !strings.Contains(text, "***") {
			t.Errorf("%s: the secret is not masked:\n%s", how, text)
		}
	}
}
