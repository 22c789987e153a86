package upsync

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"spillway/gateway/upstream"
	"spillway/upsync/consul"
)

var t0 = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// servers makes n specs, numbered from first.
func servers(first, n int) []upstream.Spec {
	var out []upstream.Spec
	for i := first; i < first+n; i++ {
		out = append(out, upstream.Spec{Addr: fmt.Sprintf("10.0.0.%d:80", i), Weight: 1})
	}
	return out
}

func names(specs []upstream.Spec) []string {
	var out []string
	for _, s := range specs {
		out = append(out, s.Addr)
	}
	return out
}

func TestJudge(t *testing.T) {
	down := servers(1, 4)
	for i := range 3 {
		down[i+1].Down = true
	}
	heldBefore := map[string]time.Time{"10.0.0.4:80": t0.Add(-time.Minute / 2)}
	tests := []struct {
		name    string
		policy  Policy
		serving []upstream.Spec
		held    map[string]time.Time
		failing []int
		update  []upstream.Spec
		obs     consul.Observation
		want    Outcome
		serve   []upstream.Spec
	}{
		{"first set", Policy{}, nil, nil, nil, servers(1, 3), consul.Observation{Reconnected: true}, Applied, servers(1, 3)},
		{"first set is empty", Policy{}, nil, nil, nil, nil, consul.Observation{}, Applied, nil},
		{"addition", Policy{}, servers(1, 3), nil, nil, servers(1, 4), consul.Observation{}, Applied, servers(1, 4)},
		{"removal of a few", Policy{}, servers(1, 4), nil, nil, servers(1, 2), consul.Observation{}, Applied, servers(1, 2)},
		{"removal of most", Policy{}, servers(1, 4), nil, nil, servers(1, 1), consul.Observation{}, Held, servers(1, 4)},
		{"removal of most with another limit", Policy{MaxRemoved: 0.9}, servers(1, 4), nil, nil, servers(1, 1), consul.Observation{}, Applied, servers(1, 1)},
		{"replacement adds at once", Policy{}, servers(1, 2), nil, nil, servers(3, 2), consul.Observation{}, Held, slices.Concat(servers(3, 2), servers(1, 2))},
		{"removal of most, confirmed", Policy{}, servers(1, 4), nil, nil, servers(1, 1), consul.Observation{Confirmed: true}, Confirmed, servers(1, 1)},
		{"removal of most that are down", Policy{}, down, nil, nil, servers(1, 1), consul.Observation{}, Applied, servers(1, 1)},
		{"removal of most that fail", Policy{}, servers(1, 4), nil, []int{2, 3, 4}, servers(1, 1), consul.Observation{}, Applied, servers(1, 1)},
		{"empty", Policy{}, servers(1, 4), nil, nil, nil, consul.Observation{}, Refused, servers(1, 4)},
		{"empty and confirmed", Policy{}, servers(1, 4), nil, nil, nil, consul.Observation{Confirmed: true}, Refused, servers(1, 4)},
		{"empty although all are down", Policy{}, down[1:], nil, nil, nil, consul.Observation{}, Refused, down[1:]},
		{"empty, allowed", Policy{AllowEmpty: true}, servers(1, 4), nil, nil, nil, consul.Observation{}, Held, servers(1, 4)},
		{"empty, allowed, confirmed", Policy{AllowEmpty: true}, servers(1, 4), nil, nil, nil, consul.Observation{Confirmed: true}, Confirmed, nil},
		{"no leader", Policy{}, servers(1, 4), nil, nil, servers(1, 3), consul.Observation{NoLeader: true}, Held, servers(1, 4)},
		{"too stale", Policy{}, servers(1, 4), nil, nil, servers(1, 3), consul.Observation{TooStale: true}, Held, servers(1, 4)},
		{"filtered", Policy{}, servers(1, 4), nil, nil, servers(1, 3), consul.Observation{Filtered: true}, Held, servers(1, 4)},
		{"index went back", Policy{}, servers(1, 4), nil, nil, servers(1, 3), consul.Observation{Backward: true}, Held, servers(1, 4)},
		{"smaller after a reconnect", Policy{}, servers(1, 4), nil, nil, servers(1, 3), consul.Observation{Reconnected: true}, Held, servers(1, 4)},
		{"doubts about additions do not count", Policy{}, servers(1, 2), nil, nil, servers(1, 4), consul.Observation{NoLeader: true, Backward: true, Filtered: true}, Applied, servers(1, 4)},
		{"held stay held", Policy{}, servers(1, 4), heldBefore, nil, servers(1, 3), consul.Observation{}, Applied, servers(1, 4)},
		{"held is listed again", Policy{}, servers(1, 4), heldBefore, nil, servers(1, 4), consul.Observation{}, Applied, servers(1, 4)},
		{"upsync: most", Policy{Trust: TrustUpsync}, servers(1, 100), nil, nil, servers(1, 1), consul.Observation{NoLeader: true}, Applied, servers(1, 1)},
		{"upsync: empty", Policy{Trust: TrustUpsync}, servers(1, 4), nil, nil, nil, consul.Observation{}, Refused, servers(1, 4)},
		{"strict: empty", Policy{Trust: TrustStrict}, servers(1, 4), nil, nil, nil, consul.Observation{Filtered: true}, Applied, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			failing := map[string]bool{}
			for _, n := range tt.failing {
				failing[servers(n, 1)[0].Addr] = true
			}
			now := Situation{Serving: tt.serving, Held: tt.held, Failing: failing, Now: t0}
			v := Judge(tt.policy, now, tt.update, tt.obs)
			if v.Outcome != tt.want || v.Reason == "" {
				t.Errorf("outcome %q because %q, want %q", v.Outcome, v.Reason, tt.want)
			}
			if d := cmp.Diff(names(tt.serve), names(v.Serve)); d != "" {
				t.Errorf("serve (-want +got):\n%s", d)
			}
		})
	}
}

