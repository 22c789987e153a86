package fleet

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func newOrder() Order {
	return Order{ID: "web-1-0", Zone: "a", Slots: []string{"web-1-1", "web-1-2"}, State: OrderIntended, Since: begin}
}

func create(errKind string, n int) Outcome {
	return Outcome{Kind: CreateMachines, OK: errKind == "", ErrKind: errKind, Err: errKind, At: second(n)}
}

func pair(ids ...string) (found []Bound) {
	for _, id := range ids {
		found = append(found, Bound{CloudID: id})
	}
	return found
}

func TestOrderSteps(t *testing.T) {
	type row struct {
		name   string
		obs    OrderObs
		at     int
		state  OrderState
		effect bool
	}
	for _, c := range []row{
		{"is sent", OrderObs{Sender: true}, 0, OrderIntended, true},
		{"is sent again by the next leader, under its token", OrderObs{ClientToken: true}, 5, OrderIntended, true},
		{"is in doubt for the next leader without tokens", OrderObs{}, 5, OrderAmbiguous, false},
		{"is bound", OrderObs{Sender: true, Last: create("", 1), Machines: pair("i-2", "i-1")}, 1, OrderBound, false},
		{"is bound in part", OrderObs{Sender: true, Last: create("", 1), Machines: pair("i-1")}, 1, OrderBound, false},
		{"was agreed to without machines", OrderObs{Sender: true, Last: create("", 1)}, 1, OrderAmbiguous, false},
		{"lost its answer, and waits before it repeats", OrderObs{Sender: true, ClientToken: true, Last: create("ambiguous", 1)}, 1, OrderAmbiguous, false},
		{"lost its answer without tokens", OrderObs{Sender: true, Last: create("ambiguous", 1)}, 1, OrderAmbiguous, false},
		{"found no stock", OrderObs{Sender: true, Last: create("no_capacity", 1)}, 1, OrderRefused, false},
		{"found no quota", OrderObs{Sender: true, Last: create("quota", 1)}, 1, OrderRefused, false},
		{"was wrong", OrderObs{Sender: true, Last: create("invalid", 1)}, 1, OrderRefused, false},
		{"was a dry run's", OrderObs{Sender: true, Last: create("dry_run", 1)}, 1, OrderRefused, false},
		{"is refused, but a former leader sent it", OrderObs{ClientToken: true, Last: create("no_capacity", 1)}, 1, OrderAmbiguous, false},
		{"waits", OrderObs{Sender: true, Last: create("rate_limited", 1)}, 1, OrderIntended, false},
		{"waited", OrderObs{Sender: true, Last: create("transient", 1)}, 5, OrderIntended, true},
		{"waited too long", OrderObs{Sender: true, Last: create("transient", 40)}, 40, OrderRefused, false},
		{"is listed before its answer came", OrderObs{Sender: true, Machines: pair("i-1", "i-2")}, 3, OrderBound, false},
	} {
		o, effects := newOrder().Step(c.obs, quick(), second(c.at))
		if o.State != c.state || (len(effects) > 0) != c.effect {
			t.Errorf("%s: %s (%s), effects %v", c.name, o.State, o.Reason, effects)
		}
	}
}

func TestAskedToWaitWaitsThatLong(t *testing.T) {
	last := create("rate_limited", 1)
	last.Retry = 20 * time.Second
	o, _ := newOrder().Step(OrderObs{Sender: true, Last: last}, quick(), second(1))
	if _, effects := o.Step(OrderObs{Sender: true, Last: last}, quick(), second(20)); len(effects) > 0 {
		t.Error("asked again too early")
	}
	if _, effects := o.Step(OrderObs{Sender: true, Last: last}, quick(), second(21)); len(effects) == 0 {
		t.Error("did not ask again")
	}
}

func TestDoubtEndsWithAListThatCouldSeeEverything(t *testing.T) {
	doubt := newOrder()
	doubt.State = OrderAmbiguous
	obs := OrderObs{ListLag: 5 * time.Second}
	at := func(n int, machines ...string) Order {
		obs.ListedAt, obs.Machines = second(n), pair(machines...)
		o, effects := doubt.Step(obs, quick(), second(n))
		if len(effects) > 0 {
			t.Errorf("%v while in doubt without tokens", effects)
		}
		return o
	}
	if o := at(15); !o.Blocks() { // Call + ListLag
		t.Errorf("settled early: %+v", o)
	}
	if o := at(16); o.State != OrderRefused {
		t.Errorf("not settled: %+v", o)
	}
	if o := at(3, "i-1"); !o.Blocks() {
		t.Errorf("half of it was taken for all: %+v", o)
	}
	if o := at(3, "i-1", "i-2"); o.State != OrderBound {
		t.Errorf("all of it is there: %+v", o)
	}
	if o := at(16, "i-1"); o.State != OrderBound || len(o.Bound) != 1 {
		t.Errorf("half of it was made: %+v", o)
	}
	obs.ClientToken = true
	if o, effects := doubt.Step(obs, quick(), second(500)); !o.Blocks() || len(effects) == 0 {
		t.Errorf("given up: %+v", o)
	}
}

func TestSlotsKeepTheirMachines(t *testing.T) {
	bind := func(o Order, found ...Bound) Order {
		o.State = OrderBound
		o, _ = o.Step(OrderObs{Machines: found}, quick(), second(1))
		return o
	}
	b := func(id, name string) Bound { return Bound{CloudID: id, Name: name} }
	for _, c := range []struct {
		name string
		had  map[string]Bound
		now  []Bound
		want map[string]Bound
	}{
		{"by id", nil, []Bound{b("i-9", ""), b("i-1", "")}, map[string]Bound{"web-1-1": b("i-1", ""), "web-1-2": b("i-9", "")}},
		{"by name", nil, []Bound{b("i-1", "web-1-2"), b("i-9", "web-1-1")}, map[string]Bound{"web-1-1": b("i-9", "web-1-1"), "web-1-2": b("i-1", "web-1-2")}},
		{"a late one", map[string]Bound{"web-1-1": b("i-9", "")}, []Bound{b("i-1", ""), b("i-9", "")}, map[string]Bound{"web-1-1": b("i-9", ""), "web-1-2": b("i-1", "")}},
		{"one too many", nil, []Bound{b("i-3", ""), b("i-1", ""), b("i-2", "")}, map[string]Bound{"web-1-1": b("i-1", ""), "web-1-2": b("i-2", "")}},
		{"listed twice", nil, []Bound{b("i-1", ""), b("i-1", "")}, map[string]Bound{"web-1-1": b("i-1", "")}},
	} {
		o := newOrder()
		o.Bound = c.had
		if diff := cmp.Diff(c.want, bind(o, c.now...).Bound); diff != "" {
			t.Errorf("%s:\n%s", c.name, diff)
		}
	}
}

func TestAgainIsForRefusedOrdersAlone(t *testing.T) {
	o := newOrder()
	if diff := cmp.Diff(o, o.Again("b", "large", second(1))); diff != "" {
		t.Errorf("an order under way was changed: %s", diff)
	}
	o.State, o.Refused, o.Tries = OrderRefused, "quota", 3
	o = o.Again("b", "large", second(1))
	if o.State != OrderIntended || o.Attempt != 1 || o.Zone != "b" || o.Type != "large" || o.Refused != "" || o.Tries != 0 {
		t.Errorf("%+v", o)
	}
}
