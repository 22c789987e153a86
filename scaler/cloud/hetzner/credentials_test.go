package hetzner_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"spillway/scaler/cloud/hetzner"
)

const toolFile = `active_context = "test"

[[contexts]]
  name = "prod"
  token = "of-prod"

[[contexts]]
  name = "test"
  token = "of-test"
`

// TestTokenSources asks each source while all those after it have one too.
func TestTokenSources(t *testing.T) {
	dir := t.TempDir()
	tokens := write(t, filepath.Join(dir, "token"), "of-file\n")
	tool := write(t, filepath.Join(dir, "cli.toml"), toolFile)
	home := filepath.Join(dir, "home")
	write(t, filepath.Join(home, ".config", "hcloud", "cli.toml"), strings.ReplaceAll(toolFile, "of-", "home-of-"))
	for _, c := range []struct {
		name    string
		options hetzner.Options
		env     map[string]string
		want    string
	}{
		{"given", hetzner.Options{Token: "given", TokenFile: tokens}, map[string]string{"HCLOUD_TOKEN": "env"}, "given"},
		{"file", hetzner.Options{TokenFile: tokens}, map[string]string{"HCLOUD_TOKEN": "env"}, "of-file"},
		{"environment", hetzner.Options{}, map[string]string{"HCLOUD_TOKEN": "env", "HCLOUD_CONFIG": tool}, "env"},
		{"context that is asked for", hetzner.Options{Context: "prod"}, map[string]string{"HCLOUD_TOKEN": "env", "HCLOUD_CONFIG": tool}, "of-prod"},
		{"context of the environment", hetzner.Options{}, map[string]string{"HCLOUD_CONTEXT": "prod", "HCLOUD_CONFIG": tool}, "of-prod"},
		{"active context", hetzner.Options{}, map[string]string{"HCLOUD_CONFIG": tool}, "of-test"},
		{"file of the tool", hetzner.Options{}, map[string]string{"HOME": home}, "home-of-test"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := ""
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				got = r.Header.Get("Authorization")
				w.Header().Set("Content-Type", "application/json")
				_, _ = io.WriteString(w, `{"servers":[]}`)
			}))
			defer s.Close()
			o := c.options
			o.Endpoint, o.Image, o.Getenv = s.URL, "debian-13", func(k string) string { return c.env[k] }
			d, err := hetzner.New(o)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := d.List(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			if got != "Bearer "+c.want {
				t.Errorf("authorization is %q, want the token %q", got, c.want)
			}
		})
	}
}

func TestNoToken(t *testing.T) {
	dir := t.TempDir()
	tool := write(t, filepath.Join(dir, "cli.toml"), toolFile)
	for name, c := range map[string]struct {
		options hetzner.Options
		env     map[string]string
	}{
		"nothing":         {},
		"no file":         {options: hetzner.Options{TokenFile: filepath.Join(dir, "none")}},
		"empty file":      {options: hetzner.Options{TokenFile: write(t, filepath.Join(dir, "empty"), "\n")}},
		"unknown context": {options: hetzner.Options{Context: "none"}, env: map[string]string{"HCLOUD_CONFIG": tool}},
		"nothing active":  {env: map[string]string{"HCLOUD_CONFIG": write(t, filepath.Join(dir, "bare"), "token = \"stray\"\n")}},
	} {
		o := c.options
		o.Image, o.Getenv = "debian-13", func(k string) string { return c.env[k] }
		if _, err := hetzner.New(o); err == nil {
			t.Errorf("%s: no error", name)
		} else if strings.Contains(err.Error(), "of-test") || strings.Contains(err.Error(), "stray") {
			t.Errorf("%s: the error tells a token: %v", name, err)
		}
	}
}

func TestTokenIsNotPrinted(t *testing.T) {
	o := hetzner.Options{Token: "hunter2"}
	text, err := json.Marshal(map[string]any{"token": o.Token})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{fmt.Sprint(o), fmt.Sprintf("%+v", o), fmt.Sprintf("%#v", o.Token), fmt.Sprintf("%q %x", o.Token, o.Token), string(text)} {
		if strings.Contains(s, "hunter2") || strings.Contains(s, "68756e74657232") {
			t.Errorf("the token is printed: %s", s)
		}
	}
}

func write(t *testing.T, file, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
