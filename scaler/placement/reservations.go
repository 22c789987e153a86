package placement

import (
	"maps"
	"slices"
	"time"
)

// Reservations remembers what was planned until it is seen on a host, so that
// the next plan does not give the same core or port away again.
//
//	Plan --Reserve--> held --Release (seen on the host, or given up)--> gone
//	                    |
//	                    +--TTL passed---------------------------------> gone
//
// The TTL is for what is never heard of again; it must be longer than starting
// a container takes. Reservations is not safe for concurrent use.
type Reservations struct {
	ttl  time.Duration
	held map[string]reservation // by Ask.ID
}

type reservation struct {
	ask   Ask
	on    Assignment
	until time.Time
}

// NewReservations returns an empty set whose reservations last for ttl.
func NewReservations(ttl time.Duration) *Reservations {
	return &Reservations{ttl: ttl, held: map[string]reservation{}}
}

// Reserve holds what ask takes where the plan put it. Reserving an ask again
// replaces what it held and starts its time anew.
func (r *Reservations) Reserve(ask Ask, on Assignment, now time.Time) {
	r.held[ask.ID] = reservation{ask, on, now.Add(r.ttl)}
}

// Release ends the reservation of an ask, and reports whether there was one.
func (r *Reservations) Release(ask string) bool {
	_, held := r.held[ask]
	delete(r.held, ask)
	return held
}

// Expire ends the reservations whose time has passed and returns their asks,
// sorted.
func (r *Reservations) Expire(now time.Time) []string {
	var ended []string
	for ask, h := range r.held {
		if !now.Before(h.until) {
			ended = append(ended, ask)
		}
	}
	slices.Sort(ended)
	for _, ask := range ended {
		delete(r.held, ask)
	}
	return ended
}

// Held returns the asks that hold something, sorted.
func (r *Reservations) Held() []string { return slices.Sorted(maps.Keys(r.held)) }

// Apply returns the hosts with what is reserved on them and has not expired
// taken away; so hosts must not show containers whose reservation was not
// released. It changes neither the hosts nor their maps, and shares the maps of
// hosts on which nothing is reserved.
func (r *Reservations) Apply(hosts []Host, now time.Time) []Host {
	applied := slices.Clone(hosts)
	byID := make(map[string]int, len(hosts))
	for i := len(hosts) - 1; i >= 0; i-- {
		byID[hosts[i].ID] = i // of several, the first is the host
	}
	owned, drawn := map[int]bool{}, map[string]float64{}
	for _, ask := range r.Held() {
		h := r.held[ask]
		i, known := byID[h.on.Host]
		if !known || !now.Before(h.until) {
			continue
		}
		if !owned[i] {
			owned[i] = true
			own(&applied[i])
		}
		h.takeFrom(&applied[i])
		if applied[i].onLine() {
			drawn[applied[i].Line] += h.ask.Link
		} else if applied[i].Link > 0 {
			applied[i].Link = max(0, applied[i].Link-h.ask.Link)
		}
	}
	for i := range applied {
		if a := &applied[i]; a.onLine() {
			a.Link = max(0, a.Link-drawn[a.Line])
		}
	}
	return applied
}

// own gives a host maps of its own.
func own(h *Host) {
	h.Ports, h.Apps, h.Images = cloneOrMake(h.Ports), cloneOrMake(h.Apps), cloneOrMake(h.Images)
}

func cloneOrMake[K comparable, V any](m map[K]V) map[K]V {
	if m == nil {
		return map[K]V{}
	}
	return maps.Clone(m)
}

func (r *reservation) takeFrom(h *Host) {
	h.UsedCPU += r.ask.CPU
	h.UsedMemory += r.ask.Memory
	h.UsedPPS += r.ask.PPS
	h.Containers++
	h.Paid = true
	h.Apps[r.ask.App]++
	if r.ask.Image != "" {
		h.Images[r.ask.Image] = true
	}
	for _, port := range r.on.Ports {
		h.Ports[port] = true
	}
}
