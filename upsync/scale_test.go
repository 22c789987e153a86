//go:build !race

package upsync

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"spillway/gateway/upstream"
)

// 1,000 upstreams of 45 servers under one prefix: nginx-upsync's largest known
// user. The bounds are three times what is meant.
func TestThousandUpstreams(t *testing.T) {
	r := newRigWithoutStart(t)
	var ups []Upstream
	for u := range 1000 {
		name := fmt.Sprintf("u%d", u)
		ups = append(ups, Upstream{Name: name, Source: ConsulKV, Key: "big/" + name + "/", Pool: upstream.NewPool(name, &upstream.Settings{})})
		for i := range 45 {
			r.put(fmt.Sprintf(`big/%s/10.%d.%d.%d:80 {"weight":10,"max_fails":2,"fail_timeout":10}`, name, u/250, u%250, i+1))
		}
	}
	applied := make(chan time.Duration, 5000)
	r.start(func(o *Options) {
		o.Applied = func(_ string, took time.Duration) { applied <- took }
	}, ups...)
	for range 1000 {
		<-applied
	}
	r.settled("/v1/kv/", 1)
	var took []time.Duration
	for i := range 3 {
		start := time.Now()
		r.put(fmt.Sprintf(`big/u77/10.0.77.1:80 {"weight":%d}`, i+20))
		<-applied
		took = append(took, time.Since(start))
		r.settled("/v1/kv/", 1)
	}
	slices.Sort(took)
	if took[1] > 1500*time.Millisecond {
		t.Errorf("a change took %v, want 500ms", took[1])
	}
	before := cpu(t)
	const idle = 1500 * time.Millisecond
	<-time.After(idle)
	if used := cpu(t) - before; used > idle*3/100 {
		t.Errorf("%v of CPU in %v of idleness, want 1 %%", used, idle)
	}
	t.Log("one change of 45,000:", took, "status:", strings.TrimSpace(fmt.Sprint(len(r.sync.Statuses()))))
}

func newRigWithoutStart(t *testing.T) *rig {
	reg, srv := newRegistry(t)
	return &rig{t: t, reg: reg, srv: srv, set: &upstream.Set{}}
}

func cpu(t *testing.T) time.Duration {
	var u syscall.Rusage
	must(t, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
