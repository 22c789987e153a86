package scaler

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"spillway/scaler/fleet"
	"spillway/scaler/ledger"
)

// recorder is a store that keeps what each transaction held.
type recorder struct {
	*ledger.Memory
	batches [][]string
	fail    int // the n-th transaction, counted from 1
}

var errStore = errors.New("no")

func (r *recorder) Commit(ctx context.Context, f ledger.Fence, ops []ledger.Op) ([]uint64, error) {
	var keys []string
	for _, op := range ops {
		keys = append(keys, op.Key)
	}
	r.batches = append(r.batches, keys)
	if len(r.batches) == r.fail {
		return nil, errStore
	}
	return r.Memory.Commit(ctx, f, ops)
}

// ordered is a book with an order of count machines.
func ordered(b *book, id string, count int) {
	o := fleet.Order{ID: id}
	for n := range count {
		o.Slots = append(o.Slots, fmt.Sprintf("%s-%d", id, n+1))
	}
	b.orders.put(id, o)
	for _, slot := range o.Slots {
		b.machines.put(slot, fleet.Machine{ID: slot, Order: id})
	}
}

func TestOrdersAndTheirSlotsAreWrittenTogetherAfterTheCounters(t *testing.T) {
	b, r := newBook(), &recorder{Memory: ledger.NewMemory()}
	for n := range 5 {
		ordered(b, fmt.Sprintf("rent-%d", n), 60)
	}
	b.pools.put("rent", poolRecord{Epoch: 5})
	if err := b.commit(context.Background(), r, ledger.Fence{}); err != nil {
		t.Fatal(err)
	}
	if r.batches[0][0] != "pools/rent" {
		t.Errorf("the first write is %s, want the counter", r.batches[0][0])
	}
	for _, batch := range r.batches {
		if len(batch) > ledger.MaxOps {
			t.Errorf("a transaction of %d operations", len(batch))
		}
		slots := map[string]int{}
		for _, key := range batch {
			if id, ok := strings.CutPrefix(key, keyMachines); ok {
				slots[id[:strings.LastIndexByte(id, '-')]]++
			}
		}
		for order, n := range slots {
			if n != 60 {
				t.Errorf("%d slots of order %s in one transaction, want all 60", n, order)
			}
		}
	}
}

func TestAfterAnErrorNothingMoreIsWritten(t *testing.T) {
	b, r := newBook(), &recorder{Memory: ledger.NewMemory(), fail: 2}
	for n := range 5 {
		ordered(b, fmt.Sprintf("rent-%d", n), 60)
	}
	if err := b.commit(context.Background(), r, ledger.Fence{}); !errors.Is(err, errStore) {
		t.Fatalf("error is %v", err)
	}
	if len(r.batches) != 2 {
		t.Errorf("%d transactions were tried, want 2", len(r.batches))
	}
}

func TestABookIsReadAsItWasWritten(t *testing.T) {
	b, store := newBook(), ledger.NewMemory()
	ordered(b, "rent-1", 2)
	m, _ := b.machines.get("rent-1-1")
	m.State, m.Since, m.Labels = fleet.MachineReady, time.Unix(100, 0).UTC(), map[string]string{"idc": "rent"}
	b.machines.put(m.ID, m)
	b.instances.put("web-1", fleet.Instance{ID: "web-1", Machine: m.ID, Ports: map[int]int{8080: 20001}})
	b.apps.put("web", appRecord{Next: 2})
	commit := func() {
		t.Helper()
		if err := b.commit(context.Background(), store, ledger.Fence{}); err != nil {
			t.Fatal(err)
		}
	}
	commit()
	b.instances.drop("web-1")
	b.machines.drop("rent-1-2")
	commit()
	entries, err := store.List(context.Background(), "")
	if err != nil {
		t.Fatal(err)
	}
	again := newBook()
	if err := again.read(entries); err != nil {
		t.Fatal(err)
	}
	got, _ := again.machines.get("rent-1-1")
	if diff := cmp.Diff(m, got); diff != "" {
		t.Errorf("machine differs (-written +read):\n%s", diff)
	}
	if n := again.size(); n != 3 {
		t.Errorf("%d records are read, want the order, a machine and the app", n)
	}
	if records, memories := again.changes(); len(records)+len(memories) != 0 {
		t.Error("a book that was just read has changes")
	}
}

func TestUnchangedRecordsAreNotWritten(t *testing.T) {
	b, r := newBook(), &recorder{Memory: ledger.NewMemory()}
	ordered(b, "rent-1", 1)
	for range 3 {
		m, _ := b.machines.get("rent-1-1")
		b.machines.put(m.ID, m)
		if err := b.commit(context.Background(), r, ledger.Fence{}); err != nil {
			t.Fatal(err)
		}
	}
	if len(r.batches) != 1 {
		t.Errorf("%d transactions, want 1", len(r.batches))
	}
}

func TestUnreadableRecordsAreAnError(t *testing.T) {
	err := newBook().read([]ledger.Entry{{Key: "machines/a", Value: []byte("{")}})
	if err == nil || !strings.Contains(err.Error(), "machines/a") {
		t.Errorf("error is %v, want one that names the record", err)
	}
}

func TestTransactionsKeepToTheLimitOfBytes(t *testing.T) {
	b, r := newBook(), &recorder{Memory: ledger.NewMemory()}
	for n := range 20 {
		app := fmt.Sprintf("app-%d", n)
		b.decisions.put(app, decisionRing{Whys: []why{{Reasons: []string{strings.Repeat("x", ringBytes)}}}})
	}
	b.pools.put("rent", poolRecord{Epoch: 1})
	if err := b.commit(context.Background(), r, ledger.Fence{}); err != nil {
		t.Fatal(err)
	}
	if len(r.batches[0]) != 1 {
		t.Errorf("the first transaction holds %v, want the records without the decisions", r.batches[0])
	}
	if len(r.batches) < 5 {
		t.Errorf("%d transactions for %d bytes", len(r.batches), 20*ringBytes)
	}
}
