package scaler

import (
	"bytes"
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"spillway/scaler/fleet"
	"spillway/scaler/ledger"
)

// book is the controller's copy of the ledger, with what it changed since the
// last commit. It is used by one goroutine at a time.
type book struct {
	machines  *table[fleet.Machine]
	orders    *table[fleet.Order]
	instances *table[fleet.Instance]
	pools     *table[poolRecord]
	apps      *table[appRecord]
	nodes     *table[nodeRecord]
	policy    *table[policyMemory]
	spend     *table[spendRecord]
	decisions *table[decisionRing]
}

// poolRecord is what a pool remembers.
type poolRecord struct {
	// Epoch is raised by every order, so that two controllers that order at
	// once ask for the same batch or one of them loses the write.
	Epoch uint64
	// Boots are the last times from order to ready, in seconds.
	Boots []float64 `json:",omitempty"`
	// Starts are the last times from placing an instance to serving.
	Starts []float64 `json:",omitempty"`
}

// appRecord is what an app remembers: a person's orders, and the counter that
// names its instances.
type appRecord struct {
	Next   int
	Manual float64   `json:",omitempty"` // units, until Until
	Delta  int       `json:",omitempty"` // what was asked for, in instances
	Pool   string    `json:",omitempty"`
	Paused bool      `json:",omitempty"`
	Until  time.Time `json:",omitzero"`
	By     string    `json:",omitempty"`
	Why    string    `json:",omitempty"`
}

// nodeRecord is a person's order about a machine (key: its id) or about the
// cluster (nodeDown).
type nodeRecord struct {
	Action string // cordon, drain, replace, down
	By     string
	Why    string    `json:",omitempty"`
	At     time.Time // it was given
}

// spendRecord is a day's money.
type spendRecord struct {
	// Until is the instant up to which money is accounted for.
	Until time.Time
	Pools map[string]float64
	// Hours is by hour of the day, UTC.
	Hours [24]float64
}

// Prefixes of the ledger's keys.
const (
	keyMachines  = "machines/"
	keyOrders    = "orders/"
	keyInstances = "instances/"
	keyPools     = "pools/"
	keyApps      = "apps/"
	keyNodes     = "nodes/"
	keyPolicy    = "policy/"
	keySpend     = "spend/"
	keyDecisions = "decisions/"
)

func newBook() *book {
	return &book{
		machines:  newTable(keyMachines, sameMachine),
		orders:    newTable(keyOrders, sameOrder),
		instances: newTable(keyInstances, sameInstance),
		pools:     newTable(keyPools, sameJSON[poolRecord]),
		apps:      newTable(keyApps, sameJSON[appRecord]),
		nodes:     newTable(keyNodes, sameJSON[nodeRecord]),
		policy:    newTable(keyPolicy, sameJSON[policyMemory]),
		spend:     newTable(keySpend, sameJSON[spendRecord]),
		decisions: newTable(keyDecisions, sameJSON[decisionRing]),
	}
}

// loader is a table seen without its type.
type loader interface {
	load(e ledger.Entry) (bool, error)
	changes() []change
	restore()
	len() int
}

func (b *book) tables() []loader {
	// Counters come first: whoever loses the race for them writes nothing else.
	return []loader{b.pools, b.apps, b.orders, b.machines, b.instances, b.nodes, b.policy, b.spend, b.decisions}
}

// read fills an empty book from the ledger's entries. A document that cannot
// be read is an error: going on without it would forget a machine.
func (b *book) read(entries []ledger.Entry) error {
	for _, e := range entries {
		if err := b.readOne(e); err != nil {
			return err
		}
	}
	return nil
}

func (b *book) readOne(e ledger.Entry) error {
	for _, t := range b.tables() {
		if known, err := t.load(e); known || err != nil {
			return err
		}
	}
	return nil // a newer version's documents are left alone
}

// restore marks every record as never stored, after the ledger was wiped.
func (b *book) restore() {
	for _, t := range b.tables() {
		t.restore()
	}
}

// size counts records.
func (b *book) size() (n int) {
	for _, t := range b.tables() {
		n += t.len()
	}
	return n
}

// clone copies the book so that a plan can be tried.
func (b *book) clone() *book {
	return &book{
		machines: b.machines.clone(), orders: b.orders.clone(), instances: b.instances.clone(),
		pools: b.pools.clone(), apps: b.apps.clone(), nodes: b.nodes.clone(), policy: b.policy.clone(), spend: b.spend.clone(), decisions: b.decisions.clone(),
	}
}

