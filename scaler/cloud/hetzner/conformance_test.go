package hetzner_test

import (
	"testing"
	"time"

	"spillway/scaler/cloud"
	"spillway/scaler/cloud/cloudfake"
	"spillway/scaler/cloud/cloudtest"
	"spillway/scaler/cloud/hetzner"
	"spillway/scaler/cloud/sim"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// project is a driver in front of a simulated cloud, and both ends of it.
type project struct {
	driver *hetzner.Driver
	fake   *cloudfake.Server
	sim    *sim.Cloud
	clock  *sim.Clock
}

// open has lists that do not lag, as those of Hetzner Cloud by all that is
// known; openLagging has lists that do.
func open(t *testing.T, faults ...sim.Fault) *project {
	t.Helper()
	like := sim.Hetzner()
	like.ListLag = 0
	return openLike(t, like, faults...)
}

func openLagging(t *testing.T, faults ...sim.Fault) *project {
	t.Helper()
	return openLike(t, sim.Hetzner(), faults...)
}

func openLike(t *testing.T, like sim.Provider, faults ...sim.Fault) *project {
	t.Helper()
	clock := sim.NewClock(start)
	c := sim.New(like, sim.Options{Clock: clock.Still(), Seed: 7, Faults: faults})
	fake := cloudfake.New(t, c, cloudfake.Options{Now: clock.Now})
	d, err := hetzner.New(hetzner.Options{
		Endpoint: fake.Hetzner(), Token: cloudfake.HetznerToken, Image: "debian-13", Now: clock.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	return &project{d, fake, c, clock}
}

func TestConformance(t *testing.T) {
	cloudtest.Run(t, cloudtest.Setup{
		New: func(t *testing.T) cloudtest.Account {
			p := open(t)
			return cloudtest.Account{Driver: p.driver, Clock: p.clock.Moving()}
		},
		Many: 120,
	})
}

func order(name string) cloud.CreateRequest {
	return cloud.CreateRequest{
		Token: "t", Type: "small", Zone: "fsn1", Count: 1, Names: []string{name},
		Tags: map[string]string{cloud.TagCluster: "c", cloud.TagOrder: "o-" + name},
	}
}
