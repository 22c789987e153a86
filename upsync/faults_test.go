package upsync

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"spillway/gateway/upstream"
	"spillway/upsync/consul"
	"spillway/upsync/devregistry"
)

// The registry fails in every way it is known to. Each time what is served
// stays, the registry is not asked in a hot loop, and a change made after the
// failure ends arrives.
func TestRegistryFails(t *testing.T) {
	always := devregistry.Always
	kv := func(f devregistry.Fault) devregistry.FaultFunc { return devregistry.OnPath("/v1/kv/", always(f)) }
	faults := func(f devregistry.FaultFunc) func(*rig) { return func(r *rig) { r.reg.SetFault(f) } }
	tests := []struct {
		name    string
		inject  func(*rig)
		recover func(*rig)
		// limit is how soon the change must arrive: a second for outages, the
		// backoff of the watch (and the patience of its reads) for the rest.
		limit time.Duration
	}{
		{"leader lost", faults(always(devregistry.NoLeader())), nil, time.Second},
		{"rpc error EOF", faults(always(devregistry.Respond(500, "rpc error: EOF"))), nil, time.Second},
		{"agent gone", func(r *rig) { r.srv.Stop() }, func(r *rig) { must(r.t, r.srv.Resume()) }, time.Second},
		{"connections reset", func(r *rig) { r.srv.Reset() }, nil, time.Second},
		{"partition", func(r *rig) { r.srv.Partition() }, func(r *rig) { r.srv.Heal() }, time.Second},
		{"index goes back", func(r *rig) { r.reg.Restore(r.saved) }, nil, time.Second},
		{"index 0", faults(kv(devregistry.Index("0"))), nil, time.Second},
		{"index missing", faults(kv(devregistry.Index(""))), nil, time.Second},
		{"index is no number", faults(kv(devregistry.Index("soon"))), nil, time.Second},
		{"index is huge", faults(kv(devregistry.Index("18446744073709551615"))), nil, time.Second},
		{"empty list", faults(kv(devregistry.Body("[]"))), nil, 2 * time.Second},
		{"null", faults(kv(devregistry.Body("null"))), nil, 2 * time.Second},
		{"keys deleted", func(r *rig) { r.reg.WipeKV() }, func(r *rig) { r.put(faultKeys...) }, time.Second},
		{"filtered by ACLs", faults(kv(devregistry.Chain(devregistry.FilteredByACLs(), devregistry.Body("[]")))), nil, 2 * time.Second},
		{"rate limited", faults(kv(devregistry.TooManyRequests(0))), nil, 5 * time.Second},
		{"slow body", faults(kv(devregistry.SlowBody(1))), nil, 5 * time.Second},
		{"truncated JSON", faults(kv(devregistry.TruncateJSON(0.5))), nil, 5 * time.Second},
		{"connection cut", faults(kv(devregistry.Truncate(20))), nil, 5 * time.Second},
		{"invalid JSON", faults(kv(devregistry.InvalidJSON())), nil, 5 * time.Second},
		{"chunked without end", faults(kv(devregistry.ChunkedWithoutEnd())), nil, 5 * time.Second},
		{"head, then nothing", faults(kv(devregistry.HangAfter(0))), nil, 5 * time.Second},
		{"page of a balancer", faults(kv(devregistry.HTML())), nil, 5 * time.Second},
		{"redirect to a stranger", faults(kv(devregistry.Redirect(307, "http://127.0.0.1:1"))), nil, 5 * time.Second},
		{"gzip nobody asked for", faults(kv(devregistry.Gzip())), nil, time.Second},
		{"stale", faults(kv(devregistry.LastContact(time.Hour))), nil, time.Second},
		{"no leader known", faults(kv(devregistry.KnownLeader(false))), nil, time.Second},
	}
	var wg sync.WaitGroup // many wait side by side, whatever -parallel says
	for _, tt := range tests {
		if tt.recover == nil {
			tt.recover = func(r *rig) { r.reg.SetFault(nil) }
		}
		wg.Go(func() {
			t.Run(tt.name, func(t *testing.T) { failAndRecover(t, tt.inject, tt.recover, tt.limit) })
		})
	}
	wg.Wait()
}

