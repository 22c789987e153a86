package placement

import (
	"fmt"
	"maps"
	"math"
	"math/big"
	"slices"
	"sort"
	"strings"
	"time"
)

// naive is the reference: the rules of this package written down once more, as
// plainly as they can be said. It looks at every host for every ask, keeps no
// index and shares no arithmetic with the planner.
type naive struct {
	pack, spread Weights
	window       time.Duration
	now          time.Time

	hosts  []Host
	ports  map[string]map[int]bool
	images map[string]int // hosts that have it, before the plan
	price  float64        // highest, per core
	free   []naiveFree
}

// naiveFree is what a host has left, in millionths where it is not whole.
type naiveFree struct {
	cpu, mem, pps, link, slots int64
	empty, paid                bool
	apps                       map[string]int64
	images                     map[string]bool
}

type naiveChoice struct {
	host  string
	score int64
	ports map[int]int
}

const endless = int64(1) << 46

func newNaive(hosts []Host, now time.Time) *naive {
	r := &naive{pack: PackWeights(), spread: SpreadWeights(), window: 10 * time.Minute, now: now, ports: map[string]map[int]bool{}, images: map[string]int{}}
	seen := map[string]bool{}
	for _, h := range hosts {
		if seen[h.ID] {
			continue
		}
		seen[h.ID] = true
		r.hosts = append(r.hosts, h)
		r.price = max(r.price, perCore(h))
		r.ports[h.ID] = map[int]bool{}
		maps.Copy(r.ports[h.ID], h.Ports)
		for image, has := range h.Images {
			if has {
				r.images[image]++
			}
		}
		r.free = append(r.free, naiveLeft(h))
	}
	return r
}

func perCore(h Host) float64 { return h.Price / max(h.CPU, 0.001) }

func millionths(v float64) int64 { return int64(math.Round(v * 1e6)) }

func naiveLeft(h Host) naiveFree {
	f := naiveFree{
		cpu: max(0, millionths(h.CPU)-millionths(h.UsedCPU)), mem: max(0, h.Memory-h.UsedMemory),
		pps: endless, link: endless, slots: endless, empty: h.Containers == 0, paid: h.Paid,
		apps: map[string]int64{}, images: map[string]bool{},
	}
	if h.MaxPPS > 0 {
		f.pps = int64(max(0, h.MaxPPS-h.UsedPPS))
	}
	if h.Link >= 0 {
		f.link = millionths(h.Link)
	}
	if h.Slots > 0 {
		f.slots = int64(max(0, h.Slots-h.Containers))
	}
	for app, n := range h.Apps {
		f.apps[app] = int64(n)
	}
	maps.Copy(f.images, h.Images)
	return f
}

// part is floor(a/b of unit), all of it if b has no more.
func part(a, b, unit int64) int64 {
	if a <= 0 {
		return 0
	}
	if a >= b {
		return unit
	}
	if unit <= math.MaxInt64/a {
		return a * unit / b
	}
	x := new(big.Int).Mul(big.NewInt(a), big.NewInt(unit))
	return x.Div(x, big.NewInt(b)).Int64()
}

// filter is the name of the first filter that refuses.
func (r *naive) filter(a Ask, i int) string {
	h, f := r.hosts[i], r.free[i]
	switch {
	case !h.Ready:
		return FilterState
	case !r.labels(a, h):
		return FilterLabels
	case r.choosePorts(a, h) == nil:
		return FilterPort
	case a.Memory > f.mem:
		return FilterMemory
	case millionths(a.CPU) > f.cpu:
		return FilterCPU
	case f.slots < 1 || a.MaxPerHost > 0 && f.apps[a.App] >= int64(a.MaxPerHost):
		return FilterSlots
	case a.Arch != "" && h.Arch != "" && a.Arch != h.Arch:
		return FilterArch
	case int64(a.PPS) > f.pps:
		return FilterPPS
	case millionths(a.Link) > r.linkLeft(i):
		return FilterLink
	}
	return ""
}

func (r *naive) labels(a Ask, h Host) bool {
	for label, wanted := range a.Labels {
		value, ok := h.Labels[label]
		if !ok || !slices.Contains(wanted, value) && !slices.Contains(wanted, "*") {
			return false
		}
	}
	return true
}

// linkLeft is the least that any host of the line has.
func (r *naive) linkLeft(i int) int64 {
	h := r.hosts[i]
	left := r.free[i].link
	for k, other := range r.hosts {
		if h.Line != "" && h.Link >= 0 && other.Line == h.Line && other.Link >= 0 {
			left = min(left, r.free[k].link)
		}
	}
	return left
}

