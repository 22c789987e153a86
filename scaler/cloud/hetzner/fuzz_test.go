package hetzner

import (
	"maps"
	"strings"
	"testing"

	"spillway/scaler/cloud"
)

func FuzzContextToken(f *testing.F) {
	f.Add([]byte("active_context = \"a\"\n[[contexts]]\nname = \"a\"\ntoken = \"t\"\n"), "")
	f.Add([]byte("token=x"), "a")
	f.Add([]byte("[\n=\n'"), "")
	f.Fuzz(func(t *testing.T, text []byte, name string) {
		token, err := contextToken(text, name)
		if err == nil && (token == "" || !strings.Contains(string(text), string(token))) {
			t.Errorf("token of %d characters, which is not in the file", len(token))
		}
	})
}

// FuzzLabels: what can be labels comes back as the tags it was.
func FuzzLabels(f *testing.F) {
	f.Add("spillway-profile", strings.Repeat("a", 64))
	f.Add("spillway-order", "")
	f.Add("a", strings.Repeat("a", 63)+"-b")
	f.Fuzz(func(t *testing.T, key, value string) {
		if strings.HasSuffix(key, rest) {
			return
		}
		tags := map[string]string{key: value}
		all, err := labels(cloud.OpCreate, tags)
		if err == nil && !maps.Equal(tagsOf(all), tags) {
			t.Errorf("%q comes back as %q", tags, tagsOf(all))
		}
	})
}
