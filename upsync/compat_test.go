package upsync

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"spillway/gateway/upstream"
	"spillway/upsync/devregistry"
	"spillway/upsync/dump"
)

// compatRig follows upstreams/test/ the way nginx-upsync does.
func compatRig(t *testing.T) *rig {
	pool := upstream.NewPool("test", &upstream.Settings{})
	pool.NewestFirst = true
	return newRig(t, nil, Upstream{
		Name: "test", Source: ConsulKV, Key: "upstreams/test/", Policy: Policy{Trust: TrustUpsync}, Pool: pool,
	})
}

// text is the pool as nginx-upsync dumps it.
func (r *rig) text(name string) string {
	var b []byte
	for _, e := range r.pool(name).Load().Entries {
		b = append(dump.AppendServer(b, e.Addr, &e.Spec), '\n')
	}
	return string(b)
}

func (r *rig) shows(name, want string) {
	r.t.Helper()
	if !within(3*time.Second, func() bool { return r.text(name) == want }) {
		r.t.Fatalf("upstream %s (-want +got):\n%s", name, cmp.Diff(want, r.text(name)))
	}
}

const key1, key2 = "upstreams/test/127.0.0.1:8088", "upstreams/test/127.0.0.1:8089"

// What nginx-upsync's own tests assert, step by step.
func TestNginxUpsyncBehaviour(t *testing.T) {
	r := compatRig(t)
	steps := []struct {
		name string
		do   func()
		want string
	}{
		{"empty value is all defaults", func() { r.put(key1) }, "server 127.0.0.1:8088 weight=1 max_fails=2 fail_timeout=10s;\n"},
		{
			"an added server stands first", func() { r.put(key2 + ` {"weight":20,"max_fails":0,"fail_timeout":30}`) },
			"server 127.0.0.1:8089 weight=20 max_fails=0 fail_timeout=30s;\n" +
				"server 127.0.0.1:8088 weight=1 max_fails=2 fail_timeout=10s;\n",
		},
		{
			"a changed server keeps its place", func() { r.put(key1 + ` {"weight":40, "max_fails":3, "fail_timeout":15}`) },
			"server 127.0.0.1:8089 weight=20 max_fails=0 fail_timeout=30s;\n" +
				"server 127.0.0.1:8088 weight=40 max_fails=3 fail_timeout=15s;\n",
		},
		{
			"partial JSON resets the other fields", func() { r.put(key2 + ` {"weight":40}`) },
			"server 127.0.0.1:8089 weight=40 max_fails=2 fail_timeout=10s;\n" +
				"server 127.0.0.1:8088 weight=40 max_fails=3 fail_timeout=15s;\n",
		},
		{
			"down on", func() { r.put(key2 + ` {"down":1}`) },
			"server 127.0.0.1:8089 weight=1 max_fails=2 fail_timeout=10s down;\n" +
				"server 127.0.0.1:8088 weight=40 max_fails=3 fail_timeout=15s;\n",
		},
		{
			"down off", func() { r.put(key2 + ` {"down":0}`) },
			"server 127.0.0.1:8089 weight=1 max_fails=2 fail_timeout=10s;\n" +
				"server 127.0.0.1:8088 weight=40 max_fails=3 fail_timeout=15s;\n",
		},
		{
			"bad JSON is all defaults", func() { r.put(key1 + ` {"weight":`) },
			"server 127.0.0.1:8089 weight=1 max_fails=2 fail_timeout=10s;\n" +
				"server 127.0.0.1:8088 weight=1 max_fails=2 fail_timeout=10s;\n",
		},
		{
			"a key that is no address is skipped", func() { r.put("upstreams/test/nonsense", key1+` {"weight":2}`) },
			"server 127.0.0.1:8089 weight=1 max_fails=2 fail_timeout=10s;\n" +
				"server 127.0.0.1:8088 weight=2 max_fails=2 fail_timeout=10s;\n",
		},
		{"a deleted server goes", func() { r.reg.DeleteKV(key2) }, "server 127.0.0.1:8088 weight=2 max_fails=2 fail_timeout=10s;\n"},
	}
	for _, s := range steps {
		s.do()
		t.Run(s.name, func(t *testing.T) {
			r.t = t
			r.shows("test", s.want)
		})
	}
}

