package upsync

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"spillway/gateway/upstream"
	"spillway/upsync/consul"
)

// Bounds of what an operator may say.
const (
	DefaultTTL = time.Hour
	MaxTTL     = 30 * 24 * time.Hour
	maxWords   = 256 // bytes of a reason or a name
)

// What keeps an order from being carried out. The errors of Operate wrap one
// of them and say what is allowed.
var (
	ErrNoUpstream = errors.New("there is no such upstream")
	ErrNoServer   = errors.New("there is no such server")
	ErrInvalid    = errors.New("the order is invalid")
	ErrNoEarlier  = errors.New("no earlier set is known")
)

// Order is what an operator wants done.
type Order struct {
	Action Action
	Server string        // of Drain, Maint, Ready and Reweigh
	Weight int           // of Reweigh
	TTL    time.Duration // how long it holds; 0 is DefaultTTL
	By     string        // who; empty is "unknown"
	Reason string
}

// Result is what came of an order.
type Result struct {
	// Until is when it ends by itself, zero if it ended something.
	Until time.Time
	// Left is how many servers get requests now.
	Left int
	// Durable says that it survives a restart: the upstream has a dump, and
	// the order was written beside it.
	Durable bool
}

// Operate carries an order out: it is in effect when Operate returns, and
// loops take it over within microseconds. Orders lie on top of what the source
// says and end by themselves; they survive changes of the source and of the
// configuration, and a restart if the upstream has a dump.
func (s *Syncer) Operate(name string, o Order) (Result, error) {
	m := s.member(name)
	if m == nil {
		return Result{}, fmt.Errorf("%w: %q", ErrNoUpstream, name)
	}
	if err := o.check(); err != nil {
		return Result{}, err
	}
	r, err := m.operate(o)
	if err != nil {
		return Result{}, err
	}
	r.Durable = m.keepOverrides() && !r.Until.IsZero()
	return r, nil
}

// check refuses what cannot be meant, and fills in what was left out.
func (o *Order) check() error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: "+format, append([]any{ErrInvalid}, args...)...)
	}
	if o.TTL == 0 {
		o.TTL = DefaultTTL
	}
	if o.By == "" {
		o.By = "unknown"
	}
	ofServer := slices.Contains([]Action{Drain, Maint, Ready, Reweigh}, o.Action)
	switch {
	case !ofServer && !slices.Contains([]Action{Freeze, Unfreeze, Rollback}, o.Action):
		return bad("action %q, want drain, ready, maint, weight, freeze, unfreeze or rollback", o.Action)
	case ofServer && o.Server == "":
		return bad("server is missing, want its address")
	case !ofServer && o.Server != "":
		return bad("%s is of the whole upstream and takes no server", o.Action)
	case o.Action == Reweigh && (o.Weight < 1 || o.Weight > consul.MaxWeight):
		return bad("weight %d, want 1 to %d", o.Weight, consul.MaxWeight)
	case o.Action != Reweigh && o.Weight != 0:
		return bad("%s takes no weight", o.Action)
	case o.TTL < time.Second || o.TTL > MaxTTL:
		return bad("ttl %v, want 1s to %v", o.TTL, MaxTTL)
	case !plain(o.By) || !plain(o.Reason):
		return bad("by and reason are text of one line, at most %d bytes", maxWords)
	}
	return nil
}

func plain(text string) bool {
	return len(text) <= maxWords && !strings.ContainsFunc(text, unicode.IsControl)
}

func (m *member) operate(o Order) (Result, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.gone {
		return Result{}, fmt.Errorf("%w: %q", ErrNoUpstream, m.name)
	}
	now := m.s.opts.Now()
	word := Word{By: o.By, Reason: o.Reason, Since: now, Until: now.Add(o.TTL)}
	r := Result{Until: word.Until}
	var err error
	switch o.Action {
	case Freeze:
		m.freeze(word)
	case Unfreeze:
		r.Until = time.Time{}
		m.thaw("unfrozen by " + o.By)
	case Rollback:
		err = m.rollback(word)
	default:
		r.Until, err = m.overrule(Override{Server: o.Server, Action: o.Action, Weight: o.Weight, Word: word})
	}
	r.Left = m.left()
	return r, err
}

