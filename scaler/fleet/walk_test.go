package fleet

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// Random walks: records are stepped through observations that need not fit
// together, as those of clouds, engines and registries that lie or are late.
// What is checked holds for every one of them.

// begin is when all walks begin.
var begin = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// quick timings make deadlines pass within a walk.
func quick() Timings {
	return Timings{
		Order: 40 * time.Second, Call: 10 * time.Second, Requested: 60 * time.Second,
		Boot: 30 * time.Second, Join: 30 * time.Second, Prepare: 10 * time.Second, Starting: 20 * time.Second,
		EngineSilent: 5 * time.Second, EngineDead: 20 * time.Second,
		Lost: 10 * time.Second, Spare: 60 * time.Second, Quarantine: 50 * time.Second,
		Refused: 10 * time.Second, Stock: 5 * time.Second, Release: 2 * time.Second,
		Start: 20 * time.Second, Register: 20 * time.Second, Check: 20 * time.Second,
		Drain: 10 * time.Second, Remove: 10 * time.Second, Stable: 30 * time.Second, Restarts: 3,
		Backoff: Backoff{First: time.Second, Most: 8 * time.Second},
	}
}

// dice is what a walk draws from: rapid, or a fixed sequence.
type dice interface {
	n(most int) int // 0..most-1
}

type rapidDice struct{ t *rapid.T }

func (d rapidDice) n(most int) int { return rapid.IntRange(0, most-1).Draw(d.t, "n") }

func pick[T any](d dice, of ...T) T { return of[d.n(len(of))] }

func chance(d dice, percent int) bool { return d.n(100) < percent }

// near is now, an instant shortly before, or none.
func near(d dice, now time.Time) time.Time {
	switch d.n(10) {
	case 0:
		return time.Time{}
	case 1, 2, 3, 4:
		return now
	}
	return now.Add(-time.Duration(d.n(40)) * time.Second)
}

func outcome(d dice, now time.Time, kinds ...Kind) Outcome {
	if chance(d, 30) {
		return Outcome{}
	}
	last := Outcome{Kind: pick(d, kinds...), At: near(d, now)}
	if chance(d, 60) {
		last.At = now
	}
	if chance(d, 50) {
		last.OK = true
		return last
	}
	last.ErrKind = pick(d, "transient", "ambiguous", "rate_limited", "no_capacity", "quota", "auth", "invalid", "not_found", "dry_run")
	last.Err = "because"
	last.Retry = pick(d, 0, 3*time.Second)
	return last
}

// judged is what a step of any record must fulfil; R is the record.
type judged[R any] struct {
	step func(R, bool) (R, []Effect) // bool: with the last outcome
	hops func(R) []Edge              // that the step makes
	edge map[[2]string]bool
}

func (j judged[R]) check(before R) (after R, effects []Effect, err error) {
	kept := text(before)
	after, effects = j.step(before, true)
	if diff := differ(kept, text(before)); diff != "" {
		return after, nil, fmt.Errorf("the step changed the record it was given:\n%s", diff)
	}
	for _, hop := range j.hops(before) {
		if !j.edge[[2]string{hop.From, hop.To}] {
			return after, nil, fmt.Errorf("went from %s to %s", hop.From, hop.To)
		}
	}
	want := text(after, effects)
	again, effects2 := j.step(after, true)
	if diff := differ(want, text(again, effects2)); diff != "" {
		return after, nil, fmt.Errorf("the second step at one instant differs:\n%s", diff)
	}
	crashed, effects3 := j.step(roundTrip(after), false)
	if diff := differ(want, text(crashed, effects3)); diff != "" {
		return after, nil, fmt.Errorf("after a crash the step differs:\n%s", diff)
	}
	if len(effects) > 1 {
		return after, nil, fmt.Errorf("%d effects at once", len(effects))
	}
	return after, effects, nil
}

// text is what a ledger keeps of a record, and its effects.
func text(record any, effects ...[]Effect) string {
	b, err := json.Marshal([]any{record, effects})
	if err != nil {
		panic(err)
	}
	return string(b)
}

func differ(want, got string) string {
	if want == got {
		return ""
	}
	return cmp.Diff(strings.Split(want, ","), strings.Split(got, ","))
}

// roundTrip is the record as the ledger gives it back.
func roundTrip[R any](r R) (out R) {
	b, err := json.Marshal(r)
	if err == nil {
		err = json.Unmarshal(b, &out)
	}
	if err != nil {
		panic(err)
	}
	return out
}

func table(edges []Edge) map[[2]string]bool {
	legal := map[[2]string]bool{}
	for _, e := range edges {
		legal[[2]string{e.From, e.To}] = true
	}
	return legal
}

// hopsOf follows a record's hops one by one.
func hopsOf(state func() string, hop func()) (all []Edge) {
	for range 50 {
		from := state()
		hop()
		if state() == from {
			return all
		}
		all = append(all, Edge{From: from, To: state()})
	}
	panic(fmt.Sprint("no end to ", all))
}

// A state that a step can leave or enter is in the table, and the other way
// round: the tables have no word that no machine knows.
func TestTablesNameKnownStates(t *testing.T) {
	known := map[string]bool{}
	for _, s := range states() {
		known[s] = true
	}
	for _, edges := range [][]Edge{OrderEdges(), MachineEdges(), InstanceEdges()} {
		if len(table(edges)) != len(edges) {
			t.Error("a transition is there twice")
		}
		for _, e := range edges {
			if !known[e.From] || !known[e.To] || e.When == "" {
				t.Errorf("%+v", e)
			}
		}
	}
}

func states() []string {
	var all []string
	for _, s := range machineStates {
		all = append(all, string(s))
	}
	for _, s := range instanceStates {
		all = append(all, string(s))
	}
	return append(all, string(OrderIntended), string(OrderAmbiguous), string(OrderBound), string(OrderRefused))
}

var machineStates = []MachineState{
	MachinePlanned, MachineRequested, MachineBooting, MachineJoining, MachineSettled, MachineReady, MachineCordoned, MachineDraining,
	MachineEmptied, MachineWarmStopped, MachineStarting, MachineDeleting, MachineGone, MachineLost, MachineFailed, MachineQuarantined,
}

var instanceStates = []InstanceState{
	InstancePlanned, InstanceStarting, InstanceRegistering, InstanceChecking, InstanceServing, InstanceDraining,
	InstanceLeaving, InstanceStopping, InstanceGone, InstanceFailed,
}
