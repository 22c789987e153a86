package placement

// blockSize is hosts in a block: large enough that bounds are few, small
// enough that looking into one costs little.
const blockSize = 64

// block is a run of hosts of one family and what the best of them could offer,
// each bound from another host if need be.
type block struct {
	from, to int32 // in world.nodes
	family   int32
	cpu, mem int64 // most that is free
	pps      int64
	slots    int64
	base     [2]int64
	// The range of hashes, for ties; it never changes.
	least, last uint64
}

// cutBlocks divides the sorted hosts.
func (w *world) cutBlocks() {
	for from := 0; from < len(w.nodes); {
		to := from + 1
		for to < len(w.nodes) && to-from < blockSize && w.nodes[to].family == w.nodes[from].family {
			to++
		}
		w.addBlock(int32(from), int32(to))
		from = to
	}
}

func (w *world) addBlock(from, to int32) {
	k := block{from: from, to: to, family: w.nodes[from].family, least: ^uint64(0)}
	for i := from; i < to; i++ {
		n := &w.nodes[i]
		n.block = int32(len(w.blocks))
		k.least, k.last = min(k.least, n.hash), max(k.last, n.hash)
	}
	w.blocks = append(w.blocks, k)
	w.bound(&w.blocks[len(w.blocks)-1])
}

// bound computes the bounds of a block anew.
func (w *world) bound(k *block) {
	k.cpu, k.mem, k.pps, k.slots = 0, 0, 0, 0
	k.base = [2]int64{}
	for i := k.from; i < k.to; i++ {
		n := &w.nodes[i]
		k.cpu, k.mem = max(k.cpu, n.cpu), max(k.mem, n.mem)
		k.pps, k.slots = max(k.pps, n.pps), max(k.slots, n.slots)
		k.base[pack] = max(k.base[pack], n.base[pack])
		k.base[spread] = max(k.base[spread], n.base[spread])
	}
}

// full reports whether nothing in the block has room for the shape.
func (k *block) full(s *shape) bool {
	return s.cpu > k.cpu || s.mem > k.mem || s.pps > k.pps || k.slots < 1
}

// nearest is the best tie that a host of the block could have. The tie of app
// and host is the way on the ring of hashes from the app's to the host's, the
// shorter the better.
func (k *block) nearest(app uint64) uint64 {
	if k.least <= app && app <= k.last {
		return 0
	}
	return k.least - app
}
