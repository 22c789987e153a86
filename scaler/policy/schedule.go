package policy

import (
	"fmt"
	"time"
)

// Schedule is a floor at certain times. Capacity is wanted the lead time
// before it begins.
type Schedule struct {
	Name string // in decisions; "" is Cron
	// Cron is when it begins: minute, hour, day of month, month, day of week, as
	// in crontab(5).
	Cron     string
	Duration time.Duration // 1 min to 31 days
	Zone     string        // IANA name, "" is UTC
	Units    float64       // kept at least

	when     cron
	loc      *time.Location
	compiled bool
}

// maxDuration bounds how many days are looked at for a beginning.
const maxDuration = 31 * 24 * time.Hour

func (s *Schedule) label() string {
	if s.Name != "" {
		return s.Name
	}
	return s.Cron
}

// compile parses the texts.
func (s *Schedule) compile() error {
	if s.Duration < time.Minute || s.Duration > maxDuration {
		return fmt.Errorf("duration is %v, allowed: from 1m to %v", s.Duration, maxDuration)
	}
	if !(s.Units >= 0 && s.Units <= most) {
		return fmt.Errorf("units is %g, allowed: from 0 to %g", s.Units, most)
	}
	if s.Zone == "Local" {
		return fmt.Errorf(`zone is "Local", allowed: the name of a zone such as Asia/Shanghai`)
	}
	loc, err := time.LoadLocation(s.Zone)
	if err != nil {
		return fmt.Errorf("cannot load time zone %q: %w", s.Zone, err)
	}
	when, err := parseCron(s.Cron)
	if err != nil {
		return err
	}
	s.when, s.loc, s.compiled = when, loc, true
	return nil
}

// active reports whether the floor holds at now, or begins within lead, and
// when it began or begins.
func (s *Schedule) active(now time.Time, lead time.Duration) (time.Time, bool) {
	if !s.compiled {
		panic("BUG: policy used before Validate")
	}
	return s.when.first(now.Add(-s.Duration), now.Add(lead), s.loc)
}

// scheduled is the highest floor that holds.
func (p *Policy) scheduled(now time.Time, lead time.Duration) (Candidate, bool) {
	var best Candidate
	found := false
	for i := range p.Schedules {
		s := &p.Schedules[i]
		begins, ok := s.active(now, lead)
		if !ok || found && s.Units <= best.Units {
			continue
		}
		found = true
		best = Candidate{RuleSchedule, s.Units, fmt.Sprintf("%q from %s for %v", s.label(), begins.In(s.loc).Format("2006-01-02 15:04 MST"), s.Duration)}
	}
	return best, found
}
