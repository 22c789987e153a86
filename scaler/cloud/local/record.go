package local

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// What is wanted of a machine.
const (
	wantRunning  = "running"
	wantStopped  = "stopped"
	wantDeleting = "deleting"
)

// record is what the directory of a machine says of it.
type record struct {
	ID, Name   string
	Type, Zone string
	Spot       bool
	Token      string // of its batch
	Tags       map[string]string
	CPU        float64
	Memory     int64
	Index      int // of its address in the network
	Address    netip.Prefix
	Gateway    netip.Addr
	Cgroup     string // path below each hierarchy
	Dockerd    string
	Want       string
	Created    time.Time
	// Started is when its init ran and its link was plugged in; zero until
	// that was done once.
	Started time.Time
}

// batch is the intent of one Create: which machines its token stands for. It
// is written before the first of them exists and outlives them.
type batch struct {
	Token   string
	Request string // fingerprint of what was asked
	Type    string
	Zone    string
	Created time.Time
	Slots   []slot
}

// slot is one machine of a batch.
type slot struct {
	ID, Name string
	Index    int
	Deleted  bool
}

// network is what a root knows of its network.
type network struct {
	Prefix netip.Prefix
	Next   int // index to try first: addresses are reused late
}

func (d *Driver) machineDir(id string) string { return filepath.Join(d.o.Root, "machines", id) }

// Socket is where a machine's engine listens for programs of this computer.
func (d *Driver) Socket(id string) string { return socketOf(d.machineDir(id)) }

func socketOf(machine string) string { return filepath.Join(machine, "run", "docker.sock") }

func (d *Driver) batchFile(token string) string {
	return filepath.Join(d.o.Root, "batches", digest(token)[:32]+".json")
}

// digest is the SHA-256 of some text, in hex.
func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func readRecord(dir string) (*record, error) {
	r := &record{}
	if err := readJSON(filepath.Join(dir, "machine.json"), r); err != nil {
		return nil, err
	}
	return r, nil
}

func (r *record) save(dir string) error { return writeJSON(filepath.Join(dir, "machine.json"), r) }

func readJSON(path string, into any) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("cannot read %q: %w", path, err)
	}
	return nil
}

// writeJSON replaces a file: readers see the old or the new one, also after a
// crash of this program. (After one of the computer no machine is left.)
func writeJSON(path string, v any) error {
	text, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		return err
	}
	return writeFile(path, append(text, '\n'))
}

func writeFile(path string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // fails after the rename, as it should
	_, err = f.Write(text)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// records returns the records of all machines, in the order of their ids.
func (d *Driver) records() ([]*record, error) {
	entries, err := os.ReadDir(filepath.Join(d.o.Root, "machines"))
	if err != nil {
		return nil, ignore(err, fs.ErrNotExist)
	}
	var all []*record
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") { // on its way in or out
			continue
		}
		r, err := readRecord(d.machineDir(e.Name()))
		switch {
		case errors.Is(err, fs.ErrNotExist): // gone meanwhile
			continue
		case err != nil:
			return nil, err
		}
		all = append(all, r)
	}
	return all, nil
}
