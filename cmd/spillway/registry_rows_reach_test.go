package main_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"spillway/upsync/devregistry"
)

const (
	lastKnown  = "memory: last known good"
	oneAnswer  = "memory, after one `?consistent` read"
	fromDump   = "dump, degraded"
	everything = "error server_error|unreachable"
)

// rowLeaderLost: every request answers 500, that for the leader too.
func rowLeaderLost(t *testing.T, l *lab) {
	s := newScene(t, l).run()
	said := s.gateway.out.count("consul does not answer")
	last := s.lastSuccess("kv")
	s.play(episode{
		row: 1, name: "leader lost: `500 No cluster leader` to everything",
		inject: func(s *scene) { s.reg.SetFault(devregistry.Always(devregistry.NoLeader())) },
		seen:   all(everything), says: "No cluster leader", hold: time.Second, served: lastKnown,
	})
	if n := s.gateway.out.count("consul does not answer") - said; n != 1 {
		t.Errorf("the loss was logged %d times, want once", n)
	}
	if now := s.lastSuccess("kv"); now <= last {
		t.Errorf("last success %v after recovery, want later than %v", now, last)
	}
}

// rowRPCErrors: the loop survives errors of single reads, and those of the
// whole agent.
func rowRPCErrors(t *testing.T, l *lab) {
	s := newScene(t, l).run()
	eof := devregistry.Respond(500, "rpc error making call: EOF")
	s.play(episode{
		row: 2, name: "`500 rpc error: EOF` to everything, mid-run",
		inject: func(s *scene) { s.reg.SetFault(devregistry.Always(eof)) },
		seen:   all(everything), says: "rpc error making call: EOF", served: lastKnown,
	})
	s.play(episode{
		row: 2, name: "`500 rpc error: EOF` to one read of each source",
		inject: func(s *scene) { s.reg.SetFault(oncePerSource(eof)) },
		seen:   all("error server_error"), brief: true, served: lastKnown,
	})
	s.play(episode{
		row: 2, name: "`500 rpc error: EOF` to the reads alone, for long",
		inject: func(s *scene) { s.reg.SetFault(onReads(eof)) },
		seen:   all("error server_error"), says: "rpc error making call: EOF", hold: 2 * time.Second,
		limit: backoffLimit, served: lastKnown,
	})
}

// backoffLimit is when a watch reads again whose reads failed for long: its
// backoff ends at 5 s.
const backoffLimit = 6 * time.Second

// rowAgentDownAtStart: a first start without Consul and without a dump
// listens and says what it waits for; with a dump it serves.
func rowAgentDownAtStart(t *testing.T, l *lab) {
	s := newScene(t, l)
	s.srv.Stop()
	s.startGateway()
	if code, body := s.get("/-/ready"); code != 503 || !strings.Contains(body, "no servers yet for") {
		t.Errorf("ready without Consul and dump: %d %s", code, body)
	}
	if err := s.srv.Resume(); err != nil {
		t.Fatal(err)
	}
	took := await(t, 10*time.Second, "ready once Consul is there", func() bool {
		code, _ := s.get("/-/ready")
		return code == 200
	})
	if took > time.Second*matrixSlack() {
		t.Errorf("ready %v after Consul came, want at most 1 s", took)
	}
	s.note(3, "agent down at the first start, no dump", "nobody: 503, ready says what is missing", "error `unreachable`", "≤ 1 s")
	s.dumped()
	s.endGateway(s.gateway)
	s.srv.Stop()
	s.fromDump(3, "agent down at start, with a dump", func() {
		if err := s.srv.Resume(); err != nil {
			t.Fatal(err)
		}
	})
}

// dumped waits until the dumps hold the servers listed from the start.
func (s *scene) dumped() {
	s.t.Helper()
	s.serves(s.base...)
	for _, u := range sources() {
		await(s.t, 5*time.Second, "the dump of "+u, func() bool { return s.dumpHolds(u) })
	}
}

// fromDump starts a gateway while the registry is away, checks what it serves
// and says, and that it follows once resume brought the registry back.
func (s *scene) fromDump(row int, event string, resume func()) {
	s.t.Helper()
	s.startGateway()
	s.traffic = startTraffic(s.t, s.ip+":8080", false, sources()...)
	s.serves(s.base...)
	code, body := s.get("/-/ready")
	if code != 200 || !strings.Contains(body, "dump") {
		s.t.Errorf("ready from a dump: %d %s", code, body)
	}
	for _, u := range sources() {
		if s.metric(fmt.Sprintf("spillway_upsync_source{state=\"dump\",upstream=%q}", u)) != 1 {
			s.t.Errorf("%s: the metric of the source does not say dump", u)
		}
		if v := s.view(u); v.Degraded == "" || v.SnapshotAt.IsZero() || v.Sync.LastError == "" {
			s.t.Errorf("%s: degraded %q, snapshot of %v, last error %q", u, v.Degraded, v.SnapshotAt, v.Sync.LastError)
		}
	}
	s.keepsServing(0)
	resume()
	s.converges(time.Second, "after the registry came back")
	for _, u := range sources() {
		if v := s.view(u); v.Degraded != "" {
			s.t.Errorf("%s is degraded still: %s", u, v.Degraded)
		}
	}
	s.note(row, event, fromDump, "ready: degraded; error `unreachable`", "≤ 1 s")
}

// rowAgentRestarts: connections refused, reset, or to a name that is gone.
func rowAgentRestarts(t *testing.T, l *lab) {
	s := newScene(t, l).run()
	s.play(episode{
		row: 4, name: "agent restarted: connection refused",
		inject:  func(s *scene) { s.srv.Stop() },
		recover: func(s *scene) { s.resume() },
		seen:    all("error unreachable"), quiet: true, hold: time.Second, served: lastKnown,
	})
	s.play(episode{
		row: 4, name: "all connections reset", live: true, quiet: true,
		inject: func(s *scene) { s.srv.Reset() }, served: lastKnown,
	})
}

func (s *scene) resume() {
	s.t.Helper()
	if err := s.srv.Resume(); err != nil {
		s.t.Fatal(err)
	}
}

// rowNameGone: the preferred address is a name that no longer resolves.
func rowNameGone(t *testing.T, l *lab) {
	s := newScene(t, l)
	s.consul = fmt.Sprintf("  addresses: [%q, %q]", "gone.invalid:8500", s.srv.Addr())
	s.run()
	s.play(episode{
		row: 4, name: "name of the agent gone from DNS, a second address answers", live: true,
		inject: func(*scene) {}, quiet: true, served: "live, from the second address",
	})
}

// rowPartition: packets are dropped, nothing is reset.
func rowPartition(t *testing.T, l *lab) {
	s := newScene(t, l).run()
	s.play(episode{
		row: 5, name: "partition: packets dropped, no RST",
		inject:  func(s *scene) { s.srv.Partition() },
		recover: func(s *scene) { s.srv.Heal() },
		seen:    all("error unreachable"), quiet: true, hold: time.Second, served: lastKnown,
	})
	s.play(episode{
		row: 5, name: "agent accepts and never answers",
		inject: func(s *scene) { s.reg.SetFault(devregistry.Always(devregistry.Hang())) },
		seen:   all("error unreachable"), served: lastKnown,
	})
}
