package upsync_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	"spillway/gateway/upstream"
	"spillway/upsync"
	"spillway/upsync/consul"
	"spillway/upsync/devregistry"
)

// roundRobin picks servers in turn. It reads the current snapshot without a
// lock, so a change in Consul counts from the next pick on.
type roundRobin struct {
	pool *upstream.Pool
	next atomic.Uint64
}

func (r *roundRobin) pick() (addr string, ok bool) {
	entries := r.pool.Load().Entries
	now := time.Now().UnixNano()
	for range entries {
		e := &entries[r.next.Add(1)%uint64(len(entries))]
		if e.Unavailable(&e.Spec, now) == "" {
			return e.Addr, true
		}
	}
	return "", false
}

// A service that calls another one finds its servers in Consul by itself: no
// proxy, and no restart when they change.
func Example() {
	// Stands for Consul, so that the example runs anywhere.
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	registry := devregistry.New(devregistry.Options{Logger: quiet})
	defer registry.Close()
	server, err := registry.Start("127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	registry.PutKV("upstreams/users/10.0.0.1:80", nil)
	registry.PutKV("upstreams/users/10.0.0.2:80", []byte(`{"down":1}`))
	registry.PutKV("upstreams/users/10.0.0.3:80", nil)

	users := upstream.NewPool("users", &upstream.Settings{})
	syncer, err := upsync.New(upsync.Options{
		Consul:    consul.Config{Addresses: []string{server.Addr()}},
		Upstreams: []upsync.Upstream{{Name: "users", Source: upsync.ConsulKV, Key: "upstreams/users/", Pool: users}},
		Log:       quiet,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	stopped := make(chan error, 1)
	go func() { stopped <- syncer.Run(ctx) }()
	if err := syncer.WaitFirst(ctx); err != nil {
		fmt.Println(err)
		return
	}

	rr := &roundRobin{pool: users}
	seen := map[string]int{}
	for range 6 {
		if addr, ok := rr.pick(); ok {
			seen[addr]++
		}
	}
	fmt.Println(len(seen), "servers picked, the one that is down", seen["10.0.0.2:80"], "times")

	stop()
	fmt.Println("ended:", <-stopped)
	// Output:
	// 2 servers picked, the one that is down 0 times
	// ended: <nil>
}
