package devregistry

import (
	"slices"
	"strings"
)

// row is something with a key that orders it in its table.
type row interface{ rowKey() string }

// table is a set of immutable rows sorted by key. A copy costs one slice of
// pointers, which is what a snapshot and a transaction take.
type table[T row] struct{ rows []T }

func (t *table[T]) search(key string) (int, bool) {
	// Keys that arrive in order go to the end without a search.
	if n := len(t.rows); n == 0 || t.rows[n-1].rowKey() < key {
		return n, false
	}
	return slices.BinarySearchFunc(t.rows, key, func(r T, key string) int {
		return strings.Compare(r.rowKey(), key)
	})
}

func (t *table[T]) get(key string) (found T, ok bool) {
	i, ok := t.search(key)
	if ok {
		found = t.rows[i]
	}
	return found, ok
}

func (t *table[T]) put(r T) {
	i, ok := t.search(r.rowKey())
	if ok {
		t.rows[i] = r
		return
	}
	t.rows = slices.Insert(t.rows, i, r)
}

func (t *table[T]) remove(key string) bool {
	i, ok := t.search(key)
	if ok {
		t.rows = slices.Delete(t.rows, i, i+1)
	}
	return ok
}

// bounds returns the range of rows whose keys begin with prefix.
func (t *table[T]) bounds(prefix string) (from, to int) {
	if prefix == "" {
		return 0, len(t.rows)
	}
	from, _ = t.search(prefix)
	n, _ := slices.BinarySearchFunc(t.rows[from:], prefix, func(r T, p string) int {
		if strings.HasPrefix(r.rowKey(), p) {
			return -1
		}
		return 1
	})
	return from, from + n
}

// prefix returns the rows whose keys begin with p. The slice is the table's
// own: it is valid while the lock is held.
func (t *table[T]) prefix(p string) []T {
	from, to := t.bounds(p)
	return t.rows[from:to]
}

// removePrefix removes the rows whose keys begin with p and returns them.
func (t *table[T]) removePrefix(p string) []T {
	from, to := t.bounds(p)
	gone := slices.Clone(t.rows[from:to])
	t.rows = slices.Delete(t.rows, from, to)
	return gone
}

func (t *table[T]) clone() table[T] { return table[T]{rows: slices.Clone(t.rows)} }
