package upsync

import (
	"slices"
	"time"

	"spillway/gateway/upstream"
)

// Leaving are servers that their source does not list any more and that serve
// on until their time, by address: what is added counts at once, what is
// removed after a while (remove_delay), so that an instance that is registered
// anew in a moment is not taken out at all. It is a value; its methods are
// pure.
type Leaving map[string]Leaver

// Leaver is one of them.
type Leaver struct {
	Spec  upstream.Spec
	Until time.Time
}

// Next is who leaves after one set followed another. One that was down or
// fails goes at once: nobody would miss it. One that is listed again stays.
func (l Leaving) Next(was, is []upstream.Spec, failing map[string]bool, delay time.Duration, now time.Time) Leaving {
	if delay <= 0 {
		return nil
	}
	listed := make(map[string]bool, len(is))
	for i := range is {
		listed[is[i].Addr] = true
	}
	next := Leaving{}
	for addr, v := range l {
		if !listed[addr] && !failing[addr] {
			next[addr] = v
		}
	}
	for _, s := range was {
		if !listed[s.Addr] && !s.Down && !failing[s.Addr] {
			next[s.Addr] = Leaver{s, now.Add(delay)}
		}
	}
	return next
}

// At drops those whose time has come and names them.
func (l Leaving) At(now time.Time) (left Leaving, gone []string) {
	left = Leaving{}
	for addr, v := range l {
		if v.Until.After(now) {
			left[addr] = v
		} else {
			gone = append(gone, addr)
		}
	}
	slices.Sort(gone)
	return left, gone
}

// next is when the first of them goes, zero if none does.
func (l Leaving) next(frozen bool) time.Time {
	var next time.Time
	if frozen {
		return next
	}
	for _, v := range l {
		next = sooner(next, v.Until)
	}
	return next
}

// add returns the servers of a set and those that leave.
func (l Leaving) add(specs []upstream.Spec) []upstream.Spec {
	if len(l) == 0 {
		return specs
	}
	all := slices.Clone(specs)
	var names []string
	for addr := range l {
		names = append(names, addr)
	}
	slices.Sort(names)
	for _, addr := range names {
		all = append(all, l[addr].Spec)
	}
	return all
}
