package ledger

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"spillway/scaler/fleet"
)

func machine() fleet.Machine {
	at := time.Date(2026, 3, 1, 12, 0, 0, 5, time.UTC)
	return fleet.Machine{
		ID: "web-1-1", Pool: "web", State: fleet.MachineReady, Since: at, CloudID: "i-1", CPU: 2, Memory: 1 << 32,
		Labels: map[string]string{"idc": "a"}, Quantum: time.Hour, Stages: []fleet.Stage{{Name: "ready", At: at}},
		Attempts: fleet.Attempts{Tries: 2, Tried: at, Retry: at},
	}
}

func write(t *testing.T, s Store, ops ...Op) {
	t.Helper()
	if _, err := s.Commit(t.Context(), Fence{}, ops); err != nil {
		t.Fatal(err)
	}
}

func op[T any](t *testing.T, put func(T) (Op, error), record T) Op {
	t.Helper()
	o, err := put(record)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestRecordsComeBackAsTheyWere(t *testing.T) {
	s := NewMemory()
	m := machine()
	o := fleet.Order{ID: "web-1-0", Slots: []string{"web-1-1"}, State: fleet.OrderBound, Bound: map[string]fleet.Bound{"web-1-1": {CloudID: "i-1"}}}
	i := fleet.Instance{ID: "shop-web-1", Machine: "web-1-1", Ports: map[int]int{80: 20001}, State: fleet.InstanceServing}
	write(t, s, op(t, PutMachine, m), op(t, PutOrder, o), op(t, PutInstance, i), set("pools/web", `{"v":1}`, 0))
	r, err := Load(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	m.Index, o.Index, i.Index = 1, 1, 1
	want := Records{
		Machines:  map[string]fleet.Machine{m.ID: m},
		Orders:    map[string]fleet.Order{o.ID: o},
		Instances: map[string]fleet.Instance{i.ID: i},
		Other:     map[string]Entry{"pools/web": {Key: "pools/web", Value: []byte(`{"v":1}`), Index: 1}},
	}
	if diff := cmp.Diff(want, r); diff != "" {
		t.Errorf("loaded:\n%s", diff)
	}
	if m.Index = r.Machines[m.ID].Index; m.Index == 0 {
		t.Fatal("no index")
	}
	m.Reason = "changed"
	write(t, s, op(t, PutMachine, m)) // over the index it was loaded with
}

func TestBadDocumentsAreReportedAndKept(t *testing.T) {
	bad := map[string]string{
		"machines/cut":      `{"v":1,"record":{"ID":"c`,
		"machines/other":    `{"v":1,"record":{"ID":"web-1-1"}}`,
		"machines/shape":    `{"v":1,"record":{"ID":7}}`,
		"machines/newer":    `{"v":2,"record":{"ID":"newer"}}`,
		"orders/":           `{"v":1,"record":{"ID":"x"}}`,
		"orders/none":       `{"v":1}`,
		"orders/null":       `{"v":1,"record":null}`,
		"instances/nothing": ``,
		"instances/list":    `[]`,
	}
	s := NewMemory()
	write(t, s, op(t, PutMachine, machine()))
	for key, value := range bad {
		write(t, s, set(key, value, 0))
	}
	r, err := Load(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Machines) != 1 || len(r.Orders)+len(r.Instances)+len(r.Other) != 0 {
		t.Errorf("loaded %+v", r)
	}
	if len(r.Bad) != len(bad) {
		t.Errorf("%d bad documents, want %d", len(r.Bad), len(bad))
	}
	for _, b := range r.Bad {
		if _, ok := bad[b.Key]; !ok || b.Err == nil || !strings.Contains(b.Err.Error(), b.Key) || b.Index == 0 {
			t.Errorf("%q: %v", b.Key, b.Err)
		}
	}
	if entries, _ := s.List(t.Context(), ""); len(entries) != len(bad)+1 {
		t.Errorf("%d documents are left", len(entries))
	}
}

func TestUnknownFieldsAreTolerated(t *testing.T) {
	e := Entry{Key: "machines/a", Value: []byte(`{"v":1,"who":"newer","record":{"ID":"a","Colour":"red","State":"ready"}}`)}
	m, err := Decode[fleet.Machine](e)
	if err != nil || m.ID != "a" || m.State != fleet.MachineReady {
		t.Errorf("%+v, %v", m, err)
	}
}

func TestLoadTellsEmptyFromFailed(t *testing.T) {
	s := NewMemory()
	if r, err := Load(t.Context(), s); err != nil || !r.Empty() {
		t.Errorf("empty: %+v, %v", r, err)
	}
	write(t, s, set("machines/bad", "x", 0))
	if r, err := Load(t.Context(), s); err != nil || r.Empty() {
		t.Errorf("with a bad document: %+v, %v", r, err)
	}
	s.Inject(func([]Op) Fault { return Refuse })
	if _, err := Load(t.Context(), s); !errors.Is(err, errInjected) {
		t.Errorf("failed: %v", err)
	}
}

func TestPackKeepsGroupsTogetherAndInOrder(t *testing.T) {
	group := func(n, size int) (ops []Op) {
		for range n {
			ops = append(ops, Op{Key: "k", Value: make([]byte, size-1)})
		}
		return ops
	}
	for _, c := range []struct {
		name   string
		groups [][]Op
		want   []int
	}{
		{"nothing", nil, nil},
		{"empty groups", [][]Op{{}, {}}, nil},
		{"few", [][]Op{group(3, 10), group(4, 10)}, []int{7}},
		{"as many as fit", [][]Op{group(100, 10), group(27, 10), group(1, 10)}, []int{127, 1}},
		{"a group that does not fit beside", [][]Op{group(100, 10), group(28, 10)}, []int{100, 28}},
		{"large", [][]Op{group(1, MaxBytes), group(1, 10), group(1, MaxBytes-9)}, []int{1, 1, 1}},
		{"too large by itself", [][]Op{group(1, 10), group(128, 10), group(1, 10)}, []int{1, 128, 1}},
	} {
		var got []int
		for _, batch := range Pack(c.groups) {
			got = append(got, len(batch))
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
	}
}

func FuzzDecode(f *testing.F) {
	good, err := Encode(machine())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"v":1,"record":{"ID":"a"}}`))
	f.Add([]byte(`{"v":1,"record":[]}`))
	f.Fuzz(func(t *testing.T, value []byte) {
		m, err := Decode[fleet.Machine](Entry{Key: "machines/a", Value: value})
		if err != nil {
			return
		}
		again, err := Encode(m)
		if err != nil {
			t.Fatalf("cannot write what was read: %v", err)
		}
		m2, err := Decode[fleet.Machine](Entry{Key: "machines/a", Value: again})
		if err != nil {
			t.Fatalf("cannot read what was written: %v", err)
		}
		if diff := cmp.Diff(m, m2); diff != "" {
			t.Errorf("changed on the way:\n%s", diff)
		}
	})
}
