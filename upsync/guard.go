package upsync

import (
	"fmt"
	"strings"
	"time"

	"spillway/gateway/upstream"
	"spillway/upsync/consul"
)

// Trust says when an update is believed.
type Trust string

// The modes of trust. The zero value is TrustDefault.
const (
	// TrustDefault asks the registry once more before it removes many.
	TrustDefault Trust = "default"
	// TrustUpsync does as nginx-upsync does: everything at once, only the last
	// servers are kept, and a bad value counts as no value.
	TrustUpsync Trust = "upsync"
	// TrustStrict obeys to the letter.
	TrustStrict Trust = "strict"
)

// Policy is how one upstream's updates are judged.
type Policy struct {
	Trust Trust
	// AllowEmpty lets an update remove the last server.
	AllowEmpty bool
	// MaxRemoved is the share of servers that may go at once without being
	// asked about, 0 is a half.
	MaxRemoved float64
}

// HoldLimit is how long a server that an unconfirmed update dropped keeps
// serving at most: its address may be given to something else.
const HoldLimit = 60 * time.Second

// Situation is what an update meets.
type Situation struct {
	// Serving are the servers in use, the held ones included.
	Serving []upstream.Spec
	// Held are those in use that the registry no longer lists, and since when.
	Held map[string]time.Time
	// Failing are addresses in use that fail anyway.
	Failing map[string]bool
	Now     time.Time
}

// Outcome is what became of an update.
type Outcome string

// The outcomes. Held is the only one after which more happens by itself.
const (
	Applied   Outcome = "applied"   // as it is
	Confirmed Outcome = "confirmed" // as a consistent read gave it
	Held      Outcome = "held"      // additions only, the removals are in doubt
	Refused   Outcome = "refused"   // nothing of it
	Released  Outcome = "released"  // held servers went: silent, or too old

	// Of operators, not of Judge.
	Overridden Outcome = "overridden" // somebody said something else
	Postponed  Outcome = "postponed"  // the set is frozen
	Expired    Outcome = "expired"    // an override or a delay ended
)

// Verdict is the judgement of one update.
type Verdict struct {
	Outcome Outcome
	// Reason says why, in words.
	Reason string
	// Serve are the servers to use now: those of the update in its order, then
	// those held.
	Serve []upstream.Spec
	Held  map[string]time.Time
}

// Judge decides what of an update is believed. It is a pure function.
//
//	                      update
//	                         |
//	    +--------------------+---------------------+
//	    | nothing doubtful   | doubtful removals   | empty, not allowed,
//	    |                    |                     | or all checks fail
//	    v                    v                     v
//	 applied               held                 refused: all stay
//	                         |
//	           one ?consistent read
//	    +--------------------+---------------------+
//	    | agrees             | differs             | cannot be had
//	    v                    v                     v
//	confirmed          confirmed, with         servers that answer stay
//	                   what it says            60 s at most: released
//
// Additions and changes are never in doubt. A removal is not in doubt if the
// server is down or fails anyway.
func Judge(p Policy, now Situation, update []upstream.Spec, obs consul.Observation) Verdict {
	if len(update) == 0 && !p.AllowEmpty && p.Trust != TrustStrict && len(now.Serving) > 0 {
		return Verdict{Outcome: Refused, Reason: "the update is empty", Serve: now.Serving, Held: now.Held}
	}
	if p.Trust == TrustUpsync || p.Trust == TrustStrict {
		return Verdict{Outcome: Applied, Reason: "trust: " + string(p.Trust), Serve: update}
	}
	if !p.AllowEmpty && allFailChecks(update) && anyUp(now.Serving) {
		return Verdict{Outcome: Refused, Reason: "no usable server: all fail their checks at once", Serve: now.Serving, Held: now.Held}
	}
	missing, fresh := doubtful(now, update)
	if len(missing) == 0 {
		return Verdict{Outcome: Applied, Reason: "nothing is in doubt", Serve: update}
	}
	if obs.Confirmed {
		return Verdict{Outcome: Confirmed, Reason: "a consistent read agrees", Serve: update}
	}
	why := suspicions(p, now, update, fresh, obs)
	v := Verdict{Outcome: Held, Reason: why, Serve: update}
	if why == "" {
		v.Outcome, v.Reason = Applied, "nothing is in doubt"
	}
	return v.hold(now, missing, why != "")
}

