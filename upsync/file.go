package upsync

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"spillway/gateway/upstream"
	"spillway/upsync/consul"
)

const (
	filePoll    = 500 * time.Millisecond
	maxListSize = 16 << 20
)

// foundSpecs makes entries of servers a person wrote.
func foundSpecs(specs []upstream.Spec) []*consul.Found {
	found := make([]*consul.Found, len(specs))
	for i, s := range specs {
		found[i] = &consul.Found{Key: s.Addr, Spec: s, SaysMaxFails: true, SaysFailTimeout: true}
	}
	return found
}

// addStatic applies the servers of the configuration; mu is held.
func (s *Syncer) addStatic(up Upstream, found []*consul.Found) {
	up.Policy.Trust = TrustStrict
	m := s.newMember(up)
	m.deliver(found, consul.Observation{At: s.opts.Now()})
}

// addFile reads a file now and whenever it changes; mu is held. A file that
// cannot be read or parsed leaves the servers as they were.
func (s *Syncer) addFile(up Upstream) {
	m := s.newMember(up)
	w := &fileWatch{m: m, path: up.Path}
	w.look()
	m.fileWatch = w
	m.startFile()
}

// startFile begins to watch the file if Run is running; Syncer.mu is held.
func (m *member) startFile() {
	if m.fileWatch == nil || m.stopFile != nil || m.s.ctx == nil || m.s.ctx.Err() != nil {
		return
	}
	ctx, cancel := context.WithCancel(m.s.ctx)
	m.stopFile = cancel
	m.s.running.Go(func() { m.fileWatch.run(ctx) })
}

// fileWatch re-reads one server list.
type fileWatch struct {
	m    *member
	path string
	read string // identity of the content that was read last
	seen string // identity the last look found
}

func (w *fileWatch) run(ctx context.Context) {
	tick := time.NewTicker(filePoll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			w.look()
		}
	}
}

// look reads the file if it changed. One that is written in place is read when
// it was the same twice, so that half a list is not taken for a whole.
func (w *fileWatch) look() {
	id := identify(w.path)
	first := w.read == ""
	settled := first || id == w.seen
	w.seen = id
	if id == w.read || !settled {
		return
	}
	w.read = id
	now := w.m.s.opts.Now()
	specs, err := readServers(w.path, w.m.defaults())
	if err != nil {
		w.m.history.fail("file", err, now)
		w.m.s.opts.Log.Error("server list not used", "upstream", w.m.name, "error", err)
		w.m.failedRead(err)
		return
	}
	w.m.deliver(foundSpecs(specs), consul.Observation{At: now, Confirmed: true})
}

// defaults is what holds for a server of a file that says nothing else.
func (m *member) defaults() upstream.Spec {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := staticDefaults()
	if m.up.MaxFails != nil {
		s.MaxFails = *m.up.MaxFails
	}
	if m.up.FailTimeout > 0 {
		s.FailTimeout = m.up.FailTimeout
	}
	return s
}

// identify is a string that differs when the file was replaced or written.
func identify(path string) string {
	st, err := os.Stat(path)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprint(st.ModTime().UnixNano(), st.Size(), fileNumber(st))
}

func readServers(path string, defaults upstream.Spec) ([]upstream.Spec, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read server list: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxListSize+1))
	if err != nil {
		return nil, fmt.Errorf("cannot read server list %q: %w", path, err)
	}
	if len(b) > maxListSize {
		return nil, fmt.Errorf("cannot read server list %q: larger than %d bytes", path, maxListSize)
	}
	specs, err := parseServers(string(b), defaults)
	if err != nil {
		return nil, fmt.Errorf("cannot read server list %q: %w", path, err)
	}
	return specs, nil
}
