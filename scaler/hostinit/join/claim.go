package join

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Claims remember with which key a machine joined, which makes a token good
// once per machine: a second join is the same machine asking again only if it
// has the same key.
type Claims interface {
	// Claim binds the machine to the key, and reports whether it is bound to
	// this key now.
	Claim(machine, key string) (bool, error)
}

// DirClaims keeps a file for each machine; scalers that stand in for each
// other share the directory. It implements Claims.
type DirClaims string

func (d DirClaims) file(machine string) string {
	sum := sha256.Sum256([]byte(machine))
	return filepath.Join(string(d), hex.EncodeToString(sum[:16]))
}

// Claim implements Claims.
func (d DirClaims) Claim(machine, key string) (bool, error) {
	if err := os.MkdirAll(string(d), 0o700); err != nil {
		return false, fmt.Errorf("cannot claim machine %q: %w", machine, err)
	}
	temp, err := tempSecret(string(d), []byte(key+"\n"))
	if err != nil {
		return false, fmt.Errorf("cannot claim machine %q: %w", machine, err)
	}
	defer os.Remove(temp)
	// A link, unlike a rename, fails if somebody was first.
	err = os.Link(temp, d.file(machine))
	if err == nil || !errors.Is(err, fs.ErrExist) {
		return err == nil, err
	}
	have, err := os.ReadFile(d.file(machine))
	return strings.TrimSpace(string(have)) == key, err
}

// Forget frees what is known of a machine that is gone for good.
func (d DirClaims) Forget(machine string) error {
	err := os.Remove(d.file(machine))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
