// Package ledger keeps the scaler's records: intents before actions, facts as
// they are learned. It is a small store of JSON documents under one prefix,
// changed by check-and-set and fenced by the leadership, so that a scaler that
// lost its lead can write nothing.
//
// Store is what the scaler needs of it; Consul keeps it in Consul's KV, Memory
// in memory (tests, and a single scaler without Consul). Load reads all records;
// a document that cannot be read is reported and never touched.
//
// The ledger may be lost at any time: an empty one means adopt, never delete.
// List therefore fails rather than answer with less than there is.
//
// There are no goroutines here. Stores are safe for use by several.
package ledger

import (
	"context"
	"errors"
	"fmt"
)

// Entry is one stored document.
type Entry struct {
	Key   string // relative to the ledger: "machines/web-3-1"
	Value []byte
	Index uint64
}

// Op is one change. Index 0 creates (the key must not exist); another must be
// the current one. Delete removes; a key that does not exist is removed.
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

// Errors a caller branches on. With either nothing was changed.
var (
	ErrConflict = errors.New("changed by someone else")
	ErrFenced   = errors.New("no longer leader")
)

// MaxOps of one Commit: what one Consul transaction takes, less the fence.
const MaxOps = 127

// MaxBytes of all keys and values of one Commit. Consul takes a request of
// 512 KiB (txn_max_req_len), in which values are written in base64.
const MaxBytes = 320 << 10

// Store keeps documents.
type Store interface {
	// List returns all documents whose key begins with prefix, sorted by key:
	// of the ledger as a whole with "". No entries and no error say that there
	// are none; a read that is doubtful or stale is an error.
	List(ctx context.Context, prefix string) ([]Entry, error)
	// Commit applies all of the operations or none, and only while the fence
	// holds. indexes are those of the documents after it, in the order of ops,
	// 0 for deleted ones. An error that is neither of ours is doubtful: all may
	// have been applied, and the caller reads again before it goes on.
	Commit(ctx context.Context, f Fence, ops []Op) (indexes []uint64, err error)
}

// Pack joins groups of operations into as few commits as the limits allow. What
// stands in one group is applied as a whole. The order is kept. A group over the
// limits is a commit of its own, which fails.
func Pack(groups [][]Op) [][]Op {
	var batches [][]Op
	var batch []Op
	size := 0
	for _, g := range groups {
		n := sizeOf(g)
		if len(batch) > 0 && (len(batch)+len(g) > MaxOps || size+n > MaxBytes) {
			batches = append(batches, batch)
			batch, size = nil, 0
		}
		batch = append(batch, g...)
		size += n
	}
	if len(batch) > 0 {
		batches = append(batches, batch)
	}
	return batches
}

func sizeOf(ops []Op) (n int) {
	for _, op := range ops {
		n += len(op.Key) + len(op.Value)
	}
	return n
}

// check refuses what no store takes.
func check(ops []Op) error {
	if len(ops) > MaxOps {
		return fmt.Errorf("cannot write %d documents at once, only %d", len(ops), MaxOps)
	}
	if n := sizeOf(ops); n > MaxBytes {
		return fmt.Errorf("cannot write %d bytes at once, only %d", n, MaxBytes)
	}
	seen := map[string]bool{}
	for _, op := range ops {
		if op.Key == "" || seen[op.Key] {
			return fmt.Errorf("cannot write key %q: it is empty or there twice", op.Key)
		}
		seen[op.Key] = true
	}
	return nil
}