func failAndRecover(t *testing.T, inject, recovery func(*rig), limit time.Duration) {
	r := newRig(t, nil, kvUp("web", "up/web/"))
	r.put("up/web/10.0.0.9:80")
	r.serves("web", "10.0.0.9:80")
	r.saved = r.reg.Snapshot()
	r.put(faultKeys...)
	r.serves("web", "10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80", "10.0.0.9:80")
	r.settled("/v1/kv/", 1)
	before := r.reg.Count("/v1/kv/")
	inject(r)
	if _, ok := r.reg.GetKV("up/web/10.0.0.9:80"); ok {
		r.put("up/web/10.0.0.1:80 {\"weight\":2}") // ends the read under way; the next meets the fault
	}
	keepsServing(r, 800*time.Millisecond)
	if n := r.reg.Count("/v1/kv/") - before; n > 25 {
		t.Errorf("%d reads in 0.8 s: a hot loop", n)
	}
	recovery(r)
	r.put("up/web/10.0.0.7:80")
	start := time.Now()
	eventually(t, 2*limit, "the change after recovery", func() bool {
		return slices.Contains(addrs(r.pool("web")), "10.0.0.7:80")
	})
	if d := time.Since(start); d > limit {
		t.Errorf("the change took %v, want at most %v", d, limit)
	}
}

var faultKeys = []string{"up/web/10.0.0.1:80", "up/web/10.0.0.2:80", "up/web/10.0.0.3:80"}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// keepsServing watches the pool for a while: its servers may be more, and
// those the registry still has stay.
func keepsServing(r *rig, d time.Duration) {
	r.t.Helper()
	gone := within(d, func() bool {
		got := addrs(r.pool("web"))
		return len(got) == 0 || !slices.Contains(got, "10.0.0.9:80")
	})
	if gone {
		r.t.Fatalf("serves %v during the failure", addrs(r.pool("web")))
	}
}

func TestRevokedTokenKeepsServing(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	must(t, os.WriteFile(file, []byte("good\n"), 0o600))
	reg, srv := newRegistry(t)
	reg.SetTokens(map[string]devregistry.Policy{"good": {Write: []string{""}}})
	r := &rig{t: t, reg: reg, srv: srv, set: &upstream.Set{}}
	reg.PutKV("up/web/10.0.0.1:80", nil)
	r.start(func(o *Options) { o.Consul.TokenFile = file }, kvUp("web", "up/web/"))
	r.serves("web", "10.0.0.1:80")
	r.settled("/v1/kv/", 1)
	reg.SetTokens(map[string]devregistry.Policy{"new": {Write: []string{""}}})
	reg.PutKV("up/web/10.0.0.2:80", nil) // ends the read under way
	reg.PutKV("up/web/10.0.0.3:80", nil)
	eventually(t, 5*time.Second, "the loss is noticed", func() bool {
		st, _ := r.sync.Status("web")
		return st.Errors["forbidden"] > 0 || st.Decisions[Refused] > 0
	})
	if !slices.Contains(addrs(r.pool("web")), "10.0.0.1:80") {
		t.Errorf("serves %v without a token", addrs(r.pool("web")))
	}
	must(t, os.WriteFile(file, []byte("new-\n"), 0o600))
	must(t, os.WriteFile(file, []byte("new\n"), 0o600))
	eventually(t, 5*time.Second, "the new token is used", func() bool {
		return slices.Contains(addrs(r.pool("web")), "10.0.0.3:80")
	})
}

func TestHugeAnswerIsBoundedAndRefused(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Consul.MaxBytes = 1 << 20 }, kvUp("web", "up/web/"))
	r.put(faultKeys[0])
	r.serves("web", "10.0.0.1:80")
	r.settled("/v1/kv/", 1)
	r.reg.SetFault(devregistry.OnPath("/v1/kv/", devregistry.Always(devregistry.HugeKV("up/web/", 4<<20))))
	r.put(faultKeys[1], faultKeys[2])
	eventually(t, 5*time.Second, "the answer is refused", func() bool {
		st, _ := r.sync.Status("web")
		return st.Errors["too_large"] > 0
	})
	if !slices.Contains(addrs(r.pool("web")), "10.0.0.1:80") {
		t.Errorf("serves %v", addrs(r.pool("web")))
	}
}

