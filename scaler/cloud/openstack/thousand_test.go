package openstack_test

import (
	"fmt"
	"testing"
	"time"

	"spillway/scaler/cloud"
)

// TestThousandMachines orders 1,000 servers, ten at a time, within the limits
// that the driver sets itself.
func TestThousandMachines(t *testing.T) {
	const machines, batch = 1000, 10
	p := open(t)
	d := cloud.Wrap(p.driver, cloud.Options{Clock: p.clock.Moving(), MaxWait: time.Hour})
	began := p.clock.Now()
	for i := range machines / batch {
		var names []string
		for j := range batch {
			names = append(names, fmt.Sprintf("web-%d-%d", i, j))
		}
		if made, err := d.Create(t.Context(), order(names...)); err != nil || len(made) != batch {
			t.Fatalf("batch %d: %d machines, error %v", i, len(made), err)
		}
	}
	if waited := p.clock.Now().Sub(began); waited < 17*time.Second || waited > 19*time.Second {
		t.Errorf("100 orders waited for %v, want the 18s of 5 a second after the first 10", waited)
	}
	p.clock.Advance(30 * time.Second)
	before := p.fake.Calls()["openstack GET /compute/v2.1/servers/detail"]
	found, err := d.List(t.Context(), map[string]string{cloud.TagCluster: "c"})
	if err != nil || len(found) != machines {
		t.Fatalf("%d servers are listed (error %v), want %d", len(found), err, machines)
	}
	calls := p.fake.Calls()
	if orders, pages := calls["openstack POST /compute/v2.1/servers"], calls["openstack GET /compute/v2.1/servers/detail"]-before; orders != machines/batch || pages != 2 {
		t.Errorf("%d orders and %d pages, want %d and 2", orders, pages, machines/batch)
	}
}
