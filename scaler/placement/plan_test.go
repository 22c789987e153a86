package placement

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTheFirstOfHostsWithOneIDCounts(t *testing.T) {
	hosts := []Host{{ID: "h", Ready: true, CPU: 1, Link: -1}, {ID: "h", Ready: true, CPU: 8, Link: -1}}
	r := Default{}.Plan(hosts, []Ask{{ID: "a", CPU: 1}, {ID: "b", CPU: 1}}, noon)
	if len(r.Assigned) != 1 || len(r.Rejected) != 1 || r.Rejected[0].Counts[FilterCPU] != 1 {
		t.Errorf("planned %+v", r)
	}
}

func TestNumbersThatAreNone(t *testing.T) {
	odd := []Host{
		{ID: "nan", Ready: true, CPU: math.NaN(), Memory: -1, Price: math.NaN(), Link: math.NaN()},
		{ID: "less", Ready: true, CPU: -4, Memory: math.MinInt64, UsedCPU: -1, UsedMemory: -1, Containers: -1, Slots: -1, Link: -1},
		{ID: "endless", Ready: true, CPU: math.Inf(1), Memory: math.MaxInt64, Link: -1, PortFrom: -5, PortTo: 1 << 40},
	}
	asks := []Ask{
		{ID: "a", CPU: 1, Memory: 1, Ports: []Port{{Container: 80}}},
		{ID: "b", CPU: math.NaN()},
		{ID: "c", CPU: math.Inf(1), Memory: math.MaxInt64, PPS: math.MaxInt64, Link: math.Inf(1)},
		{ID: "d", Link: math.NaN()},
		{},
	}
	r := Default{}.Plan(odd, asks, noon)
	if len(r.Assigned) != 1 || r.Assigned[0].Host != "endless" {
		t.Errorf("assigned %+v", r.Assigned)
	}
	if p := r.Assigned[0].Ports[80]; p < 1 || p > 65535 {
		t.Errorf("port %d", p)
	}
	if s := r.Assigned[0].Score; !(s >= 0 && s <= 1) {
		t.Errorf("score %v", s)
	}
}

func TestWeightsThatAreNone(t *testing.T) {
	for _, w := range []Weights{{}, {Fit: math.NaN(), Cost: -1}, {Fit: math.Inf(1), Zone: 1e300}} {
		d := Default{Pack: &w, Spread: &w}
		r := d.Plan([]Host{{ID: "h", Ready: true, CPU: 4, Link: -1}}, []Ask{{ID: "a", CPU: 1}}, noon)
		if len(r.Assigned) != 1 || !(r.Assigned[0].Score >= 0 && r.Assigned[0].Score <= 1) {
			t.Errorf("with %+v: %+v", w, r)
		}
	}
}

func TestReasonsAreLimited(t *testing.T) {
	hosts := []Host{{ID: "b"}, {ID: "a"}, {ID: "c", Ready: true}}
	ask := []Ask{{ID: "x", CPU: 1}}
	for limit, want := range map[int][]string{-1: {}, 1: {"c"}, 2: {"c", "a"}, 9: {"c", "a", "b"}} {
		r := Default{Reasons: limit}.Plan(hosts, ask, noon)
		got := []string{}
		for _, reason := range r.Rejected[0].Reasons {
			got = append(got, reason.Host)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("limit %d (-want +got)\n%s", limit, diff)
		}
	}
}

// A plan changes nothing of what it is given.
func TestPlanLeavesItsInputAlone(t *testing.T) {
	hosts, asks := []Host{{
		ID: "h", Ready: true, CPU: 4, Memory: 100, Link: 5, Line: "l", PortFrom: 1, PortTo: 9,
		Ports: map[int]bool{2: true}, Apps: map[string]int{"web": 1}, Images: map[string]bool{"i": false},
	}}, []Ask{{ID: "b", App: "web", CPU: 1, Ports: []Port{{80, 0}}}, {ID: "a", App: "web", CPU: 1, Image: "i"}}
	wantHosts := NewReservations(0).Apply(hosts, noon)
	own(&wantHosts[0])
	wantAsks := append([]Ask(nil), asks...)
	Default{}.Plan(hosts, asks, noon)
	Default{}.Explain(hosts, asks[0], noon)
	if diff := cmp.Diff(wantHosts, hosts); diff != "" {
		t.Errorf("hosts (-before +after)\n%s", diff)
	}
	if diff := cmp.Diff(wantAsks, asks); diff != "" {
		t.Errorf("asks (-before +after)\n%s", diff)
	}
}

// Wherever a container may have been a moment ago, another app should not be
// found at its address: a port that was given back is not the next one given.
func TestPortsOfAnAppAreSpreadOverTheRange(t *testing.T) {
	host := []Host{{ID: "h", Ready: true, CPU: 64, Link: -1, PortFrom: 20000, PortTo: 29999}}
	seen := map[int]bool{}
	for _, id := range []string{"web-1", "web-2", "web-3", "api-1", "api-2"} {
		r := Default{}.Plan(host, []Ask{{ID: id, App: id[:3], Ports: []Port{{Container: 80}}}}, noon)
		seen[r.Assigned[0].Ports[80]] = true
	}
	if len(seen) != 5 {
		t.Errorf("five containers, one after the other, got %d different ports", len(seen))
	}
}
