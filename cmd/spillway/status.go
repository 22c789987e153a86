package main

import (
	"time"

	"spillway/gateway/metrics"
	"spillway/gateway/upstream"
	"spillway/upsync"
)

// syncTimes are how long changes of one upstream took. Both are written under
// the server's lock.
type syncTimes struct {
	published metrics.Histogram // from the head of the answer
	served    metrics.Histogram // from the decoded set to the last loop
	newest    time.Time         // of the sets counted in served
}

// timesOf returns the times of an upstream; mu is held.
func (s *server) timesOf(name string) *syncTimes {
	t := s.times[name]
	if t == nil {
		t = &syncTimes{}
		s.times[name] = t
	}
	return t
}

// applied counts how long a change took from Consul's answer to the pool.
func (s *server) applied(name string, took time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.timesOf(name).published.Observe(int64(took))
}

// inTraffic counts how long a change took to the last loop, which calls it. A
// set that is published again, with other settings, is no change.
func (s *server) inTraffic(p *upstream.Pool, snap *upstream.Snapshot, took time.Duration) {
	if s.live != nil {
		s.live(p, snap, took)
	}
	go s.syncer.Served(p.Name, snap.Version, time.Now()) // this is a loop, and a reload may hold the syncer
	at := snap.Meta.At
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.timesOf(p.Name); at.After(t.newest) {
		t.served.Observe(int64(time.Since(at)))
		t.newest = at
	}
}

// syncStatus is what /metrics says of the upstreams.
func (s *server) syncStatus() []metrics.SyncStatus {
	var all []metrics.SyncStatus
	for _, st := range s.syncer.Statuses() {
		m := metrics.SyncStatus{
			Upstream: st.Name, State: sourceState(&st), Index: st.Index, LastSuccess: st.Verified,
			Errors: st.Errors, Decisions: map[string]uint64{}, Rejected: st.Rejected,
			Overrides: len(st.Overrides.Servers), Frozen: st.Overrides.Frozen != nil,
		}
		for _, p := range st.Flaps {
			if p.Suppressed {
				m.Flapping++
			}
		}
		for outcome, n := range st.Decisions {
			m.Decisions[string(outcome)] = n
		}
		s.mu.Lock()
		if t := s.times[st.Name]; t != nil {
			m.Convergence, m.Apply = &t.published, &t.served
		}
		s.mu.Unlock()
		all = append(all, m)
	}
	return all
}

// sourceState says where the current servers come from.
func sourceState(st *upsync.Status) string {
	switch {
	case st.Source != upsync.SourceLive:
		return string(st.Source)
	case st.Kind == upsync.Static || st.Kind == upsync.File:
		return string(st.Kind)
	}
	return "consul"
}

func (s *server) configStatus() metrics.ConfigStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status
}

// noteReload remembers how reading the configuration went.
func (s *server) noteReload(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.status.OK = err == nil; s.status.OK {
		s.status.LastSuccess = time.Now()
	}
}
