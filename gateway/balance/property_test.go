package balance

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"spillway/gateway/upstream"
)

func drawSpecs(t *rapid.T) []upstream.Spec {
	n := rapid.IntRange(1, 8).Draw(t, "servers")
	var specs []upstream.Spec
	for i := range n {
		specs = append(specs, upstream.Spec{
			Addr: fmt.Sprintf("10.0.0.%d:80", i+1), Host: string(rune('a' + i)),
			Weight:      rapid.IntRange(1, 12).Draw(t, "weight"),
			MaxFails:    rapid.IntRange(0, 3).Draw(t, "max_fails"),
			FailTimeout: time.Duration(rapid.IntRange(0, 5).Draw(t, "fail_timeout")) * time.Second,
			MaxConns:    rapid.SampledFrom([]int{0, 0, 1, 3}).Draw(t, "max_conns"),
			Down:        rapid.SampledFrom([]bool{false, false, false, true}).Draw(t, "down"),
			Backup:      rapid.SampledFrom([]bool{false, false, true}).Draw(t, "backup"),
		})
	}
	return specs
}

// In each cycle of as many picks as there is weight, each server is picked
// exactly as often as it weighs, wherever the loop starts.
func TestRoundRobinProportionsAreExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		weights := rapid.SliceOfN(rapid.IntRange(1, 40), 2, 10).Draw(t, "weights")
		var specs []upstream.Spec
		total := 0
		for i, w := range weights {
			total += w
			specs = append(specs, server('a'+byte(i), w))
		}
		policy := rapid.SampledFrom([]string{RoundRobin, LeastConn}).Draw(t, "policy")
		p, err := New(policy, 0, 1)
		if err != nil {
			t.Fatal(err)
		}
		p.Update(newPool(policy, specs...).Load())
		for cycle := range 3 {
			count := map[string]int{}
			for range total {
				count[hostOf(p.Pick(&Request{Now: 1}))]++
			}
			for _, s := range specs {
				if count[s.Host] != s.Weight {
					t.Fatalf("cycle %d: %s of weight %d was picked %d times", cycle, s.Host, s.Weight, count[s.Host])
				}
			}
		}
	})
}

// The head start that sets loops apart costs at most one pick in any cycle.
func TestStartOffsetKeepsProportions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		weights := rapid.SliceOfN(rapid.IntRange(1, 40), 2, 10).Draw(t, "weights")
		var specs []upstream.Spec
		total := 0
		for i, w := range weights {
			total += w
			specs = append(specs, server('a'+byte(i), w))
		}
		loops := rapid.IntRange(2, 4).Draw(t, "loops")
		p, err := New(RoundRobin, rapid.IntRange(0, loops-1).Draw(t, "loop"), loops)
		if err != nil {
			t.Fatal(err)
		}
		p.Update(newPool(RoundRobin, specs...).Load())
		count := map[string]int{}
		for range 5 * total {
			count[hostOf(p.Pick(&Request{Now: 1}))]++
		}
		for _, s := range specs {
			if off := count[s.Host] - 5*s.Weight; off < -1 || off > 1 {
				t.Fatalf("%s of weight %d was picked %d times in 5 cycles", s.Host, s.Weight, count[s.Host])
			}
		}
	})
}

// model drives two loops over one pool through random events. The oracle
// knows which servers may be picked from the servers' own state.
type model struct {
	pool    *upstream.Pool
	pickers [2]Picker
	now     int64
	live    []*upstream.Entry
}

func (m *model) update() {
	for _, p := range m.pickers {
		p.Update(m.pool.Load())
	}
}

// usable lists the servers that may be picked: primaries if there are any,
// else backups.
func (m *model) usable(tried []*upstream.Server) []*upstream.Server {
	entries := m.pool.Load().Entries
	var groups [2][]*upstream.Server
	for i := range entries {
		e := &entries[i]
		spec := e.Spec
		if len(entries) == 1 {
			spec.MaxFails = 0 // nowhere else to go
		}
		if slices.Contains(tried, e.Server) || e.Unavailable(&spec, m.now) != "" {
			continue
		}
		g := 0
		if e.Spec.Backup {
			g = 1
		}
		groups[g] = append(groups[g], e.Server)
	}
	if len(groups[0]) > 0 {
		return groups[0]
	}
	return groups[1]
}

// request tries servers until one answers or none is left.
func (m *model) request(t *rapid.T) {
	p := m.pickers[rapid.IntRange(0, 1).Draw(t, "loop")]
	req := &Request{Now: m.now, Key: rapid.SliceOfN(rapid.Byte(), 0, 4).Draw(t, "key")}
	for {
		allowed := m.usable(req.Tried)
		e := p.Pick(req)
		switch {
		case e == nil && len(allowed) > 0:
			t.Fatalf("picked none with %d left, e.g. %s", len(allowed), allowed[0].Addr)
		case e == nil:
			return
		case !slices.Contains(allowed, e.Server):
			t.Fatalf("picked %s (%q, tried %v), allowed %d others", e.Addr, e.Unavailable(&e.Spec, m.now), slices.Contains(req.Tried, e.Server), len(allowed))
		}
		e.Inflight.Add(1)
		if rapid.IntRange(0, 2).Draw(t, "fails") > 0 {
			m.live = append(m.live, e)
			return
		}
		e.Inflight.Add(-1)
		p.Report(e, true, m.now)
		req.Tried = append(req.Tried, e.Server)
	}
}

func (m *model) finish(t *rapid.T) {
	if len(m.live) == 0 {
		return
	}
	i := rapid.IntRange(0, len(m.live)-1).Draw(t, "which")
	e := m.live[i]
	m.live = slices.Delete(m.live, i, i+1)
	e.Inflight.Add(-1)
	m.pickers[0].Report(e, rapid.Bool().Draw(t, "failed"), m.now)
}

func TestPicksOnlyWhatMayBePicked(t *testing.T) {
	for _, policy := range Policies() {
		t.Run(policy, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				m := &model{pool: newPool(policy, drawSpecs(t)...), now: second}
				for loop := range m.pickers {
					p, err := New(policy, loop, 2)
					if err != nil {
						t.Fatal(err)
					}
					m.pickers[loop] = p
				}
				m.update()
				t.Repeat(map[string]func(*rapid.T){
					"request": m.request,
					"finish":  m.finish,
					"wait":    func(t *rapid.T) { m.now += rapid.Int64Range(0, 4*second).Draw(t, "ns") },
					"apply": func(t *rapid.T) {
						m.pool.Apply(drawSpecs(t), upstream.Meta{})
						m.update()
					},
				})
			})
		})
	}
}