func TestRelease(t *testing.T) {
	since := func(ages ...time.Duration) map[string]time.Time {
		held := map[string]time.Time{}
		for i, a := range ages {
			held[servers(i+1, 1)[0].Addr] = t0.Add(-a)
		}
		return held
	}
	yes, no := map[string]bool{"10.0.0.1:80": true}, map[string]bool{"10.0.0.1:80": false}
	tests := []struct {
		name    string
		policy  Policy
		serving []upstream.Spec
		held    map[string]time.Time
		answers map[string]bool
		want    Outcome
		serve   []upstream.Spec
	}{
		{"answers", Policy{}, servers(1, 2), since(time.Second), yes, Held, servers(1, 2)},
		{"silent", Policy{}, servers(1, 2), since(time.Second), no, Released, servers(2, 1)},
		{"not asked", Policy{}, servers(1, 2), since(time.Second), nil, Held, servers(1, 2)},
		{"answers for too long", Policy{}, servers(1, 2), since(HoldLimit), yes, Released, servers(2, 1)},
		{"the last stay", Policy{}, servers(1, 1), since(HoldLimit), no, Refused, servers(1, 1)},
		{"the last may go", Policy{AllowEmpty: true}, servers(1, 1), since(HoldLimit), no, Released, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := Release(tt.policy, Situation{Serving: tt.serving, Held: tt.held, Now: t0}, tt.answers)
			if v.Outcome != tt.want {
				t.Errorf("outcome %q because %q, want %q", v.Outcome, v.Reason, tt.want)
			}
			if d := cmp.Diff(names(tt.serve), names(v.Serve)); d != "" {
				t.Errorf("serve (-want +got):\n%s", d)
			}
		})
	}
}

// world drives the guard with anything a registry may say.
type world struct {
	policy  Policy
	serving []upstream.Spec
	held    map[string]time.Time
	now     time.Time
}

func subset(t *rapid.T, label string) []upstream.Spec {
	mask := rapid.Uint16().Draw(t, label)
	var out []upstream.Spec
	for i, s := range servers(1, 12) {
		if mask&(1<<i) != 0 {
			s.Down = rapid.IntRange(0, 9).Draw(t, "down") == 0
			out = append(out, s)
		}
	}
	return out
}

