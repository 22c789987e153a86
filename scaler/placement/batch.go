package placement

import "slices"

// batch is a plan being made. The slices by host, block and family are about
// the shape being placed and are kept from one to the next, so that placing
// allocates nothing per host.
type batch struct {
	*world
	asks     []Ask
	assigned []Assignment // by ask; Ask is "" where there is none
	rejected []*Rejection // by ask

	here     []int64     // by host: containers of the app
	failed   []int64     // by host: what the term of failures lacks
	stored   []bool      // by host: it has the image
	known    []bool      // by block: found is its best host
	found    []candidate // by block
	verdicts []verdict   // by family
	lanes    []lane
}

// lane is the hosts with one value of the label that an app is spread by; all
// hosts if it is spread by none.
type lane struct {
	count int64     // containers of the app
	best  candidate // so far
	hope  int32     // the unknown block with the highest bound, -1 none
	bound candidate // of hope
}

// candidate is a host for the shape being placed, or a bound on what one could
// be.
type candidate struct {
	score int64
	tie   uint64
	node  int32 // -1: none
}

var nobody = candidate{score: -1, node: -1}

func (c candidate) beats(other candidate) bool {
	return c.score > other.score || c.score == other.score && c.tie < other.tie
}

func newBatch(w *world, asks []Ask) *batch {
	return &batch{
		world: w, asks: asks,
		assigned: make([]Assignment, len(asks)),
		rejected: make([]*Rejection, len(asks)),
		here:     make([]int64, len(w.nodes)),
		failed:   make([]int64, len(w.nodes)),
		stored:   make([]bool, len(w.nodes)),
		known:    make([]bool, len(w.blocks)),
		found:    make([]candidate, len(w.blocks)),
		verdicts: make([]verdict, len(w.families)),
	}
}

// place finds hosts for all asks of a shape. What finds none leaves none for
// those after it: no assignment makes room.
func (b *batch) place(s *shape) {
	b.open(s)
	defer b.close(s)
	for k, i := range s.asks {
		best := b.pick(s)
		if best.node < 0 {
			b.reject(s, s.asks[k:])
			return
		}
		b.assign(s, i, best)
	}
}

// open sets up what is about one shape.
func (b *batch) open(s *shape) {
	clear(b.known)
	b.openLanes(s)
	for _, at := range b.apps[s.app] {
		b.here[at.node] += at.n
		b.lanes[b.verdicts[b.nodes[at.node].family].lane].count += at.n
	}
	for _, at := range b.failures[s.app] {
		b.failed[at.node] = at.n
	}
	if s.image >= 0 {
		for _, at := range b.images[s.image] {
			b.stored[at.node] = true
		}
	}
}

// openLanes judges the families and tells them by the label to spread by.
func (b *batch) openLanes(s *shape) {
	b.lanes = append(b.lanes[:0], lane{})
	label, byLabel := slices.BinarySearch(b.labels, s.ask.SpreadBy)
	if byLabel = byLabel && s.ask.SpreadBy != ""; byLabel {
		b.lanes = b.lanes[:0]
	}
	numbers := map[string]int{}
	for i := range b.families {
		f := &b.families[i]
		v := f.judge(s)
		v.fills = b.weights[s.mode].fit * f.fills(s)
		if s.mode == spread {
			v.fills = -v.fills
		}
		if byLabel {
			v.lane = int32(number(numbers, f.values[label]))
			if int(v.lane) == len(b.lanes) {
				b.lanes = append(b.lanes, lane{})
			}
		}
		b.verdicts[i] = v
	}
}

// close takes back what open set up by host.
func (b *batch) close(s *shape) {
	for _, at := range b.apps[s.app] {
		b.here[at.node] = 0
	}
	for _, at := range b.failures[s.app] {
		b.failed[at.node] = 0
	}
	if s.image >= 0 {
		for _, at := range b.images[s.image] {
			b.stored[at.node] = false
		}
	}
}

// assign reserves on the host what an ask takes.
func (b *batch) assign(s *shape, i int, on candidate) {
	n := &b.nodes[on.node]
	b.assigned[i] = Assignment{
		Ask: b.asks[i].ID, Host: n.host.ID, Ports: n.give(s, &b.asks[i]),
		Score: float64(on.score) / (one * float64(b.weights[s.mode].sum)),
	}
	n.take(s)
	if line := b.families[n.family].line; line >= 0 {
		b.lines[line] -= s.link
	}
	b.settle(s, on.node)
	b.rebase(n)
	b.bound(&b.blocks[n.block])
	b.known[n.block] = false
}

func (n *node) take(s *shape) {
	n.cpu -= s.cpu
	n.mem -= s.mem
	n.slots--
	if n.pps < most {
		n.pps -= s.pps
	}
	if n.link < most {
		n.link -= s.link
	}
	n.empty, n.paid = false, true
}

// settle notes where app and image are now.
func (b *batch) settle(s *shape, node int32) {
	b.here[node]++
	b.apps[s.app] = append(b.apps[s.app], site{node, 1})
	b.lanes[b.verdicts[b.nodes[node].family].lane].count++
	if s.image >= 0 && !b.stored[node] {
		b.stored[node] = true
		b.images[s.image] = append(b.images[s.image], site{node, 1})
	}
}

func (b *batch) result() Result {
	r := Result{Assigned: make([]Assignment, 0, len(b.asks)), Counts: map[string]int{}}
	for i := range b.asks {
		switch rejected := b.rejected[i]; {
		case rejected == nil:
			r.Assigned = append(r.Assigned, b.assigned[i])
		default:
			r.Rejected = append(r.Rejected, *rejected)
			for filter, hosts := range rejected.Counts {
				r.Counts[filter] += hosts
			}
		}
	}
	return r
}
