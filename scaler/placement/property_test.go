package placement

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// drawHosts makes few kinds of everything, so that hosts are often equal, and
// often too small.
func drawHosts(t *rapid.T) []Host {
	hosts := make([]Host, rapid.IntRange(0, 90).Draw(t, "hosts"))
	dice := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed of hosts"), 1))
	plain := rapid.Bool().Draw(t, "plain hosts")
	for i := range hosts {
		hosts[i] = Host{
			ID: fmt.Sprintf("h%d", i), Ready: true, CPU: 4, Memory: 8 << 30, Link: -1, PortFrom: 20000, PortTo: 20003,
			Labels: map[string]string{"zone": pickOne(dice, "a", "b", "c"), "idc": pickOne(dice, "x", "y"), "ip": fmt.Sprint(i)},
			Paid:   true,
		}
		if !plain {
			vary(dice, &hosts[i])
		}
	}
	return hosts
}

func pickOne[T any](dice *rand.Rand, of ...T) T { return of[dice.IntN(len(of))] }

func vary(dice *rand.Rand, h *Host) {
	h.Ready = dice.IntN(12) > 0
	h.CPU, h.Memory = pickOne(dice, 0.5, 2, 4, 16), pickOne[int64](dice, 1<<30, 8<<30, 5_000_000_000)
	h.UsedCPU, h.UsedMemory = h.CPU*pickOne(dice, 0, 0, 0.1, 0.7, 1.1), h.Memory/10*pickOne[int64](dice, 0, 0, 3, 9)
	h.Slots, h.MaxPPS = pickOne(dice, 0, 0, 2, 5), pickOne(dice, 0, 0, 1000, 100000)
	h.Containers = pickOne(dice, 0, 0, 1, 3)
	h.Arch = pickOne(dice, "", "amd64", "amd64", "arm64")
	h.Link, h.Line = pickOne(dice, -1, -1, 0, 10, 50.5), pickOne(dice, "", "", "east", "west")
	h.Paid, h.Price = dice.IntN(2) == 0, pickOne(dice, 0, 0.1, 0.25)
	h.Ports = map[int]bool{pickOne(dice, 80, 443, 20001): true, 20002: dice.IntN(2) == 0}
	h.Apps = map[string]int{pickOne(dice, "web", "api", "other"): dice.IntN(3)}
	h.Images = map[string]bool{pickOne(dice, "img1", "img2", "img3"): dice.IntN(4) > 0}
	if dice.IntN(4) == 0 {
		h.Failed = map[string]time.Time{pickOne(dice, "web", "api"): noon.Add(-time.Duration(dice.IntN(900)-20) * time.Second)}
	}
	if dice.IntN(8) == 0 {
		delete(h.Labels, pickOne(dice, "zone", "idc"))
	}
}

func drawAsks(t *rapid.T) []Ask {
	asks := make([]Ask, rapid.IntRange(0, 60).Draw(t, "asks"))
	dice := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed of asks"), 2))
	kinds := make([]Ask, rapid.IntRange(1, 12).Draw(t, "kinds"))
	for i := range kinds {
		kinds[i] = askOf(dice)
	}
	for i := range asks {
		asks[i] = pickOne(dice, kinds...)
		asks[i].ID = fmt.Sprintf("%s-%d", asks[i].App, i)
	}
	return asks
}

func askOf(dice *rand.Rand) Ask {
	a := Ask{
		App: pickOne(dice, "web", "api", "db"), CPU: pickOne(dice, 0, 0.1, 0.3, 1, 2.5), Memory: pickOne[int64](dice, 0, 1<<28, 1<<30, 3_000_000_000),
		Pack: dice.IntN(2) == 0, SpreadBy: pickOne(dice, "", "zone", "idc", "absent"),
		PPS: pickOne(dice, 0, 0, 600, 40000), Link: pickOne(dice, 0, 0, 0, 4.5), Arch: pickOne(dice, "", "", "amd64"),
		Image: pickOne(dice, "", "img1", "img2", "new"), ImageBytes: pickOne[int64](dice, 0, 300_000_000, 5_000_000_000),
		MaxPerHost: pickOne(dice, 0, 0, 1, 2),
	}
	switch dice.IntN(6) {
	case 0:
		a.Ports = []Port{{8080, 80}}
	case 1:
		a.Ports = []Port{{8080, 0}, {9090, 0}}
	case 2:
		a.Ports, a.Network = []Port{{443, 0}, {20001, 0}}, "host"
	case 3:
		a.Ports, a.Network = []Port{{8080, 20001}, {53, 0}}, pickOne(dice, "", "bridge", "mesh", "none")
	}
	if dice.IntN(3) == 0 {
		a.Labels = map[string][]string{pickOne(dice, "zone", "idc", "ip"): pickOne(dice, []string{"a", "x", "3"}, []string{"*"}, []string{"b"}, nil)}
	}
	return a
}

// The planner, with its blocks and bounds, finds exactly what looking at every
// host finds.
func TestPlanEqualsLookingAtEveryHost(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		hosts, asks := drawHosts(t), drawAsks(t)
		got := Default{}.Plan(hosts, asks, noon)
		want := naivePlan(hosts, asks)
		if diff := cmp.Diff(want, outcomes(got)); diff != "" {
			t.Fatalf("(-every host +plan)\n%s", diff)
		}
	})
}

