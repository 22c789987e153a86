package upsync

import (
	"testing"

	"spillway/gateway/upstream"
)

func TestKVChangesReachThePool(t *testing.T) {
	r := newRig(t, nil, kvUp("web", "upstreams/web/"))
	r.put("upstreams/web/127.0.0.1:9001 {\"weight\":3}", "upstreams/web/127.0.0.1:9002", "upstreams/web2/127.0.0.1:9009")
	r.serves("web", "127.0.0.1:9001", "127.0.0.1:9002")
	r.reg.DeleteKV("upstreams/web/127.0.0.1:9002")
	r.serves("web", "127.0.0.1:9001")
	r.put("upstreams/web/[::1]:9003")
	r.serves("web", "127.0.0.1:9001", "[::1]:9003")
}

func TestAnUpstreamNoLongerDeclaredIsDiscovered(t *testing.T) {
	declared := kvUp("web", "upstreams/web/")
	declared.Pool = upstream.NewPool("web", &upstream.Settings{})
	r := newRig(t, nil, declared, kvUp("*", "upstreams/*"))
	r.put("upstreams/web/127.0.0.1:9001")
	r.serves("web", "127.0.0.1:9001")
	if err := r.sync.Configure([]Upstream{kvUp("*", "upstreams/*")}); err != nil {
		t.Fatal(err)
	}
	eventually(t, 1e9, "web is discovered", func() bool {
		p := r.set.Lookup("web")
		return p != nil && p != declared.Pool && len(p.Load().Entries) == 1
	})
}

func TestDiscoveredUpstreamBecomesRoutable(t *testing.T) {
	r := newRig(t, nil, kvUp("*", "upstreams/*"))
	r.put("upstreams/web/127.0.0.1:9001", "upstreams/api/127.0.0.1:9002")
	r.serves("web", "127.0.0.1:9001")
	r.serves("api", "127.0.0.1:9002")
	eventually(t, 1e9, "both are in the set", func() bool {
		return r.set.Lookup("web") != nil && r.set.Lookup("api") != nil
	})
}
