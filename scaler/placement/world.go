package placement

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// world is the hosts as a plan works with them: sorted so that like ones stand
// together in blocks, of which what the best of them could offer is known.
//
//	family   hosts with the same labels (of those that asks speak of), size,
//	         state, architecture and line: one answer to all filters that
//	         no assignment changes
//	block    up to 64 hosts of a family that were about equally full, with
//	         bounds on what is free and on the score
//
// An ask looks into the few blocks whose bound is above the best host it has
// found, instead of at every host. Bounds are never below the truth, so the
// host found is the one that looking at every host would find.
type world struct {
	rules
	nodes    []node
	families []family
	blocks   []block
	lines    []int64 // bit/s left
	labels   []string
	apps     []sites // by shape.app: n is the number of containers
	failures []sites // by shape.app: n is what the term lacks of one
	images   []sites // by shape.image
}

// node is one host.
type node struct {
	host     *Host
	hash     uint64
	family   int32
	block    int32
	cpu, mem int64 // free
	pps      int64 // free, most where it is not limited
	link     int64 // bit/s left on a line of its own, most where it is not limited
	slots    int64 // left, most where they are not limited
	empty    bool
	paid     bool
	price    int64    // score of the cost while it is not paid
	given    []uint16 // ports of this plan
	base     [2]int64 // by mode: weighted terms that depend on the host alone
}

// family is what its hosts have in common.
type family struct {
	key           string
	ready         bool
	arch          string
	line          int32 // in world.lines, -1 none
	values        []string
	has           []bool // the label is there, if empty
	cpu, mem, pps int64  // size; pps 0 is not limited
	unit          int64  // best share of one resource: one by their number
	// What is free in all its hosts, for the order of shapes.
	freeCPU, freeMem, freePPS int64
}

// sites are hosts with a number for each.
type sites []site

type site struct {
	node int32
	n    int64
}

func newWorld(hosts []Host, shapes []*shape, r rules) *world {
	w := &world{rules: r, labels: spokenOf(shapes), nodes: make([]node, 0, len(hosts))}
	for _, s := range shapes {
		s.demands = s.demandsOn(w.labels)
	}
	w.addNodes(hosts)
	w.sortFamilies()
	w.sortNodes()
	w.cutBlocks()
	w.findSites(shapes)
	return w
}

// spokenOf lists the labels that asks name, sorted. Others, such as a host's
// own address, would make every host a family.
func spokenOf(shapes []*shape) []string {
	named := map[string]bool{}
	for _, s := range shapes {
		for label := range s.ask.Labels {
			named[label] = true
		}
		if s.ask.SpreadBy != "" {
			named[s.ask.SpreadBy] = true
		}
	}
	return slices.Sorted(maps.Keys(named))
}

func (w *world) addNodes(hosts []Host) {
	seen := make(map[string]bool, len(hosts))
	families := map[string]int32{}
	lines := map[string]int32{}
	dearest := 0.0
	var key []byte
	for i := range hosts {
		h := &hosts[i]
		if seen[h.ID] {
			continue // the first of one ID is the host
		}
		seen[h.ID] = true
		dearest = max(dearest, h.pricePerCore())
		key = w.appendFamily(key[:0], h)
		f, ok := families[string(key)]
		if !ok {
			f = int32(len(w.families))
			families[string(key)] = f
			w.families = append(w.families, w.newFamily(h, string(key), lines))
		}
		w.nodes = append(w.nodes, newNode(h, f))
		w.account(&w.nodes[len(w.nodes)-1])
	}
	for i := range w.nodes {
		n := &w.nodes[i]
		n.price = share(micros(dearest)-micros(n.host.pricePerCore()), micros(dearest), one/4)
		w.rebase(n)
	}
}

// account adds what a host has left to its family and its line.
func (w *world) account(n *node) {
	f := &w.families[n.family]
	f.freeCPU += n.cpu
	f.freeMem += n.mem
	if f.pps > 0 {
		f.freePPS += n.pps
	}
	if f.line >= 0 {
		w.lines[f.line] = min(w.lines[f.line], micros(n.host.Link))
	}
}

func (h *Host) pricePerCore() float64 { return max(0, h.Price) / max(h.CPU, 0.001) }

func (h *Host) onLine() bool { return h.Line != "" && h.Link >= 0 }

func newNode(h *Host, family int32) node {
	n := node{
		host: h, hash: hash(h.ID), family: family, empty: h.Containers <= 0, paid: h.Paid,
		cpu: max(0, micros(h.CPU)-micros(h.UsedCPU)), mem: max(0, amount(h.Memory)-amount(h.UsedMemory)),
		pps: most, link: most, slots: most,
	}
	if h.MaxPPS > 0 {
		n.pps = max(0, amount(int64(h.MaxPPS))-amount(int64(h.UsedPPS)))
	}
	if h.Link >= 0 && h.Line == "" {
		n.link = micros(h.Link)
	}
	if h.Slots > 0 {
		n.slots = int64(max(0, h.Slots-max(0, h.Containers)))
	}
	return n
}