func (w *world) situation(t *rapid.T) Situation {
	failing := map[string]bool{}
	for _, s := range subset(t, "failing") {
		failing[s.Addr] = true
	}
	return Situation{Serving: w.serving, Held: w.held, Failing: failing, Now: w.now}
}

func drawObservation(t *rapid.T) consul.Observation {
	odd := rapid.Uint8().Draw(t, "observation")
	bit := func(n int) bool { return odd&(1<<n) != 0 }
	return consul.Observation{
		NoLeader: bit(0), TooStale: bit(1), Filtered: bit(2), Backward: bit(3), Reconnected: bit(4), Confirmed: bit(5) && bit(6),
	}
}

// judge checks one judgement and makes it the state.
func (w *world) judge(t *rapid.T) {
	update, obs, was := subset(t, "update"), drawObservation(t), w.situation(t)
	v := Judge(w.policy, was, update, obs)
	serving := map[string]bool{}
	for _, s := range v.Serve {
		if serving[s.Addr] {
			t.Fatalf("%s serves twice", s.Addr)
		}
		serving[s.Addr] = true
	}
	if len(v.Serve) == 0 && len(was.Serving) > 0 && !w.policy.AllowEmpty && w.policy.Trust != TrustStrict {
		t.Fatalf("emptied: %s, %s", v.Outcome, v.Reason)
	}
	for _, s := range update {
		if !serving[s.Addr] {
			t.Fatalf("addition of %s was not applied: %s", s.Addr, v.Reason)
		}
	}
	gone := 0
	for _, s := range was.Serving {
		_, before := was.Held[s.Addr]
		if !serving[s.Addr] && !s.Down && !was.Failing[s.Addr] && !before {
			gone++
		}
	}
	most := (len(was.Serving) - len(was.Held)) / 2
	if w.policy.Trust == TrustDefault && !obs.Confirmed && gone > most {
		t.Fatalf("%d working servers of %d went unasked: %s", gone, len(was.Serving), v.Reason)
	}
	w.keep(t, v)
}

func (w *world) release(t *rapid.T) {
	answers := map[string]bool{}
	for _, s := range subset(t, "asked") {
		answers[s.Addr] = rapid.Bool().Draw(t, "answers")
	}
	was := w.situation(t)
	v := Release(w.policy, was, answers)
	serving := map[string]bool{}
	for _, s := range v.Serve {
		serving[s.Addr] = true
	}
	for _, s := range was.Serving {
		if _, held := was.Held[s.Addr]; !held && !serving[s.Addr] {
			t.Fatalf("%s was released and never held", s.Addr)
		}
	}
	if v.Outcome != Refused {
		for a, since := range v.Held {
			if w.now.Sub(since) >= HoldLimit {
				t.Fatalf("%s is held for %v", a, w.now.Sub(since))
			}
		}
	}
	w.keep(t, v)
}

// keep checks that what is held serves, and is not held anew each time.
func (w *world) keep(t *rapid.T, v Verdict) {
	for a, since := range v.Held {
		if !slices.Contains(names(v.Serve), a) {
			t.Fatalf("%s is held and does not serve", a)
		}
		if before, ok := w.held[a]; ok && before != since {
			t.Fatalf("the time %s is held since moved", a)
		}
	}
	w.serving, w.held = v.Serve, maps.Clone(v.Held)
}

func TestGuardHoldsItsPromises(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &world{now: t0, policy: Policy{
			Trust:      rapid.SampledFrom([]Trust{TrustDefault, TrustDefault, TrustUpsync, TrustStrict}).Draw(t, "trust"),
			AllowEmpty: rapid.Bool().Draw(t, "allow empty"),
		}}
		t.Repeat(map[string]func(*rapid.T){
			"judge":   w.judge,
			"release": w.release,
			"wait": func(t *rapid.T) {
				w.now = w.now.Add(time.Duration(rapid.IntRange(1, 40).Draw(t, "seconds")) * time.Second)
			},
		})
	})
}
