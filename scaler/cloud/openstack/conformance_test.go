package openstack_test

import (
	"testing"
	"time"

	"spillway/scaler/cloud"
	"spillway/scaler/cloud/cloudfake"
	"spillway/scaler/cloud/cloudtest"
	"spillway/scaler/cloud/openstack"
	"spillway/scaler/cloud/sim"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// project is a driver in front of a simulated cloud, and both ends of it.
type project struct {
	driver *openstack.Driver
	fake   *cloudfake.Server
	sim    *sim.Cloud
	clock  *sim.Clock
}

func open(t *testing.T, faults ...sim.Fault) *project {
	t.Helper()
	return openPaged(t, 0, faults...)
}

// openPaged has no more than so many servers on a page; 0: as many as Nova.
func openPaged(t *testing.T, page int, faults ...sim.Fault) *project {
	t.Helper()
	clock := sim.NewClock(start)
	c := sim.New(sim.OpenStack(), sim.Options{Clock: clock.Still(), Seed: 7, Faults: faults})
	fake := cloudfake.New(t, c, cloudfake.Options{Now: clock.Now, PageSize: page})
	o := options()
	o.Auth.URL = fake.OpenStack()
	d, err := openstack.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return &project{d, fake, c, clock}
}

func options() openstack.Options {
	return openstack.Options{
		Auth: openstack.Credentials{
			User: cloudfake.OpenStackUser, Password: cloudfake.OpenStackPassword, Project: cloudfake.OpenStackProject,
		},
		Image: cloudfake.OpenStackImage,
		Kinds: []openstack.Kind{{Type: "small", PriceHour: 0.05}, {Type: "medium", PriceHour: 0.1}, {Type: "large", Units: 7}},
	}
}

func TestConformance(t *testing.T) {
	cloudtest.Run(t, cloudtest.Setup{
		New: func(t *testing.T) cloudtest.Account {
			p := openPaged(t, 50)
			return cloudtest.Account{Driver: p.driver, Clock: p.clock.Moving()}
		},
		Batch: 4, Many: 120,
	})
}

func order(names ...string) cloud.CreateRequest {
	return cloud.CreateRequest{
		Token: "t", Type: "small", Zone: "az1", Count: len(names), Names: names,
		Tags: map[string]string{cloud.TagCluster: "c", cloud.TagOrder: "o-" + names[0]},
	}
}
