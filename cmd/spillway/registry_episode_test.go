package main_test

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// episode is one way in which a registry fails, from the moment it does to
// the proof that the gateway follows again. Traffic runs all the while.
//
//	settled -> inject -> touch until it is seen -> hold -> recover -> a new
//	server is listed -> it serves on all three upstreams -> it is removed
type episode struct {
	row  int
	name string
	// inject begins the failure, recover ends it; nil clears the fault.
	inject, recover func(*scene)
	// seen is how an operator sees the failure, for each upstream or for all
	// ("*"): "error WORD" is a failed read counted under that word (or WORD|WORD),
	// "verdict WORD" a judgement, "" nothing to see.
	seen map[string]string
	// says must be in the last error or in a decision's reason.
	says string
	// live says that the failure does not stop changes: a server listed while
	// it lasts serves within limit.
	live bool
	// brief failures are over by themselves: the API may have forgotten them.
	brief bool
	// quiet is a failure that ends the reads by itself: nothing is touched.
	quiet bool
	// hold is how long it lasts beyond being seen.
	hold time.Duration
	// limit is how soon the server listed at recovery must serve; 0 is a
	// second.
	limit time.Duration
	// served is what serves meanwhile, for the table; within is said instead
	// of limit if that depends on the machine.
	served, within string
}

// all says the same of every upstream.
func all(what string) map[string]string { return map[string]string{"*": what} }

func (e *episode) evidence(upstream string) (kind, word string) {
	what, ok := e.seen[upstream]
	if !ok {
		what = e.seen["*"]
	}
	kind, word, _ = strings.Cut(what, " ")
	return kind, word
}

// play runs one episode.
func (s *scene) play(e episode) {
	s.t.Helper()
	if e.limit == 0 {
		e.limit = time.Second
	}
	s.settled()
	mark := s.mark(&e)
	e.inject(s)
	s.seen(&e, mark)
	s.keepsServing(e.hold)
	if e.live {
		s.converges(e.limit, "while the failure lasts")
	}
	s.noHotLoop(mark)
	if !e.brief {
		s.visible(&e)
	}
	if e.recover != nil {
		e.recover(s)
	} else {
		s.reg.SetFault(nil)
		s.touch() // reads under way keep the fault they began with
	}
	s.converges(e.limit, "after recovery")
	s.record(&e)
}

// mark is the state of the counters before an episode.
type mark struct {
	at       time.Time
	requests int
	counts   map[string]float64
}

func (s *scene) mark(e *episode) mark {
	m := mark{at: time.Now(), requests: s.reg.Count("/"), counts: map[string]float64{}}
	for _, u := range sources() {
		m.counts[u] = s.counter(e, u)
	}
	return m
}

func (s *scene) counter(e *episode, upstream string) float64 {
	switch kind, word := e.evidence(upstream); kind {
	case "error":
		sum := 0.0
		for w := range strings.SplitSeq(word, "|") {
			sum += s.failedReads(upstream, w)
		}
		return sum
	case "verdict":
		return s.verdicts(upstream, word)
	}
	return 0
}

// seen waits until /metrics counts the failure for each upstream. Reads that
// wait for a change get one that means nothing.
func (s *scene) seen(e *episode, m mark) {
	s.t.Helper()
	for _, u := range sources() {
		if kind, _ := e.evidence(u); kind == "" {
			continue
		}
		await(s.t, 40*time.Second, fmt.Sprintf("%s: %s: the failure is counted: %v", e.name, u, e.seen), func() bool {
			if !e.quiet {
				s.touch()
			}
			return s.counter(e, u) > m.counts[u]
		})
	}
}

// touch moves the indexes if a read waits for that, and not too often.
func (s *scene) touch() {
	waiting := false
	for _, p := range readPaths() {
		waiting = waiting || s.reg.Blocked(p) > 0
	}
	if waiting {
		s.ticks++
		s.lister.touch(s.base[0], s.ticks)
		<-time.After(50 * time.Millisecond)
	}
}

