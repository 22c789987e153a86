package cloud_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"spillway/scaler/cloud"
)

func TestSystemClockSleeps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := cloud.SystemClock()
		from := c.Now()
		if err := c.Sleep(t.Context(), time.Minute); err != nil || c.Now().Sub(from) != time.Minute {
			t.Errorf("slept %v, error %v; want a minute", c.Now().Sub(from), err)
		}
		if err := c.Sleep(t.Context(), -time.Second); err != nil || c.Now().Sub(from) != time.Minute {
			t.Errorf("a wait that is over took until %v, error %v", c.Now().Sub(from), err)
		}
	})
}

func TestSystemClockWakesWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := cloud.SystemClock()
		from := c.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := c.Sleep(ctx, time.Hour); !errors.Is(err, context.DeadlineExceeded) || c.Now().Sub(from) != time.Second {
			t.Errorf("woke after %v with error %v, want the deadline's after a second", c.Now().Sub(from), err)
		}
		if err := c.Sleep(ctx, 0); err == nil {
			t.Error("an ended context lets a wait of nothing through")
		}
	})
}
