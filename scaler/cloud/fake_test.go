package cloud_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"spillway/scaler/cloud"
	"spillway/scaler/cloud/sim"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// fake is a driver that answers each kind of call from a list of errors, nil
// for success, and with success once the list is at its end.
type fake struct {
	description cloud.Description
	offerings   []cloud.Offering
	listed      []cloud.Machine
	answers     map[string][]error
	on          func(op string) // called for each call

	mu    sync.Mutex
	calls []string
}

func (f *fake) next(op string) error {
	if f.on != nil {
		f.on(op)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, op)
	left := f.answers[op]
	if len(left) == 0 {
		return nil
	}
	f.answers[op] = left[1:]
	return left[0]
}

func (f *fake) count(op string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, c := range f.calls {
		if c == op {
			n++
		}
	}
	return n
}

func (f *fake) Describe() cloud.Description { return f.description }

func (f *fake) Offerings(context.Context) ([]cloud.Offering, error) {
	return f.offerings, f.next(cloud.OpOfferings)
}

func (f *fake) Create(_ context.Context, r cloud.CreateRequest) ([]cloud.Machine, error) {
	if err := f.next(cloud.OpCreate); err != nil {
		return nil, err
	}
	return made(r.Count), nil
}

func (f *fake) List(context.Context, map[string]string) ([]cloud.Machine, error) {
	if err := f.next(cloud.OpList); err != nil {
		return nil, err
	}
	return f.listed, nil
}

func (f *fake) Delete(context.Context, string) error { return f.next(cloud.OpDelete) }

// stopping is a fake that can also stop, watching one that can also hear.
type stopping struct{ *fake }

func (f stopping) Stop(context.Context, string) error  { return f.next(cloud.OpStop) }
func (f stopping) Start(context.Context, string) error { return f.next(cloud.OpStart) }

type watching struct{ *fake }

func (f watching) Events(context.Context) ([]cloud.Event, error) { return nil, f.next(cloud.OpEvents) }

type both struct {
	*fake
	stopping
	watching
}

// made are n machines, i-1 and so on.
func made(n int) []cloud.Machine {
	var all []cloud.Machine
	for i := range n {
		all = append(all, cloud.Machine{ID: fmt.Sprintf("i-%d", i+1), State: cloud.Running})
	}
	return all
}

func request(n int) cloud.CreateRequest {
	r := cloud.CreateRequest{
		Token: "token", Type: "small", Zone: "a", Count: n,
		Tags: map[string]string{cloud.TagCluster: "test", cloud.TagOrder: "web-1-1"},
	}
	for i := range n {
		r.Names = append(r.Names, fmt.Sprintf("web-1-%d", i))
	}
	return r
}

func kind(k cloud.Kind) error { return &cloud.Error{Kind: k, Op: "test"} }

func kindAfter(k cloud.Kind, after time.Duration) error {
	return &cloud.Error{Kind: k, Op: "test", After: after}
}

// errPlain is an error of a driver that forgot to sort it.
var errPlain = errors.New("connection reset by peer")

func wantKind(t *testing.T, err error, want cloud.Kind) {
	t.Helper()
	var e *cloud.Error
	if !errors.As(err, &e) || e.Kind != want {
		t.Errorf("got error %v, want kind %v", err, want)
	}
}

func newClock() *sim.Clock { return sim.NewClock(start) }

func half() float64 { return 0.5 }
