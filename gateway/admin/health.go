package admin

import (
	"strings"
	"time"

	"spillway/gateway/upstream"
)

// health is what probes and the comparison with others say of a server.
type health struct {
	// Held is what is held against it ("unhealthy", "ejected", ...), also
	// while it is pardoned: too few others are left.
	Held     string `json:"held,omitempty"`
	Pardoned bool   `json:"pardoned,omitempty"`
	// Share is the part of its weight it gets, below 1 while it starts slowly.
	Share float64 `json:"share"`

	Probe    string     `json:"probe,omitempty"`
	ProbedAt *time.Time `json:"probed_at,omitempty"`
	Since    *time.Time `json:"since,omitempty"`

	Ejection     string     `json:"ejection,omitempty"`
	EjectedUntil *time.Time `json:"ejected_until,omitempty"`
	Ejections    int        `json:"ejections,omitempty"`
}

// describeHealth is nil for a server that nobody watches.
func describeHealth(s *upstream.Server) *health {
	w, h := s.Standing(), s.Health()
	if w == 0 && h == (upstream.Health{}) {
		return nil
	}
	return &health{
		Held: w.Held().String(), Pardoned: w&upstream.Pardoned != 0, Share: float64(w.Share()) / upstream.FullShare,
		Probe: h.Probe, ProbedAt: known(h.ProbedAt), Since: known(h.Since),
		Ejection: h.Ejection, EjectedUntil: known(h.Until), Ejections: h.Ejections,
	}
}

// heldWhy explains what is held against a server.
func heldWhy(s *upstream.Server) string {
	w, h := s.Standing(), s.Health()
	var why []string
	switch {
	case w&upstream.Unproven != 0:
		why = append(why, "new, waits for its first good probe")
		if h.Probe != "" {
			why = append(why, "probe: "+h.Probe)
		}
	case w&upstream.Unhealthy != 0:
		why = append(why, "probe: "+h.Probe)
	}
	if w&upstream.Ejected != 0 {
		why = append(why, h.Ejection+", until "+untilWhen(h.Until))
	}
	return strings.Join(why, "; ")
}

// untilWhen is the end of an ejection.
func untilWhen(t time.Time) string {
	if t.IsZero() {
		return "probes succeed"
	}
	return t.UTC().Format(time.RFC3339)
}
