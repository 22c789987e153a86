package ledger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
)

// Fault is what a Memory does wrong on purpose.
type Fault int

// The faults.
const (
	NoFault    Fault = iota
	Refuse           // nothing is done, the answer is an error of no kind
	LoseAnswer       // all is done, the answer is an error of no kind
	Conflict         // as if someone else had changed a document
	Fenced           // as if the lead were lost
)

// errInjected is the answer of a store whose real answer was lost.
var errInjected = errors.New("no answer")

// Memory is a Store in memory. It takes the writes of one fence alone: the zero
// Fence until Lead.
type Memory struct {
	mu    sync.Mutex
	docs  map[string]Entry
	index uint64
	fence Fence
	// fault is asked before each Commit, and with no ops before each List.
	fault func(ops []Op) Fault
}

// NewMemory returns an empty store.
func NewMemory() *Memory { return &Memory{docs: map[string]Entry{}} }

// Lead makes f the only fence that holds.
func (m *Memory) Lead(f Fence) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fence = f
}

// Holds returns nil if f is the fence that holds, else ErrFenced.
func (m *Memory) Holds(f Fence) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if f != m.fence {
		return ErrFenced
	}
	return nil
}

// Inject has f decide about the fault of each Commit, and of each List, for
// which ops is nil. f must not call the store. nil ends it.
func (m *Memory) Inject(f func(ops []Op) Fault) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fault = f
}

// Wipe loses everything but the lead.
func (m *Memory) Wipe() {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.docs)
}

// List implements Store.
func (m *Memory) List(ctx context.Context, prefix string) ([]Entry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := firstOf(ctx.Err(), m.injected(nil)); err != nil {
		return nil, fmt.Errorf("cannot list %q: %w", prefix, err)
	}
	var found []Entry
	for key, e := range m.docs {
		if strings.HasPrefix(key, prefix) {
			e.Value = bytes.Clone(e.Value)
			found = append(found, e)
		}
	}
	slices.SortFunc(found, func(a, b Entry) int { return strings.Compare(a.Key, b.Key) })
	return found, nil
}

// Commit implements Store.
func (m *Memory) Commit(ctx context.Context, f Fence, ops []Op) ([]uint64, error) {
	if err := check(ops); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	fault := m.chosen(ops)
	if err := firstOf(ctx.Err(), fault.before()); err != nil {
		return nil, fmt.Errorf("cannot write %d documents: %w", len(ops), err)
	}
	if f != m.fence {
		return nil, fmt.Errorf("cannot write %d documents: %w", len(ops), ErrFenced)
	}
	for _, op := range ops {
		if have, ok := m.docs[op.Key]; have.Index != op.Index && (ok || !op.Delete) {
			return nil, fmt.Errorf("cannot write %q: %w", op.Key, ErrConflict)
		}
	}
	indexes := m.apply(ops)
	if fault == LoseAnswer {
		return nil, fmt.Errorf("cannot write %d documents: %w", len(ops), errInjected)
	}
	return indexes, nil
}

func (m *Memory) apply(ops []Op) []uint64 {
	m.index++ // one for all, as in Consul
	indexes := make([]uint64, len(ops))
	for i, op := range ops {
		if op.Delete {
			delete(m.docs, op.Key)
			continue
		}
		e := Entry{Key: op.Key, Value: bytes.Clone(op.Value), Index: m.index}
		if have, ok := m.docs[op.Key]; ok && bytes.Equal(have.Value, op.Value) {
			e.Index = have.Index // as in Consul: nothing changed
		}
		m.docs[op.Key] = e
		indexes[i] = e.Index
	}
	return indexes
}

func (m *Memory) chosen(ops []Op) Fault {
	if m.fault == nil {
		return NoFault
	}
	return m.fault(ops)
}

// injected is the error of a List; a lost answer and a refusal are the same.
func (m *Memory) injected(ops []Op) error {
	if m.chosen(ops) == NoFault {
		return nil
	}
	return errInjected
}

// before is the error with which nothing is done.
func (f Fault) before() error {
	switch f {
	case Refuse:
		return errInjected
	case Conflict:
		return ErrConflict
	case Fenced:
		return ErrFenced
	default:
		return nil
	}
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
