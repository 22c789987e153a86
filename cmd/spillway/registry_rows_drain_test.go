package main_test

import (
	"context"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// holds sends n requests to each source that servers hold until they are
// released. The returned function waits for their answers.
func (s *scene) holds(n int) (answers func()) {
	s.t.Helper()
	var running sync.WaitGroup
	failed := make(chan error, n*len(sources()))
	for i := range n {
		for _, u := range sources() {
			running.Go(func() {
				c, err := ask(nil, s.ip+":8080", "GET", u, "hold", int64(1_000_000+i))
				c.close()
				failed <- err
			})
		}
	}
	return func() {
		running.Wait()
		close(failed)
		for err := range failed {
			if err != nil {
				s.t.Errorf("a request in flight failed: %v", err)
			}
		}
	}
}

// rowDeregistered: a server leaves with requests in flight.
func rowDeregistered(t *testing.T, l *lab) {
	s := newScene(t, l).run()
	s.deregisters()
}

// deregisters removes a server on which requests are in flight: they finish,
// no other reaches it, its idle connections close.
func (s *scene) deregisters() {
	s.t.Helper()
	leaving := s.fleet.add()
	s.list(leaving)
	s.arrives(leaving, time.Now(), 2*time.Second, "before it leaves")
	answers := s.holds(8)
	await(s.t, 10*time.Second, "requests are in flight on the server that leaves", func() bool { return s.fleet.holding(leaving) >= 3 })
	await(s.t, 10*time.Second, "all requests arrived", func() bool {
		n := s.fleet.holding(leaving)
		for _, a := range s.base {
			n += s.fleet.holding(a)
		}
		return n == 24
	})
	held := s.fleet.holding(leaving)
	s.lister.remove(leaving)
	s.leaves(leaving)
	await(s.t, 5*time.Second, "only connections with requests in flight stay", func() bool {
		_, open := s.fleet.connections(leaving)
		return open == held
	})
	hits := s.fleet.hitsOf(leaving)
	s.keepsServing(500 * time.Millisecond)
	if n := s.fleet.hitsOf(leaving) - hits; n > 0 {
		s.t.Errorf("%d requests reached a server after it was removed", n)
	}
	close(s.fleet.release)
	answers()
	await(s.t, 5*time.Second, "the last connections to it close", func() bool {
		_, open := s.fleet.connections(leaving)
		return open == 0
	})
	s.flawless()
	s.note(19, "server deregistered with requests in flight", "they finish there, new ones go elsewhere, its idle connections close", "-", "≤ 2 s")
}

// rowRestartWithoutRegistry: the gateway is restarted while the registry is
// away; a damaged dump is recognised.
func rowRestartWithoutRegistry(t *testing.T, l *lab) {
	s := newScene(t, l)
	s.startGateway()
	s.dumped()
	s.endGateway(s.gateway)
	s.srv.Stop()
	s.fromDump(20, "gateway ended and started while Consul is away", s.resume)

	s.settled()
	s.dumped()
	s.traffic.stop()
	s.srv.Stop()
	s.gateway.kill()
	s.fromDump(20, "gateway killed (-9) and started while Consul is away", s.resume)

	s.dumped()
	s.traffic.stop()
	s.srv.Stop()
	s.gateway.kill()
	for _, u := range sources() {
		s.damage(s.dir + "/" + u + ".conf.json")
	}
	s.startGateway()
	for _, u := range sources() {
		if n := s.gateway.out.count(u + ".conf.json"); n == 0 {
			t.Errorf("%s: nothing was said about the damaged dump", u)
		}
	}
	s.resume()
	s.traffic = nil
	s.serves(s.base...)
	s.note(20, "dump damaged (checksum)", "not used: the snapshot before it, or 503 until Consul is there", "log", "≤ 1 s")
}

// damage changes one letter of a dump.
func (s *scene) damage(path string) {
	s.t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		s.t.Fatal(err)
	}
	text := strings.Replace(string(b), "127.0.0.1", "127.0.0.9", 1)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// rowPollsEnd: on TERM the polls end at once, while requests in flight
// finish; another gateway's go on.
func rowPollsEnd(t *testing.T, l *lab) {
	s := newScene(t, l).run()
	s.settled()
	next := &scene{t: t, lab: l, dir: t.TempDir(), ip: l.place(), fleet: s.fleet, base: s.base, reg: s.reg, lister: s.lister, consul: s.consul}
	next.run()
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	for _, p := range readPaths() {
		if err := s.reg.AwaitBlocked(ctx, p, 2); err != nil {
			t.Fatal(err)
		}
	}
	answers := s.holds(2)
	await(t, 10*time.Second, "requests are in flight", func() bool {
		n := 0
		for _, a := range s.base {
			n += s.fleet.holding(a)
		}
		return n == 6
	})
	s.traffic.stop()
	s.gateway.signal(syscall.SIGTERM)
	took := await(t, 10*time.Second, "the polls of the gateway that drains end", func() bool {
		return s.reg.Blocked("/v1/") == len(sources())
	})
	if took > 500*time.Millisecond*matrixSlack() {
		t.Errorf("its polls ended %v after TERM", took)
	}
	if s.gateway.gone(0) {
		t.Errorf("the gateway ended with requests in flight")
	}
	next.converges(time.Second, "while the other one drains")
	close(s.fleet.release)
	answers()
	if !s.gateway.gone(10 * time.Second) {
		t.Errorf("the gateway did not end after its last request")
	}
	next.keepsServing(0)
	s.flawless()
	s.note(21, "TERM with requests in flight, another gateway beside it", "requests in flight finish; the polls of the one that drains end within 0.5 s", "-", "≤ 1 s")
}
