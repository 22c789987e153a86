package api

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"
)

// tokenSource is the token, from the configuration or from a file that is read
// again when it changes; one that cannot be read keeps the last token. Of a
// token only the hash is kept, so that comparing takes the same time whatever
// was sent.
type tokenSource struct {
	path string // "" the token never changes
	log  *slog.Logger

	mu      sync.Mutex
	hash    [sha256.Size]byte
	set     bool
	changed time.Time
	size    int64
}

func newTokenSource(token, path string, log *slog.Logger) (*tokenSource, error) {
	t := &tokenSource{path: path, log: log, hash: sha256.Sum256([]byte(token)), set: token != ""}
	if path == "" {
		return t, nil
	}
	return t, t.read()
}

func (t *tokenSource) read() error {
	st, err := os.Stat(t.path)
	if err != nil {
		return fmt.Errorf("cannot read API token: %w", err)
	}
	text, err := os.ReadFile(t.path)
	if err != nil {
		return fmt.Errorf("cannot read API token: %w", err)
	}
	text = bytes.TrimSpace(text)
	if len(text) == 0 {
		return fmt.Errorf("cannot read API token %q: %w", t.path, errors.New("the file is empty"))
	}
	t.hash, t.set, t.changed, t.size = sha256.Sum256(text), true, st.ModTime(), st.Size()
	return nil
}

// refresh reads the file if it changed.
func (t *tokenSource) refresh() {
	if t.path == "" {
		return
	}
	if st, err := os.Stat(t.path); err == nil && st.ModTime().Equal(t.changed) && st.Size() == t.size {
		return
	}
	if err := t.read(); err != nil {
		t.log.Warn("keeping the API token read before", "error", err)
	}
}

// check reports whether there is a token, and whether a request carries it.
func (t *tokenSource) check(r *http.Request) (set, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.refresh()
	scheme, sent, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	hash := sha256.Sum256([]byte(strings.TrimSpace(sent)))
	same := subtle.ConstantTimeCompare(hash[:], t.hash[:]) == 1
	return t.set, t.set && same && strings.EqualFold(scheme, "Bearer")
}

// mayRead reports whether a request may read: with the read token if there is
// one, else from this machine, and with the token in any case.
func (s *Server) mayRead(r *http.Request) bool {
	if _, ok := s.token.check(r); ok {
		return true
	}
	if set, ok := s.read.check(r); set {
		return ok
	}
	return fromHere(r)
}

// fromHere reports whether a request comes from a program on this machine: not
// through a proxy, and not from a web page that gave its own name this address.
func fromHere(r *http.Request) bool {
	if local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok && local.Network() == "unix" {
		return true // whoever may open the socket
	}
	addr, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !addr.Addr().Unmap().IsLoopback() {
		return false
	}
	for _, field := range [...]string{"X-Forwarded-For", "Forwarded", "Via"} {
		if r.Header.Get(field) != "" {
			return false
		}
	}
	return localName(r.Host)
}

func localName(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if host == "" || strings.EqualFold(host, "localhost") {
		return true
	}
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil
}
