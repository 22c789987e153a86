package exec

import (
	"testing"

	"spillway/scaler/cloud"
)

// Whatever a program writes, decode neither panics nor lets through what the
// contract does not allow.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"machines":[{"id":"i-1","state":"running","created":"2026-03-01T12:00:00Z","tags":{"a":"b"}}]}`), uint8(0))
	f.Add([]byte(`{"error":{"kind":"rate_limited","after_ms":1e3}}`), uint8(1))
	f.Add([]byte(`{"error":{"kind":"rate_limited","after_ms":-1}}`), uint8(1))
	f.Add([]byte(`{"description":{"name":"x","max_batch":1,"limits":{"":{"rate":1,"burst":1}}}}`), uint8(2))
	f.Add([]byte(`{"offerings":[{"type":"x","cpu":1,"price_hour":1e300}]}`), uint8(3))
	f.Add([]byte(`{"events":[{"id":"i","kind":"reclaim"}]}`), uint8(4))
	f.Add([]byte(`{} {}`), uint8(5))
	f.Add([]byte(`null`), uint8(2))
	ops := []string{cloud.OpCreate, cloud.OpList, opDescribe, cloud.OpOfferings, cloud.OpEvents, cloud.OpDelete}
	f.Fuzz(func(t *testing.T, b []byte, op uint8) {
		q := question{Op: ops[int(op)%len(ops)], Request: &request{Count: 2}}
		a, err := decode(b, q)
		if err != nil {
			return
		}
		if a.Error != nil {
			e, ok := a.Error.contract(q, nil).(*cloud.Error)
			if !ok || e.After < 0 || e.Kind.String() != a.Error.Kind {
				t.Fatalf("error %+v became %+v", a.Error, e)
			}
			return
		}
		checkAnswer(t, q, a)
	})
}

func checkAnswer(t *testing.T, q question, a answer) {
	t.Helper()
	switch q.Op {
	case cloud.OpCreate, cloud.OpList:
		ids := map[string]bool{}
		for _, m := range machines(a.Machines) {
			ids[m.ID] = true
		}
		if len(ids) != len(a.Machines) || ids[""] || (q.Op == cloud.OpCreate && (len(ids) == 0 || len(ids) > 2)) {
			t.Fatalf("%s answered with %v", q.Op, ids)
		}
	case opDescribe:
		if d := a.Description.contract(); d.Name == "" || d.MaxBatch < 1 || d.ListLag < 0 {
			t.Fatalf("description %+v", d)
		}
	case cloud.OpOfferings:
		for _, o := range a.Offerings {
			if c := o.contract(); c.PriceHour < 0 || c.Quantum < 0 || c.CPU < 0 {
				t.Fatalf("offering %+v", c)
			}
		}
	}
}
