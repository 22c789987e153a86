package devregistry

import (
	"bytes"
	"errors"
	"fmt"
	"time"
)

// KVPair is one key as the HTTP API shows it.
type KVPair struct {
	LockIndex   uint64
	Key         string
	Flags       uint64
	Value       []byte
	Session     string `json:",omitempty"`
	CreateIndex uint64
	ModifyIndex uint64
}

func (p *KVPair) rowKey() string { return p.Key }

func (p *KVPair) same(o *KVPair) bool {
	return p.LockIndex == o.LockIndex && p.Flags == o.Flags && p.Session == o.Session && bytes.Equal(p.Value, o.Value)
}

// tombstone remembers that keys were deleted, so that the index of a prefix
// moves forward on a delete. It is reaped after tombstoneTTL.
type tombstone struct {
	key   string
	index uint64
}

func (t *tombstone) rowKey() string { return t.key }

// tombstoneTTL is Consul's: after it the index of a prefix may go back.
const tombstoneTTL = 15 * time.Minute

type kvTables struct {
	pairs table[*KVPair]
	tombs table[*tombstone]
	// index is that of the last change of either table.
	index uint64
}

func (kv *kvTables) init() { kv.index = 0 }

func (kv *kvTables) clone() kvTables {
	return kvTables{pairs: kv.pairs.clone(), tombs: kv.tombs.clone(), index: kv.index}
}

// get returns the pair and the index of a read of it: its own, or that of the
// tables if there is none.
func (kv *kvTables) get(key string) (*KVPair, uint64) {
	if p, ok := kv.pairs.get(key); ok {
		return p, p.ModifyIndex
	}
	return nil, kv.index
}

// list returns the pairs below a prefix and the index of a read of it: the
// greatest of its pairs and tombstones, or that of the tables if it has
// neither or is the root.
func (kv *kvTables) list(prefix string) ([]*KVPair, uint64) {
	pairs := kv.pairs.prefix(prefix)
	if prefix == "" {
		return pairs, kv.index
	}
	var index uint64
	for _, p := range pairs {
		index = max(index, p.ModifyIndex)
	}
	for _, t := range kv.tombs.prefix(prefix) {
		index = max(index, t.index)
	}
	if index == 0 {
		index = kv.index
	}
	return pairs, index
}

// kvSet writes a pair at the state's index and returns it as stored. A write
// that changes nothing leaves the old pair, with its index, and wakes nobody.
func (s *state) kvSet(t *touched, p KVPair, keepSession bool) *KVPair {
	old, exists := s.kv.pairs.get(p.Key)
	p.CreateIndex = s.index
	if exists {
		p.CreateIndex = old.CreateIndex
	}
	if keepSession {
		p.Session = ""
		if exists {
			p.Session = old.Session
		}
	}
	if exists && old.same(&p) {
		return old
	}
	p.ModifyIndex = s.index
	s.kv.pairs.put(&p)
	s.kv.index = s.index
	t.key(p.Key)
	return &p
}

// kvCAS writes if the pair's index is want; 0 wants no pair.
func (s *state) kvCAS(t *touched, p KVPair, want uint64) (*KVPair, bool) {
	old, exists := s.kv.pairs.get(p.Key)
	if (want == 0) == exists || (exists && old.ModifyIndex != want) {
		return nil, false
	}
	return s.kvSet(t, p, true), true
}

func (s *state) kvDelete(t *touched, key string) {
	if !s.kv.pairs.remove(key) {
		return
	}
	s.bury(t, key)
	t.key(key)
}

func (s *state) bury(t *touched, key string) {
	s.kv.tombs.put(&tombstone{key: key, index: s.index})
	s.kv.index = s.index
	t.tombs = true
}

// kvDeleteTree leaves one tombstone, at the prefix, however many keys go.
func (s *state) kvDeleteTree(t *touched, prefix string) {
	gone := s.kv.pairs.removePrefix(prefix)
	if len(gone) == 0 {
		return
	}
	for _, p := range gone {
		t.key(p.Key)
	}
	s.kv.index = s.index
	if prefix != "" {
		s.bury(t, prefix)
	}
}

// kvDeleteCAS deletes if the pair's index is want; it is true for no pair.
func (s *state) kvDeleteCAS(t *touched, key string, want uint64) bool {
	old, exists := s.kv.pairs.get(key)
	if !exists {
		return true
	}
	if old.ModifyIndex != want {
		return false
	}
	s.kvDelete(t, key)
	return true
}

var errMissingSession = errors.New("missing session")

// kvLock writes the pair and takes its lock for the session, unless another
// session holds it.
func (s *state) kvLock(t *touched, p KVPair) (*KVPair, bool, error) {
	if p.Session == "" {
		return nil, false, errMissingSession
	}
	if _, ok := s.sessions.get(p.Session); !ok {
		return nil, false, fmt.Errorf("invalid session %q", p.Session)
	}
	p.LockIndex = 1
	if old, ok := s.kv.pairs.get(p.Key); ok {
		switch old.Session {
		case p.Session:
			p.LockIndex = old.LockIndex
		case "":
			p.LockIndex = old.LockIndex + 1
		default:
			return nil, false, nil
		}
	}
	return s.kvSet(t, p, false), true, nil
}

// kvUnlock writes the pair and gives its lock back, if the session holds it.
func (s *state) kvUnlock(t *touched, p KVPair) (*KVPair, bool, error) {
	if p.Session == "" {
		return nil, false, errMissingSession
	}
	old, ok := s.kv.pairs.get(p.Key)
	if !ok || old.Session != p.Session {
		return nil, false, nil
	}
	p.Session = ""
	p.LockIndex = old.LockIndex
	return s.kvSet(t, p, false), true, nil
}

// lockDelayed reports whether the key may not be locked yet, because a session
// that held it ended without giving it back.
func (s *state) lockDelayed(key string, now time.Time) bool {
	until, ok := s.lockDelays[key]
	if ok && !until.After(now) {
		delete(s.lockDelays, key)
		return false
	}
	return ok
}

// reapTombstones drops what was left at or before index.
func (s *state) reapTombstones(index uint64) {
	kept := s.kv.tombs.rows[:0:0]
	for _, t := range s.kv.tombs.rows {
		if t.index > index {
			kept = append(kept, t)
		}
	}
	s.kv.tombs.rows = kept
	s.kv.index = s.index
}