// change is an operation and what to note once it is done.
type change struct {
	op   ledger.Op
	note func(index uint64)
}

// table is records of one kind by id, walked in the order of their ids.
type table[T any] struct {
	prefix string
	rows   map[string]*row[T]
	ids    []string // sorted; nil: to be made
	same   func(a, b T) bool
	dirty  map[string]bool
}

type row[T any] struct {
	v     T
	index uint64 // 0: not stored
	gone  bool   // deleted here, not yet in the ledger
}

func newTable[T any](prefix string, same func(a, b T) bool) *table[T] {
	return &table[T]{prefix: prefix, rows: map[string]*row[T]{}, same: same, dirty: map[string]bool{}}
}

func (t *table[T]) get(id string) (v T, ok bool) {
	if r := t.rows[id]; r != nil && !r.gone {
		return r.v, true
	}
	return v, false
}

// put stores v here; the ledger gets it with the next commit if it changed.
func (t *table[T]) put(id string, v T) {
	r := t.rows[id]
	if r == nil {
		t.rows[id] = &row[T]{v: v}
		t.ids = nil
		t.dirty[id] = true
		return
	}
	if r.gone || !t.same(r.v, v) {
		t.dirty[id] = true
	}
	r.v, r.gone = v, false
}

// drop deletes a record.
func (t *table[T]) drop(id string) {
	r := t.rows[id]
	if r == nil {
		return
	}
	if r.index == 0 {
		t.forget(id)
		return
	}
	r.gone = true
	t.dirty[id] = true
}

func (t *table[T]) forget(id string) {
	delete(t.rows, id)
	delete(t.dirty, id)
	t.ids = nil
}

// all walks the records in the order of ids. Records may be changed, added and
// dropped on the way; those added are not walked.
func (t *table[T]) all() iter.Seq2[string, T] {
	return func(yield func(string, T) bool) {
		for _, id := range t.sorted() {
			if r := t.rows[id]; r != nil && !r.gone && !yield(id, r.v) {
				return
			}
		}
	}
}

func (t *table[T]) sorted() []string {
	if t.ids == nil {
		t.ids = make([]string, 0, len(t.rows))
		for id := range t.rows {
			t.ids = append(t.ids, id)
		}
		slices.Sort(t.ids)
	}
	return t.ids
}

func (t *table[T]) len() int { return len(t.rows) }

func (t *table[T]) load(e ledger.Entry) (known bool, err error) {
	id, known := strings.CutPrefix(e.Key, t.prefix)
	if !known {
		return false, nil
	}
	r := &row[T]{index: e.Index}
	if r.v, err = ledger.Decode[T](e); err != nil {
		return true, err
	}
	t.rows[id] = r
	t.ids = nil
	return true, nil
}

func (t *table[T]) restore() {
	for id, r := range t.rows {
		if r.gone {
			t.forget(id)
			continue
		}
		r.index = 0
		t.dirty[id] = true
	}
}

func (t *table[T]) clone() *table[T] {
	c := newTable(t.prefix, t.same)
	for id, r := range t.rows {
		copied := *r
		c.rows[id] = &copied
	}
	return c
}

// changes lists what the ledger does not have yet, in the order of ids.
func (t *table[T]) changes() []change {
	ids := make([]string, 0, len(t.dirty))
	for id := range t.dirty {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	all := make([]change, 0, len(ids))
	for _, id := range ids {
		all = append(all, t.change(id))
	}
	return all
}

func (t *table[T]) change(id string) change {
	r := t.rows[id]
	op := ledger.Op{Key: t.prefix + id, Index: r.index, Delete: r.gone}
	if !r.gone {
		op.Value = document(r.v)
	}
	return change{op: op, note: func(index uint64) {
		delete(t.dirty, id)
		if r.gone {
			t.forget(id)
			return
		}
		r.index = index
	}}
}

// document is a record as the ledger stores it. It cannot fail: the records
// hold nothing that JSON lacks.
func document[T any](v T) []byte {
	data, err := ledger.Encode(v)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return data
}

// encode is the JSON of a record alone.
func encode(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("BUG: record cannot be encoded: %v", err))
	}
	return data
}

func sameJSON[T any](a, b T) bool { return bytes.Equal(encode(a), encode(b)) }