// choosePorts is nil if they cannot be had.
func (r *naive) choosePorts(a Ask, h Host) map[int]int {
	given := map[int]int{}
	if a.Network == "none" || len(a.Ports) == 0 {
		return given
	}
	taken := maps.Clone(r.ports[h.ID])
	for _, p := range a.Ports {
		if a.Network == "host" {
			p.Host = p.Container
		}
		if p.Host == 0 {
			continue
		}
		if taken[p.Host] {
			return nil
		}
		taken[p.Host] = true
		given[p.Container] = p.Host
	}
	size := 0
	if h.PortTo > 0 {
		size = h.PortTo - h.PortFrom + 1
	}
	at := 0
	if size > 0 {
		at = int((hash(a.App) ^ hash(a.ID)) % uint64(size))
	}
	for _, p := range a.Ports {
		if given[p.Container] != 0 {
			continue
		}
		tries := 0
		for ; tries < size && taken[h.PortFrom+at]; tries++ {
			at = (at + 1) % size
		}
		if tries >= size {
			return nil
		}
		given[p.Container] = h.PortFrom + at
		taken[h.PortFrom+at] = true
	}
	return given
}

func (r *naive) resources(h Host) int64 {
	if h.MaxPPS > 0 {
		return 3
	}
	return 2
}

// score is all terms but that of zones.
func (r *naive) score(a Ask, i int) int64 {
	h, f, w := r.hosts[i], r.free[i], r.spread
	if a.Pack {
		w = r.pack
	}
	unit := int64(one) / r.resources(h)
	cpu, mem, pps := millionths(h.CPU), h.Memory, int64(h.MaxPPS)
	fit := part(cpu-f.cpu, cpu, unit) + part(millionths(a.CPU), cpu, unit) + part(mem-f.mem, mem, unit) + part(a.Memory, mem, unit)
	if pps > 0 {
		fit += part(pps-f.pps, pps, unit) + part(int64(a.PPS), pps, unit)
	}
	if !a.Pack {
		fit = one - fit
	}
	cost := int64(one)
	if !f.paid {
		cost = part(millionths(r.price)-millionths(perCore(h)), millionths(r.price), one/4)
	} else if a.Pack && f.empty {
		cost = one / 2
	}
	failure := int64(one)
	if at, ok := h.Failed[a.App]; ok {
		failure -= part(int64(r.window-r.now.Sub(at)), int64(r.window), one)
	}
	return mils(w.Fit)*fit + mils(w.Apart)*(one/(1+f.apps[a.App])) + mils(w.Image)*r.image(a, i) + mils(w.Cost)*cost + mils(w.Failure)*failure
}

func mils(w float64) int64 { return int64(math.Round(w * 1000)) }

func (r *naive) image(a Ask, i int) int64 {
	switch {
	case a.Image == "":
		return one
	case !r.free[i].images[a.Image] || r.images[a.Image] == 0:
		return 0
	}
	bytes := part(int64(r.images[a.Image]), int64(len(r.hosts)), a.ImageBytes)
	return part(bytes-23_000_000, 977_000_000, one)
}

// zones counts containers of the app by value of the label, and finds the
// least of those values that could take one more.
func (r *naive) zones(a Ask, open []int) (map[string]int64, int64) {
	counts := map[string]int64{}
	for i, h := range r.hosts {
		counts[zoneOf(a, h)] += r.free[i].apps[a.App]
	}
	least := int64(math.MaxInt64)
	for _, i := range open {
		least = min(least, counts[zoneOf(a, r.hosts[i])])
	}
	return counts, least
}

func zoneOf(a Ask, h Host) string {
	if a.SpreadBy == "" {
		return ""
	}
	return h.Labels[a.SpreadBy]
}

// place finds the host for one ask and reserves it, or counts refusals.
func (r *naive) place(a Ask) (*naiveChoice, map[string]int) {
	counts := map[string]int{}
	var open []int
	for i := range r.hosts {
		if by := r.filter(a, i); by != "" {
			counts[by]++
		} else {
			open = append(open, i)
		}
	}
	if len(open) == 0 {
		return nil, counts
	}
	zone := mils(r.spread.Zone)
	if a.Pack {
		zone = mils(r.pack.Zone)
	}
	in, least := r.zones(a, open)
	best, bestScore, bestTie := -1, int64(0), uint64(0)
	for _, i := range open {
		score := r.score(a, i) + zone*(one/(1+in[zoneOf(a, r.hosts[i])]-least))
		tie := hash(r.hosts[i].ID) - hash(a.App)
		if best < 0 || score > bestScore || score == bestScore && tie < bestTie {
			best, bestScore, bestTie = i, score, tie
		}
	}
	return &naiveChoice{r.hosts[best].ID, bestScore, r.reserve(a, best)}, nil
}

