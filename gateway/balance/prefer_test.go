package balance

import (
	"strings"
	"testing"

	"spillway/gateway/upstream"
)

func TestPreferredServerIsPicked(t *testing.T) {
	for _, policy := range Policies() {
		specs := append(equals(4), backup(server('x', 1)))
		specs[2].MaxConns = 1
		f := newFixture(t, policy, specs...)
		entries := f.pool.Load().Entries
		pick := func(i int, tried ...*upstream.Server) string {
			return hostOf(f.picker.Pick(&Request{Now: second, Key: []byte("k"), Prefer: entries[i].Server, Tried: tried}))
		}
		var got []string
		for i := range 4 {
			got = append(got, pick(i), pick(i))
		}
		if g := strings.Join(got, ""); g != "aabbccdd" {
			t.Errorf("%s: %s", policy, g)
		}
		f.stand("b", upstream.Standing(0).WithShare(1))
		if got := pick(1); got != "b" {
			t.Errorf("%s: %s instead of one that starts slowly", policy, got)
		}
		// Whom it may not have, and a backup, it does not get.
		entries[2].Inflight.Store(1)
		f.stand("d", upstream.Ejected)
		f.picker.Report(&entries[1], true, second)
		for i, tried := range [][]*upstream.Server{{entries[0].Server}, nil, nil, nil, nil} {
			got := pick(i, tried...)
			if got == hostOf(&entries[i]) {
				t.Errorf("%s: got %s", policy, got)
			}
		}
		req := &Request{Now: second, Prefer: entries[0].Server}
		if n := testing.AllocsPerRun(100, func() { f.picker.Pick(req) }); n != 0 {
			t.Errorf("%s: %v allocations", policy, n)
		}
	}
}

func TestPreferredServerThatLeft(t *testing.T) {
	f := newFixture(t, RoundRobin, equals(3)...)
	gone := f.pool.Load().Entries[0].Server
	f.apply(equals(3)[1:]...)
	for range 4 {
		if e := f.picker.Pick(&Request{Now: second, Prefer: gone}); e == nil || e.Server == gone {
			t.Fatalf("picked %s", hostOf(e))
		}
	}
}
