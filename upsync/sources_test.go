package upsync

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"spillway/gateway/upstream"
	"spillway/upsync/consul"
	"spillway/upsync/devregistry"
	"spillway/upsync/dump"
)

func TestStaticAndFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "servers")
	must(t, os.WriteFile(path, []byte("server 10.0.0.1:80 weight=3;\n10.0.0.2:80\n"), 0o600))
	r := newRig(t, nil,
		Upstream{Name: "fixed", Source: Static, Servers: []string{"10.1.0.1:80 weight=2", "10.1.0.2:80"}},
		Upstream{Name: "listed", Source: File, Path: path})
	r.serves("fixed", "10.1.0.1:80", "10.1.0.2:80")
	r.serves("listed", "10.0.0.1:80", "10.0.0.2:80")
	must(t, os.WriteFile(path, []byte("10.0.0.1:80\n10.0.0.2:80\n10.0.0.3:80\n"), 0o600))
	r.serves("listed", "10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80")
	must(t, os.WriteFile(path, []byte("10.0.0.1:80\nrubbish here\n"), 0o600))
	eventually(t, 3*time.Second, "the bad list is reported", func() bool {
		st, _ := r.sync.Status("listed")
		return strings.Contains(st.LastError, "line 2")
	})
	must(t, os.Remove(path))
	r.serves("listed", "10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80")
	next := path + ".new"
	must(t, os.WriteFile(next, []byte("10.0.0.9:80\n"), 0o600))
	must(t, os.Rename(next, path))
	r.serves("listed", "10.0.0.9:80")
}

func TestCatalogAndHealth(t *testing.T) {
	r := newRig(t, nil,
		Upstream{Name: "cat", Source: ConsulCatalog, Service: "api"},
		Upstream{Name: "health", Source: ConsulHealth, Service: "api", Tag: "v2"})
	must(t, r.reg.RegisterService(devregistry.AgentService{ID: "a", Name: "api", Address: "10.0.0.1", Port: 80, Tags: []string{"weight=4"}}))
	must(t, r.reg.RegisterService(devregistry.AgentService{ID: "b", Name: "api", Address: "10.0.0.2", Port: 80, Tags: []string{"v2"}}))
	r.serves("cat", "10.0.0.1:80", "10.0.0.2:80")
	r.serves("health", "10.0.0.2:80")
	must(t, r.reg.DeregisterService("a"))
	r.serves("cat", "10.0.0.2:80")
}

func TestOneWatchServesAllPrefixes(t *testing.T) {
	var ups []Upstream
	for i := range 20 {
		ups = append(ups, kvUp(fmt.Sprintf("u%d", i), fmt.Sprintf("upstreams/u%d/", i)))
	}
	ups = append(ups, kvUp("deep", "upstreams/u1/deep/"))
	r := newRig(t, nil, ups...)
	r.settled("/v1/kv/", 1)
	for i := range 20 {
		r.put(fmt.Sprintf("upstreams/u%d/10.0.0.%d:80", i, i+1))
	}
	r.put("upstreams/u1/deep/10.9.9.9:80")
	for i := range 20 {
		r.serves(fmt.Sprintf("u%d", i), fmt.Sprintf("10.0.0.%d:80", i+1))
	}
	r.serves("deep", "10.9.9.9:80")
	r.settled("/v1/kv/", 1)
	<-time.After(time.Second) // the bucket fills: pacing is not what is tested
	before, decisions := r.reg.Count("/v1/"), len(r.sync.Decisions("u5"))
	probes := r.reg.Count("/v1/status/")
	r.put("upstreams/u7/10.0.1.7:80")
	r.serves("u7", "10.0.0.8:80", "10.0.1.7:80")
	r.settled("/v1/kv/", 1)
	if n := r.reg.Count("/v1/") - before - (r.reg.Count("/v1/status/") - probes); n != 1 {
		t.Errorf("%d requests for one change, want 1", n)
	}
	if n := len(r.sync.Decisions("u5")); n != decisions {
		t.Error("an upstream whose keys did not move was judged")
	}
}

