package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"testing"
	"time"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// fake is a Backend that keeps what it was asked, and answers what it was told.
type fake struct {
	mu     sync.Mutex
	asked  []any
	err    error  // of every method
	leader string // "" this process leads
	none   bool   // nobody leads
	exec   func(ctx context.Context, r ExecRequest, s Streams) (int, error)
}

func (f *fake) note(v any) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, v)
	return f.err
}

func (f *fake) last() any {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.asked) == 0 {
		return nil
	}
	return f.asked[len(f.asked)-1]
}

func (f *fake) Leader() (bool, string) { return f.leader == "" && !f.none, f.leader }
func (f *fake) Ready() (bool, string)  { return !f.none, "as told" }

func (f *fake) Status(context.Context) (Status, error) {
	return Status{Cluster: "c1", Tick: noon, Apps: []App{{Name: "web", Want: 3}}}, f.note("status")
}

func (f *fake) Why(_ context.Context, app string, at time.Time) (Why, error) {
	return Why{App: app, At: at, Winner: "panic"}, f.note("why")
}

func (f *fake) Plan(context.Context) (Plan, error)    { return Plan{At: noon}, f.note("plan") }
func (f *fake) Nodes(context.Context) ([]Node, error) { return nil, f.note("nodes") }

func (f *fake) Ps(_ context.Context, app string) ([]Instance, error) {
	return []Instance{{ID: "web-1", App: app, Ports: map[int]int{80: 20000}}}, f.note("ps")
}

func (f *fake) Scale(_ context.Context, r ScaleRequest) (Override, error) {
	return Override{App: r.App, Delta: r.Delta, By: r.By, Until: noon.Add(r.TTL)}, f.note(r)
}

func (f *fake) Pause(_ context.Context, r PauseRequest) (Override, error) {
	return Override{App: r.App, Paused: true, By: r.By, Until: noon.Add(r.TTL)}, f.note(r)
}

func (f *fake) Resume(_ context.Context, r ResumeRequest) error { return f.note(r) }

func (f *fake) NodeAction(_ context.Context, r NodeRequest) (Node, error) {
	return Node{ID: r.ID, State: r.Action + "ed"}, f.note(r)
}

func (f *fake) Exec(ctx context.Context, r ExecRequest, s Streams) (int, error) {
	if err := f.note(r); err != nil {
		return 0, err
	}
	return f.exec(ctx, r, s)
}

func (f *fake) Run(_ context.Context, r RunRequest, s Streams) (RunResult, error) {
	fmt.Fprintf(s.Out, "running %s\n", r.Image)
	return RunResult{Instance: Instance{ID: "run-1", Image: r.Image}, Exit: 3}, f.note(r)
}

func (f *fake) Logs(ctx context.Context, r LogsRequest, out io.Writer) error {
	if err := f.note(r); err != nil {
		return err
	}
	fmt.Fprintln(out, "one")
	if r.Follow {
		<-ctx.Done()
		return ctx.Err()
	}
	return nil
}

// serve starts a server with the token "secret" over the backend and returns it
// with a client that has the token.
func serve(t *testing.T, b Backend, change ...func(*Options)) (*Server, *Client) {
	t.Helper()
	o := Options{Listen: "127.0.0.1:0", Token: "secret", Backend: b, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return noon }}
	for _, f := range change {
		f(&o)
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve() }()
	t.Cleanup(func() {
		ctx, stop := context.WithTimeout(context.Background(), 10*time.Second)
		defer stop()
		if err := errors.Join(s.Shutdown(ctx), <-served); err != nil {
			t.Errorf("server did not end well: %v", err)
		}
	})
	address := s.Addr().String()
	if s.Addr().Network() == "unix" {
		address = "unix:" + address
	}
	c, err := NewClient(ClientOptions{Address: address, Token: "secret", User: "ann"})
	if err != nil {
		t.Fatal(err)
	}
	return s, c
}

// safeBuffer is a buffer that several goroutines use.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