func TestOddEntriesAreSkippedAndCounted(t *testing.T) {
	r := newRig(t, nil, kvUp("web", "up/web/"))
	r.put("up/web/", "up/web/10.0.0.1:80", "up/web/10.0.0.2:0", "up/web/10.0.0.3:65536", "up/web/ünïcödé:80",
		"up/web/[2001:db8::1]:80", "up/web/x/10.0.0.1:80", "up/web/10.0.0.4:80 {nonsense")
	r.serves("web", "10.0.0.1:80", "[2001:db8::1]:80")
	st, _ := r.sync.Status("web")
	var keys []string
	for _, rej := range st.Rejects {
		keys = append(keys, rej.Key)
	}
	slices.Sort(keys)
	want := []string{"up/web/10.0.0.2:0", "up/web/10.0.0.3:65536", "up/web/10.0.0.4:80", "up/web/x/10.0.0.1:80", "up/web/ünïcödé:80"}
	if !slices.Equal(keys, want) {
		t.Errorf("rejected %q, want %q", keys, want)
	}
	r.put("up/web/10.0.0.4:80 {\"weight\":7}")
	r.serves("web", "10.0.0.1:80", "10.0.0.4:80", "[2001:db8::1]:80")
	r.put("up/web/10.0.0.4:80 {nonsense")
	eventually(t, 3*time.Second, "the bad value is reported", func() bool {
		st, _ := r.sync.Status("web")
		return len(st.Rejects) == 5
	})
	for _, e := range r.pool("web").Load().Entries {
		if e.Addr == "10.0.0.4:80" && e.Spec.Weight != 7 {
			t.Errorf("weight %d after the value went bad, want the last good 7", e.Spec.Weight)
		}
	}
}

func TestFlappingIsCoalesced(t *testing.T) {
	r := newRig(t, nil, kvUp("web", "up/web/"))
	r.put(faultKeys...)
	r.serves("web", "10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80")
	before := r.reg.Count("/v1/kv/")
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for i := range 100 {
		r.put(fmt.Sprintf("up/web/10.0.0.1:80 {\"weight\":%d}", i+2))
		<-tick.C
	}
	if n := r.reg.Count("/v1/kv/") - before; n > 30 {
		t.Errorf("%d reads in a second of 100 changes, want about 20", n)
	}
	eventually(t, 3*time.Second, "the last change", func() bool { return r.pool("web").Load().Entries[0].Spec.Weight == 101 })
}

func TestPollsEndAtOnce(t *testing.T) {
	reg, srv := newRegistry(t)
	s, err := New(Options{
		Consul: consul.Config{Addresses: []string{srv.Addr()}}, Log: quiet,
		Upstreams: []Upstream{{Name: "web", Source: ConsulKV, Key: "up/web/", Pool: upstream.NewPool("web", &upstream.Settings{})}},
	})
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	wait, stop := context.WithTimeout(t.Context(), 3*time.Second)
	defer stop()
	must(t, reg.AwaitBlocked(wait, "/v1/kv/", 1))
	start := time.Now()
	cancel()
	must(t, <-done)
	must(t, reg.AwaitIdle(wait))
	if d := time.Since(start); d > time.Second {
		t.Errorf("polls ended after %v", d)
	}
}

func TestSwallowedRequestsAreNoticed(t *testing.T) {
	r := newRig(t, nil, kvUp("web", "up/web/"))
	r.put(faultKeys[0])
	r.serves("web", "10.0.0.1:80")
	r.settled("/v1/kv/", 1)
	r.reg.SetFault(devregistry.Always(devregistry.Hang()))
	r.put(faultKeys[1]) // the next read is swallowed
	r.serves("web", "10.0.0.1:80", "10.0.0.2:80")
	eventually(t, 8*time.Second, "the silence is noticed", func() bool { return !r.sync.Addresses()[0].Up })
	r.reg.SetFault(nil)
	r.put(faultKeys[2])
	start := time.Now()
	r.serves("web", "10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80")
	if d := time.Since(start); d > 1500*time.Millisecond {
		t.Errorf("the change took %v", d)
	}
}