func TestConfigureLeavesTheRestAlone(t *testing.T) {
	web, api := kvUp("web", "up/web/"), kvUp("api", "other/api/")
	r := newRig(t, nil, web, api)
	r.put("up/web/10.0.0.1:80", "up/web/10.0.0.2:80", "other/api/10.0.0.3:80", "up/new/10.0.0.4:80")
	r.serves("web", "10.0.0.1:80", "10.0.0.2:80")
	r.serves("api", "10.0.0.3:80")
	r.settled("/v1/kv/", 2)
	before := r.reg.Count("/v1/kv/up/web/")
	web.Pool, api.Pool = r.pool("web"), r.pool("api")
	web.Policy.AllowEmpty = true
	added := Upstream{Name: "new", Source: ConsulKV, Key: "up/new/", Pool: upstream.NewPool("new", &upstream.Settings{})}
	must(t, r.sync.Configure([]Upstream{web, added}))
	r.serves("new", "10.0.0.4:80")
	if n := r.reg.Count("/v1/kv/up/web/") - before; n != 0 {
		t.Errorf("the watch of an unchanged upstream was asked %d times more", n)
	}
	if _, ok := r.sync.Status("api"); ok {
		t.Error("a removed upstream has a status")
	}
	eventually(t, 3*time.Second, "its watch ended", func() bool { return r.reg.Blocked("/v1/kv/other/") == 0 })
	if err := r.sync.Configure([]Upstream{{Name: "x", Source: "odd", Pool: web.Pool}}); err == nil {
		t.Error("no error for an unknown source")
	}
	r.reg.DeleteTree("up/web/")
	r.serves("web") // by the new policy
}

func TestChangedSourceKeepsServersUntilItAnswers(t *testing.T) {
	web := kvUp("web", "up/web/")
	r := newRig(t, nil, web)
	r.put("up/web/10.0.0.1:80")
	r.serves("web", "10.0.0.1:80")
	web.Pool, web.Key = r.pool("web"), "moved/web/"
	must(t, r.sync.Configure([]Upstream{web}))
	eventually(t, 3*time.Second, "the empty prefix is refused", func() bool {
		d := r.sync.Decisions("web")
		return len(d) > 0 && d[0].Outcome == Refused
	})
	r.serves("web", "10.0.0.1:80")
	r.put("moved/web/10.0.0.2:80")
	r.serves("web", "10.0.0.2:80")
}

func TestHostnames(t *testing.T) {
	var mu sync.Mutex
	known := map[string][]netip.Addr{"app.example": {netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("fd00::1")}}
	set := func(host string, addrs ...netip.Addr) {
		mu.Lock()
		defer mu.Unlock()
		known[host] = addrs
	}
	reg, srv := newRegistry(t)
	r := &rig{t: t, reg: reg, srv: srv, set: &upstream.Set{}}
	up := kvUp("web", "up/web/")
	up.Pool = upstream.NewPool("web", &upstream.Settings{})
	s, err := New(Options{
		Consul: consul.Config{Addresses: []string{srv.Addr()}}, Upstreams: []Upstream{up}, Log: quiet,
		Resolve: func(_ context.Context, host string) ([]netip.Addr, error) {
			mu.Lock()
			defer mu.Unlock()
			if len(known[host]) == 0 {
				return nil, errors.New("no such host")
			}
			return slices.Clone(known[host]), nil
		},
	})
	must(t, err)
	s.resolver.every = 20 * time.Millisecond
	r.sync = s
	run(t, s)
	r.put("up/web/app.example:80 {\"weight\":5}", "up/web/late.example:80")
	r.serves("web", "10.0.0.1:80", "[fd00::1]:80")
	for _, e := range up.Pool.Load().Entries {
		if e.Spec.Host != "app.example" || e.Spec.Weight != 5 {
			t.Errorf("server %+v, want the host and the weight", e.Spec)
		}
	}
	eventually(t, 3*time.Second, "the host that cannot be resolved is reported", func() bool {
		st, _ := s.Status("web")
		return len(st.Rejects) == 1 && st.Rejects[0].Key == "late.example:80"
	})
	set("app.example", netip.MustParseAddr("10.0.0.2"))
	r.serves("web", "10.0.0.2:80")
	set("app.example") // an error keeps the last good
	set("late.example", netip.MustParseAddr("10.0.0.3"))
	r.serves("web", "10.0.0.2:80", "10.0.0.3:80")
}

