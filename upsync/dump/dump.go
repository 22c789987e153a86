// Package dump keeps the last good set of servers of an upstream on disk.
//
// For a path such as web.conf it writes two files: web.conf, the text
// nginx-upsync writes, made to be included in an upstream block; and
// web.conf.json, a snapshot with its provenance and a checksum, from which a
// start without the registry is served. Both are written to a temporary file,
// synced and renamed, and the directory is synced, so that a crash leaves the
// old or the new one. The snapshot before the last is kept as web.conf.json.bak
// and is used when the last one is damaged.
//
// It decides nothing about what is good. Writer runs one goroutine, so that a
// slow or full disk never delays an update; only the newest set of each path
// waits.
package dump

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"spillway/gateway/upstream"
)

// Snapshot is a last known good set and where it came from.
type Snapshot struct {
	Upstream string `json:"upstream"`
	// Source is the kind of source, Key the prefix, service or file.
	Source string `json:"source"`
	Key    string `json:"key"`
	// Discovered is the pattern the upstream was found by, empty if it was
	// declared.
	Discovered string `json:"discovered,omitempty"`
	// Address is the registry that gave the set, Index its index, Time when.
	Address string    `json:"address,omitempty"`
	Index   uint64    `json:"index"`
	Time    time.Time `json:"time"`
	// Servers are not resolved: a server named by a hostname has it in Addr
	// and in Host.
	Servers []upstream.Spec `json:"servers"`
	// Recovered says why the snapshot before the last was read, empty if it
	// was not.
	Recovered string `json:"-"`
}

// envelope is the file: the snapshot as written, and its checksum.
type envelope struct {
	Format   int             `json:"format"`
	SHA256   string          `json:"sha256"`
	Snapshot json.RawMessage `json:"snapshot"`
}

const (
	format  = 1
	maxFile = 64 << 20
)

// ErrDamaged is in the error of a snapshot that is cut short, altered or none.
var ErrDamaged = errors.New("snapshot is damaged")

// AppendServer appends the line nginx-upsync writes for a server, with its
// semicolon and without an end of line. addr is what is printed for the
// address.
func AppendServer(dst []byte, addr string, s *upstream.Spec) []byte {
	dst = append(append(dst, "server "...), addr...)
	dst = strconv.AppendInt(append(dst, " weight="...), int64(s.Weight), 10)
	dst = strconv.AppendInt(append(dst, " max_fails="...), int64(s.MaxFails), 10)
	dst = strconv.AppendInt(append(dst, " fail_timeout="...), int64(s.FailTimeout/time.Second), 10)
	dst = append(dst, 's')
	if s.Down {
		dst = append(dst, " down"...)
	}
	return append(dst, ';')
}

// Text is the nginx text of a snapshot: a line for each server. Like
// nginx-upsync's it does not tell backups.
func Text(s *Snapshot) []byte {
	var b []byte
	for i := range s.Servers {
		b = append(AppendServer(b, s.Servers[i].Addr, &s.Servers[i]), '\n')
	}
	return b
}

// JSONPath is where the snapshot beside the text at path lies.
func JSONPath(path string) string { return path + ".json" }

// Save writes both files of s. A snapshot without servers is not written: a
// start must not be served from it.
func Save(path string, s *Snapshot) error {
	if len(s.Servers) == 0 {
		return nil
	}
	b, err := Encode(s)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("cannot save snapshot: %w", err)
	}
	if err := keepPrevious(JSONPath(path)); err != nil {
		return fmt.Errorf("cannot keep previous snapshot: %w", err)
	}
	if err := replace(JSONPath(path), b); err != nil {
		return fmt.Errorf("cannot save snapshot: %w", err)
	}
	if err := replace(path, Text(s)); err != nil {
		return fmt.Errorf("cannot save server list: %w", err)
	}
	return nil
}

// Encode is the content of the JSON file.
func Encode(s *Snapshot) ([]byte, error) {
	body, err := json.MarshalIndent(s, "  ", "  ")
	if err != nil {
		return nil, fmt.Errorf("cannot encode snapshot: %w", err)
	}
	sum := sha256.Sum256(body)
	var b bytes.Buffer
	fmt.Fprintf(&b, "{\n  \"format\": %d,\n  \"sha256\": %q,\n  \"snapshot\": ", format, hex.EncodeToString(sum[:]))
	b.Write(body)
	b.WriteString("\n}\n")
	return b.Bytes(), nil
}

// Decode reads the content of the JSON file and verifies it. Every server has
// an address and a weight of at least 1.
func Decode(b []byte) (*Snapshot, error) {
	var e envelope
	if err := json.Unmarshal(b, &e); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if e.Format != format {
		return nil, fmt.Errorf("snapshot has format %d, want %d", e.Format, format)
	}
	if sum := sha256.Sum256(e.Snapshot); hex.EncodeToString(sum[:]) != e.SHA256 {
		return nil, fmt.Errorf("%w: its checksum does not match", ErrDamaged)
	}
	s := &Snapshot{}
	if err := json.Unmarshal(e.Snapshot, s); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	for _, spec := range s.Servers {
		if spec.Addr == "" || spec.Weight < 1 {
			return nil, fmt.Errorf("%w: server %q has no address or no weight", ErrDamaged, spec.Addr)
		}
	}
	return s, nil
}

// Load reads the snapshot beside path. When the last one is damaged the one
// before is returned, and Recovered says why. A missing snapshot is
// fs.ErrNotExist.
func Load(path string) (*Snapshot, error) {
	s, err := load(JSONPath(path))
	if err == nil {
		return s, nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		if _, statErr := os.Stat(bakPath(JSONPath(path))); statErr != nil {
			return nil, err
		}
	}
	previous, bakErr := load(bakPath(JSONPath(path)))
	if bakErr != nil {
		return nil, err
	}
	previous.Recovered = err.Error()
	return previous, nil
}

func load(path string) (*Snapshot, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read snapshot: %w", err)
	}
	if st.Size() > maxFile {
		return nil, fmt.Errorf("cannot read snapshot %q: larger than %d bytes", path, maxFile)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read snapshot: %w", err)
	}
	s, err := Decode(b)
	if err != nil {
		return nil, fmt.Errorf("cannot read snapshot %q: %w", path, err)
	}
	return s, nil
}

func bakPath(path string) string { return path + ".bak" }

// keepPrevious gives the file at path a second name, if it is a good one.
func keepPrevious(path string) error {
	if _, err := load(path); err != nil {
		return nil // nothing there worth keeping
	}
	tmp := bakPath(path) + ".tmp"
	if err := os.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Link(path, tmp); err != nil {
		return err
	}
	return os.Rename(tmp, bakPath(path))
}

// replace writes b to path so that a crash leaves the old or the new file.
func replace(path string, b []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".tmp*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	_, err = f.Write(b)
	err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close())
	if err != nil {
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// WriteFile replaces the file at path so that a crash leaves the old or the
// new one, for what else is kept beside a snapshot.
func WriteFile(path string, b []byte) error {
	if err := replace(path, b); err != nil {
		return fmt.Errorf("cannot write %q: %w", path, err)
	}
	return nil
}
