package cloudtest

import (
	"context"
	"time"

	"spillway/scaler/cloud"
)

// doubted: calls whose outcome nobody heard of.
var doubted = []test{
	{"a lost answer buys once", func(e *env) { buysOnce(e, cloud.FaultLoseAnswer) }},
	{"a lost request buys once", func(e *env) { buysOnce(e, cloud.FaultLoseRequest) }},
	{"doubt in one zone buys in no other", doubtStaysInItsZone},
	{"doubt left open is settled later", doubtSettledLater},
	{"a partial batch is known to be partial", partialBatch},
	{"a lost answer to Delete", lostDelete},
	{"a cancelled Create leaks nothing", cancelledCreate},
	{"an ended context buys nothing", endedContext},
	{"a dry run writes nothing", dryRun},
}

// buysOnce loses one Create in the given way and asks until there is an answer.
func buysOnce(e *env, kind cloud.FaultKind) {
	d := e.wrapped(cloud.Fault{Kind: kind, Op: cloud.OpCreate})
	r := e.request(e.batch())
	made, err := d.Create(e.ctx, r)
	if cloud.KindOf(err) == cloud.Transient && err != nil {
		made, err = d.Create(e.ctx, r) // nothing was made: again
	}
	if err != nil {
		e.Fatalf("Create after a fault (%s): %v", kind, err)
	}
	if len(made) != r.Count {
		e.Errorf("%d machines after a fault (%s), want %d", len(made), kind, r.Count)
	}
	e.settled(r, r.Count)
}

// fallback buys in the first zone that does not definitely refuse, as the
// scaler does.
func (e *env) fallback(d cloud.Driver, requests ...cloud.CreateRequest) (cloud.CreateRequest, error) {
	var err error
	for _, r := range requests {
		_, err = d.Create(e.ctx, r)
		if err == nil || cloud.KindOf(err) == cloud.Ambiguous {
			return r, err
		}
	}
	return requests[len(requests)-1], err
}

// twoZones are requests for one order, in two zones if there are two.
func (e *env) twoZones() []cloud.CreateRequest {
	first := e.request(e.batch())
	second := e.requestOf(e.offerings[len(e.offerings)-1], e.batch())
	second.Tags[cloud.TagOrder] = first.Tags[cloud.TagOrder]
	return []cloud.CreateRequest{first, second}
}

func doubtStaysInItsZone(e *env) {
	d := e.wrapped(cloud.Fault{Kind: cloud.FaultLoseAnswer, Op: cloud.OpCreate})
	r, err := e.fallback(d, e.twoZones()...)
	if err != nil {
		e.Fatalf("Create with fallback: %v", err)
	}
	e.settled(r, r.Count)
}

func doubtSettledLater(e *env) {
	o := e.options(cloud.Fault{Kind: cloud.FaultLoseAnswer, Op: cloud.OpCreate})
	o.Resolve.Within = 0
	d := cloud.Wrap(e.raw, o)
	r, err := e.fallback(d, e.twoZones()...)
	e.wantKind("Create without time to settle", err, cloud.Ambiguous)
	if e.repeats() {
		if made := e.create(d, r); len(made) != r.Count {
			e.Errorf("the same request again gave %d machines, want %d", len(made), r.Count)
		}
	}
	e.settled(r, r.Count)
}

func partialBatch(e *env) {
	if e.batch() < 2 {
		return
	}
	d := e.wrapped(cloud.Fault{Kind: cloud.FaultPartial, Op: cloud.OpCreate, Count: 1})
	r := e.request(e.batch())
	made := e.create(d, r)
	bound, surplus := cloud.Bind(r.Names, made, nil)
	if len(bound) != 1 || len(surplus) != 0 {
		e.Errorf("a batch of which 1 was made has %d slots bound, %d machines over", len(bound), len(surplus))
	}
	rest := e.request(r.Count - 1)
	rest.Tags[cloud.TagOrder] = r.Tags[cloud.TagOrder]
	e.create(d, rest)
	e.settled(r, r.Count)
}

func lostDelete(e *env) {
	made := e.buy(1)
	d := e.wrapped(cloud.Fault{Kind: cloud.FaultLoseAnswer, Op: cloud.OpDelete})
	e.within(e.setup.End, "gone", func() bool {
		return cloud.KindOf(d.Delete(e.ctx, made[0].ID)) == cloud.NotFound
	})
}

// cancelledCreate gives up at several moments. Whatever the driver says, what
// it made is listed under its order, at most the batch, and the same request
// again completes it.
func cancelledCreate(e *env) {
	for _, after := range []time.Duration{0, time.Millisecond, 30 * time.Millisecond} {
		r := e.request(e.batch())
		ctx, cancel := context.WithTimeout(e.ctx, after)
		_, err := e.raw.Create(ctx, r)
		cancel()
		if err != nil {
			e.wantKind("a cancelled Create", err, cloud.Ambiguous, cloud.Transient, cloud.RateLimited)
		}
		e.pass(e.can.ListLag)
		found := e.list(map[string]string{cloud.TagOrder: r.Tags[cloud.TagOrder]})
		harmless := err != nil && cloud.KindOf(err) != cloud.Ambiguous
		if len(found) > r.Count || (harmless && len(found) > 0) {
			e.Errorf("Create cancelled after %v (error %v) left %d machines of %d", after, err, len(found), r.Count)
		}
		if e.repeats() || len(found) == 0 {
			e.create(e.d, r)
			e.settled(r, r.Count)
		}
		e.deleteAll()
	}
}

func endedContext(e *env) {
	ctx, cancel := context.WithCancel(e.ctx)
	cancel()
	r := e.request(1)
	_, err := e.raw.Create(ctx, r)
	e.wantKind("Create with an ended context", err, cloud.Transient, cloud.Ambiguous)
	_, err = e.raw.List(ctx, nil)
	e.wantKind("List with an ended context", err, cloud.Transient, cloud.Ambiguous)
	_, err = e.raw.Offerings(ctx)
	e.wantKind("Offerings with an ended context", err, cloud.Transient, cloud.Ambiguous)
	e.settled(r, 0)
}

func dryRun(e *env) {
	made := e.buy(1)
	d := cloud.RefuseWrites(e.raw, true)
	r := e.request(1)
	_, err := d.Create(e.ctx, r)
	e.wantKind("Create in a dry run", err, cloud.DryRun)
	e.wantKind("Delete in a dry run", d.Delete(e.ctx, made[0].ID), cloud.DryRun)
	if s, ok := d.(cloud.Stopper); ok {
		e.wantKind("Stop in a dry run", s.Stop(e.ctx, made[0].ID), cloud.DryRun)
		e.wantKind("Start in a dry run", s.Start(e.ctx, made[0].ID), cloud.DryRun)
	}
	e.settled(r, 0)
	if _, ok := e.find(made[0].ID); !ok {
		e.Error("a dry run deleted a machine")
	}
}
