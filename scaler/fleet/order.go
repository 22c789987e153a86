package fleet

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Step moves an order on:
//
//	              Create answered with machines,
//	              or all of them are listed
//	intended ------------------------------------> bound
//	 |     \                                        ^  ^
//	 |      \  answer lost, or a former             |  |
//	 |       \ leader may have sent it              |  |
//	 |        `---------------------> ambiguous ----'  | machines are
//	 |                                    |            | listed after all
//	 | refused, or only errors            | proven:    |
//	 v until the deadline                 v none made  |
//	refused ------------------------------------------'
//
// Create is called for, always with the order's one token, while it is intended
// and, of drivers that recognise a repetition, while it is ambiguous. Doubt ends
// with a repetition's answer or with a complete List that began when every
// Create had ended and could be seen: never by giving up.
func (o Order) Step(obs OrderObs, t Timings, now time.Time) (Order, []Effect) {
	for {
		from := o.State
		o.hop(obs, t, now)
		if o.State == from {
			break
		}
	}
	if o.wantsCreate(obs) && o.due(now) {
		return o, one(CreateMachines, o.ID)
	}
	return o, nil
}

// Blocks tells that nothing else may be bought in the order's pool.
func (o Order) Blocks() bool { return o.State == OrderAmbiguous }

// Again is the next attempt of a refused order, in the given zone and type and
// under a new token. Its slots must not have been stepped since the refusal,
// which fails them; a planner that comes later orders anew. An order that was
// not refused is returned as it is.
func (o Order) Again(zone, typ string, now time.Time) Order {
	if o.State != OrderRefused {
		return o
	}
	o.Zone, o.Type = zone, typ
	o.Attempt++
	o.Bound, o.Refused = nil, ""
	o.enter(OrderIntended, fmt.Sprintf("attempt %d", o.Attempt), now)
	return o
}

func (o *Order) enter(s OrderState, reason string, now time.Time) {
	o.State, o.Since, o.Reason, o.Attempts = s, now, reason, Attempts{}
}

// repeatable tells that Create can be repeated without buying twice.
func (obs *OrderObs) repeatable() bool { return obs.ClientToken || obs.UniqueNames }

func (o *Order) wantsCreate(obs OrderObs) bool {
	switch o.State {
	case OrderIntended:
		return obs.Sender || obs.repeatable()
	case OrderAmbiguous:
		return obs.repeatable() && o.Refused == ""
	default:
		return false
	}
}

func (o *Order) hop(obs OrderObs, t Timings, now time.Time) {
	switch o.State {
	case OrderIntended:
		o.intended(obs, t, now)
	case OrderAmbiguous:
		o.ambiguous(obs, t, now)
	case OrderBound:
		o.bind(obs.Machines)
	case OrderRefused:
		if len(obs.Machines) > 0 {
			o.bound("refused, yet made", obs.Machines, now)
		}
	}
}

func (o *Order) intended(obs OrderObs, t Timings, now time.Time) {
	last := obs.Last
	switch {
	case o.complete(obs):
		o.bound("", obs.Machines, now)
	case !obs.Sender && !obs.repeatable():
		o.enter(OrderAmbiguous, "a former leader may have sent it", now)
	case !o.fresh(last, CreateMachines, o.Since):
	case last.OK && len(obs.Machines) > 0:
		o.bound("", obs.Machines, now)
	case last.OK:
		o.enter(OrderAmbiguous, "the cloud agreed and named no machine", now)
	case last.ErrKind == errAmbiguous:
		o.enter(OrderAmbiguous, "the answer is unknown: "+last.Err, now)
	case definite(last.ErrKind):
		o.refuse(last, obs.Sender, now)
	default:
		o.count(last, t.Backoff, o.ID)
		if past(o.Since, t.Order, now) {
			o.refuse(last, obs.Sender, now)
		}
	}
}