// allFailChecks reports whether the update has no server to use and none of
// them was taken out on purpose: that is a registry, or a network between it
// and the servers, that is ill, and as good as an empty list.
func allFailChecks(update []upstream.Spec) bool {
	for i := range update {
		if s := &update[i]; !s.Down || s.DownWhy != "critical" {
			return false
		}
	}
	return len(update) > 0
}

func anyUp(servers []upstream.Spec) bool {
	for i := range servers {
		if !servers[i].Down {
			return true
		}
	}
	return false
}

// doubtful returns the servers in use that the update lacks, without those
// that may go anyway; fresh is how many of them are not held yet.
func doubtful(now Situation, update []upstream.Spec) (missing []upstream.Spec, fresh int) {
	listed := make(map[string]bool, len(update))
	for i := range update {
		listed[update[i].Addr] = true
	}
	for _, s := range now.Serving {
		if listed[s.Addr] || s.Down || now.Failing[s.Addr] {
			continue
		}
		missing = append(missing, s)
		if _, held := now.Held[s.Addr]; !held {
			fresh++
		}
	}
	return missing, fresh
}

// hold adds the missing servers that stay: those held before, and all of them
// if the update is in doubt.
func (v Verdict) hold(now Situation, missing []upstream.Spec, doubt bool) Verdict {
	v.Serve = append([]upstream.Spec(nil), v.Serve...)
	v.Held = map[string]time.Time{}
	for _, s := range missing {
		since, before := now.Held[s.Addr]
		if !before && !doubt {
			continue
		}
		if !before {
			since = now.Now
		}
		v.Held[s.Addr] = since
		v.Serve = append(v.Serve, s)
	}
	return v
}

// suspicions says why the removals of an update are in doubt, "" if they are
// not.
func suspicions(p Policy, now Situation, update []upstream.Spec, fresh int, obs consul.Observation) string {
	if fresh == 0 {
		return ""
	}
	var why []string
	add := func(when bool, format string, args ...any) {
		if when {
			why = append(why, fmt.Sprintf(format, args...))
		}
	}
	limit := p.MaxRemoved
	if limit <= 0 {
		limit = 0.5
	}
	served := len(now.Serving) - len(now.Held)
	add(len(update) == 0, "the update is empty")
	add(float64(fresh) > limit*float64(served), "%d of %d servers gone at once", fresh, served)
	add(obs.NoLeader, "the registry knows no leader")
	add(obs.TooStale, "the answer is %v old", obs.LastContact)
	add(obs.Filtered, "ACLs removed entries from the answer")
	add(obs.Backward, "the index went back")
	add(obs.Reconnected && len(update) < len(now.Serving), "smaller than before the connection was lost")
	return strings.Join(why, ", ")
}

// Release decides which held servers go: those that do not answer (answers
// says what a probe found, addresses it lacks were not asked) and those that
// were held for HoldLimit. The last servers stay unless the policy allows an
// empty set. It is a pure function.
func Release(p Policy, now Situation, answers map[string]bool) Verdict {
	v := Verdict{Held: map[string]time.Time{}}
	var silent, old int
	for _, s := range now.Serving {
		since, held := now.Held[s.Addr]
		ok, asked := answers[s.Addr]
		switch {
		case !held:
			v.Serve = append(v.Serve, s)
		case now.Now.Sub(since) >= HoldLimit:
			old++
		case asked && !ok:
			silent++
		default:
			v.Held[s.Addr] = since
			v.Serve = append(v.Serve, s)
		}
	}
	if silent+old == 0 {
		return Verdict{Outcome: Held, Reason: "all held servers answer", Serve: now.Serving, Held: now.Held}
	}
	if len(v.Serve) == 0 && !p.AllowEmpty {
		return Verdict{Outcome: Refused, Reason: "no server would be left", Serve: now.Serving, Held: now.Held}
	}
	v.Outcome = Released
	v.Reason = fmt.Sprintf("%d do not answer, %d were held for %v", silent, old, HoldLimit)
	return v
}
