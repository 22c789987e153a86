package configs

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// isScaler tells the scaler's files from the gateway's.
func isScaler(path string) bool { return strings.HasPrefix(filepath.Base(path), "scaler") }

func fixtures(t *testing.T, pattern string) []string {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	paths = slices.DeleteFunc(paths, func(path string) bool {
		return isScaler(path) != isScaler(pattern)
	})
	if err != nil || len(paths) == 0 {
		t.Fatalf("found no fixtures %s (%v)", pattern, err)
	}
	return paths
}

// loadNamed loads a file under its base name, so that messages do not depend
// on where it lies.
func loadNamed(t *testing.T, path string) (*Config, error) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return Load(Source{Path: filepath.Base(path), Data: append([]byte{}, data...)})
}

func TestBadFilesAreRefusedWithTheExactMessage(t *testing.T) {
	for _, path := range fixtures(t, "testdata/*.bad.yml") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			_, err := loadNamed(t, path)
			var es Errors
			if !errors.As(err, &es) {
				t.Fatalf("found error %v, want one of type Errors", err)
			}
			checkPositions(t, es, filepath.Base(path))
			golden(t, strings.TrimSuffix(path, ".yml")+".txt", []byte(err.Error()+"\n"))
		})
	}
}

func checkPositions(t *testing.T, es Errors, file string) {
	t.Helper()
	if len(es) == 0 || len(es) > maxErrors+1 {
		t.Errorf("found %d errors, want 1 to %d", len(es), maxErrors+1)
	}
	for _, e := range es {
		if e.File != file || e.Line < 1 || e.Col < 1 || e.Found == "" {
			t.Errorf("found %+v, want a place in %s", *e, file)
		}
	}
}

// The golden text of a good file is what it sets, with the places, and its
// warnings.
func TestGoodFilesMeanWhatTheySay(t *testing.T) {
	for _, path := range fixtures(t, "testdata/*.good.yml") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			c, err := loadNamed(t, path)
			if err != nil {
				t.Fatal(err)
			}
			var b strings.Builder
			for line := range strings.Lines(string(Effective(c, true))) {
				if !strings.HasSuffix(line, "# default\n") && strings.Contains(line, "#") {
					b.WriteString(line)
				}
			}
			if w := c.Warnings(); len(w) > 0 {
				b.WriteString("warnings:\n" + w.Error() + "\n")
			}
			golden(t, strings.TrimSuffix(path, ".yml")+".txt", []byte(b.String()))
		})
	}
}

func TestExamplesAreValid(t *testing.T) {
	for _, path := range fixtures(t, "examples/*.yaml") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			c, err := Load(Source{Path: path})
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Validate(); err != nil {
				t.Errorf("Validate disagrees with Load: %v", err)
			}
			for _, w := range c.Warnings() {
				if path != everythingPath {
					t.Errorf("found a warning: %v", w)
				}
			}
		})
	}
}