func (w *world) appendFamily(key []byte, h *Host) []byte {
	for _, label := range w.labels {
		value, has := h.Labels[label]
		key = appendText(strconv.AppendBool(key, has), value)
	}
	key = appendText(strconv.AppendBool(key, h.Ready), h.Arch)
	if h.onLine() {
		key = appendText(key, h.Line)
	}
	for _, n := range [...]int64{micros(h.CPU), amount(h.Memory), amount(int64(h.MaxPPS))} {
		key = append(strconv.AppendInt(key, n, 10), ' ')
	}
	return key
}

func (w *world) newFamily(h *Host, key string, lines map[string]int32) family {
	f := family{
		key: key, ready: h.Ready, arch: h.Arch, line: -1, unit: one / 2,
		cpu: micros(h.CPU), mem: amount(h.Memory), pps: amount(int64(h.MaxPPS)),
	}
	if f.pps > 0 {
		f.unit = one / 3
	}
	for _, label := range w.labels {
		value, has := h.Labels[label]
		f.values, f.has = append(f.values, value), append(f.has, has)
	}
	if h.onLine() {
		line, ok := lines[h.Line]
		if !ok {
			line = int32(len(w.lines))
			lines[h.Line] = line
			w.lines = append(w.lines, most)
		}
		f.line = line
	}
	return f
}

// sortFamilies gives families an order that does not depend on the hosts'.
func (w *world) sortFamilies() {
	order := make([]int32, len(w.families))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(a, b int32) int { return strings.Compare(w.families[a].key, w.families[b].key) })
	sorted := make([]family, len(order))
	place := make([]int32, len(order))
	for i, f := range order {
		sorted[i], place[f] = w.families[f], int32(i)
	}
	w.families = sorted
	for i := range w.nodes {
		w.nodes[i].family = place[w.nodes[i].family]
	}
}

// sortNodes brings hosts together that are about equally full, and equal ones
// into the order of their hash, which settles ties.
func (w *world) sortNodes() {
	order := make([]int32, len(w.nodes))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(i, j int32) int {
		a, b := &w.nodes[i], &w.nodes[j]
		return cmp.Or(cmp.Compare(a.family, b.family), cmp.Compare(a.base[pack], b.base[pack]),
			cmp.Compare(a.hash, b.hash), strings.Compare(a.host.ID, b.host.ID))
	})
	sorted := make([]node, len(order))
	for i, n := range order {
		sorted[i] = w.nodes[n]
	}
	w.nodes = sorted
}

// clone returns a world that can be planned on, with everything a plan changes
// of its own.
func (w *world) clone() *world {
	c := *w
	c.nodes, c.blocks, c.lines = slices.Clone(w.nodes), slices.Clone(w.blocks), slices.Clone(w.lines)
	c.apps, c.images = unshared(w.apps), unshared(w.images)
	return &c
}

// unshared returns lists that are copied when something is appended.
func unshared(of []sites) []sites {
	own := make([]sites, len(of))
	for i, s := range of {
		own[i] = slices.Clip(s)
	}
	return own
}

// findSites notes where the apps and images of the shapes are already.
func (w *world) findSites(shapes []*shape) {
	apps, images := map[string]int{}, map[string]int{}
	for _, s := range shapes {
		s.app = number(apps, s.ask.App)
		if s.ask.Image != "" {
			s.image = number(images, s.ask.Image)
		}
	}
	w.apps, w.failures, w.images = make([]sites, len(apps)), make([]sites, len(apps)), make([]sites, len(images))
	for i := range w.nodes {
		h := w.nodes[i].host
		note(w.apps, apps, h.Apps, i, func(n int) int64 { return int64(max(0, n)) })
		note(w.failures, apps, h.Failed, i, w.lack)
		note(w.images, images, h.Images, i, func(has bool) int64 { return int64(btoi(has)) })
	}
	for _, s := range shapes {
		if s.image >= 0 {
			s.saving = imageScore(s.ask.ImageBytes, len(w.images[s.image]), len(w.nodes))
		}
	}
}

func number(names map[string]int, name string) int {
	n, ok := names[name]
	if !ok {
		n = len(names)
		names[name] = n
	}
	return n
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// note adds host i to the sites of every name in on that is asked for and
// gives more than 0.
func note[V any](to []sites, names map[string]int, on map[string]V, i int, value func(V) int64) {
	if len(names) <= len(on) {
		for name, k := range names {
			if v, ok := on[name]; ok && value(v) > 0 {
				to[k] = append(to[k], site{int32(i), value(v)})
			}
		}
		return
	}
	for name, v := range on {
		if k, ok := names[name]; ok && value(v) > 0 {
			to[k] = append(to[k], site{int32(i), value(v)})
		}
	}
}
