package local_test

import (
	"testing"
	"time"

	"spillway/scaler/cloud/cloudtest"
)

func TestTheDriverKeepsTheContract(t *testing.T) {
	t.Parallel()
	cloudtest.Run(t, cloudtest.Setup{
		New: func(t *testing.T) cloudtest.Account {
			return cloudtest.Account{Driver: newDriver(t, idle(newRoot(t)))}
		},
		Boot: 20 * time.Second, End: 20 * time.Second, Batch: 2, Many: 4,
	})
}
