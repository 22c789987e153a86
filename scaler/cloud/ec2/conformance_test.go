package ec2_test

import (
	"testing"

	"spillway/scaler/cloud/cloudfake"
	"spillway/scaler/cloud/cloudtest"
	"spillway/scaler/cloud/ec2"
)

func TestSuite(t *testing.T) {
	subnets := map[string]string{"a": "subnet-0a", "b": "subnet-0b", "c": "subnet-0c"}
	for name, c := range map[string]change{
		"default subnets": {server: cloudfake.Options{PageSize: 3}},
		"own subnets, public": {
			wire:    cloudfake.EC2Options{Subnets: subnets},
			options: func(_ *world, o *ec2.Options) { o.Subnets, o.PublicAddress = subnets, true },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cloudtest.Run(t, cloudtest.Setup{
				New: func(t *testing.T) cloudtest.Account {
					w := open(t, c)
					return cloudtest.Account{Driver: w.driver, Clock: w.clock.Moving()}
				},
				Batch: 4, Many: 25,
			})
		})
	}
}