func TestDiscoveredUpstreamLeavesOnlyWhenAllowed(t *testing.T) {
	for _, allow := range []bool{false, true} {
		t.Run(fmt.Sprint(allow), func(t *testing.T) {
			up := kvUp("*", "up/*")
			up.Policy.AllowEmpty = allow
			r := newRig(t, nil, up, kvUp("mine", "up/mine/"))
			r.put("up/web/10.0.0.1:80", "up/api/10.0.0.2:80", "up/mine/10.0.0.3:80", "up/10.0.0.4:80", "up/empty/nonsense")
			r.serves("web", "10.0.0.1:80")
			r.serves("mine", "10.0.0.3:80")
			eventually(t, 3*time.Second, "in the set", func() bool { return r.set.Lookup("web") != nil && r.set.Lookup("api") != nil })
			if r.set.Lookup("mine") != nil || r.set.Lookup("empty") != nil {
				t.Error("a declared or an unusable upstream was discovered")
			}
			r.reg.DeleteTree("up/web/")
			if allow {
				eventually(t, 3*time.Second, "it left", func() bool { return r.set.Lookup("web") == nil })
				r.put("up/web/10.0.0.9:80")
				r.serves("web", "10.0.0.9:80")
				eventually(t, 3*time.Second, "it is back", func() bool { return r.set.Lookup("web") != nil })
				return
			}
			eventually(t, 3*time.Second, "refused", func() bool { return r.sync.Decisions("web")[0].Outcome == Refused })
			r.serves("web", "10.0.0.1:80")
		})
	}
}

func TestColdStartFromTheDump(t *testing.T) {
	path := filepath.Join(t.TempDir(), "{name}.conf")
	reg, srv := newRegistry(t)
	reg.PutKV("up/web/10.0.0.1:80", []byte(`{"weight":4}`))
	reg.PutKV("up/found/10.0.0.2:80", nil)
	start := func() (*Syncer, *upstream.Set, func()) {
		set := &upstream.Set{}
		s, err := New(Options{Consul: consul.Config{Addresses: []string{srv.Addr()}}, Set: set, Log: quiet, Upstreams: []Upstream{
			{Name: "web", Source: ConsulKV, Key: "up/web/", Dump: strings.ReplaceAll(path, "{name}", "web"), Pool: upstream.NewPool("web", &upstream.Settings{})},
			{Name: "*", Source: ConsulKV, Key: "up/*", Dump: path},
		}})
		must(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()
		return s, set, func() { cancel(); must(t, <-done) }
	}
	wait := func(s *Syncer) {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		must(t, s.WaitFirst(ctx))
	}
	s, _, stop := start()
	wait(s)
	eventually(t, 3*time.Second, "found", func() bool { return s.member("found") != nil })
	stop()
	text, err := os.ReadFile(strings.ReplaceAll(path, "{name}", "web"))
	must(t, err)
	if want := "server 10.0.0.1:80 weight=4 max_fails=2 fail_timeout=10s;\n"; string(text) != want {
		t.Errorf("dump %q, want %q", text, want)
	}

	srv.Stop()
	s, set, stop := start()
	defer func() { stop() }()
	wait(s)
	st, _ := s.Status("web")
	if got := addrs(s.member("web").up.Pool); !slices.Equal(got, []string{"10.0.0.1:80"}) || st.Source != SourceDump || !st.Degraded {
		t.Errorf("serves %v, status %+v, want the dump and degraded", got, st)
	}
	eventually(t, 3*time.Second, "the discovered one too", func() bool {
		p := set.Lookup("found")
		return p != nil && slices.Equal(addrs(p), []string{"10.0.0.2:80"})
	})
	must(t, srv.Resume())
	eventually(t, 3*time.Second, "no longer degraded", func() bool { return len(s.Degraded()) == 0 })
}

func TestEmptyRegistryAtColdStartKeepsTheDump(t *testing.T) {
	path := filepath.Join(t.TempDir(), "web.conf")
	must(t, dump.Save(path, &dump.Snapshot{Upstream: "web", Source: "consul-kv", Servers: []upstream.Spec{{Addr: "10.0.0.1:80", Weight: 1}}}))
	up := kvUp("web", "up/web/")
	up.Dump = path
	r := newRig(t, nil, up)
	r.serves("web", "10.0.0.1:80")
	eventually(t, 3*time.Second, "refused", func() bool {
		d := r.sync.Decisions("web")
		return len(d) > 0 && d[0].Outcome == Refused
	})
}

func TestStrongDependency(t *testing.T) {
	reg, srv := newRegistry(t)
	reg.SetFault(devregistry.OnPath("/v1/kv/", devregistry.Always(devregistry.Respond(500, "no"))))
	s, err := New(Options{Consul: consul.Config{Addresses: []string{srv.Addr()}}, Log: quiet, Upstreams: []Upstream{{
		Name: "web", Source: ConsulKV, Key: "up/web/", StrongDependency: true, Pool: upstream.NewPool("web", &upstream.Settings{}),
	}}})
	must(t, err)
	done := make(chan error, 1)
	go func() { done <- s.Run(t.Context()) }()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := s.WaitFirst(ctx); err == nil || !strings.Contains(err.Error(), "web") {
		t.Errorf("WaitFirst: %v, want the failed dependency", err)
	}
	if err := <-done; err == nil {
		t.Error("Run ended without an error")
	}
}
