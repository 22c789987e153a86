package upsync

import (
	"context"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"spillway/gateway/upstream"
	"spillway/upsync/consul"
	"spillway/upsync/devregistry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// rig is a registry and a syncer that follows it.
type rig struct {
	t    *testing.T
	reg  *devregistry.Registry
	srv  *devregistry.Server
	sync *Syncer
	set  *upstream.Set
	// saved is a snapshot for a test to restore.
	saved *devregistry.Snapshot
}

func newRegistry(t *testing.T) (*devregistry.Registry, *devregistry.Server) {
	t.Helper()
	reg := devregistry.New(devregistry.Options{Logger: quiet})
	srv, err := reg.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		srv.Close()
		reg.Close()
	})
	return reg, srv
}

func newRig(t *testing.T, change func(*Options), ups ...Upstream) *rig {
	t.Helper()
	reg, srv := newRegistry(t)
	r := &rig{t: t, reg: reg, srv: srv, set: &upstream.Set{}}
	r.start(change, ups...)
	return r
}

func (r *rig) start(change func(*Options), ups ...Upstream) {
	r.t.Helper()
	for i := range ups {
		if _, ok := ups[i].pattern(); !ok && ups[i].Pool == nil {
			ups[i].Pool = upstream.NewPool(ups[i].Name, &upstream.Settings{})
		}
	}
	o := Options{
		Consul: consul.Config{Addresses: []string{r.srv.Addr()}}, Upstreams: ups, Set: r.set, Log: quiet,
		Probe: func(context.Context, string) error { return nil },
	}
	if change != nil {
		change(&o)
	}
	s, err := New(o)
	if err != nil {
		r.t.Fatal(err)
	}
	r.sync = s
	run(r.t, s)
}

// run runs s until the test ends.
func run(t *testing.T, s *Syncer) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case <-done:
		case <-time.After(5 * time.Second):
			t.Error("Run did not end")
		}
	})
}

func addrs(p *upstream.Pool) []string {
	var out []string
	for _, e := range p.Load().Entries {
		out = append(out, e.Addr)
	}
	slices.Sort(out)
	return out
}

// eventually looks once a millisecond until ok, and fails after limit.
func eventually(t *testing.T, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	if !within(limit, ok) {
		t.Fatalf("not within %v: %s", limit, what)
	}
}

func within(limit time.Duration, ok func() bool) bool {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(limit); ; <-tick.C {
		if ok() {
			return true
		}
		if time.Now().After(deadline) {
			return false
		}
	}
}

func (r *rig) pool(name string) *upstream.Pool { return r.sync.member(name).up.Pool }

// serves waits until the upstream serves exactly want.
func (r *rig) serves(name string, want ...string) {
	r.t.Helper()
	slices.Sort(want)
	var got []string
	same := func() bool {
		if m := r.sync.member(name); m != nil {
			got = addrs(m.up.Pool)
		}
		return slices.Equal(got, want)
	}
	if !within(3*time.Second, same) {
		r.t.Fatalf("%s serves %v, want %v", name, got, want)
	}
}

func (r *rig) put(pairs ...string) {
	for _, p := range pairs {
		key, value, _ := strings.Cut(p, " ")
		r.reg.PutKV(key, []byte(value))
	}
}

// settled waits until the syncer blocks on n reads below path.
func (r *rig) settled(path string, n int) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	if err := r.reg.AwaitBlocked(ctx, path, n); err != nil {
		r.t.Fatal(err)
	}
}

func kvUp(name, key string) Upstream { return Upstream{Name: name, Source: ConsulKV, Key: key} }
