package consul

import (
	"encoding/base64"
	"fmt"
	"hash/maphash"
	"io"
	"slices"
	"sort"
	"strings"
)

// KVSet is what a KV watch knows of its prefix: every entry, in the order of
// the keys, and what moved since the set before. It must not be changed.
type KVSet struct {
	// Items holds every server entry below the prefix, directory keys left
	// out.
	Items []*Found
	// Moved are the keys that are new, changed or gone, in order.
	Moved []string
}

// Under returns the items whose keys begin with prefix.
func (s *KVSet) Under(prefix string) []*Found {
	from := sort.Search(len(s.Items), func(i int) bool { return s.Items[i].Key >= prefix })
	n := sort.Search(len(s.Items)-from, func(i int) bool { return !strings.HasPrefix(s.Items[from+i].Key, prefix) })
	return s.Items[from : from+n]
}

// kvItem remembers one key. An entry whose value has the same hash means what
// it meant, so it is not decoded again; that is also what makes an
// idempotent write no change. ModifyIndex alone would not do: a registry that
// was restored may give one index to two values.
type kvItem struct {
	hash  uint64
	key   string
	found *Found // nil for a directory key
}

// kvDecoder reads the answers of one KV watch. It keeps two lists and swaps
// them on commit, so a read that fails half way leaves no trace.
type kvDecoder struct {
	max  int // entries
	seed maphash.Seed
	scan scanner

	have, next []kvItem // sorted by key; next is filled by decode
	set        *KVSet   // made of next by decode

	key, value []byte // scratch
}

func newKVDecoder(maxEntries int) *kvDecoder {
	return &kvDecoder{max: maxEntries, seed: maphash.MakeSeed(), set: &KVSet{}}
}

// decode implements decoder.
func (d *kvDecoder) decode(r io.Reader) (changed bool, err error) {
	d.next = d.next[:0]
	cursor := 0
	d.scan.reset(r)
	err = d.scan.array(func() error {
		if len(d.next) == d.max {
			return fmt.Errorf("answer has more than %d entries", d.max)
		}
		if err := d.entry(); err != nil {
			return err
		}
		return d.take(&cursor)
	})
	if err == nil {
		err = d.scan.finish()
	}
	if err != nil {
		return false, err
	}
	return d.stage(), nil
}

// absent implements decoder: the prefix holds nothing.
func (d *kvDecoder) absent() bool {
	d.next = d.next[:0]
	return d.stage()
}

// entry scans one object into key and value, the latter still base64.
func (d *kvDecoder) entry() error {
	d.key, d.value = d.key[:0], d.value[:0]
	return d.scan.object(func(name []byte) error {
		switch string(name) {
		case "Key":
			text, err := d.scan.str()
			d.key = append(d.key, text...)
			return err
		case "Value":
			text, err := d.scan.str()
			d.value = append(d.value, text...)
			return err
		}
		return d.scan.skip()
	})
}

// take adds the scanned entry to next, decoding it only if its value is not
// the one that is known. Consul sorts by key, so the known entry stands at
// the cursor; any other order costs a search.
func (d *kvDecoder) take(cursor *int) error {
	hash := maphash.Bytes(d.seed, d.value)
	old := d.known(cursor)
	if old != nil && old.hash == hash {
		d.next = append(d.next, *old)
		return nil
	}
	value, err := base64.StdEncoding.AppendDecode(nil, d.value)
	if err != nil {
		return fmt.Errorf("value of key %.100q is no base64: %w", d.key, err)
	}
	key := string(d.key)
	if old != nil {
		key = old.key
	}
	d.next = append(d.next, kvItem{hash: hash, key: key, found: decodeKV(key, value)})
	return nil
}

func (d *kvDecoder) known(cursor *int) *kvItem {
	for ; *cursor < len(d.have); *cursor++ {
		item := &d.have[*cursor]
		if item.key == string(d.key) { // Fast path
			*cursor++
			return item
		}
		if item.key > string(d.key) {
			break
		}
	}
	i, ok := slices.BinarySearchFunc(d.have, d.key, func(it kvItem, key []byte) int {
		return strings.Compare(it.key, string(key))
	})
	if !ok {
		return nil
	}
	return &d.have[i]
}

// stage sorts next, drops duplicates and finds out what moved.
func (d *kvDecoder) stage() (changed bool) {
	byKey := func(a, b kvItem) int { return strings.Compare(a.key, b.key) }
	if !slices.IsSortedFunc(d.next, byKey) {
		slices.SortStableFunc(d.next, byKey)
	}
	d.next = slices.CompactFunc(d.next, func(a, b kvItem) bool { return a.key == b.key })
	moved := movedKeys(d.have, d.next)
	if len(moved) == 0 {
		return false
	}
	d.set = &KVSet{Moved: moved, Items: make([]*Found, 0, len(d.next))}
	for i := range d.next {
		if d.next[i].found != nil {
			d.set.Items = append(d.set.Items, d.next[i].found)
		}
	}
	return true
}

// movedKeys walks two sorted lists side by side.
func movedKeys(was, is []kvItem) []string {
	var moved []string
	for len(was) > 0 || len(is) > 0 {
		switch {
		case len(is) == 0 || len(was) > 0 && was[0].key < is[0].key:
			moved = append(moved, was[0].key)
			was = was[1:]
		case len(was) == 0 || is[0].key < was[0].key:
			moved = append(moved, is[0].key)
			is = is[1:]
		default:
			if was[0].found != is[0].found {
				moved = append(moved, is[0].key)
			}
			was, is = was[1:], is[1:]
		}
	}
	return moved
}

// fillAnswer implements decoder.
func (d *kvDecoder) fillAnswer(a *Answer) { a.KV = d.set }

// commit implements decoder.
func (d *kvDecoder) commit() { d.have, d.next = d.next, d.have }
