package admin

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"
)

func TestTokenFileIsReadAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := openTokenFile(path, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("no file: no error")
	}
	write("\n")
	if _, err := openTokenFile(path, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("an empty file: no error")
	}
	write("first\n")
	f, err := openTokenFile(path, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	valid := func(step, want string) {
		t.Helper()
		for _, s := range []string{"first", "the second", ""} {
			if f.get().is([]byte(s)) != (s == want) {
				t.Errorf("%s: token %q: valid is %v", step, s, s != want)
			}
		}
	}
	valid("as opened", "first")
	write("the second")
	valid("rewritten", "the second")
	write("")
	valid("emptied", "the second")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	valid("removed", "the second")
}
