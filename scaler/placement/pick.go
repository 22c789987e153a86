package placement

// pick finds the best host for the shape, nobody if there is none.
//
// Scores but for the term of zones are compared within each lane; that term
// is the same all over a lane, and is added last.
func (b *batch) pick(s *shape) candidate {
	b.survey(s)
	for i := range b.lanes {
		if hope := b.lanes[i].hope; hope >= 0 {
			b.search(s, hope)
		}
	}
	for i := range b.blocks {
		if b.known[i] || b.useless(s, &b.blocks[i]) {
			continue
		}
		lane := &b.lanes[b.verdicts[b.blocks[i].family].lane]
		if b.limit(s, &b.blocks[i]).beats(lane.best) {
			b.search(s, int32(i))
		}
	}
	return b.choose(s)
}

// survey collects for each lane the best host of the blocks that are known, and
// the block that promises most of the others.
func (b *batch) survey(s *shape) {
	for i := range b.lanes {
		l := &b.lanes[i]
		l.best, l.bound, l.hope = nobody, nobody, -1
	}
	for i := range b.blocks {
		k := &b.blocks[i]
		if b.useless(s, k) {
			continue
		}
		l := &b.lanes[b.verdicts[k.family].lane]
		if b.known[i] {
			if c := b.found[i]; c.node >= 0 && c.beats(l.best) {
				l.best = c
			}
		} else if c := b.limit(s, k); c.beats(l.bound) {
			l.bound, l.hope = c, int32(i)
		}
	}
}

func (b *batch) useless(s *shape, k *block) bool { return k.full(s) || b.closed(s, k.family) }

// limit is what the best host of a block could be at most.
func (b *batch) limit(s *shape, k *block) candidate {
	w := &b.weights[s.mode]
	return candidate{
		score: k.base[s.mode] + b.verdicts[k.family].fills + w.apart*one + w.failure*one + w.image*s.bestImage(),
		tie:   k.nearest(s.tie),
	}
}

func (s *shape) bestImage() int64 {
	if s.image < 0 {
		return one
	}
	return s.saving
}

// search looks at every host of a block, keeps the best and tells its lane.
func (b *batch) search(s *shape, block int32) {
	k := &b.blocks[block]
	best := nobody
	for i := k.from; i < k.to; i++ {
		if b.refusal(s, i) != fits {
			continue
		}
		if c := b.candidate(s, i); c.beats(best) {
			best = c
		}
	}
	b.known[block], b.found[block] = true, best
	if l := &b.lanes[b.verdicts[k.family].lane]; best.node >= 0 && best.beats(l.best) {
		l.best = best
	}
}

// candidate is a host with its score, less the term of zones.
func (b *batch) candidate(s *shape, i int32) candidate {
	n, w := &b.nodes[i], &b.weights[s.mode]
	image := int64(one)
	if s.image >= 0 {
		image = s.saving * int64(btoi(b.stored[i]))
	}
	return candidate{
		score: n.base[s.mode] + b.verdicts[n.family].fills +
			w.apart*apart(b.here[i]) + w.failure*(one-b.failed[i]) + w.image*image,
		tie:  n.hash - s.tie,
		node: i,
	}
}

// choose adds the term of zones and takes the best of all lanes.
func (b *batch) choose(s *shape) candidate {
	least := b.leastCount()
	best := nobody
	for i := range b.lanes {
		c := b.lanes[i].best
		if c.node < 0 {
			continue
		}
		c.score += b.weights[s.mode].zone * apart(b.lanes[i].count-least)
		if c.beats(best) {
			best = c
		}
	}
	return best
}

// leastCount is the number of containers in the emptiest lane that can take
// one more. Lanes that cannot do not count: a zone without room would make all
// others look alike.
func (b *batch) leastCount() int64 {
	least := int64(most)
	for i := range b.lanes {
		if l := &b.lanes[i]; l.best.node >= 0 {
			least = min(least, l.count)
		}
	}
	return least
}
