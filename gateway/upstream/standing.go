package upstream

import (
	"slices"
	"strings"
	"time"
)

// Standing is what is held against a server, in one word that pickers load
// for each choice. 0 is a server in good standing, and the only value there is
// while health checks, outlier ejection and slow start are off.
//
//	bits 0-3   why it gets no requests, and whether it gets some all the same
//	bits 8-15  its share while it starts slowly, in parts of FullShare; 0 is all
type Standing uint32

const (
	// Unproven servers are new, and their first probe is not answered yet.
	Unproven Standing = 1 << iota
	// Unhealthy servers fail their probes.
	Unhealthy
	// Ejected servers did worse than the others, or could not be reached.
	Ejected
	// Pardoned servers get requests whatever else is held against them: too
	// few others are left (Settings.PanicThreshold).
	Pardoned

	held       = Unproven | Unhealthy | Ejected
	shareShift = 8
	shareMask  = (FullShare - 1) << shareShift
)

// FullShare is the share of a server that gets all that its weight says.
const FullShare = 256

// Held is what is held against the server: Unproven, Unhealthy and Ejected.
func (s Standing) Held() Standing { return s & held }

// Barred reports whether the server gets no requests.
func (s Standing) Barred() bool { return s&held != 0 && s&Pardoned == 0 }

// Share is the part that the server gets of what it would get by its weight, 1
// to FullShare.
func (s Standing) Share() int {
	if n := int(s&shareMask) >> shareShift; n != 0 {
		return n
	}
	return FullShare
}

// WithShare is s with that share; less than 1 is 1.
func (s Standing) WithShare(n int) Standing {
	s &^= shareMask
	if n >= FullShare {
		return s
	}
	return s | Standing(max(1, n))<<shareShift
}

// String is what is held against the server, "" for nothing.
func (s Standing) String() string {
	var words []string
	for _, w := range []struct {
		bit  Standing
		word string
	}{{Unproven, "unproven"}, {Unhealthy, "unhealthy"}, {Ejected, "ejected"}} {
		if s&w.bit != 0 {
			words = append(words, w.word)
		}
	}
	return strings.Join(words, "+")
}

// Standing is what is held against the server now.
func (s *Server) Standing() Standing { return Standing(s.standing.Load()) }

// Amend changes the standing by one step that no other change comes between,
// and returns it as it was and as it is.
func (s *Server) Amend(change func(Standing) Standing) (was, is Standing) {
	for {
		was = s.Standing()
		is = change(was)
		if was == is || s.standing.CompareAndSwap(uint32(was), uint32(is)) {
			return was, is
		}
	}
}

// Health is what people are told of a server's standing. The zero value is of
// a server that nobody watches.
type Health struct {
	// Probe is what the last probe found ("200 in 3ms", "connection refused"),
	// ProbedAt when; Since is when its verdict last changed.
	Probe    string
	ProbedAt time.Time
	Since    time.Time
	// Ejection is why the server was last ejected, Until to when, Ejections
	// how often of late: each makes the next one longer.
	Ejection  string
	Until     time.Time
	Ejections int
	// Started is when its slow start began.
	Started time.Time
}

// Health returns what was last told of the server.
func (s *Server) Health() Health {
	if h := s.health.Load(); h != nil {
		return *h
	}
	return Health{}
}

// SetHealth tells people of the server's health; one goroutine may.
func (s *Server) SetHealth(h Health) { s.health.Store(&h) }

// Pardon decides whether so few servers are admitted that all of them get
// requests, as Envoy's panic threshold has it: sending everything to the last
// few would take those down too, and when all are held to be bad, most likely
// the judge is wrong. It reports whether that is so and marks or unmarks the
// servers.
//
// Down servers do not count. While a backup is admitted nobody is pardoned:
// there is somewhere to go.
func Pardon(entries []Entry, threshold float64) bool {
	all, admitted, spare := 0, 0, false
	for i := range entries {
		e := &entries[i]
		if e.Spec.Down {
			continue
		}
		good := e.Standing().Held() == 0
		if e.Spec.Backup {
			spare = spare || good
			continue
		}
		all++
		if good {
			admitted++
		}
	}
	panicking := !spare && float64(admitted) < threshold*float64(all)
	if all == 0 { // backups alone
		panicking = !spare && threshold > 0 && len(entries) > 0
	}
	for i := range entries {
		entries[i].Amend(func(s Standing) Standing {
			if panicking && s.Held() != 0 {
				return s | Pardoned
			}
			return s &^ Pardoned
		})
	}
	return panicking
}

// Panicking reports whether a server of the snapshot was pardoned.
func (s *Snapshot) Panicking() bool {
	return slices.ContainsFunc(s.Entries, func(e Entry) bool { return e.Standing()&Pardoned != 0 })
}

// greet gives those that join a pool that serves already the standing that its
// settings have for newcomers, before anybody can pick them, and pardons all
// if those that left were needed.
func greet(s *Settings, old, next []Entry, added []string) {
	if !s.Guarded() || len(old) == 0 {
		return
	}
	var first Standing
	if s.Check.Kind != "" && s.Check.ProbeFirst {
		first |= Unproven
	}
	if s.SlowStart.Window > 0 {
		first = first.WithShare(int(s.SlowStart.Min * FullShare))
	}
	join := make(map[string]bool, len(added))
	for _, addr := range added {
		join[addr] = true
	}
	for i := range next {
		if e := &next[i]; join[e.Addr] {
			e.Amend(func(Standing) Standing { return first })
		}
	}
	Pardon(next, s.PanicThreshold)
}
