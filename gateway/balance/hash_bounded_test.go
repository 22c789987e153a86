package balance

import (
	"fmt"
	"math"
	"testing"
	"time"

	"spillway/gateway/upstream"
)

// While nobody is above its bound it is hash_consistent.
func TestHashBoundedIsTheRingWhileIdle(t *testing.T) {
	specs := []upstream.Spec{server('a', 3), server('b', 1), down(server('c', 4)), server('d', 2)}
	bounded, plain := newFixture(t, HashBounded, specs...), newFixture(t, HashConsistent, specs...)
	for i := range 1000 {
		r := Request{Now: second, Key: fmt.Appendf(nil, "key-%d", i)}
		other := r
		if got, want := hostOf(bounded.picker.Pick(&r)), hostOf(plain.picker.Pick(&other)); got != want {
			t.Fatalf("%s: %s, hash_consistent %s", r.Key, got, want)
		}
	}
}

// The theorem's promise, at each arrival: nobody has more than the bound times
// its part, rounded up, of all in flight; also with one key for everything.
func TestHashBoundedKeepsTheBound(t *testing.T) {
	for _, bound := range []float64{1, 1.25, 2} {
		for _, keys := range []int{1, 20, 100000} {
			s := simulate(t, HashBounded, upstream.Tuning{Bound: bound}, 2,
				server('a', 1), server('b', 2), server('c', 1), server('d', 4), server('e', 2))
			entries := s.pool.Load().Entries
			total := int64(0)
			for i := range 3000 {
				r := &Request{Now: second, Key: fmt.Appendf(nil, "key-%d", s.rand.IntN(keys))}
				e := s.pickers[i%2].Pick(r)
				flying := e.Inflight.Add(1)
				total++
				most := math.Ceil(bound * float64(total) * float64(e.Spec.Weight) / 10)
				if float64(flying) > most {
					t.Fatalf("bound %v, %d keys: %s has %d of %d in flight, at most %v", bound, keys, hostOf(e), flying, total, most)
				}
				if leave := &entries[s.rand.IntN(len(entries))]; leave.Inflight.Load() > 0 && i%3 == 0 {
					leave.Inflight.Add(-1)
					total--
				}
			}
		}
	}
}

// Keys stay where they are as far as loads allow: the looser the bound the
// more of them.
func TestHashBoundedKeepsKeysInPlace(t *testing.T) {
	last := 0.0
	for _, bound := range []float64{1.05, 1.25, 2, 4} {
		s := simulate(t, HashBounded, upstream.Tuning{Bound: bound}, 1, equals(10)...)
		home := newFixture(t, HashConsistent, equals(10)...)
		kept := 0
		const n = 5000
		for i := range n {
			key := fmt.Appendf(nil, "key-%d", s.rand.IntN(10000))
			e := s.pickers[0].Pick(&Request{Now: second, Key: key})
			if hostOf(e) == hostOf(home.picker.Pick(&Request{Now: second, Key: key})) {
				kept++
			}
			e.Inflight.Add(1)
			if i >= 200 { // some two hundred in flight
				entries := s.pool.Load().Entries
				for leave := &entries[s.rand.IntN(10)]; ; leave = &entries[s.rand.IntN(10)] {
					if leave.Inflight.Load() > 0 {
						leave.Inflight.Add(-1)
						break
					}
				}
			}
		}
		if part := float64(kept) / n; part < last-0.02 || bound >= 2 && part < 0.95 || part < 0.5 {
			t.Errorf("bound %v: %.3f of the keys at home, with a tighter one %.3f", bound, part, last)
		} else {
			last = part
		}
	}
}

// A slow server fills its part and no more; the others take its keys.
func TestHashBoundedOfASlowServer(t *testing.T) {
	for _, loops := range []int{1, 4} {
		s := simulate(t, HashBounded, upstream.Tuning{}, loops, equals(10)...)
		s.took[server('c', 1).Addr] = 100 * time.Millisecond
		s.run(2 * time.Second)
		s.run(10 * time.Second)
		if got := s.share('c'); got > 0.05 || got == 0 {
			t.Errorf("%d loops: the slow one got %.4f", loops, got)
		}
		if s.failed != 0 {
			t.Errorf("%d picks found nobody", s.failed)
		}
	}
}

func TestHashBoundedPassesByWhoIsFull(t *testing.T) {
	specs := equals(3)
	for i := range specs {
		specs[i].MaxConns = 2
	}
	f := newFixture(t, HashBounded, specs...)
	for n := range 7 {
		e := f.picker.Pick(&Request{Now: second, Key: []byte("k")})
		if (e == nil) != (n == 6) {
			t.Fatalf("request %d: %s", n, hostOf(e))
		}
		if e != nil {
			e.Inflight.Add(1)
		}
	}
}
