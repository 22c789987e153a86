// Package exec is the driver whose provider is spoken to by any program: one
// process a call, a JSON object on its standard input, one on its standard
// output. docs/cloud-drivers.md describes the protocol for those who write such
// a program; configs/examples/exec-driver.sh is one in shell.
//
// The program is asked once, by New, what it can do. It is trusted with
// nothing else: it has a time to answer in, a limit of output, an environment
// of its own, and it and all its children are killed when the call ends. What
// it answers is checked, and an answer that makes no sense is Ambiguous if the
// call could have changed anything.
//
// Calls run concurrently, a process each. A Driver keeps nothing between calls
// and no goroutine.
package exec

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"spillway/scaler/cloud"
)

// Options of a Driver.
type Options struct {
	// Command is the program and its first arguments; the name of the call is
	// not among them.
	Command []string
	// Env is added to PATH, HOME, LANG and TMPDIR, all that the program gets
	// of our environment, as KEY=value. Credentials go here.
	Env []string
	// Dir is its working directory; empty: ours.
	Dir string
	// Timeout of one call; 0: one minute.
	Timeout time.Duration
	// MaxOutput bounds an answer in bytes; 0: 16 MiB.
	MaxOutput int
}

const (
	defaultTimeout   = time.Minute
	defaultMaxOutput = 16 << 20
	maxStderr        = 4 << 10
)

// New asks the program to describe itself. The driver it returns is a
// cloud.Stopper or a cloud.Watcher if the program says it can do that.
func New(ctx context.Context, o Options) (cloud.Driver, error) {
	if len(o.Command) == 0 {
		return nil, errors.New("cannot use a driver program: no command is given")
	}
	if o.Timeout <= 0 {
		o.Timeout = defaultTimeout
	}
	if o.MaxOutput <= 0 {
		o.MaxOutput = defaultMaxOutput
	}
	d := driver{options: o}
	a, err := d.call(ctx, question{Op: opDescribe})
	if err != nil {
		return nil, fmt.Errorf("cannot use driver program %q: %w", o.Command[0], err)
	}
	d.description = a.Description.contract()
	return d.able(a.Description.Stop, a.Description.Events), nil
}

// able is the driver with the optional interfaces it shall have.
func (d driver) able(stops, watches bool) cloud.Driver {
	switch {
	case stops && watches:
		return struct {
			driver
			stopper
			watcher
		}{d, stopper{d}, watcher{d}}
	case stops:
		return struct {
			driver
			stopper
		}{d, stopper{d}}
	case watches:
		return struct {
			driver
			watcher
		}{d, watcher{d}}
	}
	return d
}

type driver struct {
	options     Options
	description cloud.Description
}

func (d driver) Describe() cloud.Description { return d.description }

func (d driver) Offerings(ctx context.Context) ([]cloud.Offering, error) {
	a, err := d.call(ctx, question{Op: cloud.OpOfferings})
	if err != nil {
		return nil, err
	}
	all := make([]cloud.Offering, len(a.Offerings))
	for i, o := range a.Offerings {
		all[i] = o.contract()
	}
	return all, nil
}

func (d driver) Create(ctx context.Context, r cloud.CreateRequest) ([]cloud.Machine, error) {
	if err := r.Check(d.description); err != nil {
		return nil, err
	}
	a, err := d.call(ctx, question{Op: cloud.OpCreate, Request: wireRequest(&r, d.description.UserDataMax)})
	if err != nil {
		return nil, err
	}
	return machines(a.Machines), nil
}

// List asks the program for all machines with the tags, and leaves out those
// that it should have left out itself.
func (d driver) List(ctx context.Context, tags map[string]string) ([]cloud.Machine, error) {
	a, err := d.call(ctx, question{Op: cloud.OpList, Tags: tags})
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(machines(a.Machines), func(m cloud.Machine) bool { return !m.HasTags(tags) }), nil
}

func (d driver) Delete(ctx context.Context, id string) error {
	_, err := d.call(ctx, question{Op: cloud.OpDelete, ID: id})
	return err
}

type stopper struct{ d driver }

func (s stopper) Stop(ctx context.Context, id string) error {
	_, err := s.d.call(ctx, question{Op: cloud.OpStop, ID: id})
	return err
}

func (s stopper) Start(ctx context.Context, id string) error {
	_, err := s.d.call(ctx, question{Op: cloud.OpStart, ID: id})
	return err
}

type watcher struct{ d driver }

func (w watcher) Events(ctx context.Context) ([]cloud.Event, error) {
	a, err := w.d.call(ctx, question{Op: cloud.OpEvents})
	if err != nil {
		return nil, err
	}
	events := make([]cloud.Event, len(a.Events))
	for i, e := range a.Events {
		events[i] = cloud.Event(e)
	}
	return events, nil
}

// call runs the program once and gives what went wrong its kind.
func (d driver) call(ctx context.Context, q question) (answer, error) {
	if err := q.check(); err != nil {
		return answer{}, &cloud.Error{Kind: cloud.Invalid, Op: q.Op, What: q.ID, Err: err}
	}
	q.Version = version
	r := run(ctx, d.options, q)
	if !r.began {
		return answer{}, &cloud.Error{Kind: cloud.Transient, Op: q.Op, What: q.ID, Err: r.err}
	}
	a, err := decode(r.stdout, q)
	switch {
	case err == nil && a.Error != nil:
		return answer{}, a.Error.contract(q, r.stderr)
	case r.err != nil:
		return answer{}, q.failed(withStderr(r.err, r.stderr))
	case err != nil:
		return answer{}, q.failed(withStderr(fmt.Errorf("cannot use its answer: %w", err), r.stderr))
	}
	return a, nil
}

// failed is the error of a program that gave no answer: it may have done what
// it was asked.
func (q *question) failed(err error) error {
	kind := cloud.Transient
	if q.writes() {
		kind = cloud.Ambiguous
	}
	return &cloud.Error{Kind: kind, Op: q.Op, What: q.ID, Err: err}
}

func withStderr(err error, stderr []byte) error {
	text := strings.TrimSpace(strings.ToValidUTF8(string(stderr), "?"))
	if text == "" {
		return err
	}
	return fmt.Errorf("%w; it said: %s", err, text)
}
