package main_test

import (
	"slices"
	"testing"
	"time"

	"spillway/upsync/devregistry"
)

// rowIndexBackwards: a snapshot is restored, a cluster is built anew.
func rowIndexBackwards(t *testing.T, l *lab) {
	s := newScene(t, l).run()
	saved := s.reg.Snapshot()
	for _, v := range []struct {
		name string
		do   func()
	}{
		{"snapshot restored: what is read has its old index again", func() { s.reg.Restore(saved) }},
		{"cluster rebuilt from a backup: indexes seen before come again", func() { s.reg.Rewind(saved) }},
	} {
		lost := s.fleet.add()
		s.list(lost)
		s.arrives(lost, time.Now(), time.Second, "before the restore")
		for i := range 20 { // the index runs away from that of the snapshot
			s.lister.touch(s.base[1], i)
		}
		s.play(episode{
			row: 6, name: v.name, quiet: true, live: true,
			inject: func(s *scene) { v.do(); s.leaves(lost) },
			served: lastKnown + "; the server the snapshot lacks goes",
		})
	}
	s.play(episode{
		row: 6, name: "new, empty cluster, filled again",
		inject: func(s *scene) { s.reg.Reset() }, quiet: true,
		seen: all("verdict refused"), says: "empty",
		recover: func(s *scene) { s.list(s.base...) }, served: lastKnown,
	})
}

// rowOddIndex: whatever the header says, changes are seen and the loop is not
// hot.
func rowOddIndex(t *testing.T, l *lab) {
	s := newScene(t, l).run()
	for _, v := range []struct{ name, index string }{
		{"index 0", "0"},
		{"index missing", ""},
		{"index no number", "soon"},
		{"index huge", "18446744073709551615"},
		{"index negative", "-7"},
	} {
		s.play(episode{
			row: 7, name: v.name, live: true, hold: 500 * time.Millisecond,
			inject: func(s *scene) { s.reg.SetFault(onReads(devregistry.Index(v.index))); s.touch() },
			served: "live",
		})
	}
	s.play(episode{
		row: 7, name: "same index, other body",
		inject: sameIndexOtherBody, served: "live: contents are compared",
	})
}

// sameIndexOtherBody answers from a registry with one server more, under an
// index that never moves.
func sameIndexOtherBody(s *scene) {
	s.t.Helper()
	other := devregistry.New(devregistry.Options{Logger: quietLog()})
	s.t.Cleanup(other.Close)
	more := devLister{reg: other}
	for _, a := range s.base {
		more.add(a)
	}
	var frozen []devregistry.Request
	for _, p := range readPaths() {
		frozen = append(frozen, slices.DeleteFunc(s.reg.Requests(p), func(r devregistry.Request) bool { return r.Index == "" })...)
	}
	index := frozen[len(frozen)-1].Index
	s.reg.SetFault(onReads(devregistry.Chain(devregistry.Index(index), devregistry.From(other))))
	s.touch()
	start := time.Now()
	extra := s.fleet.add()
	more.add(extra)
	for i := range 40 { // its own index is above the frozen one: no read blocks
		more.touch(s.base[0], i)
	}
	s.arrives(extra, start, time.Second, "under the same index")
}

// rowEmpty: an answer without servers is not believed.
func rowEmpty(t *testing.T, l *lab) {
	s := newScene(t, l).run()
	play := func(name string, f devregistry.Fault, seen map[string]string, says string) {
		s.play(episode{
			row: 8, name: name, seen: seen, says: says, served: lastKnown, hold: 300 * time.Millisecond,
			inject: func(s *scene) { s.reg.SetFault(onReads(f)) },
		})
	}
	play("empty list, 200 `[]`", devregistry.Body("[]"), all("verdict refused"), "empty")
	play("200 `null`", devregistry.Body("null"), all("verdict refused"), "empty")
	s.play(episode{
		row: 8, name: "404 without an index", seen: all("error status"), says: "404", served: lastKnown,
		inject: func(s *scene) { s.reg.SetFault(onReads(devregistry.Respond(404, ""))) }, limit: backoffLimit,
	})
	s.play(episode{
		row: 8, name: "all keys and services deleted",
		inject:  func(s *scene) { devLister{reg: s.reg}.removeAll() },
		recover: func(s *scene) { s.list(s.base...) }, quiet: true,
		seen: all("verdict refused"), says: "empty", served: lastKnown, hold: 300 * time.Millisecond,
	})
	s.play(episode{
		row: 8, name: "every instance critical at once", quiet: true,
		inject:  func(s *scene) { s.checks("critical") },
		recover: func(s *scene) { s.checks("passing") },
		seen:    map[string]string{"health": "verdict refused"}, says: "usable", served: lastKnown, hold: 300 * time.Millisecond,
	})
}

// checks sets a check of every server listed from the start.
func (s *scene) checks(status string) {
	s.t.Helper()
	for _, a := range s.base {
		in := devLister{reg: s.reg}.instance(a)
		in.Check = &devregistry.Check{CheckID: "alive-" + a, Name: "alive", Status: status, ServiceID: "web-" + a}
		devLister{reg: s.reg}.register(in)
	}
}

// rowMassRemoval: most servers gone in one update.
func rowMassRemoval(t *testing.T, l *lab) {
	s := newScene(t, l).run()
	many, doomed := s.fleet.addMany(5), devLister{s.reg, "doomed/"}
	for _, a := range many {
		doomed.add(a)
	}
	s.serves(append(slices.Clone(s.base), many...)...)
	lone := registryOf(s, s.base[0])
	heal := func(s *scene) { s.leave(lone) }
	s.play(episode{
		row: 9, name: "most servers missing from stale answers, not from the leader's",
		inject: func(s *scene) { s.reg.SetFault(unlessConsistent(devregistry.From(lone))) },
		seen:   all("verdict held"), says: "servers gone at once", served: "memory: all stay", hold: 300 * time.Millisecond,
		recover: heal,
	})
	lone = registryOf(s, s.base[0])
	s.play(episode{
		row: 9, name: "most servers missing, and no consistent read to be had",
		inject: func(s *scene) {
			s.reg.SetFault(consistentOr(devregistry.NoLeader(), devregistry.From(lone)))
		},
		seen: all("verdict held"), says: "servers gone at once", served: "memory: those that answer stay, 60 s at most",
		hold: 300 * time.Millisecond, recover: heal,
	})
	s.play(episode{
		row: 9, name: "5 of 8 servers really gone",
		inject: func(s *scene) {
			doomed.removeAll()
			s.serves(s.base...)
		},
		quiet: true, seen: all("verdict confirmed"), says: "a consistent read agrees", served: oneAnswer,
	})
}

// registryOf is a registry that lists these servers only, with indexes above
// those of the scene's.
func registryOf(s *scene, addrs ...string) *devregistry.Registry {
	r := devregistry.New(devregistry.Options{Logger: quietLog()})
	s.t.Cleanup(r.Close)
	for _, a := range addrs {
		devLister{reg: r}.add(a)
	}
	for i := 0; r.Index() < s.reg.Index()+200; i++ {
		devLister{reg: r}.touch(addrs[0], i)
	}
	return r
}
