package upsync

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"spillway/gateway/upstream"
)

// Flap says when a server that comes and goes is left out until it settles.
// It is route flap damping (RFC 2439) for servers: each time one goes its
// penalty grows by 1; the penalty halves every HalfLife; above Suppress the
// server gets no requests until it has fallen below Reuse. The zero value is
// off.
type Flap struct {
	Suppress, Reuse float64
	HalfLife        time.Duration
	// MaxSuppress is how long one that has settled is left out at most: the
	// penalty grows no further than what decays to Reuse in that time (the
	// RFC's ceiling, section 4.2).
	MaxSuppress time.Duration
}

// On reports whether anything is damped.
func (f Flap) On() bool { return f.Suppress > 0 && f.HalfLife > 0 }

// Penalty is what is held against one server.
type Penalty struct {
	Value      float64   // at At
	At         time.Time // of the last flap or look
	Suppressed bool
	Flaps      int // since it was last without blame
}

// Decayed is the penalty at now. It is monotone: without flaps it never grows,
// and what is not suppressed does not become so.
func (f Flap) Decayed(p Penalty, now time.Time) Penalty {
	if dt := now.Sub(p.At); dt > 0 {
		p.Value *= math.Exp2(-float64(dt) / float64(f.HalfLife))
		p.At = now
	}
	if p.Suppressed && p.Value < f.Reuse {
		p.Suppressed = false
	}
	return p
}

// Flapped is the penalty after one more flap at now.
func (f Flap) Flapped(p Penalty, now time.Time) Penalty {
	p = f.Decayed(p, now)
	p.At = now
	p.Flaps++
	ceiling := max(f.Suppress, f.Reuse*math.Exp2(float64(f.MaxSuppress)/float64(f.HalfLife)))
	p.Value = min(p.Value+1, ceiling)
	p.Suppressed = p.Suppressed || p.Value >= f.Suppress
	return p
}

// ReuseAt is when a suppressed server comes back if it flaps no more.
func (f Flap) ReuseAt(p Penalty) time.Time {
	halves := math.Log2(p.Value / f.Reuse)
	return p.At.Add(time.Duration(math.Ceil(halves*float64(f.HalfLife))) + 1)
}

// Count adds the flaps between two sets, and forgets servers whose penalty has
// decayed to half of Reuse, as the RFC does. A flap is a server that was up
// and fails its checks now or is not listed; what a person took out is none.
func (f Flap) Count(flaps map[string]Penalty, was, is []upstream.Spec, now time.Time) {
	for addr, p := range flaps {
		if p = f.Decayed(p, now); !p.Suppressed && p.Value < f.Reuse/2 {
			delete(flaps, addr)
		}
	}
	next := make(map[string]*upstream.Spec, len(is))
	for i := range is {
		next[is[i].Addr] = &is[i]
	}
	for i := range was {
		if was[i].Down {
			continue
		}
		if s := next[was[i].Addr]; s == nil || s.Down && s.DownWhy == "critical" {
			flaps[was[i].Addr] = f.Flapped(flaps[was[i].Addr], now)
		}
	}
}

// Damp takes suppressed servers out. At most half of those that are up are:
// when most of them flap, it is most likely not they, and the others would not
// bear the load; those with the smallest penalty stay.
func (f Flap) Damp(specs []upstream.Spec, flaps map[string]Penalty, now time.Time) []upstream.Spec {
	type one struct {
		at int
		p  Penalty
	}
	var out []one
	up := 0
	for i := range specs {
		if specs[i].Down {
			continue
		}
		up++
		if p, ok := flaps[listed(&specs[i])]; ok {
			if p = f.Decayed(p, now); p.Suppressed {
				out = append(out, one{i, p})
			}
		}
	}
	if len(out) == 0 {
		return specs
	}
	slices.SortStableFunc(out, func(a, b one) int { return cmp.Compare(b.p.Value, a.p.Value) })
	specs = slices.Clone(specs)
	for _, o := range out[:min(len(out), up/2)] {
		s := &specs[o.at]
		s.Down = true
		s.DownWhy = fmt.Sprintf("flapping: went %d times, penalty %.1f, back at %s",
			o.p.Flaps, o.p.Value, f.ReuseAt(o.p).UTC().Format(time.RFC3339))
	}
	return specs
}

// Next is when the first suppressed server comes back, zero if there is none.
func (f Flap) Next(flaps map[string]Penalty, now time.Time) time.Time {
	var next time.Time
	for _, p := range flaps {
		if p = f.Decayed(p, now); p.Suppressed {
			next = sooner(next, f.ReuseAt(p))
		}
	}
	return next
}
