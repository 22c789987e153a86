package upsync

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"spillway/gateway/upstream"
)

// Action is what an operator does to a server or to an upstream.
type Action string

// The actions. Drain and Maint both take a server out of new requests; they
// differ in what people are told. Ready takes back what was done to a server,
// and holds it up if its source has it down. Freeze keeps the set of servers
// as it is, Rollback brings the one before the last change back and freezes
// that.
const (
	Drain    Action = "drain"
	Maint    Action = "maint"
	Ready    Action = "ready"
	Reweigh  Action = "weight"
	Freeze   Action = "freeze"
	Unfreeze Action = "unfreeze"
	Rollback Action = "rollback"
)

// Word is who said so, why, and for how long.
type Word struct {
	By     string    `json:"by"`
	Reason string    `json:"reason,omitempty"`
	Since  time.Time `json:"since"`
	Until  time.Time `json:"until"`
}

// String tells of it behind what was done: "by ann until 12:00 (deploy)".
func (w Word) String() string {
	s := fmt.Sprintf("by %s until %s", w.By, w.Until.UTC().Format(time.RFC3339))
	if w.Reason != "" {
		s += " (" + w.Reason + ")"
	}
	return s
}

// Override is what an operator said of one server.
type Override struct {
	// Server is the address, or host:port as it is listed, which stands for
	// all its addresses.
	Server string `json:"server"`
	Action Action `json:"action"`           // Drain, Maint, Ready or Reweigh
	Weight int    `json:"weight,omitempty"` // of Reweigh
	Word
}

// Frozen is what an operator said of a whole set.
type Frozen struct {
	RolledBack bool `json:"rolled_back"`
	Word
}

// Overrides are what operators said of an upstream. It is a value: its methods
// are pure and return changed copies.
type Overrides struct {
	// Servers are in order of their names; of one server there is at most one
	// Reweigh and one other.
	Servers []Override `json:"servers"`
	Frozen  *Frozen    `json:"frozen,omitempty"`
}

// Empty reports whether nobody said anything.
func (o Overrides) Empty() bool { return len(o.Servers) == 0 && o.Frozen == nil }

// With adds v, in place of what it contradicts.
func (o Overrides) With(v Override) Overrides {
	o.Servers = slices.DeleteFunc(slices.Clone(o.Servers), func(have Override) bool {
		return have.Server == v.Server && (have.Action == Reweigh) == (v.Action == Reweigh)
	})
	o.Servers = append(o.Servers, v)
	slices.SortStableFunc(o.Servers, func(a, b Override) int { return cmp.Compare(a.Server, b.Server) })
	return o
}

// Without drops all that was said of a server.
func (o Overrides) Without(server string) Overrides {
	o.Servers = slices.DeleteFunc(slices.Clone(o.Servers), func(v Override) bool { return v.Server == server })
	return o
}

// At drops what is over at now, and tells in words what that was.
func (o Overrides) At(now time.Time) (left Overrides, over []string) {
	left.Frozen = o.Frozen
	for _, v := range o.Servers {
		if v.Until.After(now) {
			left.Servers = append(left.Servers, v)
			continue
		}
		over = append(over, fmt.Sprintf("%s of %s", v.Action, v.Server))
	}
	if o.Frozen != nil && !o.Frozen.Until.After(now) {
		left.Frozen, over = nil, append(over, "freeze")
	}
	return left, over
}

// Next is when the first of them is over, zero without any.
func (o Overrides) Next() time.Time {
	var next time.Time
	for _, v := range o.Servers {
		next = sooner(next, v.Until)
	}
	if o.Frozen != nil {
		next = sooner(next, o.Frozen.Until)
	}
	return next
}

// sooner is the earlier of two times of which zero is never.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// Apply puts the overrides on top of what a source says. specs stays as it
// is; without overrides it is what is returned.
func (o Overrides) Apply(specs []upstream.Spec) []upstream.Spec {
	if len(o.Servers) == 0 {
		return specs
	}
	of := map[string][]Override{}
	for _, v := range o.Servers {
		of[v.Server] = append(of[v.Server], v)
	}
	specs = slices.Clone(specs)
	for i := range specs {
		s := &specs[i]
		name := listed(s)
		for _, v := range of[name] {
			v.apply(s)
		}
		if name != s.Addr {
			for _, v := range of[s.Addr] { // one address of a hostname
				v.apply(s)
			}
		}
	}
	return specs
}

func (v *Override) apply(s *upstream.Spec) {
	switch v.Action {
	case Drain:
		s.Down, s.DownWhy = true, "drained "+v.Word.String()
	case Maint:
		s.Down, s.DownWhy = true, "maintenance "+v.Word.String()
	case Ready:
		s.Down, s.DownWhy = false, ""
	case Reweigh:
		s.Weight, s.WeightFrom = v.Weight, "override "+v.Word.String()
	}
}
