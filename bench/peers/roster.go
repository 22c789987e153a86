package peers

import "slices"

// roster decides who is a server when: the fixed ones always, and of the spares
// one more or one less with each step.
type roster struct {
	fixed  []string
	spares []string
	keep   int      // spares that stay when it has come to rest
	in     []string // spares in use, oldest at first
	next   int      // spare to come
}

// change is one step: exactly one of added and removed is set.
type change struct {
	servers        []string // all, after the step
	added, removed string
}

// step adds the next spare, or removes the oldest one if more than keep are in.
func (r *roster) step() change {
	var c change
	if len(r.in) > r.keep {
		c.removed = r.in[0]
		r.in = r.in[1:]
	} else {
		c.added = r.spares[r.next]
		r.next = (r.next + 1) % len(r.spares)
		r.in = append(r.in, c.added)
	}
	c.servers = slices.Concat(r.fixed, r.in)
	return c
}
