package demo

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"spillway/bench/report"
	"spillway/scaler/cloud"
	"spillway/scaler/fleet"
)

// trial is everything that was seen while scalers were killed.
type trial struct {
	deaths    []death
	losses    []loss
	converged []outcome
	atOnce    int                        // most rented machines at one time
	bought    map[string]map[string]bool // machines by their order, all that ever were
	unwell    []string                   // what was critical while there was no scaler
	broken    []string                   // the trial could not go on
	left      []string                   // at the end
	tokens    []string                   // that stood for more than one batch
}

// death of one scaler.
type death struct {
	phase, side, step, id string
	faults                []string
}

// loss is what was gone after something was taken from the scaler.
type loss struct {
	what         string
	machines     int
	lost, faults []string
	took         time.Duration
}

// outcome of a phase.
type outcome struct {
	phase string
	ok    bool
}

func newTrial() *trial { return &trial{bought: map[string]map[string]bool{}} }

// machines notes those that are rented now.
func (t *trial) machines(all []cloud.Machine) {
	t.atOnce = max(t.atOnce, len(all))
	for _, m := range all {
		order := m.Tags[cloud.TagOrder]
		if t.bought[order] == nil {
			t.bought[order] = map[string]bool{}
		}
		t.bought[order][m.ID] = true
	}
}

// bad notes what should not be, each once.
func (t *trial) bad(all []string) {
	for _, text := range all {
		if !slices.Contains(t.unwell, text) {
			t.unwell = append(t.unwell, text)
		}
	}
}

// phase is one direction, and the kinds of steps it takes, in order.
type phase struct {
	name  string
	steps []fleet.Kind
}

func buying() phase {
	return phase{"buying", []fleet.Kind{fleet.CreateMachines, fleet.PrepareMachine, fleet.EnsureContainer, fleet.Register}}
}

func givingBack() phase {
	return phase{"giving back", []fleet.Kind{fleet.DrainService, fleet.Deregister, fleet.RemoveContainer, fleet.DeleteMachine}}
}

// steps of both directions.
func steps() []fleet.Kind { return append(buying().steps, givingBack().steps...) }

// at counts the kills at a kind of step, and collects what was wrong then.
func (t *trial) at(step, side string) (n int, faults []string) {
	for _, d := range t.deaths {
		if d.step == step && d.side == side {
			n++
			faults = append(faults, d.faults...)
		}
	}
	return n, faults
}

// write prints the matrix.
func (t *trial) write(out io.Writer) {
	fmt.Fprintf(out, "\n%-18s %13s %12s  %s\n", "step", "killed before", "killed after", "outcome")
	for _, step := range steps() {
		before, wrong := t.at(string(step), "before")
		after, more := t.at(string(step), "after")
		fmt.Fprintf(out, "%-18s %13d %12d  %s\n", step, before, after, orGood(append(wrong, more...)))
	}
	for i := range t.losses {
		fmt.Fprintln(out, t.losses[i].String())
	}
}

func (l *loss) String() string {
	return fmt.Sprintf("%s (%d rented machines, watched for %v): %s", l.what, l.machines, l.took.Round(time.Second), orGood(append(slices.Clone(l.lost), l.faults...)))
}

func orGood(faults []string) string {
	if len(faults) == 0 {
		return "nothing lost, nothing double, all known"
	}
	return strings.Join(faults, ", ")
}

// judgeCrash holds what was seen against what was promised. It is a pure
// function.
func judgeCrash(o *CrashOptions, r *report.Report, t *trial) *verdict {
	v := &verdict{}
	v.check(r.Errors.Total == 0 && r.Requests > 0, "%d of %d requests failed %v", r.Errors.Total, r.Requests, r.Errors.ByKind)
	v.check(onlyOK(r), "answers by status: %v", r.Status)
	v.check(len(t.broken) == 0 && len(t.deaths) > 0, "%d kills; %s", len(t.deaths), orElse(t.broken, "the trial went through"))
	v.check(len(t.unhit()) == 0, "steps at which no scaler was killed: %s", orElse(t.unhit(), "none"))
	orphans, doubles := t.faults()
	v.check(len(orphans) == 0, "%d orphans%s", len(orphans), listed(orphans))
	v.check(len(doubles) == 0, "%d doubles%s", len(doubles), listed(doubles))
	v.check(t.atOnce <= o.Machines && t.count() <= o.Machines*o.Rounds,
		"%d machines bought in all, %d at once; wanted were %d in each of %d rounds", t.count(), t.atOnce, o.Machines, o.Rounds)
	for _, p := range t.converged {
		v.check(p.ok, "converged after kills while %s", p.phase)
	}
	for i := range t.losses {
		l := &t.losses[i]
		v.check(len(l.lost) == 0, "%s: %d lost%s", l.what, len(l.lost), listed(l.lost))
	}
	if o.Absent > 0 {
		v.check(len(t.unwell) == 0, "critical without a scaler: %s", orElse(t.unwell, "nothing"))
	}
	v.check(len(t.left) == 0, "left over: %s", orNothing(t.left))
	return v
}

// faults of all times, by kind.
func (t *trial) faults() (orphans, doubles []string) {
	sort := func(all []string) {
		for _, f := range all {
			if strings.HasPrefix(f, "double") {
				doubles = append(doubles, f)
			} else {
				orphans = append(orphans, f)
			}
		}
	}
	sort(t.tokens)
	for _, d := range t.deaths {
		sort(d.faults)
	}
	for _, l := range t.losses {
		sort(l.faults)
	}
	return orphans, doubles
}

// unhit are the steps and sides at which no scaler died.
func (t *trial) unhit() (all []string) {
	for _, step := range steps() {
		for _, side := range []string{"before", "after"} {
			if n, _ := t.at(string(step), side); n == 0 {
				all = append(all, side+" "+string(step))
			}
		}
	}
	return all
}

// count is the number of all machines that ever were.
func (t *trial) count() (n int) {
	for _, all := range t.bought {
		n += len(all)
	}
	return n
}

func orElse(all []string, otherwise string) string {
	if len(all) == 0 {
		return otherwise
	}
	return strings.Join(all, ", ")
}

func listed(all []string) string {
	if len(all) == 0 {
		return ""
	}
	return ": " + strings.Join(all, ", ")
}
