package balance

import (
	"fmt"
	"testing"
	"time"

	"spillway/gateway/upstream"
)

func manySpecs(n int) []upstream.Spec {
	var specs []upstream.Spec
	for i := range n {
		specs = append(specs, upstream.Spec{
			Addr: fmt.Sprintf("10.0.%d.%d:80", i/250, 1+i%250), Weight: 1 + i%3, MaxFails: 2, FailTimeout: 10 * time.Second,
		})
	}
	return specs
}

// BenchmarkPick is with nothing in flight, BenchmarkPickLoaded with a few
// requests at each server and latencies known.
func BenchmarkPick(b *testing.B) { benchmarkPick(b, 0) }

func BenchmarkPickLoaded(b *testing.B) { benchmarkPick(b, 3) }

func benchmarkPick(b *testing.B, flying int64) {
	for _, policy := range Policies() {
		for _, n := range []int{10, 1000} {
			b.Run(fmt.Sprintf("%s/%d", policy, n), func(b *testing.B) {
				f := newFixture(b, policy, manySpecs(n)...)
				for i := range f.pool.Load().Entries {
					e := &f.pool.Load().Entries[i]
					e.Inflight.Store(flying)
					e.Latency.Observe(int64(10*time.Millisecond), second/2, upstream.DefaultDecay)
				}
				req := &Request{Now: second, Key: []byte("0123456789abcdef")}
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					req.Key[i&7] = byte(i)
					if f.picker.Pick(req) == nil {
						b.Fatal("no server")
					}
				}
			})
		}
	}
}

// BenchmarkUpdate is what a loop pays for a new snapshot, BenchmarkPrepare
// what the applying goroutine pays for a ring.
func BenchmarkUpdate(b *testing.B) {
	for _, policy := range []string{RoundRobin, HashConsistent} {
		for _, n := range []int{45, 1000} {
			b.Run(fmt.Sprintf("%s/%d", policy, n), func(b *testing.B) {
				f := newFixture(b, policy, manySpecs(n)...)
				for b.Loop() {
					f.picker.Update(f.pool.Load())
				}
			})
		}
	}
}

func BenchmarkPrepare(b *testing.B) {
	for _, policy := range []string{HashConsistent, Maglev} {
		for _, n := range []int{45, 1000} {
			b.Run(fmt.Sprintf("%s/%d", policy, n), func(b *testing.B) {
				snap := newPool(policy, manySpecs(n)...).Load()
				for b.Loop() {
					Prepare(policy)(snap)
				}
			})
		}
	}
}
