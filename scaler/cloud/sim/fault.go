package sim

import (
	"slices"
	"time"

	"spillway/scaler/cloud"
)

// FaultKind names one way in which a cloud misbehaves.
type FaultKind string

// The kinds that strike calls. The call each strikes unless Fault.Op says
// otherwise is in usualOp.
const (
	LostRequest   FaultKind = "lost-request"   // nothing is done, and the caller cannot know
	LostAnswer    FaultKind = "lost-answer"    // all is done, and the caller cannot know
	Duplicate     FaultKind = "duplicate"      // the request is delivered twice, if it was granted
	Throttled     FaultKind = "throttled"      // 429 with a Retry-After of Delay
	Refused       FaultKind = "refused"        // a 5xx answer, nothing done
	QuotaHit      FaultKind = "quota"          // the account's limit
	NoStock       FaultKind = "no-stock"       // of the type in the zone; Op "start" too
	Partial       FaultKind = "partial"        // Count machines of a batch, or 7 of 10
	DeleteRefused FaultKind = "delete-refused" // terminate refused
	APIDown       FaultKind = "api-down"       // every call, For so long
)

// The kinds that strike machines when they are made.
const (
	NoAddress  FaultKind = "no-address"  // runs and never gets an IP
	NoInit     FaultKind = "no-init"     // runs, its init never speaks
	LateBoot   FaultKind = "late-boot"   // boots Delay later
	BootFailed FaultKind = "boot-failed" // Failed when it should run
	ListLag    FaultKind = "list-lag"    // List shows it Delay late
	Vanish     FaultKind = "vanish"      // is gone Delay after it ran
	SpotNotice FaultKind = "spot-notice" // announced Delay after it ran, gone two minutes later
	ClockSkew  FaultKind = "clock-skew"  // its clock is Delay ahead
)

// Faults are all the kinds, for tests that try each.
func Faults() []FaultKind {
	return []FaultKind{
		LostRequest, LostAnswer, Duplicate, Throttled, Refused, QuotaHit, NoStock, Partial, DeleteRefused, APIDown,
		NoAddress, NoInit, LateBoot, BootFailed, ListLag, Vanish, SpotNotice, ClockSkew,
	}
}

// Fault is one entry of a script. All but Kind may be left out: it then
// strikes once, the first call or machine it can.
type Fault struct {
	Kind FaultKind
	// Op, Zone and Type narrow it down; empty: the kind's usual call, any.
	Op, Zone, Type string
	// Nth call or machine, counted from 1 among those it could strike, is the
	// first that it strikes (0: 1), and Times how many in a row (0: 1, below
	// 0: all that follow).
	Nth, Times int
	// It strikes from After its injection on, and For so long (0: for good).
	After, For time.Duration
	// Delay is as the kind says; 0 is its usual one.
	Delay time.Duration
	// Count of a Partial batch.
	Count int
}

// spotWarning is the time between a spot machine's notice and its end (EC2's
// two minutes; others give less).
const spotWarning = 2 * time.Minute

// usual fills in what the script left out.
func (f Fault) usual(lag time.Duration) Fault {
	if f.Op == "" {
		f.Op = usualOp(f.Kind)
	}
	if f.Nth == 0 {
		f.Nth = 1
	}
	if f.Times == 0 {
		f.Times = 1
	}
	if f.Kind == APIDown && f.For == 0 {
		f.For = 10 * time.Minute
	}
	if f.Delay == 0 {
		f.Delay = usualDelay(f.Kind, lag)
	}
	return f
}

func usualOp(k FaultKind) string {
	switch k {
	case LostRequest, LostAnswer, Duplicate, Throttled, Refused, QuotaHit, NoStock, Partial:
		return cloud.OpCreate
	case DeleteRefused:
		return cloud.OpDelete
	}
	return ""
}

func usualDelay(k FaultKind, lag time.Duration) time.Duration {
	switch k {
	case Throttled:
		return 5 * time.Second
	case LateBoot:
		return 20 * time.Minute
	case ListLag:
		return max(lag, 5*time.Second)
	case Vanish, SpotNotice:
		return time.Minute
	case ClockSkew:
		return 5 * time.Minute
	}
	return 0
}

// part is how many of n a partial batch makes.
func (f Fault) part(n int) int {
	if f.Count > 0 {
		return f.Count
	}
	return n * 7 / 10
}

// armed is a fault at work.
type armed struct {
	Fault
	from time.Time
	seen int // calls or machines it could have struck
}

// Inject adds to the script. After and For count from now.
func (c *Cloud) Inject(faults ...Fault) {
	now := c.clock.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range faults {
		c.script = append(c.script, &armed{Fault: f.usual(c.provider.ListLag), from: now.Add(f.After)})
	}
}

// Heal ends every fault of the script. Machines that were struck stay so.
func (c *Cloud) Heal() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.script = nil
}

func (a *armed) active(now time.Time) bool {
	return !now.Before(a.from) && (a.For == 0 || now.Before(a.from.Add(a.For)))
}

func (a *armed) fits(op string, p Place) bool {
	return (a.Op == "" || a.Op == op) && (a.Zone == "" || a.Zone == p.Zone) && (a.Type == "" || a.Type == p.Type)
}

// strikes reports whether a fault of the kind strikes this call.
func (c *Cloud) strikes(k FaultKind, r request, now time.Time) (Fault, bool) {
	for _, a := range c.script {
		if a.Kind != k || !a.active(now) || !a.fits(r.op, r.place) {
			continue
		}
		a.seen++
		if a.seen >= a.Nth && (a.Times < 0 || a.seen < a.Nth+a.Times) {
			return a.Fault, true
		}
	}
	return Fault{}, false
}

func (c *Cloud) down(now time.Time) bool {
	return slices.ContainsFunc(c.script, func(a *armed) bool { return a.Kind == APIDown && a.active(now) })
}

// afflict lets the script strike a machine that was just made.
func (c *Cloud) afflict(m *machine, now time.Time) {
	r := request{op: cloud.OpCreate, place: Place{m.offering.Type, m.offering.Zone, m.offering.Spot}}
	for _, kind := range Faults() {
		if usualOp(kind) != "" || kind == APIDown {
			continue
		}
		if f, ok := c.strikes(kind, r, now); ok {
			m.suffer(f)
		}
	}
}

// suffer changes what is to become of the machine.
func (m *machine) suffer(f Fault) {
	switch f.Kind {
	case NoAddress:
		m.address0, m.phones, m.settled = never, never, never
	case NoInit:
		m.phones, m.settled = never, never
	case LateBoot:
		m.late(f.Delay)
	case BootFailed:
		m.failed, m.reason = m.running, "the hypervisor gave up"
		m.running, m.address0, m.phones, m.settled = never, never, never, never
	case ListLag:
		m.lag = f.Delay
	case Vanish:
		gone := m.running.Add(f.Delay)
		m.end(gone, gone)
	case SpotNotice:
		m.notice = m.running.Add(f.Delay)
		m.end(m.notice.Add(spotWarning), m.notice.Add(spotWarning))
	case ClockSkew:
		m.skew = f.Delay
	}
}