// keepsServing watches for d, and for two answers of each upstream at least,
// that the servers listed from the start serve.
func (s *scene) keepsServing(d time.Duration) {
	s.t.Helper()
	start := time.Now()
	for _, u := range sources() {
		before := s.traffic.answered(u)
		await(s.t, d+10*time.Second, "traffic goes on", func() bool {
			return s.traffic.answered(u) >= before+2 && time.Since(start) >= d
		})
		v := s.view(u)
		for _, a := range s.base {
			if !slices.Contains(v.addresses(), a) {
				s.t.Errorf("%s lost %s: it serves %v; decisions %v", u, a, v.addresses(), v.Decisions)
			}
		}
	}
	s.flawless()
}

func (s *scene) flawless() {
	s.t.Helper()
	if n, first := s.traffic.failures(); n > 0 {
		s.t.Fatalf("%d requests failed: %s", n, strings.Join(first, "; "))
	}
}

// noHotLoop bounds the requests to the registry: a watch may read ten times
// at once and then ten times a second; beside the watches there are checks,
// probes and confirmations.
func (s *scene) noHotLoop(m mark) {
	s.t.Helper()
	elapsed := time.Since(m.at).Seconds()
	got, most := s.reg.Count("/")-m.requests, int(45+45*elapsed)
	if got > most {
		s.t.Errorf("%d requests to the registry in %.1f s, want at most %d", got, elapsed, most)
	}
}

// visible checks that the API tells what was counted.
func (s *scene) visible(e *episode) {
	s.t.Helper()
	for _, u := range sources() {
		switch kind, word := e.evidence(u); kind {
		case "error":
			await(s.t, 15*time.Second, fmt.Sprintf("%s: %s: the API's last error says %q", e.name, u, e.says), func() bool {
				text := s.view(u).Sync.LastError
				return text != "" && strings.Contains(text, e.says)
			})
		case "verdict":
			s.decided(e, u, word)
		}
	}
}

func (s *scene) decided(e *episode, upstream, verdict string) {
	s.t.Helper()
	v := s.view(upstream)
	for _, d := range v.Decisions {
		if d.Verdict == verdict && strings.Contains(d.Reason, e.says) {
			return
		}
	}
	s.t.Errorf("%s: %s: no decision %q that says %q in %v", e.name, upstream, verdict, e.says, v.Decisions)
}

// converges lists a new server, waits until it serves all three upstreams,
// and removes it.
func (s *scene) converges(limit time.Duration, when string) {
	s.t.Helper()
	addr := s.fleet.add()
	s.list(addr)
	s.arrives(addr, time.Now(), limit, when)
	s.lister.remove(addr)
	s.leaves(addr)
	s.flawless()
}

// matrixSlack is by how much the bounds on time are exceeded at most where the
// tests run: under the race detector, several gateways and clusters at once,
// on a machine others use too. Without the detector the bounds hold as they
// stand.
func matrixSlack() time.Duration {
	if raceDetector {
		return 3
	}
	return 1
}

// arrives waits until a server that is listed gets requests of all three
// upstreams, and checks how long it took since start.
func (s *scene) arrives(addr string, start time.Time, limit time.Duration, when string) {
	s.t.Helper()
	for _, u := range sources() {
		await(s.t, limit+10*time.Second, fmt.Sprintf("%s: a new server serves %s", when, u), func() bool {
			return s.fleet.hits(addr, u) > 0
		})
		if d := time.Since(start); d > limit*matrixSlack() {
			s.t.Errorf("%s: %s routed to a new server after %v, want at most %v", when, u, d.Round(time.Millisecond), limit)
		}
	}
}

// leaves waits until a server that is no longer listed is gone.
func (s *scene) leaves(addr string) {
	s.t.Helper()
	for _, u := range sources() {
		await(s.t, 10*time.Second, fmt.Sprintf("%s drops %s", u, addr), func() bool {
			v := s.view(u)
			return !slices.Contains(v.addresses(), addr)
		})
	}
}
