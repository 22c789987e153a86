//go:build !race

package placement

import "testing"

// An ask costs its assignment, however many hosts are looked at.
func TestPlacingAllocatesNothingPerHost(t *testing.T) {
	per := func(asks int) float64 {
		hosts, all := crowd(10_000, 10)
		for i := range all {
			all[i].Ports = nil // a map in the assignment
		}
		return testing.AllocsPerRun(1, func() { Default{}.Plan(hosts, all[:asks], noon) })
	}
	few, many := per(5_000), per(10_000)
	if each := (many - few) / 5_000; each > 1 {
		t.Errorf("%.2f allocations an ask (%.0f for 5,000, %.0f for 10,000)", each, few, many)
	}
}
