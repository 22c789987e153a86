// Package cloudtest is the suite that every driver passes: what the scaler
// relies on, tried against a live account. A driver's test is
//
//	func TestDriver(t *testing.T) {
//		cloudtest.Run(t, cloudtest.Setup{New: func(t *testing.T) cloudtest.Account { ... }})
//	}
//
// What a driver says of itself (Describe) decides what is asked of it. The
// suite makes few machines, at most Setup.Many at a time, and ends them all.
// It runs goroutines only in the tests of concurrent use and of cancelled
// calls, and waits for them.
package cloudtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"spillway/scaler/cloud"
)

// Account is where a test's machines are made. No two tests share one, or else
// their clusters' tags keep them apart.
type Account struct {
	Driver cloud.Driver
	// Clock is the time the driver lives in. The zero Clock is the system's;
	// the Sleep of a virtual one moves it.
	Clock cloud.Clock
}

// Setup tells the suite about a driver.
type Setup struct {
	// New opens an account without machines. What is to be cleaned up is the
	// driver's test's affair (t.Cleanup); the suite deletes its machines before.
	New func(t *testing.T) Account
	// Boot is the longest time until a machine runs and has an address, and
	// End until a deleted one is NotFound. 0: five minutes.
	Boot, End time.Duration
	// Batch is how many machines most tests ask for at once; 0: 3. A driver
	// whose MaxBatch is less is asked for that many.
	Batch int
	// Many is how many machines the test of a long list makes; 0: 6. More than
	// the provider puts on one page is what it is for.
	Many int
}

// test is one behaviour.
type test struct {
	name string
	do   func(*env)
}

// Run runs the suite.
func Run(t *testing.T, s Setup) {
	s = s.orDefault()
	for _, group := range [][]test{described, created, doubted, lived, refused} {
		for _, c := range group {
			t.Run(c.name, func(t *testing.T) {
				e := newEnv(t, s)
				defer e.cleanUp()
				c.do(e)
			})
		}
	}
}

func (s Setup) orDefault() Setup {
	if s.Boot == 0 {
		s.Boot = 5 * time.Minute
	}
	if s.End == 0 {
		s.End = 5 * time.Minute
	}
	if s.Batch == 0 {
		s.Batch = 3
	}
	if s.Many == 0 {
		s.Many = 6
	}
	return s
}

// env is one test at work.
type env struct {
	*testing.T
	ctx   context.Context
	setup Setup
	clock cloud.Clock
	raw   cloud.Driver // as it is
	d     cloud.Driver // with the standard stack, patient
	can   cloud.Description

	offerings []cloud.Offering // that can be had
	orders    int
}

const (
	cluster     = "cloudtest"
	cleanUpTime = time.Minute
)

func newEnv(t *testing.T, s Setup) *env {
	t.Helper()
	a := s.New(t)
	if a.Clock.Now == nil {
		a.Clock = cloud.SystemClock()
	}
	e := &env{T: t, ctx: t.Context(), setup: s, clock: a.Clock, raw: a.Driver, can: a.Driver.Describe()}
	e.d = e.wrapped()
	all, err := e.d.Offerings(e.ctx)
	if err != nil {
		t.Fatalf("Offerings: %v", err)
	}
	e.offerings = slices.DeleteFunc(all, func(o cloud.Offering) bool { return !o.Available || o.Spot })
	if len(e.offerings) == 0 {
		t.Fatal("Offerings: none is available that is not spot")
	}
	return e
}

// wrapped is the standard stack with patience and faults.
func (e *env) wrapped(faults ...cloud.Fault) cloud.Driver {
	return cloud.Wrap(e.raw, e.options(faults...))
}

func (e *env) options(faults ...cloud.Fault) cloud.Options {
	return cloud.Options{
		Clock: e.clock, Random: func() float64 { return 0.5 }, MaxWait: time.Hour,
		Retry:   cloud.RetryOptions{Within: time.Hour, Base: 10 * time.Millisecond},
		Resolve: cloud.ResolveOptions{Within: time.Hour, Every: 10 * time.Millisecond},
		Faults:  faults,
	}
}

// request asks for count machines of the first offering, as an order of its
// own.
func (e *env) request(count int) cloud.CreateRequest {
	return e.requestOf(e.offerings[0], count)
}