func (r *naive) reserve(a Ask, i int) map[int]int {
	h, f := r.hosts[i], &r.free[i]
	ports := r.choosePorts(a, h)
	for _, p := range ports {
		r.ports[h.ID][p] = true
	}
	f.cpu, f.mem, f.slots = f.cpu-millionths(a.CPU), f.mem-a.Memory, f.slots-1
	if h.MaxPPS > 0 {
		f.pps -= int64(a.PPS)
	}
	f.apps[a.App]++
	f.images[a.Image] = true
	f.empty, f.paid = false, true
	for k, other := range r.hosts {
		if k == i && other.Link >= 0 && other.Line == "" || h.Line != "" && h.Link >= 0 && other.Link >= 0 && other.Line == h.Line {
			r.free[k].link -= millionths(a.Link)
		}
	}
	return ports
}

// order sorts asks as the planner must: shapes by size, then by ID.
func (r *naive) order(asks []Ask, by order) []Ask {
	type sized struct {
		ask  Ask
		size int64
		sum  int64
		key  string
	}
	scarce := r.scarcity(asks)
	all := make([]sized, len(asks))
	for i, a := range asks {
		free := r.freeWhere(func(h Host) bool {
			return h.Ready && r.labels(a, h) && (a.Arch == "" || h.Arch == "" || a.Arch == h.Arch)
		})
		all[i] = sized{a, naiveSize(a, free, scarce, by), naiveSize(a, free, scarce, bySum), string(appendKey(nil, &asks[i]))}
	}
	sort.Slice(all, func(i, j int) bool {
		a, b := all[i], all[j]
		switch {
		case a.size != b.size:
			return a.size > b.size
		case a.sum != b.sum:
			return a.sum > b.sum
		case a.key != b.key:
			return a.key < b.key
		}
		return strings.Compare(a.ask.ID, b.ask.ID) < 0
	})
	sorted := make([]Ask, len(all))
	for i, s := range all {
		sorted[i] = s.ask
	}
	return sorted
}

func (r *naive) scarcity(asks []Ask) (scarce [3]int64) {
	free := r.freeWhere(func(h Host) bool { return h.Ready })
	var wanted [3]int64
	for _, a := range asks {
		wanted[0] += millionths(a.CPU)
		wanted[1] += a.Memory
		wanted[2] += int64(a.PPS)
	}
	for d := range scarce {
		scarce[d] = part(wanted[d], free[d], 1<<20)
	}
	return scarce
}

func (r *naive) freeWhere(open func(Host) bool) (free [3]int64) {
	for i, h := range r.hosts {
		if !open(h) {
			continue
		}
		free[0] += r.free[i].cpu
		free[1] += r.free[i].mem
		if h.MaxPPS > 0 {
			free[2] += r.free[i].pps
		}
	}
	return free
}

func naiveSize(a Ask, free, scarce [3]int64, by order) (size int64) {
	for d, amount := range []int64{millionths(a.CPU), a.Memory, int64(a.PPS)} {
		x := part(amount, free[d], 1<<40)
		if d == 2 && free[d] == 0 {
			continue
		}
		switch by {
		case byDemand:
			size += scarce[d] * x
		case bySquares:
			size += scarce[d] * (x / (1 << 20)) * (x / (1 << 20))
		case byLargest:
			size = max(size, x)
		default:
			size += x
		}
	}
	return size
}

// naivePlan plans in every order, if anything packs, and keeps what needs
// least.
func naivePlan(hosts []Host, asks []Ask) map[string]outcome {
	best, least := planInOrder(hosts, asks, byDemand)
	if !slices.ContainsFunc(asks, func(a Ask) bool { return a.Pack }) {
		return best
	}
	for by := byDemand + 1; by < orders; by++ {
		if other, needs := planInOrder(hosts, asks, by); slices.Compare(needs[:], least[:]) < 0 {
			best, least = other, needs
		}
	}
	return best
}

// planInOrder also returns asks rejected, money and hosts opened.
func planInOrder(hosts []Host, asks []Ask, by order) (map[string]outcome, [3]int64) {
	r := newNaive(hosts, noon)
	all := map[string]outcome{}
	var needs [3]int64
	for _, a := range r.order(asks, by) {
		choice, counts := r.place(a)
		if choice == nil {
			all[a.ID] = outcome{Counts: counts}
			needs[0]++
			continue
		}
		all[a.ID] = choice.outcome(a)
	}
	for i, h := range r.hosts {
		if h.Containers > 0 || r.free[i].empty {
			continue
		}
		needs[2]++
		if !h.Paid {
			needs[1] += millionths(h.Price)
		}
	}
	return all, needs
}

func (c *naiveChoice) outcome(a Ask) outcome {
	w := SpreadWeights()
	if a.Pack {
		w = PackWeights()
	}
	sum := mils(w.Fit + w.Apart + w.Zone + w.Image + w.Cost + w.Failure)
	o := outcome{Host: c.host, Score: fmt.Sprintf("%.9f", float64(c.score)/one/float64(sum))}
	if len(c.ports) > 0 {
		o.Ports = c.ports
	}
	return o
}
