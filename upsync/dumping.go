package upsync

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"syscall"

	"spillway/gateway/upstream"
	"spillway/upsync/dump"
)

// loadDump takes the last-known-good servers as those in use, without
// applying them yet: the first answer of the registry is judged against them.
func (m *member) loadDump() {
	if m.up.Dump == "" || m.up.Source == Static || m.up.Source == File {
		return
	}
	s, err := dump.Load(m.up.Dump)
	if err != nil {
		m.noDump(err)
		return
	}
	if s.Upstream != m.name {
		m.noDump(fmt.Errorf("snapshot %q is of upstream %q", m.up.Dump, s.Upstream))
		return
	}
	if s.Recovered != "" {
		m.s.opts.Log.Warn("the snapshot before the last is used", "upstream", m.name, "error", s.Recovered)
	}
	m.serving = s.Servers
	if m.up.Pool.NewestFirst {
		slices.Reverse(m.serving) // the pool puts what is new in front: the order is as it was
	}
	m.address = s.Address
	m.meta = upstream.Meta{Source: "dump", Index: s.Index, At: s.Time}
}

// save queues the set in use for its dump; mu is held. Servers in doubt are
// not known to be good.
func (m *member) save() {
	if m.up.Dump == "" || m.source != SourceLive {
		return
	}
	servers := make([]upstream.Spec, 0, len(m.serving))
	for _, s := range m.serving {
		if _, doubt := m.held[s.Addr]; !doubt {
			servers = append(servers, s)
		}
	}
	sortAs(servers, m.up.Pool.Load())
	m.s.dumps.Put(m.up.Dump, &dump.Snapshot{
		Upstream: m.name, Source: string(m.up.Source), Key: m.up.place(), Discovered: m.found,
		Address: m.address, Index: m.meta.Index, Time: m.meta.At, Servers: servers,
	})
}

// sortAs puts servers in the order in which they are served and shown, which
// is the order nginx-upsync dumps them in.
func sortAs(servers []upstream.Spec, snap *upstream.Snapshot) {
	rank := make(map[string]int, len(snap.Entries))
	for i := range snap.Entries {
		rank[snap.Entries[i].Addr] = i
	}
	slices.SortStableFunc(servers, func(a, b upstream.Spec) int { return rank[a.Addr] - rank[b.Addr] })
}

// noDump tells why a start without the registry would find nothing. A dump
// that was never written is no news.
func (m *member) noDump(err error) {
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	m.dumpErr = err.Error()
	m.s.opts.Log.Error("the last known good servers cannot be used", "upstream", m.name, "error", err)
}

// dumped takes the outcome of a save. An error is logged when it first shows
// and when it ends; serving goes on either way.
func (s *Syncer) dumped(path string, snap *dump.Snapshot, err error) {
	m := s.member(snap.Upstream)
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	was := m.dumpErr
	m.dumpErr = ""
	if err != nil {
		m.dumpErr = err.Error()
		m.history.fail("dump", err, s.opts.Now())
	}
	switch {
	case was == "" && err != nil:
		s.opts.Log.Error("cannot save the last known good servers", "upstream", m.name, "path", path, "error", err)
	case was != "" && err == nil:
		s.opts.Log.Info("the last known good servers are saved again", "upstream", m.name, "path", path)
	}
}

// fileNumber is the inode, which a rename changes.
func fileNumber(st os.FileInfo) uint64 {
	if sys, ok := st.Sys().(*syscall.Stat_t); ok {
		return sys.Ino
	}
	return 0
}