func (e *env) requestOf(o cloud.Offering, count int) cloud.CreateRequest {
	e.orders++
	order := fmt.Sprintf("pool-1-%d", e.orders)
	r := cloud.CreateRequest{
		Token: cloud.Token(cluster+e.Name(), "pool", 1, o.Zone, e.orders, 0),
		Type:  o.Type, Zone: o.Zone, Count: count,
		Tags: map[string]string{cloud.TagCluster: cluster, cloud.TagPool: "pool", cloud.TagOrder: order, cloud.TagProfile: "none"},
	}
	for i := range count {
		r.Names = append(r.Names, fmt.Sprintf("%s-%d", order, i))
	}
	return r
}

// batch is how many machines to ask for at once.
func (e *env) batch() int { return min(e.setup.Batch, e.can.MaxBatch) }

func (e *env) create(d cloud.Driver, r cloud.CreateRequest) []cloud.Machine {
	e.Helper()
	made, err := d.Create(e.ctx, r)
	if err != nil {
		e.Fatalf("Create of %d machines: %v", r.Count, err)
	}
	return made
}

// buy gets one batch and waits until List shows it.
func (e *env) buy(count int) []cloud.Machine {
	e.Helper()
	r := e.request(count)
	made := e.create(e.d, r)
	if len(made) != count {
		e.Fatalf("Create made %d machines of %d that were asked for", len(made), count)
	}
	e.settled(r, count)
	return made
}

// settled waits until List must know, and wants exactly n machines of the
// request's order in it.
func (e *env) settled(r cloud.CreateRequest, n int) []cloud.Machine {
	e.Helper()
	e.pass(e.can.ListLag)
	found := e.list(map[string]string{cloud.TagCluster: cluster, cloud.TagOrder: r.Tags[cloud.TagOrder]})
	if len(found) != n {
		e.Fatalf("%d machines of one order are listed, want %d: %v", len(found), n, ids(found))
	}
	return found
}

// list is List without the machines that have ended.
func (e *env) list(tags map[string]string) []cloud.Machine {
	e.Helper()
	found, err := e.d.List(e.ctx, tags)
	if err != nil {
		e.Fatalf("List: %v", err)
	}
	return slices.DeleteFunc(found, func(m cloud.Machine) bool { return m.State == cloud.Deleted })
}

// pass lets time pass.
func (e *env) pass(d time.Duration) {
	e.Helper()
	if err := e.clock.Sleep(e.ctx, d); err != nil {
		e.Fatalf("waiting: %v", err)
	}
}

// within waits until done, at first often and then less, and fails after the
// limit.
func (e *env) within(limit time.Duration, what string, done func() bool) {
	e.Helper()
	until := e.clock.Now().Add(limit)
	for step := 20 * time.Millisecond; !done(); step = min(step*5/4, 2*time.Second) {
		if e.clock.Now().After(until) {
			e.Fatalf("after %v: not yet %s", limit, what)
		}
		e.pass(step)
	}
}

// find is one machine of ours as List has it.
func (e *env) find(id string) (cloud.Machine, bool) {
	e.Helper()
	all := e.list(map[string]string{cloud.TagCluster: cluster})
	i := slices.IndexFunc(all, func(m cloud.Machine) bool { return m.ID == id })
	if i < 0 {
		return cloud.Machine{}, false
	}
	return all[i], true
}

// gone deletes a machine until the provider does not know it.
func (e *env) gone(id string) {
	e.Helper()
	e.within(e.setup.End, "gone: "+id, func() bool {
		err := e.d.Delete(e.ctx, id)
		if err != nil && cloud.KindOf(err) != cloud.NotFound {
			e.Fatalf("Delete %s: %v", id, err)
		}
		return err != nil
	})
}

// cleanUp ends every machine of the test, even of one that has failed.
func (e *env) cleanUp() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(e.ctx), cleanUpTime)
	defer cancel()
	e.ctx = ctx
	e.deleteAll()
}

// deleteAll ends every machine of the test.
func (e *env) deleteAll() {
	e.Helper()
	e.pass(e.can.ListLag)
	for _, m := range e.list(map[string]string{cloud.TagCluster: cluster}) {
		e.gone(m.ID)
	}
}

// wantKind checks an error and that it is one of ours.
func (e *env) wantKind(what string, err error, kinds ...cloud.Kind) {
	e.Helper()
	var typed *cloud.Error
	switch {
	case err == nil:
		e.Errorf("%s: no error, want kind %v", what, kinds)
	case !errors.As(err, &typed):
		e.Errorf("%s: error without a kind: %v", what, err)
	case !slices.Contains(kinds, typed.Kind):
		e.Errorf("%s: error %q of kind %v, want %v", what, err, typed.Kind, kinds)
	}
}

func ids(machines []cloud.Machine) []string {
	var all []string
	for _, m := range machines {
		all = append(all, m.ID)
	}
	slices.Sort(all)
	return all
}
