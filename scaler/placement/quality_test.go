package placement

import (
	"bufio"
	"cmp"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
)

// mix is a seeded batch of containers for equal, empty hosts.
type mix struct {
	name  string
	hosts []Host
	asks  []Ask
}

func readMixes(tb testing.TB) []mix {
	tb.Helper()
	f, err := os.Open("testdata/mixes")
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	var mixes []mix
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if line := lines.Text(); !strings.HasPrefix(line, "#") {
			mixes = append(mixes, readMix(tb, line))
		}
	}
	return mixes
}

func readMix(tb testing.TB, line string) mix {
	tb.Helper()
	var m mix
	var seed uint64
	var count, cores, gib, pps int
	if _, err := fmt.Sscanf(line, "%s %d %d %d/%d/%d", &m.name, &seed, &count, &cores, &gib, &pps); err != nil {
		tb.Fatalf("cannot read mix %q: %v", line, err)
	}
	dice := rand.New(rand.NewPCG(seed, seed))
	for i := range count {
		m.hosts = append(m.hosts, Host{
			ID: fmt.Sprintf("vm-%d", i), Ready: true, Price: 1, Link: -1,
			CPU: float64(cores), Memory: int64(gib) << 30, MaxPPS: pps,
		})
	}
	kind, _, _ := strings.Cut(m.name, "-")
	for i := range count {
		a := containerOf(kind, dice, i)
		a.ID, a.Pack = fmt.Sprintf("%s-%d", a.App, i), true
		a.CPU *= float64(cores)
		a.Memory = int64(float64(gib) * float64(a.Memory) / 1000 * (1 << 30))
		a.PPS = a.PPS * pps / 1000
		m.asks = append(m.asks, a)
	}
	return m
}

// containerOf draws one in parts of a host: CPU of 1, Memory and PPS of 1000.
func containerOf(kind string, dice *rand.Rand, i int) Ask {
	part := func(from, to int) int { return from + dice.IntN(to-from) }
	a := Ask{App: fmt.Sprintf("app%d", i%20)}
	cpu, mem, pps := part(10, 600), part(10, 600), part(10, 400)
	switch kind {
	case "small":
		cpu, mem, pps = part(5, 80), part(5, 80), part(1, 40)
	case "skewed":
		if i%2 == 0 {
			cpu, mem = part(200, 700), part(10, 150)
		} else {
			cpu, mem = part(10, 150), part(200, 700)
		}
	case "apps":
		own := rand.New(rand.NewPCG(uint64(i%20), 77))
		cpu, mem, pps = 30+own.IntN(350), 30+own.IntN(350), 10+own.IntN(250)
	case "halves":
		of := pickOne(dice, 500, 333)
		cpu, mem, pps = of+part(-60, 60), of+part(-60, 60), part(10, 400)
	}
	a.CPU, a.Memory, a.PPS = float64(cpu)/1000, int64(mem), pps
	return a
}

// bfd is multi-dimensional best-fit-decreasing: the largest first, each onto
// the open host that has least left of all resources together and still takes
// it, else onto a new one. size is what largest means.
func bfd(m mix, size func(shares []float64) float64) (used int) {
	asks := make([][]float64, len(m.asks))
	for i := range m.asks {
		asks[i] = sharesOf(&m.asks[i], &m.hosts[0])
	}
	slices.SortStableFunc(asks, func(a, b []float64) int { return -cmp.Compare(size(a), size(b)) })
	var open [][]float64 // what is left
	for _, a := range asks {
		best := -1
		for i, left := range open {
			if room(left, a) && (best < 0 || sum(left) < sum(open[best])) {
				best = i
			}
		}
		if best < 0 {
			best = len(open)
			open = append(open, []float64{1, 1, 1})
		}
		for d := range a {
			open[best][d] -= a[d]
		}
	}
	return len(open)
}

func sharesOf(a *Ask, h *Host) []float64 {
	shares := []float64{a.CPU / h.CPU, float64(a.Memory) / float64(h.Memory), 0}
	if h.MaxPPS > 0 {
		shares[2] = float64(a.PPS) / float64(h.MaxPPS)
	}
	return shares
}

func room(left, a []float64) bool {
	for d := range a {
		if a[d] > left[d]+1e-9 {
			return false
		}
	}
	return true
}

func sum(of []float64) (total float64) {
	for _, v := range of {
		total += v
	}
	return total
}

// bestBFD is the fewest hosts of best-fit-decreasing with any of the usual
// meanings of largest.
func bestBFD(m mix) int {
	squares := func(shares []float64) (total float64) {
		for _, v := range shares {
			total += v * v
		}
		return total
	}
	return min(bfd(m, slices.Max[[]float64]), bfd(m, sum), bfd(m, squares))
}

func TestPacksNoWorseThanBestFitDecreasing(t *testing.T) {
	for _, m := range readMixes(t) {
		ours, theirs := hostsUsed(t, m), bestBFD(m)
		if ours > theirs {
			t.Errorf("%s: %d hosts, best-fit-decreasing uses %d", m.name, ours, theirs)
		}
		t.Logf("%-10s ours %4d bfd %4d", m.name, ours, theirs)
	}
}

// hostsUsed plans a mix; everything must find a place.
func hostsUsed(tb testing.TB, m mix) int {
	tb.Helper()
	r := Default{}.Plan(m.hosts, m.asks, noon)
	if len(r.Rejected) > 0 {
		tb.Fatalf("%s: %d asks rejected, the first: %+v", m.name, len(r.Rejected), r.Rejected[0])
	}
	used := map[string]bool{}
	for _, a := range r.Assigned {
		used[a.Host] = true
	}
	return len(used)
}