func TestDeletingAllKeepsTheLastServers(t *testing.T) {
	for _, trust := range []Trust{TrustUpsync, TrustDefault} {
		t.Run(string(trust), func(t *testing.T) {
			r := newRig(t, nil, Upstream{Name: "test", Source: ConsulKV, Key: "upstreams/test/", Policy: Policy{Trust: trust}})
			r.put(key1, key2)
			r.serves("test", "127.0.0.1:8088", "127.0.0.1:8089")
			r.settled("/v1/kv/", 1)
			r.reg.DeleteTree("upstreams/test/")
			eventually(t, 3*time.Second, "the update is refused", func() bool {
				return r.sync.Decisions("test")[0].Outcome == Refused
			})
			r.serves("test", "127.0.0.1:8088", "127.0.0.1:8089")
			r.settled("/v1/kv/", 1) // on the 404's own index, not polling
			before := r.reg.Count("/v1/kv/")
			r.put("upstreams/test/127.0.0.1:9000")
			r.serves("test", "127.0.0.1:9000")
			if n := r.reg.Count("/v1/kv/") - before; n > 4 {
				t.Errorf("%d reads for one change", n)
			}
		})
	}
}

func TestMassRemovalWithTrustUpsyncIsAppliedAtOnce(t *testing.T) {
	r := compatRig(t)
	r.put(key1, key2, "upstreams/test/127.0.0.1:8090", "upstreams/test/127.0.0.1:8091")
	r.serves("test", "127.0.0.1:8088", "127.0.0.1:8089", "127.0.0.1:8090", "127.0.0.1:8091")
	for _, k := range []string{key2, "upstreams/test/127.0.0.1:8090", "upstreams/test/127.0.0.1:8091"} {
		r.reg.DeleteKV(k)
	}
	r.serves("test", "127.0.0.1:8088")
	for _, q := range r.reg.Requests("/v1/kv/") {
		if strings.Contains(q.Query, "consistent") {
			t.Error("asked for confirmation")
		}
	}
}

func TestBackupIsABackup(t *testing.T) {
	r := compatRig(t)
	r.put(key1 + ` {"backup":1}`)
	r.serves("test", "127.0.0.1:8088")
	if e := r.pool("test").Load().Entries[0]; !e.Spec.Backup {
		t.Error("backup=1 made a primary")
	}
}

func TestBadAnswersChangeNothing(t *testing.T) {
	for name, fault := range map[string]devregistry.Fault{
		"no JSON":         devregistry.Spoil(func(a *devregistry.Answer) { a.Body = []byte("]nonsense") }),
		"truncated":       devregistry.Spoil(func(a *devregistry.Answer) { a.Body = a.Body[:len(a.Body)/2] }),
		"500":             devregistry.Spoil(func(a *devregistry.Answer) { a.Status = 500 }),
		"403":             devregistry.Spoil(func(a *devregistry.Answer) { a.Status = 403 }),
		"html":            devregistry.Spoil(func(a *devregistry.Answer) { a.Header.Set("Content-Type", "text/html"); a.Body = []byte("<html>") }),
		"404 of a proxy":  devregistry.Spoil(func(a *devregistry.Answer) { a.Status = 404; a.Header.Del("X-Consul-Index") }),
		"empty body":      devregistry.Spoil(func(a *devregistry.Answer) { a.Body = nil }),
		"answer is empty": devregistry.Spoil(func(a *devregistry.Answer) { a.Body = []byte("[]") }),
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil, kvUp("test", "upstreams/test/"))
			r.put(key1)
			r.serves("test", "127.0.0.1:8088")
			r.settled("/v1/kv/", 1)
			r.reg.SetFault(devregistry.OnPath("/v1/kv/", devregistry.Always(fault)))
			r.put(key2) // the read under way is not spoiled
			r.serves("test", "127.0.0.1:8088", "127.0.0.1:8089")
			r.put("upstreams/test/127.0.0.1:8090")
			eventually(t, 3*time.Second, "the answer is counted", func() bool {
				st, _ := r.sync.Status("test")
				return len(st.Errors) > 0 || st.Decisions[Refused] > 0
			})
			r.serves("test", "127.0.0.1:8088", "127.0.0.1:8089")
		})
	}
}
