package configs

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestUnreadableFileIsNoMistakeInIt(t *testing.T) {
	_, err := Load(Source{Path: filepath.Join(t.TempDir(), "absent.yaml")})
	if !errors.Is(err, fs.ErrNotExist) || !strings.HasPrefix(err.Error(), "cannot read configuration ") {
		t.Errorf("found %v, want that the file does not exist", err)
	}
}

func TestWithoutAnySourceOnlyRoutesAreMissing(t *testing.T) {
	_, err := Load(Source{})
	if want := "routes: found no route, allowed: at least one, such as {upstream: NAME}"; err == nil || err.Error() != want {
		t.Errorf("found %v, want %s", err, want)
	}
}

func TestHugeFileIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "huge.yaml")
	if err := os.WriteFile(path, make([]byte, maxFileBytes+2), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(Source{Path: path}); err == nil || !strings.Contains(err.Error(), "a file of 4194305 bytes, allowed: at most 4194304") {
		t.Errorf("found %v, want that the file is too large", err)
	}
}

func TestDefaultsDependOnTheSource(t *testing.T) {
	c := mustLoad(t, Source{Path: "examples/everything.yaml"})
	for name, want := range map[string]int{"static": 1, "file": 1, "kv": 2, "discovered": 2, "catalog": 2, "health": 2} {
		if u := c.Upstreams[name]; u.MaxFails != want {
			t.Errorf("%s: found max_fails %d, want %d", name, u.MaxFails, want)
		}
	}
	u := c.Upstreams["discovered"]
	if prefix, ok := u.Discovers(); !ok || prefix != "upstreams/" {
		t.Errorf("found prefix %q (%v), want upstreams/", prefix, ok)
	}
	u = c.Upstreams["kv"]
	if prefix, ok := u.Discovers(); ok {
		t.Errorf("kv: found the prefix %q of a discovery", prefix)
	}
}

func TestServersInheritFromTheirUpstream(t *testing.T) {
	c := mustLoad(t, Source{Data: []byte(`
upstreams:
  web: {servers: ["10.0.0.1:80", "10.0.0.2:80 max_fails=0 fail_timeout=1s"], max_fails: 5, fail_timeout: 7s}
routes: [{upstream: web}]`)})
	s := c.Upstreams["web"].Servers
	if s[0].MaxFails != 5 || s[0].FailTimeout != 7*time.Second || s[1].MaxFails != 0 || s[1].FailTimeout != time.Second {
		t.Errorf("found %v", s)
	}
}

func TestUnusedUpstreamIsWarnedOf(t *testing.T) {
	c := mustLoad(t, Source{Path: "f.yml", Data: []byte(`
upstreams:
  web: {servers: ["10.0.0.1:80"]}
  old: {servers: ["10.0.0.1:80"]}
routes: [{upstream: web}]`)})
	if want := "f.yml:4:3: upstreams.old: found upstream old, allowed: no route names it"; c.Warnings().Error() != want {
		t.Errorf("found warnings %q, want %q", c.Warnings(), want)
	}
}

// Validate judges configurations that no file was read for.
func TestValidateChecksWhatWasBuiltInGo(t *testing.T) {
	c := Default()
	u := exampleUpstream()
	u.Balance, u.ConnectTimeout = "fair", -time.Second
	c.Upstreams["web"] = u
	c.Routes = []Route{{Upstream: "wbe"}}
	c.Gateway.Loops = -1
	want := []string{"gateway.loops: ", "upstreams.web.balance: ", "upstreams.web.connect_timeout: ", `routes[0].upstream: found unknown upstream "wbe"`}
	err := c.Validate()
	for _, w := range want {
		if err == nil || !strings.Contains(err.Error(), w) {
			t.Errorf("found %v, want %s", err, w)
		}
	}
	u.Balance, u.ConnectTimeout = "hash", 0
	c.Upstreams["web"], c.Gateway.Loops, c.Routes[0].Upstream = u, 0, "web"
	if err := c.Validate(); err != nil {
		t.Errorf("found %v, want a valid configuration", err)
	}
}

// FuzzLoad: no document makes Load panic, every mistake has a place, and what
// is accepted is valid and survives being written and read again.
func FuzzLoad(f *testing.F) {
	for _, pattern := range []string{"testdata/*.yml", "examples/*.yaml"} {
		paths, _ := filepath.Glob(pattern)
		for _, p := range paths {
			if data, err := os.ReadFile(p); err == nil {
				f.Add(data)
			}
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Load(Source{Path: "f.yml", Data: append([]byte{}, data...)})
		if err != nil {
			var es Errors
			if !errors.As(err, &es) {
				t.Fatalf("found %v, want Errors", err)
			}
			checkPositions(t, es, "f.yml")
			return
		}
		if err := c.Validate(); err != nil {
			t.Fatalf("Load accepts what Validate refuses: %v", err)
		}
		if _, err := Load(Source{Path: "f.yml", Data: Effective(c, true)}); err != nil {
			t.Fatalf("Load refuses what Effective wrote: %v\n%s", err, Effective(c, true))
		}
	})
}

func FuzzParseServer(f *testing.F) {
	for _, s := range []string{"127.0.0.1:80 weight=2", "[::1]:80 down", "unix:/a b", "a.b:1 fail_timeout=1m backup", "server x;"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		s, err := ParseServer(line)
		if err != nil {
			return
		}
		if again, err := ParseServer(s.String()); err != nil || again != s {
			t.Fatalf("%q: wrote %q, read %+v (%v)", line, s, again, err)
		}
	})
}
