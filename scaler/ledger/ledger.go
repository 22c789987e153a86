// Package ledger keeps the scaler's records: intents before actions, facts as
// they are learned. It is a small store of JSON documents under one prefix,
// changed by check-and-set and fenced by the leadership, so that a scaler that
// lost its lead can write nothing.
//
// The ledger may be lost at any time: an empty one means adopt, never delete.
package ledger

import (
	"context"
	"errors"
)

// Entry is one stored document.
type Entry struct {
	Key   string // relative to the ledger: "machines/web-3-1"
	Value []byte
	Index uint64
}

// Op is one change. Index 0 creates (the key must not exist); another must be
// the current one. Delete removes.
type Op struct {
	Key    string
	Value  []byte
	Index  uint64
	Delete bool
}

// Fence is the proof of leadership that every write carries.
type Fence struct {
	Key     string // leader key
	Session string
	Index   uint64 // LockIndex
}

// Errors a caller branches on.
var (
	ErrConflict = errors.New("changed by someone else")
	ErrFenced   = errors.New("no longer leader")
)

// MaxOps of one Commit: what one Consul transaction takes, less the fence.
const MaxOps = 127

// Store keeps documents. Commit applies all of the operations or none, and
// only while the fence holds; a doubtful answer is an error that is neither of
// ours, and the caller reads again before it goes on.
type Store interface {
	List(ctx context.Context, prefix string) ([]Entry, error)
	Commit(ctx context.Context, f Fence, ops []Op) (indexes []uint64, err error)
}
