package hetzner_test

import (
	"fmt"
	"testing"
	"time"

	"spillway/scaler/cloud"
)

// TestThousandMachines orders 1,000 servers and ends them, within the limit of
// a project: the limit's 3,600 requests are there at once, so that nothing of
// it has to wait.
func TestThousandMachines(t *testing.T) {
	const machines = 1000
	p := open(t)
	d := cloud.Wrap(p.driver, cloud.Options{Clock: p.clock.Moving(), MaxWait: time.Hour})
	began := p.clock.Now()
	for i := range machines {
		if _, err := d.Create(t.Context(), order(fmt.Sprintf("web-%d", i))); err != nil {
			t.Fatal(err)
		}
	}
	found, err := d.List(t.Context(), map[string]string{cloud.TagCluster: "c"})
	if err != nil || len(found) != machines {
		t.Fatalf("%d servers are listed (error %v), want %d", len(found), err, machines)
	}
	for _, m := range found {
		if err := d.Delete(t.Context(), m.ID); err != nil {
			t.Fatal(err)
		}
	}
	calls, waited := 0, p.clock.Now().Sub(began)
	for _, n := range p.fake.Calls() {
		calls += n
	}
	if calls != 2*machines+20 || waited > 0 {
		t.Errorf("%d requests and %v of waiting, want %d and none", calls, waited, 2*machines+20)
	}
}
