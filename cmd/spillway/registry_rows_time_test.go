package main_test

import (
	"context"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"spillway/gateway/upstream"
	"spillway/upsync"
	"spillway/upsync/consul"
	"spillway/upsync/devregistry"
)

// rowTime: reads cut by a balancer's idle timeout, a process that was frozen,
// a clock that jumps.
func rowTime(t *testing.T, l *lab) {
	s := newScene(t, l)
	lb := startIdleBalancer(t, s.lab.place()+":8500", s.srv.Addr(), 400*time.Millisecond)
	s.consul = "  address: " + lb
	s.run()
	s.play(episode{
		row: 17, name: "wait longer than the idle timeout of a balancer between (0.4 s)", live: true, quiet: true,
		inject: func(*scene) {}, hold: 2 * time.Second, served: "live",
	})
	s.play(episode{
		row: 17, name: "gateway frozen for a second (its clocks jump)", live: true, quiet: true, served: "live",
		inject: func(s *scene) {
			s.gateway.signal(syscall.SIGSTOP)
			<-time.After(time.Second)
			s.gateway.signal(syscall.SIGCONT)
			s.keepsServing(0)
		},
	})
	clockJumps(t)
	s.note(17, "clock steps by a day, forward and back (in-process)", "live", "-", "≤ 1 s")
}

// startIdleBalancer forwards TCP and closes connections on which nothing came
// back for a while.
func startIdleBalancer(t *testing.T, listen, target string, idle time.Duration) string {
	t.Helper()
	ln, err := net.Listen("tcp", listen)
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			in, err := ln.Accept()
			if err != nil {
				return
			}
			running.Go(func() { balance(in, target, idle) })
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		running.Wait()
	})
	return ln.Addr().String()
}

func balance(in net.Conn, target string, idle time.Duration) {
	defer in.Close()
	out, err := net.DialTimeout("tcp", target, time.Second)
	if err != nil {
		return
	}
	go func() {
		_, _ = io.Copy(out, in)
		_ = out.Close()
	}()
	buf := make([]byte, 32<<10)
	for {
		_ = out.SetReadDeadline(time.Now().Add(idle))
		n, err := out.Read(buf)
		if _, werr := in.Write(buf[:n]); err != nil || werr != nil {
			_ = out.Close()
			return
		}
	}
}

// clockJumps runs the syncer with a wall clock that steps: a process's clock
// cannot be set from outside.
func clockJumps(t *testing.T) {
	t.Helper()
	reg := devregistry.New(devregistry.Options{Logger: quietLog()})
	defer reg.Close()
	srv, err := reg.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Close()
	var step atomic.Int64
	pool := upstream.NewPool("kv", &upstream.Settings{})
	syncer, err := upsync.New(upsync.Options{
		Consul: consul.Config{Addresses: []string{srv.Addr()}}, Log: quietLog(),
		Now:       func() time.Time { return time.Now().Round(0).Add(time.Duration(step.Load())) },
		Upstreams: []upsync.Upstream{{Name: "kv", Source: upsync.ConsulKV, Key: "up/kv/", Pool: pool}},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- syncer.Run(ctx) }()
	lists := func(addr string) func() bool {
		return func() bool {
			return slices.ContainsFunc(pool.Load().Entries, func(e upstream.Entry) bool { return e.Addr == addr })
		}
	}
	for i, jump := range []time.Duration{0, 24 * time.Hour, -24 * time.Hour, 0} {
		step.Store(int64(jump))
		addr := net.JoinHostPort("192.0.2.1", []string{"1", "2", "3", "4"}[i])
		reg.PutKV("up/kv/"+addr, nil)
		if d := await(t, 10*time.Second, "a change after the clock stepped", lists(addr)); d > time.Second*matrixSlack() {
			t.Errorf("the clock stepped by %v: the next change took %v", jump, d)
		}
	}
	if n := reg.Count("/v1/kv/"); n > 20 {
		t.Errorf("%d reads for four changes", n)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
