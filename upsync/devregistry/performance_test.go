//go:build !race

package devregistry

import (
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"
)

// slack is how far continuous integration may be from the figure.
const slack = 3

func fill(r *Registry, upstreams, servers int) {
	value := []byte(`{"weight":1,"max_fails":2,"fail_timeout":10,"down":0,"backup":0,"zone":"eu-west-1a","version":"2024.1"}`)
	for u := range upstreams {
		for s := range servers {
			r.PutKV(fmt.Sprintf("upstreams/u%04d/10.0.%d.%d:8080", u, s/250, s%250), value)
		}
	}
}

func TestRecurseOf45000Keys(t *testing.T) {
	f := newFixture(t)
	fill(f.Registry, 1000, 45)
	best := time.Hour
	var size int64
	for range 3 {
		began := time.Now()
		resp, err := f.client.Get(f.server.URL() + "/v1/kv/upstreams/?recurse")
		if err != nil {
			t.Fatal(err)
		}
		size, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		best = min(best, time.Since(began))
	}
	t.Logf("%d MB in %v", size>>20, best)
	if best > slack*300*time.Millisecond {
		t.Errorf("45,000 keys took %v, want at most 300ms", best)
	}
}

func TestOneWriteAmongManyWatchesIsCheap(t *testing.T) {
	f := newFixture(t)
	fill(f.Registry, 1000, 45)
	for u := range 1000 {
		f.mu.RLock()
		f.watch.add(topic{topicPrefix, fmt.Sprintf("upstreams/u%04d/", u)})
		f.mu.RUnlock()
	}
	const writes = 1000
	began := time.Now()
	for i := range writes {
		f.PutKV("upstreams/u0500/10.0.0.1:8080", fmt.Appendf(nil, "%d", i))
	}
	each := time.Since(began) / writes
	t.Logf("%v a write", each)
	if each > slack*50*time.Microsecond {
		t.Errorf("a write among 1,000 watches took %v, want at most 50us", each)
	}
}

func BenchmarkRecurse45000(b *testing.B) {
	r := New(Options{Logger: quiet})
	defer r.Close()
	fill(r, 1000, 45)
	s, err := r.Start("127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	defer http.DefaultClient.CloseIdleConnections()
	for b.Loop() {
		resp, err := http.Get(s.URL() + "/v1/kv/upstreams/?recurse")
		if err != nil {
			b.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
}
