package main_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"spillway/upsync/devregistry"
)

// rowRevokedToken: the token is refused, or sees nothing any more.
func rowRevokedToken(t *testing.T, l *lab) {
	s := newScene(t, l)
	file := filepath.Join(s.dir, "token")
	token := func(text string) {
		if err := os.WriteFile(file, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	grants := func(may map[string]devregistry.Policy) { s.reg.SetTokens(may) }
	everywhere := devregistry.Policy{Write: []string{""}}
	token("first")
	grants(map[string]devregistry.Policy{"first": everywhere})
	s.consul += "\n  token_file: " + file
	s.run()
	s.play(episode{
		row: 10, name: "token revoked, 403; a new one put into the token file",
		inject:  func(*scene) { grants(map[string]devregistry.Policy{"second-token": everywhere}) },
		recover: func(*scene) { token("second-token") },
		seen:    all("error forbidden"), says: "ACL not found", hold: time.Second, served: lastKnown,
	})
	s.play(episode{
		row: 10, name: "token sees nothing: 200 with an empty, filtered list",
		inject: func(*scene) {
			grants(map[string]devregistry.Policy{"second-token": {Read: []string{"agent/"}}})
		},
		recover: func(*scene) { grants(map[string]devregistry.Policy{"second-token": everywhere}) },
		seen:    map[string]string{"kv": "verdict refused", "catalog": "verdict refused", "health": "verdict refused"},
		says:    "empty", hold: time.Second, served: lastKnown,
	})
	part := registryOf(s, s.base[:2]...)
	s.play(episode{
		row: 10, name: "token sees a part: the header says filtered",
		inject: func(s *scene) {
			s.reg.SetFault(consistentOr(devregistry.Forbidden(), devregistry.Chain(devregistry.FilteredByACLs(), devregistry.From(part))))
		},
		recover: func(s *scene) { s.leave(part) },
		seen:    all("verdict held"), says: "ACLs removed entries", served: lastKnown,
	})
}

// rowRateLimited: 429 is honoured.
func rowRateLimited(t *testing.T, l *lab) {
	s := newScene(t, l).run()
	s.play(episode{
		row: 11, name: "429 without Retry-After", limit: backoffLimit,
		inject: func(s *scene) { s.reg.SetFault(onReads(devregistry.TooManyRequests(0))) },
		seen:   all("error rate_limited"), says: "429", served: lastKnown,
	})
	var asked int
	s.play(episode{
		row: 11, name: "429, Retry-After: 2", limit: 4 * time.Second,
		inject: func(s *scene) {
			s.reg.SetFault(onReads(devregistry.TooManyRequests(2 * time.Second)))
			asked = s.reads()
		},
		hold: 1200 * time.Millisecond,
		seen: all("error rate_limited"), says: "429", served: lastKnown,
		recover: func(s *scene) {
			if n := s.reads() - asked; n > 9 {
				t.Errorf("%d reads within the two seconds asked for, want at most the one under way and the one refused of each source", n)
			}
			s.reg.SetFault(nil)
		},
	})
}

// reads counts what the watches asked.
func (s *scene) reads() (n int) {
	for _, p := range readPaths() {
		n += s.reg.Count(p)
	}
	return n
}

// rowBadBodies: an answer that cannot be read whole changes nothing.
func rowBadBodies(t *testing.T, l *lab) {
	s := newScene(t, l).run()
	for _, v := range []struct {
		name  string
		fault devregistry.Fault
		seen  string
	}{
		{"JSON cut in half, as a whole answer", devregistry.TruncateJSON(0.5), "error decode"},
		{"connection closed after 20 bytes", devregistry.Truncate(20), "error decode"},
		{"invalid JSON", devregistry.InvalidJSON(), "error decode"},
		{"empty body, 200", devregistry.Body(""), "error decode"},
		{"HTML of a load balancer", devregistry.HTML(), "error decode"},
	} {
		s.play(episode{
			row: 12, name: v.name, seen: all(v.seen), limit: backoffLimit, served: lastKnown,
			inject: func(s *scene) { s.reg.SetFault(onReads(v.fault)) },
		})
	}
	for _, v := range []struct {
		name  string
		fault devregistry.Fault
	}{
		{"gzip nobody asked for", devregistry.Gzip()},
		{"wrong content type, right JSON", devregistry.ContentType("application/octet-stream")},
	} {
		s.play(episode{
			row: 12, name: v.name, live: true, served: "live",
			inject: func(s *scene) { s.reg.SetFault(onReads(v.fault)) },
		})
	}
}

// rowEndlessBodies: answers that never end are given up after seconds.
func rowEndlessBodies(t *testing.T, l *lab) {
	s := newScene(t, l).run()
	for _, v := range []struct {
		name  string
		fault devregistry.Fault
	}{
		{"body at 1 byte a second", devregistry.SlowBody(1)},
		{"chunked without end", devregistry.ChunkedWithoutEnd()},
		{"head, then nothing", devregistry.HangAfter(0)},
	} {
		s.play(episode{
			row: 12, name: v.name, seen: all("error slow"), limit: backoffLimit, served: lastKnown,
			inject: func(s *scene) { s.reg.SetFault(onReads(v.fault)) },
		})
	}
}

// rowStale: an answer of a server that lost its leader is not believed about
// removals.
func rowStale(t *testing.T, l *lab) {
	s := newScene(t, l).run()
	for _, v := range []struct {
		name, says string
		fault      devregistry.Fault
	}{
		{"`X-Consul-LastContact` of an hour, one server missing", "1h0m0s old", devregistry.LastContact(time.Hour)},
		{"`X-Consul-KnownLeader: false`, one server missing", "knows no leader", devregistry.Chain(
			devregistry.SetHeader("X-Consul-Query-Backend", ""), devregistry.KnownLeader(false))},
	} {
		old := registryOf(s, s.base[:2]...)
		s.play(episode{
			row: 15, name: v.name, seen: all("verdict held"), says: v.says, hold: 300 * time.Millisecond,
			inject: func(s *scene) {
				s.reg.SetFault(unlessFresh(devregistry.Chain(v.fault, devregistry.From(old))))
			},
			recover: func(s *scene) { s.leave(old) },
			served:  "memory, as the leader confirms",
		})
	}
	var before int
	s.play(episode{
		row: 15, name: "`X-Consul-LastContact` of an hour, nothing missing", live: true, hold: 500 * time.Millisecond,
		inject: func(s *scene) {
			before = s.leaderReads()
			s.reg.SetFault(onReads(devregistry.LastContact(time.Hour)))
			s.touch()
		},
		recover: func(s *scene) {
			if n := s.leaderReads() - before; n > 2*len(sources()) {
				t.Errorf("%d reads went to the leader: stale ones must not be turned into dear ones", n)
			}
			s.reg.SetFault(nil)
		},
		served: "live, with a rare read from the leader",
	})
}

// leaderReads counts reads that only the leader may answer, without those
// that confirm a removal.
func (s *scene) leaderReads() (n int) {
	for _, p := range readPaths() {
		for _, r := range s.reg.Requests(p) {
			if !strings.Contains(r.Query, "stale") && !strings.Contains(r.Query, "consistent") {
				n++
			}
		}
	}
	return n
}

// leave makes the scene's registry the only one again: with indexes above
// those of the other, as those of one cluster are.
func (s *scene) leave(other *devregistry.Registry) {
	s.t.Helper()
	for s.reg.Index() < other.Index()+10 {
		s.ticks++
		s.lister.touch(s.base[0], s.ticks)
	}
	s.reg.SetFault(nil)
	await(s.t, 5*time.Second, "no read waits at the other registry", func() bool {
		s.ticks++
		devLister{reg: other}.touch(s.base[0], s.ticks)
		return other.InFlight() == 0
	})
}

// rowRedirects: followed among the configured addresses, refused elsewhere.
func rowRedirects(t *testing.T, l *lab) {
	s := newScene(t, l)
	second, stranger := s.agent(s.reg), s.agent(devregistry.New(devregistry.Options{Logger: quietLog()}))
	s.consul = fmt.Sprintf("  addresses: [%q, %q]", s.srv.Addr(), second)
	s.run()
	for _, status := range []int{301, 307} {
		s.play(episode{
			row: 18, name: fmt.Sprintf("%d to another configured agent", status), live: true, served: "live, through the other agent",
			inject: func(s *scene) {
				s.reg.SetFault(toHost(s.srv.Addr(), devregistry.Redirect(status, "http://"+second)))
			},
		})
	}
	s.play(episode{
		row: 18, name: "307 to a stranger: not followed", seen: all("error redirect"), says: "no configured address",
		inject: func(s *scene) { s.reg.SetFault(onReads(devregistry.Redirect(307, "http://"+stranger))) },
		limit:  backoffLimit, served: lastKnown,
	})
}

// agent serves a registry on an address of its own.
func (s *scene) agent(reg *devregistry.Registry) string {
	s.t.Helper()
	srv, err := reg.Start(s.lab.place() + ":8500")
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(srv.Close)
	return srv.Addr()
}
