package sim_test

import (
	"testing"
	"time"

	"spillway/scaler/cloud/cloudtest"
	"spillway/scaler/cloud/sim"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func providers() map[string]sim.Provider {
	return map[string]sim.Provider{
		"ec2": sim.EC2(), "aliyun": sim.Aliyun(), "hetzner": sim.Hetzner(), "openstack": sim.OpenStack(),
	}
}

func TestEveryPresetPassesTheSuite(t *testing.T) {
	for name, p := range providers() {
		t.Run(name, func(t *testing.T) {
			cloudtest.Run(t, cloudtest.Setup{
				New: func(*testing.T) cloudtest.Account {
					clock := sim.NewClock(start)
					c := sim.New(p, sim.Options{Clock: clock.Moving(), Seed: 7})
					return cloudtest.Account{Driver: c, Clock: clock.Moving()}
				},
				Batch: 4, Many: 250,
			})
		})
	}
}