// overrule puts an override on a server and returns when it ends; mu is held.
func (m *member) overrule(v Override) (until time.Time, err error) {
	server, down, ok := m.find(v.Server)
	if !ok {
		return until, fmt.Errorf("%w: %q, want one of %s", ErrNoServer, v.Server, m.some())
	}
	v.Server, until = server, v.Until
	if v.Action != Ready {
		m.ops.said = m.ops.said.With(v)
	} else {
		if m.ops.said = m.ops.said.Without(server); down {
			m.ops.said = m.ops.said.With(v)
		} else {
			until = time.Time{}
		}
	}
	what := string(v.Action)
	if v.Action == Reweigh {
		what = fmt.Sprintf("weight %d", v.Weight)
	}
	m.republish(Overridden, fmt.Sprintf("%s of %s %v", what, server, v.Word))
	return until, nil
}

// find returns the name under which a server stands in overrides, and whether
// its source has it down; mu is held. Servers of which something was said
// count also while the source does not list them.
func (m *member) find(name string) (server string, down, ok bool) {
	if addr, _, err := parseServerAddr(name); err == nil {
		name = addr
	}
	for i := range m.serving {
		if s := &m.serving[i]; s.Addr == name {
			return name, s.Down, true
		}
	}
	for _, e := range m.up.Pool.Load().Entries { // an address of a hostname
		if e.Addr == name {
			i := slices.IndexFunc(m.serving, func(s upstream.Spec) bool { return s.Addr == listed(&e.Spec) })
			return name, i >= 0 && m.serving[i].Down, true
		}
	}
	said := slices.ContainsFunc(m.ops.said.Servers, func(v Override) bool { return v.Server == name })
	return name, false, said
}

// some names a few servers for a message; mu is held.
func (m *member) some() string {
	var names []string
	for i := range m.serving {
		if len(names) == 10 {
			names = append(names, fmt.Sprintf("... (%d in all)", len(m.serving)))
			break
		}
		names = append(names, m.serving[i].Addr)
	}
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// left counts the servers that are not down; mu is held.
func (m *member) left() (n int) {
	for _, e := range m.up.Pool.Load().Entries {
		if !e.Spec.Down {
			n++
		}
	}
	return n
}

// freeze keeps the set from now on; mu is held.
func (m *member) freeze(w Word) {
	rolled := m.ops.said.Frozen != nil && m.ops.said.Frozen.RolledBack
	m.ops.said.Frozen = &Frozen{RolledBack: rolled, Word: w}
	m.republish(Overridden, "frozen "+w.String())
}

// rollback serves the set before the last change; mu is held.
func (m *member) rollback(w Word) error {
	if m.ops.before == nil {
		return fmt.Errorf("%w: upstream %q did not change since the start, or was rolled back already", ErrNoEarlier, m.name)
	}
	if m.latest == nil {
		m.latest = &update{m.serving, consul.Observation{Index: m.meta.Index}}
	}
	m.ops.said.Frozen = &Frozen{RolledBack: true, Word: w}
	m.serving, m.held, m.ops.before = m.ops.before, nil, nil
	m.ops.leaving = nil
	m.doubtful.Store(false)
	m.republish(Overridden, "rolled back "+w.String())
	m.save()
	return nil
}

// thaw applies what the source said meanwhile; mu is held.
func (m *member) thaw(why string) {
	if m.ops.said.Frozen == nil {
		return
	}
	m.ops.said.Frozen = nil
	m.republish(Overridden, why)
	switch {
	case m.latest != nil:
		obs := m.latest.obs
		obs.At = time.Time{} // it waited for a person: that is no measure
		m.judge(m.latest.specs, obs)
	case len(m.held) > 0:
		m.startDoubt()
	}
}

// frozen says whether updates wait; mu is held. The first set is taken
// whatever was said: it keeps nothing in place.
func (m *member) frozen() bool { return m.ops.said.Frozen != nil && len(m.serving) > 0 }

// postpone notes an update that waits; mu is held.
func (m *member) postpone(obs consul.Observation) {
	m.source = SourceLive
	added, removed := differ(m.serving, m.latest.specs)
	d := Decision{
		At: m.s.opts.Now(), Outcome: Postponed, Reason: "frozen " + m.ops.said.Frozen.String(), Index: obs.Index,
		Waiting: added + removed,
	}
	m.history.add(d)
	m.s.opts.Log.Info("update waits", "upstream", m.name, "outcome", d.Outcome, "reason", d.Reason, "index", d.Index)
	m.opened()
}

// differ counts the addresses that only one of two sets has.
func differ(was, is []upstream.Spec) (added, removed int) {
	old := make(map[string]bool, len(was))
	for i := range was {
		old[was[i].Addr] = true
	}
	for i := range is {
		if !old[is[i].Addr] {
			added++
		}
		delete(old, is[i].Addr)
	}
	return added, len(old)
}
