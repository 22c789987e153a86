//go:build !race

package balance

import (
	"testing"

	"spillway/gateway/upstream"
)

func TestPickAndReportAllocateNothing(t *testing.T) {
	for _, policy := range Policies() {
		f := newFixture(t, policy, server('a', 5), server('b', 1), down(server('c', 2)), server('d', 3), backup(server('x', 1)))
		entries := f.pool.Load().Entries
		req := &Request{Now: second, Key: []byte("/some/uri?with=query")}
		n := testing.AllocsPerRun(1000, func() {
			req.Now += second / 10
			req.Tried = append(req.Tried[:0], entries[0].Server)
			if e := f.picker.Pick(req); e != nil {
				f.picker.Report(e, req.Now%(7*second/10) == 0, req.Now)
			}
		})
		if n != 0 {
			t.Errorf("%s: %v allocations", policy, n)
		}
		// All primaries gone: the way to the backup.
		req.Tried = []*upstream.Server{entries[0].Server, entries[1].Server, entries[3].Server}
		if n := testing.AllocsPerRun(100, func() { f.picker.Pick(req) }); n != 0 {
			t.Errorf("%s, backup: %v allocations", policy, n)
		}
	}
}
