package registry

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

// tokenFile puts the token that a file holds on every request. The file is
// looked at each time and read when it changed; one that cannot be read leaves
// the last token in use.
type tokenFile struct {
	next http.RoundTripper
	path string

	mu    sync.Mutex
	seen  stamp
	token string
}

// stamp tells versions of a file apart.
type stamp struct {
	size int64
	at   time.Time
}

func (f *tokenFile) RoundTrip(r *http.Request) (*http.Response, error) {
	token, err := f.current()
	if err != nil {
		return nil, err
	}
	r = r.Clone(r.Context())
	r.Header.Set("X-Consul-Token", token)
	return f.next.RoundTrip(r)
}

func (f *tokenFile) current() (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.read(); err != nil && f.token == "" {
		return "", fmt.Errorf("cannot read token file %q: %w", f.path, err)
	}
	return f.token, nil
}

func (f *tokenFile) read() error {
	is, err := os.Stat(f.path)
	if err != nil {
		return err
	}
	now := stamp{is.Size(), is.ModTime()}
	if now == f.seen {
		return nil
	}
	b, err := os.ReadFile(f.path)
	if err != nil {
		return err
	}
	token := strings.TrimSpace(string(b))
	if token == "" {
		return errors.New("it is empty")
	}
	f.token, f.seen = token, now
	return nil
}
