package placement

import "time"

// full is how full a host is, 0 to one: the mean share of its resources.
func (f *family) full(n *node) int64 {
	full := share(f.cpu-n.cpu, f.cpu, f.unit) + share(f.mem-n.mem, f.mem, f.unit)
	if f.pps > 0 {
		full += share(f.pps-n.pps, f.pps, f.unit)
	}
	return full
}

// fills is how much fuller an ask makes a host.
func (f *family) fills(s *shape) int64 {
	fills := share(s.cpu, f.cpu, f.unit) + share(s.mem, f.mem, f.unit)
	if f.pps > 0 {
		fills += share(s.pps, f.pps, f.unit)
	}
	return fills
}

// cost is the term of what choosing the host costs.
func (n *node) cost(mode int) int64 {
	switch {
	case !n.paid:
		return n.price
	case n.empty && mode == pack:
		return one / 2
	}
	return one
}

// rebase computes the terms that depend on the host alone.
func (w *world) rebase(n *node) {
	full := w.families[n.family].full(n)
	p, s := &w.weights[pack], &w.weights[spread]
	n.base[pack] = p.fit*full + p.cost*n.cost(pack)
	n.base[spread] = s.fit*(one-full) + s.cost*n.cost(spread)
}

// apart is the term of n containers of the app on the host.
func apart(n int64) int64 { return one / (1 + n) }

// lack is what the term of a failure lacks of one.
func (w *world) lack(failed time.Time) int64 {
	left := w.window - w.now.Sub(failed)
	return share(int64(left), int64(w.window), one)
}

// Sizes of images between which having one counts from nothing to all, as in
// Kubernetes' ImageLocality plugin.
const (
	imageLeast = 23_000_000
	imageMost  = 1_000_000_000
)

// imageScore is the term of a host that has an image of that size, which have
// of all hosts have.
func imageScore(size int64, have, all int) int64 {
	if have == 0 {
		return 0
	}
	spreadOut := share(int64(have), int64(all), amount(size))
	return share(spreadOut-imageLeast, imageMost-imageLeast, one)
}
