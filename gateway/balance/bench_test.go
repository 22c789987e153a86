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

func BenchmarkPick(b *testing.B) {
	for _, policy := range Policies() {
		for _, n := range []int{10, 1000} {
			b.Run(fmt.Sprintf("%s/%d", policy, n), func(b *testing.B) {
				f := newFixture(b, policy, manySpecs(n)...)
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
	snap := newPool(HashConsistent, manySpecs(45)...).Load()
	for b.Loop() {
		Prepare(HashConsistent)(snap)
	}
}
