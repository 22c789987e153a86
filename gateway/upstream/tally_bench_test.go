package upstream

import "testing"

func TestObservingAllocatesNothing(t *testing.T) {
	s := newServer("10.0.0.1:80")
	for _, tally := range []*Tally{nil, {Gateway: 5, Errors: 5, Suspect: func(*Server) {}}} {
		s.Watch(tally)
		if n := testing.AllocsPerRun(1000, func() { s.Observe(Answered, 200, 5); s.Observe(Late, 0, 0) }); n != 0 {
			t.Errorf("%v allocations", n)
		}
	}
}

// BenchmarkObserve: what an attempt costs while nobody counts, and while
// somebody does.
func BenchmarkObserve(b *testing.B) {
	for name, tally := range map[string]*Tally{"off": nil, "on": {Gateway: 5}} {
		b.Run(name, func(b *testing.B) {
			s := newServer("10.0.0.1:80")
			s.Watch(tally)
			b.ReportAllocs()
			for b.Loop() {
				s.Observe(Answered, 200, 1000)
			}
		})
	}
}

// BenchmarkBarred: what a picker pays for a server in good standing.
func BenchmarkBarred(b *testing.B) {
	s := newServer("10.0.0.1:80")
	n := 0
	for b.Loop() {
		if w := s.Standing(); w != 0 && w.Barred() {
			n++
		}
	}
}
