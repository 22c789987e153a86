package static

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"spillway/scaler/cloud"
)

// assignments are the hosts that are handed out, by id.
type assignments map[string]assignment

type assignment struct {
	Token   string            `json:"token,omitempty"`
	Request string            `json:"request,omitempty"` // fingerprint of what the token stands for
	Name    string            `json:"name"`
	Tags    map[string]string `json:"tags"`
	Created time.Time         `json:"created"`
}

// store keeps assignments. update changes them as one, or not at all if f or
// the writing fails.
type store interface {
	view(f func(assignments)) error
	update(f func(assignments) error) error
}

func (d *Driver) read(ctx context.Context, op string, f func(assignments)) error {
	if err := ctx.Err(); err != nil {
		return &cloud.Error{Kind: cloud.Transient, Op: op, Err: err}
	}
	return typed(op, d.store.view(f))
}

func (d *Driver) write(ctx context.Context, op string, f func(assignments) error) error {
	if err := ctx.Err(); err != nil {
		return &cloud.Error{Kind: cloud.Transient, Op: op, Err: err}
	}
	return typed(op, d.store.update(f))
}

// typed gives an error of the file a kind. The file is replaced as a whole and
// last: an error before that has changed nothing, and one after it (errUnsure)
// may have.
func typed(op string, err error) error {
	var e *cloud.Error
	switch {
	case err == nil || errors.As(err, &e):
		return err
	case errors.Is(err, errUnsure):
		return &cloud.Error{Kind: cloud.Ambiguous, Op: op, Err: err}
	}
	return &cloud.Error{Kind: cloud.Transient, Op: op, Err: err}
}

func failure(kind cloud.Kind, op, what, text string) error {
	return &cloud.Error{Kind: kind, Op: op, What: what, Err: errors.New(text)}
}

// memory is a store that ends with the process.
type memory struct {
	mu  sync.Mutex
	all assignments
}

func (m *memory) view(f func(assignments)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	f(m.all)
	return nil
}

func (m *memory) update(f func(assignments) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	next := assignments{}
	for id, a := range m.all {
		next[id] = a
	}
	if err := f(next); err != nil {
		return err
	}
	m.all = next
	return nil
}

// file is a store of JSON on disk. Every change reads it, writes a new one
// beside it, syncs and renames, under a lock file: a crash leaves the old or
// the new assignments, and processes take turns.
type file struct {
	path string
	mu   sync.Mutex // flock is per open file: threads of one process take turns here
}

// errUnsure: the new file may or may not have taken the old one's place.
var errUnsure = errors.New("the change may be lost in a power failure")

// content of the file.
type content struct {
	Format   int         `json:"format"`
	Assigned assignments `json:"assigned"`
}

const format = 1

func (f *file) view(do func(assignments)) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	a, err := load(f.path) // renamed into place: never half written
	if err != nil {
		return err
	}
	do(a)
	return nil
}

func (f *file) update(do func(assignments) error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := os.MkdirAll(filepath.Dir(f.path), 0o755); err != nil {
		return fmt.Errorf("cannot save assignments: %w", err)
	}
	unlock, err := lock(f.path + ".lock")
	if err != nil {
		return err
	}
	defer unlock()
	a, err := load(f.path)
	if err != nil {
		return err
	}
	before := encode(a)
	if err := do(a); err != nil {
		return err
	}
	after := encode(a)
	if bytes.Equal(before, after) {
		return nil
	}
	return save(f.path, after)
}

func lock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|syscall.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cannot lock assignments: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("cannot lock %q: %w", path, err)
	}
	return func() { _ = f.Close() }, nil
}

// load reads the file. None is no assignment; a damaged one is an error: to
// take its hosts for free would hand them out twice.
func load(path string) (assignments, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return assignments{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read assignments: %w", err)
	}
	a, err := decode(b)
	if err != nil {
		return nil, fmt.Errorf("cannot read assignments %q: %w", path, err)
	}
	return a, nil
}

func decode(b []byte) (assignments, error) {
	var c content
	if err := json.Unmarshal(b, &c); err != nil {
		return nil, err
	}
	if c.Format != format {
		return nil, fmt.Errorf("format %d, want %d", c.Format, format)
	}
	if c.Assigned == nil {
		c.Assigned = assignments{}
	}
	return c.Assigned, nil
}

func encode(a assignments) []byte {
	b, _ := json.MarshalIndent(content{format, a}, "", "  ") // of strings and times: it cannot fail
	return append(b, '\n')
}

func save(path string, b []byte) error {
	temporary := path + ".new"
	if err := writeSynced(temporary, b); err != nil {
		return fmt.Errorf("cannot save assignments: %w", err)
	}
	if err := os.Rename(temporary, path); err != nil {
		return fmt.Errorf("cannot save assignments: %w", err)
	}
	if err := syncDir(filepath.Dir(path)); err != nil {
		return fmt.Errorf("cannot save assignments: %w: %w", errUnsure, err)
	}
	return nil
}

func writeSynced(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Sync(), f.Close())
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
