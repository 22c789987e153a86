package cloudtest

import (
	"reflect"

	"spillway/scaler/cloud"
)

// described: what a driver says before anything is bought.
var described = []test{
	{"describes itself", describes},
	{"offerings are complete", offers},
	{"wrapping keeps its abilities", keepsAbilities},
	{"hears of events", hearsEvents},
}

func describes(e *env) {
	d := e.can
	switch {
	case d.Name == "":
		e.Error("it has no name")
	case d.MaxBatch < 1:
		e.Errorf("MaxBatch is %d", d.MaxBatch)
	case d.TokenZonal && !d.ClientToken:
		e.Error("TokenZonal without ClientToken")
	case d.UserDataMax < 0 || d.ListLag < 0:
		e.Errorf("UserDataMax %d or ListLag %v is below 0", d.UserDataMax, d.ListLag)
	}
	for kind, l := range d.Limits {
		if l.Rate <= 0 || l.Burst < 1 {
			e.Errorf("limit of %q: rate %g, burst %d", kind, l.Rate, l.Burst)
		}
	}
	if again := e.raw.Describe(); !reflect.DeepEqual(d, again) {
		e.Errorf("it describes itself as %+v, then as %+v", d, again)
	}
}

func offers(e *env) {
	first, err := e.d.Offerings(e.ctx)
	if err != nil {
		e.Fatalf("Offerings: %v", err)
	}
	seen := map[cloud.Offering]bool{}
	for _, o := range first {
		checkOffering(e, o)
		k := cloud.Offering{Type: o.Type, Zone: o.Zone, Spot: o.Spot}
		if seen[k] {
			e.Errorf("offering %s in %q, spot %t, is there twice", o.Type, o.Zone, o.Spot)
		}
		seen[k] = true
	}
	e.buy(1)
	second, err := e.d.Offerings(e.ctx)
	if err != nil || len(second) != len(first) {
		e.Errorf("%d offerings before a purchase, %d after it (error %v): they must not come and go", len(first), len(second), err)
	}
}

func checkOffering(e *env, o cloud.Offering) {
	e.Helper()
	switch {
	case o.Type == "" || o.Arch == "":
		e.Errorf("offering %+v has no type or no architecture", o)
	case o.CPU <= 0 || o.Memory <= 0 || o.Units <= 0:
		e.Errorf("offering %s in %q: cpu %g, memory %d, units %g", o.Type, o.Zone, o.CPU, o.Memory, o.Units)
	case o.PriceHour < 0 || o.Quantum < 0:
		e.Errorf("offering %s in %q: price %g, quantum %v", o.Type, o.Zone, o.PriceHour, o.Quantum)
	case e.can.Owned && o.PriceHour != 0:
		e.Errorf("offering %s in %q is ours and costs %g", o.Type, o.Zone, o.PriceHour)
	case o.Spot && !e.can.Spot:
		e.Errorf("offering %s in %q is spot, and the driver has no spot", o.Type, o.Zone)
	case !o.Available && o.Reason == "":
		e.Errorf("offering %s in %q cannot be had and does not say why", o.Type, o.Zone)
	}
}

func keepsAbilities(e *env) {
	_, stops := e.raw.(cloud.Stopper)
	_, watches := e.raw.(cloud.Watcher)
	_, stillStops := e.d.(cloud.Stopper)
	_, stillWatches := e.d.(cloud.Watcher)
	if stops != stillStops || watches != stillWatches {
		e.Errorf("stops %t and watches %t; wrapped: %t and %t", stops, watches, stillStops, stillWatches)
	}
}

func hearsEvents(e *env) {
	w, ok := e.d.(cloud.Watcher)
	if !ok {
		return
	}
	if _, err := w.Events(e.ctx); err != nil {
		e.Errorf("Events: %v", err)
	}
}
