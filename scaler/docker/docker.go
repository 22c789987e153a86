// Package docker runs containers on many machines through their Docker
// Engines. It is the only importer of the Docker client.
//
// Every call has a deadline, and every engine its own small number of calls in
// flight and its own breaker: a slow or dead engine fails its own callers with
// ErrBusy, ErrDown or a deadline and delays nobody else. Containers are found
// by name and told apart by labels, so that Ensure and Remove can be repeated
// after any crash, by anybody, at the same time. What carries no label of ours
// is never touched.
//
// The package decides nothing: where a container goes, when it ends and from
// where its image comes is the caller's affair. It keeps no record of
// containers; the engines are the only truth.
//
// Goroutines: one for each pull of an image (all callers that wait for it
// share it), and up to two for each Exec, which end with it (see Exec about
// the one that reads In). Nothing runs between calls.
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
//
// Whatever it says, a container cannot gain privileges
// (no-new-privileges), has at most PIDs processes, does not swap when Memory
// is limited, and keeps a bounded amount of logs (Options.LogSize).
type Spec struct {
	Name    string
	Image   string
	Command []string
	Env     []string
	Labels  map[string]string
	CPU     float64 // cores, 0 no limit
	Memory  int64   // bytes, 0 no limit
	PIDs    int64   // processes and threads, 0: DefaultPIDs
	// Network is bridge, host, none or a named one (made if missing). "" is
	// bridge.
	Network string
	// Ports maps TCP ports of the container to those of the machine. It means
	// nothing on the networks host and none.
	Ports map[int]int
	// Address of the machine that Ports are published on, "" all of them.
	Address  string
	User     string        // uid[:gid], "" the image's
	CapDrop  []string      // capabilities taken away, "ALL" for all
	Stop     time.Duration // grace between TERM and KILL, in whole seconds, rounded up
	Restart  bool          // unless stopped
	ReadOnly bool          // root file system; /tmp stays writable, in memory
}

// DefaultPIDs bounds the processes and threads of a container.
const DefaultPIDs = 4096

// Container as its engine has it.
type Container struct {
	ID, Name, Image string
	Running         bool
	ExitCode        int // of one that ended
	Hash            string
	Labels          map[string]string
	Started         time.Time // zero in a List: the engine does not say there
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
	// if it does, started if it is stopped, replaced if its hash differs. One
	// that ends right after its start is no error: Running and ExitCode tell.
	// Its image must be present (Image), else the error is ErrNoImage.
	Ensure(ctx context.Context, e Engine, s Spec) (Container, error)
	// Remove stops with grace and removes; a missing one is no error.
	Remove(ctx context.Context, e Engine, name string, grace time.Duration) error
	// List returns the containers of a cluster, running or not, by name.
	List(ctx context.Context, e Engine, cluster string) ([]Container, error)
	// Image makes the image present. The sources are tried in their order:
	// "mirror:5000" or "mirror:5000/name:tag" pulls from there and gives the
	// image its name, "file:/path.tar" loads an archive that contains it, the
	// image's own name pulls it from where it says. Without sources it is the
	// own name. What is already present is not asked for again.
	Image(ctx context.Context, e Engine, image string, sources []string) error
	Exec(ctx context.Context, e Engine, name string, x ExecSpec) (exit int, err error)
	// Logs writes the last tail lines (all, if negative) of both streams and,
	// with follow, what comes until the container or ctx ends.
	Logs(ctx context.Context, e Engine, name string, tail int, follow bool, out io.Writer) error
}

// ExecSpec is a command in a container; with TTY, Resize carries sizes and
// everything the command writes goes to Out.
type ExecSpec struct {
	Command []string
	Env     []string
	TTY     bool
	// In is the command's input, nil none. Its end is passed on, output is
	// still read afterwards.
	In       io.Reader
	Out, Err io.Writer      // nil: thrown away
	Resize   <-chan [2]uint // columns, rows
}
