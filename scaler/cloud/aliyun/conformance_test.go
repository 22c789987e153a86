package aliyun_test

import (
	"testing"
	"time"

	"spillway/scaler/cloud/aliyun"
	"spillway/scaler/cloud/cloudtest"
	"spillway/scaler/cloud/sim"
)

func TestSuite(t *testing.T) {
	for name, change := range map[string]func(*aliyun.Options){
		"plain":         nil,
		"with backstop": func(o *aliyun.Options) { o.ReleaseAfter = 48 * time.Hour },
	} {
		t.Run(name, func(t *testing.T) {
			cloudtest.Run(t, cloudtest.Setup{
				New: func(t *testing.T) cloudtest.Account {
					w := newWorld(t, sim.Aliyun(), change)
					return cloudtest.Account{Driver: w.d, Clock: w.clock.Moving()}
				},
				Batch: 4, Many: 23,
			})
		})
	}
}