// complete tells that all machines of the order are known.
func (o *Order) complete(obs OrderObs) bool {
	return len(o.Slots) > 0 && len(obs.Machines) >= len(o.Slots)
}

// definite tells that an error means: nothing was made, and asking again at
// once is useless.
func definite(kind string) bool {
	return kind == errNoCapacity || kind == errQuota || kind == errInvalid || kind == errDryRun
}

// refuse ends an order that only this leadership has ever sent. Where another
// may have sent it too, the refusal of a repetition proves nothing of the first.
func (o *Order) refuse(last Outcome, sender bool, now time.Time) {
	kind := cmp.Or(last.ErrKind, "transient")
	if sender {
		o.enter(OrderRefused, last.Err, now)
	} else {
		o.enter(OrderAmbiguous, "refused, but a former leader may have sent it: "+last.Err, now)
	}
	o.Refused = kind
}

func (o *Order) ambiguous(obs OrderObs, t Timings, now time.Time) {
	last := obs.Last
	if o.Refused == "" && obs.repeatable() && o.fresh(last, CreateMachines, o.Since) {
		if last.OK && len(obs.Machines) > 0 {
			o.bound("", obs.Machines, now)
			return
		}
		if definite(last.ErrKind) {
			o.Refused = last.ErrKind
		}
		o.count(last, t.Backoff, o.ID)
	}
	switch {
	case o.complete(obs):
		o.bound("", obs.Machines, now)
	case !o.provable(obs, t):
	case len(obs.Machines) > 0:
		o.bound("", obs.Machines, now)
	default:
		kind := cmp.Or(o.Refused, "transient")
		o.enter(OrderRefused, "nothing was made", now)
		o.Refused = kind
	}
}

// provable tells that a List began after every Create that was sent had ended
// and after what it made could be seen.
func (o *Order) provable(obs OrderObs, t Timings) bool {
	if obs.repeatable() && o.Refused == "" {
		return false // it is still being repeated
	}
	ended := o.Since.Add(t.Call)
	if o.Tried.After(ended) {
		ended = o.Tried
	}
	return obs.ListedAt.After(ended.Add(obs.ListLag))
}

func (o *Order) bound(reason string, found []Bound, now time.Time) {
	o.enter(OrderBound, reason, now)
	o.Refused = ""
	o.bind(found)
	if n := len(o.Bound); n < len(o.Slots) {
		o.Reason = fmt.Sprintf("%d of %d machines", n, len(o.Slots))
	}
}

// bind gives machines to slots that have none: by name where the cloud kept the
// slot's, then in the order of their ids. What a slot has stays.
func (o *Order) bind(found []Bound) {
	if len(o.Bound) == len(o.Slots) {
		return
	}
	free := o.unbound(found)
	if len(free) == 0 {
		return
	}
	o.Bound = maps.Clone(o.Bound)
	if o.Bound == nil {
		o.Bound = map[string]Bound{}
	}
	for i, b := range free {
		if _, has := o.Bound[b.Name]; !has && slices.Contains(o.Slots, b.Name) {
			o.Bound[b.Name] = b
			free[i].CloudID = ""
		}
	}
	free = slices.DeleteFunc(free, func(b Bound) bool { return b.CloudID == "" })
	for _, slot := range o.Slots {
		if _, has := o.Bound[slot]; !has && len(free) > 0 {
			o.Bound[slot], free = free[0], free[1:]
		}
	}
}

// unbound are the machines no slot has, by id.
func (o *Order) unbound(found []Bound) []Bound {
	has := map[string]bool{"": true}
	for _, b := range o.Bound {
		has[b.CloudID] = true
	}
	var free []Bound
	for _, b := range found {
		if !has[b.CloudID] {
			has[b.CloudID] = true
			free = append(free, b)
		}
	}
	slices.SortFunc(free, func(a, b Bound) int { return cmp.Compare(a.CloudID, b.CloudID) })
	return free
}
