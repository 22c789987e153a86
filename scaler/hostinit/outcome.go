package hostinit

// Outcome is what becomes of a machine that passed the deadline of a stage, or
// reported that it failed.
type Outcome string

// The outcomes.
const (
	Retry      Outcome = "retry"      // wait once more as long
	Replace    Outcome = "replace"    // give it back and order another
	Quarantine Outcome = "quarantine" // keep it for a person to look at, and order another
)

// Late is a machine past a deadline.
type Late struct {
	Stage string // it did not reach
	// Tries is how often it was waited for, this time included.
	Tries int
	// Quarantined machines there are already, in its pool.
	Quarantined int
}

// Limits of outcomes.
type Limits struct {
	// Tries is how often a stage is waited for in all.
	Tries int
	// Quarantine is how many machines of a pool may be kept.
	Quarantine int
}

// Decide gives the outcome. A machine is waited for until its tries are used
// up; the first few that fail are kept, because what is wrong with them is
// likely wrong with the profile, and a machine that is gone cannot be asked.
func Decide(l Late, limits Limits) Outcome {
	switch {
	case l.Tries < limits.Tries:
		return Retry
	case l.Quarantined < limits.Quarantine:
		return Quarantine
	}
	return Replace
}
