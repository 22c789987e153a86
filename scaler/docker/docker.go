// Package docker runs containers on many machines through their Docker
// Engines. It is the only importer of the Docker client.
//
// Every call has a deadline, and every engine its own small number of calls in
// flight: a slow or dead engine fails its own callers with ErrBusy or a
// deadline and delays nobody else. Containers are found by label, so that
// Ensure and Remove can be repeated after any crash.
package docker

import (
	"context"
	"io"
	"time"
)

// Engine addresses one Docker Engine.
type Engine struct {
	ID   string // Machine.ID
	Host string // tcp://ip:2376 or unix:///path
	// CA, Cert and Key are PEM for mutual TLS; empty for a unix socket.
	CA, Cert, Key []byte
}

// Spec of a container. Name is unique on the engine; Ensure compares the hash
// of the whole Spec, kept in a label.
type Spec struct {
	Name     string
	Image    string
	Command  []string
	Env      []string
	Labels   map[string]string
	CPU      float64 // cores, 0 no limit
	Memory   int64   // bytes, 0 no limit
	Network  string  // bridge, host, none or a named one (made if missing)
	Ports    map[int]int
	Stop     time.Duration // grace between TERM and KILL
	Restart  bool          // unless stopped
	ReadOnly bool
}

// Container as its engine has it.
type Container struct {
	ID, Name, Image string
	Running         bool
	ExitCode        int
	Hash            string
	Labels          map[string]string
	Started         time.Time
}

// Labels on every container of ours.
const (
	LabelCluster  = "spillway.cluster"
	LabelInstance = "spillway.instance"
	LabelApp      = "spillway.app"
	LabelHash     = "spillway.hash"
)

// Runtime is containers on many engines; *Engines implements it, tests fake it.
type Runtime interface {
	Ping(ctx context.Context, e Engine) error
	// Ensure makes the container exist and run as specified: it is left alone
	// if it does, started if it is stopped, replaced if its hash differs.
	Ensure(ctx context.Context, e Engine, s Spec) (Container, error)
	// Remove stops with grace and removes; a missing one is no error.
	Remove(ctx context.Context, e Engine, name string, grace time.Duration) error
	List(ctx context.Context, e Engine, cluster string) ([]Container, error)
	// Image makes the image present: from the first mirror that has it, else
	// by its own name, else from a local tar (source "file:...").
	Image(ctx context.Context, e Engine, image string, sources []string) error
	Exec(ctx context.Context, e Engine, name string, x ExecSpec) (exit int, err error)
	Logs(ctx context.Context, e Engine, name string, tail int, follow bool, out io.Writer) error
}

// ExecSpec is a command in a container; with TTY, Resize carries sizes.
type ExecSpec struct {
	Command  []string
	TTY      bool
	In       io.Reader
	Out, Err io.Writer
	Resize   <-chan [2]uint // columns, rows
}