// The same where blocks are many and their bounds matter: hundreds of hosts of
// few kinds, full to different degrees.
func TestPlanEqualsLookingAtEveryOneOfManyHosts(t *testing.T) {
	for seed := range uint64(6) {
		dice := rand.New(rand.NewPCG(seed, 3))
		hosts := make([]Host, 250+dice.IntN(200))
		for i := range hosts {
			hosts[i] = Host{
				ID: fmt.Sprintf("h%d", i), Ready: true, Link: -1, CPU: pickOne(dice, 4.0, 8.0), Memory: 8 << 30,
				Labels: map[string]string{"zone": pickOne(dice, "a", "b")}, Paid: dice.IntN(3) > 0, Price: 0.1,
				UsedCPU: dice.Float64() * 4, UsedMemory: dice.Int64N(8 << 30), Containers: dice.IntN(3),
				Apps: map[string]int{pickOne(dice, "web", "api"): dice.IntN(3)}, Images: map[string]bool{"img1": dice.IntN(2) == 0},
			}
			if seed%3 == 0 {
				hosts[i].UsedCPU, hosts[i].UsedMemory, hosts[i].Containers = 0, 0, 0 // all equal: ties
			}
		}
		asks := make([]Ask, 40)
		for i := range asks {
			asks[i] = Ask{
				ID: fmt.Sprintf("a%d", i), App: pickOne(dice, "web", "api"), CPU: pickOne(dice, 0.2, 1.0, 3.0),
				Memory: pickOne[int64](dice, 1<<27, 1<<30), Pack: dice.IntN(2) == 0, SpreadBy: pickOne(dice, "", "zone"),
				Image: "img1", ImageBytes: 900_000_000,
			}
		}
		if diff := cmp.Diff(naivePlan(hosts, asks), outcomes(Default{}.Plan(hosts, asks, noon))); diff != "" {
			t.Fatalf("seed %d (-every host +plan)\n%s", seed, diff)
		}
	}
}

// outcome of one ask, as plain text.
type outcome struct {
	Host   string
	Score  string
	Ports  map[int]int
	Counts map[string]int
}

func outcomes(r Result) map[string]outcome {
	all := map[string]outcome{}
	for _, a := range r.Assigned {
		all[a.Ask] = outcome{Host: a.Host, Score: fmt.Sprintf("%.9f", a.Score), Ports: a.Ports}
	}
	for _, a := range r.Rejected {
		all[a.Ask] = outcome{Counts: a.Counts}
	}
	return all
}

func TestPlanDependsOnNoOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		hosts, asks := drawHosts(t), drawAsks(t)
		before := outcomes(Default{}.Plan(hosts, asks, noon))
		mixedHosts := rapid.Permutation(hosts).Draw(t, "hosts mixed")
		mixedAsks := rapid.Permutation(asks).Draw(t, "asks mixed")
		after := outcomes(Default{}.Plan(mixedHosts, mixedAsks, noon))
		if diff := cmp.Diff(before, after); diff != "" {
			t.Fatalf("(-given order +other order)\n%s", diff)
		}
	})
}

// Whatever is planned fits: no host, port or line is used beyond what it has.
func TestPlanOverbooksNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		hosts, asks := drawHosts(t), drawAsks(t)
		result := Default{}.Plan(hosts, asks, noon)
		if got := len(result.Assigned) + len(result.Rejected); got != len(asks) {
			t.Fatalf("%d outcomes of %d asks", got, len(asks))
		}
		byID := map[string]Ask{}
		for _, a := range asks {
			byID[a.ID] = a
		}
		check := newNaive(hosts, noon)
		for _, a := range result.Assigned {
			for i, h := range check.hosts {
				if h.ID == a.Host {
					book(t, check, byID[a.Ask], a, i)
				}
			}
		}
	})
}

func book(t *rapid.T, r *naive, ask Ask, a Assignment, i int) {
	ask.MaxPerHost = 0 // an ask of the same app without a limit may have come later
	if by := r.filter(ask, i); by != "" && by != FilterPort {
		t.Fatalf("%s is on %s, which %s refuses", a.Ask, a.Host, by)
	}
	for inside, port := range a.Ports {
		if r.ports[a.Host][port] {
			t.Fatalf("%s got port %d of %s for %d, which is taken", a.Ask, port, a.Host, inside)
		}
		r.ports[a.Host][port] = true
	}
	saved := r.ports[a.Host]
	r.ports[a.Host] = map[int]bool{} // the ports are those of the plan
	r.reserve(ask, i)
	r.ports[a.Host] = saved
}

// Explain says of the host that Plan takes what Plan says of it.
func TestExplainAgreesWithPlan(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		hosts, asks := drawHosts(t), drawAsks(t)
		if len(asks) == 0 {
			return
		}
		result := Default{}.Plan(hosts, asks[:1], noon)
		opinions := Default{}.Explain(hosts, asks[0], noon)
		if len(opinions) != len(hosts) {
			t.Fatalf("%d opinions of %d hosts", len(opinions), len(hosts))
		}
		if len(result.Assigned) == 0 {
			if len(hosts) > 0 && opinions[0].Filter == "" {
				t.Fatalf("rejected, and explained as %+v", opinions[0])
			}
			return
		}
		best, a := opinions[0], result.Assigned[0]
		if best.Host != a.Host || best.Score-a.Score > 1e-9 || a.Score-best.Score > 1e-9 {
			t.Fatalf("plan says %s with %v, explain %s with %v", a.Host, a.Score, best.Host, best.Score)
		}
	})
}
