package admin

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// token is a secret kept as its hash, so that comparing takes the same time
// whatever was sent, its length included.
type token struct {
	set  bool
	hash [sha256.Size]byte
}

func newToken(s string) token { return token{set: s != "", hash: sha256.Sum256([]byte(s))} }

// is reports whether the token is set and sent is it.
func (t token) is(sent []byte) bool {
	h := sha256.Sum256(sent)
	return subtle.ConstantTimeCompare(h[:], t.hash[:]) == 1 && t.set
}

// tokenFile is a token that lives in a file, read again when the file changes.
// One that cannot be read keeps the last token.
type tokenFile struct {
	path string
	log  *slog.Logger

	mu      sync.Mutex
	current token
	changed time.Time
	size    int64
}

func openTokenFile(path string, log *slog.Logger) (*tokenFile, error) {
	f := &tokenFile{path: path, log: log}
	return f, f.read()
}

// get returns the token as the file has it now.
func (f *tokenFile) get() token {
	f.mu.Lock()
	defer f.mu.Unlock()
	if st, err := os.Stat(f.path); err == nil && st.ModTime().Equal(f.changed) && st.Size() == f.size {
		return f.current
	}
	if err := f.read(); err != nil {
		f.log.Warn("keeping the admin token read before", "error", err)
	}
	return f.current
}

func (f *tokenFile) read() error {
	st, err := os.Stat(f.path)
	if err != nil {
		return fmt.Errorf("cannot read admin token: %w", err)
	}
	text, err := os.ReadFile(f.path)
	if err != nil {
		return fmt.Errorf("cannot read admin token: %w", err)
	}
	text = bytes.TrimSpace(text)
	if len(text) == 0 {
		return fmt.Errorf("cannot read admin token %q: %w", f.path, errors.New("the file is empty"))
	}
	f.current, f.changed, f.size = newToken(string(text)), st.ModTime(), st.Size()
	return nil
}
