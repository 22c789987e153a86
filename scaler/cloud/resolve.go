package cloud

import (
	"context"
	"errors"
	"time"
)

// ResolveOptions say how doubt is settled.
type ResolveOptions struct {
	// Within is how long an ambiguous Create may take to be settled, from its
	// first answer on; 0: it is not, and Ambiguous is returned at once. What a
	// used token has bought is looked up all the same, which takes ListLag.
	Within time.Duration
	// Every is the pause between two tries; 0: two seconds.
	Every time.Duration
}

// Resolve settles an ambiguous Create before it returns, in its own zone and
// for its own token, so that nobody buys elsewhere what may exist already:
//
//	Ambiguous --token or unique name--> the same request again --machines--> settled: these
//	    |                                        | refused
//	    +--neither--> wait ListLag <-------------+
//	                       |
//	                       v
//	               List(TagOrder) --some--> settled: these (perhaps fewer, or doubles)
//	                       | none
//	                       v
//	          settled: nothing was made; the refusal, or Transient
//
// A refusal is believed only after List has confirmed it: the first request may
// have been under way still when the second was answered. A token that was used
// for another request (Invalid, UsedToken) is doubt as well: whoever asked with
// other tags or user data, before a restart, has bought. What cannot be
// settled in time, or until the context ends, stays Ambiguous; the order stays
// open, and whoever comes next asks again with the same token.
func Resolve(d Driver, clock Clock, o ResolveOptions) Driver {
	if o.Every <= 0 {
		o.Every = 2 * time.Second
	}
	description := d.Describe()
	return Intercept(d, func(ctx context.Context, c *Call, next func(context.Context) error) error {
		err := next(ctx)
		if c.Op != OpCreate || err == nil {
			return err
		}
		now := clock.Now()
		r := &resolution{
			d: d, clock: clock, every: o.Every, until: now.Add(o.Within),
			call: c, next: next, doubt: err, sent: now, lag: description.ListLag,
		}
		switch {
		case usedToken(err):
			r.until = now.Add(max(o.Within, r.lag))
			r.doubt = &Error{Kind: Ambiguous, Op: OpCreate, What: UsedToken, Err: err}
			return r.look(ctx, err)
		case KindOf(err) != Ambiguous || o.Within <= 0:
			return err
		case description.ClientToken || description.UniqueNames:
			return r.repeat(ctx)
		}
		return r.look(ctx, nil)
	})
}

// usedToken reports whether a token was used for another request.
func usedToken(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Kind == Invalid && e.What == UsedToken
}

// resolution is one doubt on its way to an answer.
type resolution struct {
	d     Driver
	clock Clock
	every time.Duration
	until time.Time
	lag   time.Duration

	call  *Call
	next  func(context.Context) error
	doubt error
	sent  time.Time // when the last request may have been granted
}

// repeat asks again until there is an answer.
func (r *resolution) repeat(ctx context.Context) error {
	for r.pause(ctx, r.every) {
		err := r.next(ctx)
		if err == nil {
			return nil
		}
		switch KindOf(err) {
		case Transient, RateLimited:
		case Ambiguous:
			r.sent = r.clock.Now()
		default:
			return r.look(ctx, err)
		}
	}
	return r.undecided(ctx)
}

// look waits until List must show what was made, and believes it.
func (r *resolution) look(ctx context.Context, refusal error) error {
	order := r.call.Request.Tags[TagOrder]
	if order == "" {
		return r.doubt // nothing to find it by
	}
	tags := map[string]string{TagOrder: order}
	if cluster, ok := r.call.Request.Tags[TagCluster]; ok {
		tags[TagCluster] = cluster
	}
	wait := r.sent.Add(r.lag).Sub(r.clock.Now())
	for r.pause(ctx, wait) {
		if machines, err := r.d.List(ctx, tags); err == nil {
			return r.settle(machines, refusal)
		}
		wait = r.every
	}
	return r.undecided(ctx)
}

func (r *resolution) settle(machines []Machine, refusal error) error {
	r.call.Machines = nil
	for _, m := range sorted(machines) {
		if m.State != Deleted {
			r.call.Machines = append(r.call.Machines, m)
		}
	}
	switch {
	case len(r.call.Machines) > 0:
		return nil
	case refusal != nil:
		return refusal
	}
	return &Error{Kind: Transient, Op: OpCreate, Err: errorText("the request was lost: no machine of the order exists")}
}

// pause waits, unless time or context would be over by then.
func (r *resolution) pause(ctx context.Context, d time.Duration) bool {
	d = max(d, 0)
	if r.clock.Now().Add(d).After(r.until) {
		return false
	}
	return r.clock.Sleep(ctx, d) == nil
}

func (r *resolution) undecided(ctx context.Context) error {
	r.call.Machines = nil
	if err := ctx.Err(); err != nil {
		return &Error{Kind: Ambiguous, Op: OpCreate, Err: err}
	}
	return r.doubt
}
