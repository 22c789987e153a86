package main

import (
	"time"

	"spillway/gateway/metrics"
	"spillway/upsync"
)

// applied counts how long a change took from Consul's answer to the pool.
func (s *server) applied(name string, took time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.times[name]
	if h == nil {
		h = &metrics.Histogram{}
		s.times[name] = h
	}
	h.Observe(int64(took))
}

// syncStatus is what /metrics says of the upstreams.
func (s *server) syncStatus() []metrics.SyncStatus {
	var all []metrics.SyncStatus
	for _, st := range s.syncer.Statuses() {
		m := metrics.SyncStatus{
			Upstream: st.Name, State: sourceState(&st), Index: st.Index, LastSuccess: st.Verified,
			Errors: st.Errors, Decisions: map[string]uint64{},
		}
		for outcome, n := range st.Decisions {
			m.Decisions[string(outcome)] = n
		}
		s.mu.Lock()
		m.Convergence = s.times[st.Name]
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
