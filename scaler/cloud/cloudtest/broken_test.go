package cloudtest_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"spillway/scaler/cloud"
	"spillway/scaler/cloud/cloudtest"
	"spillway/scaler/cloud/sim"
)

// brokenEnv names the broken driver that TestOneDriver is to be run with.
const brokenEnv = "CLOUDTEST_BROKEN"

// fault is what is wrong with a driver: a wrong turn of a good one.
type fault func(ctx context.Context, c *cloud.Call, next func(context.Context) error) error

// broken are mistakes that drivers make, and the test that finds each.
func broken() map[string]struct {
	found string
	do    fault
} {
	type b = struct {
		found string
		do    fault
	}
	return map[string]b{
		"forgets tokens": {"one token is one batch", func(ctx context.Context, c *cloud.Call, next func(context.Context) error) error {
			if c.Request != nil {
				c.Request.Token += fmt.Sprint(time.Now().UnixNano())
			}
			return next(ctx)
		}},
		"gets one page": {"lists all pages", after(cloud.OpList, func(c *cloud.Call, err error) error {
			c.Machines = c.Machines[:min(len(c.Machines), 20)]
			return err
		})},
		"lists some twice": {"lists all pages", after(cloud.OpList, func(c *cloud.Call, err error) error {
			c.Machines = append(c.Machines, c.Machines[:len(c.Machines)/10]...)
			return err
		})},
		"lists by no tags": {"lists by all tags", func(ctx context.Context, c *cloud.Call, next func(context.Context) error) error {
			clear(c.Tags)
			return next(ctx)
		}},
		"tags nothing": {"makes a batch", func(ctx context.Context, c *cloud.Call, next func(context.Context) error) error {
			if c.Request != nil {
				c.Request.Tags = nil
			}
			return next(ctx)
		}},
		"answers with too many": {"makes a batch", after(cloud.OpCreate, func(c *cloud.Call, err error) error {
			c.Machines = append(c.Machines, c.Machines...)
			return err
		})},
		"has errors without a kind": {"refuses requests that make no sense", after(cloud.OpCreate, func(_ *cloud.Call, err error) error {
			if err != nil {
				return errors.New(err.Error())
			}
			return nil
		})},
		"takes doubt for failure": {"a cancelled Create leaks nothing", after(cloud.OpCreate, func(_ *cloud.Call, err error) error {
			if cloud.KindOf(err) == cloud.Ambiguous {
				return &cloud.Error{Kind: cloud.Transient, Op: cloud.OpCreate, Err: err}
			}
			return err
		})},
		"assumes that machines are gone": {"is deleted until it is not found", func(ctx context.Context, c *cloud.Call, next func(context.Context) error) error {
			if c.Op == cloud.OpDelete {
				return &cloud.Error{Kind: cloud.NotFound, Op: c.Op}
			}
			return next(ctx)
		}},
		"deletes what there is not": {"does not find what there is not", after(cloud.OpDelete, func(*cloud.Call, error) error { return nil })},
		"hides what is sold out": {"offerings are complete", after(cloud.OpOfferings, func(c *cloud.Call, err error) error {
			for i := range c.Offerings {
				c.Offerings[i].Available = i == 0
			}
			return err
		})},
		"stops nothing": {"stops and starts", func(ctx context.Context, c *cloud.Call, next func(context.Context) error) error {
			if c.Op == cloud.OpStop {
				return nil
			}
			return next(ctx)
		}},
		"has no addresses": {"boots and gets an address", after(cloud.OpList, func(c *cloud.Call, err error) error {
			for i := range c.Machines {
				c.Machines[i].Address = ""
			}
			return err
		})},
		"lags more than it says": {"is listed in time", after(cloud.OpList, func(c *cloud.Call, err error) error {
			c.Machines = nil
			return err
		})},
		"cannot tell its events": {"hears of events", after(cloud.OpEvents, func(*cloud.Call, error) error { return errors.New("no") })},
	}
}

// after changes what comes back from one kind of call.
func after(op string, change func(*cloud.Call, error) error) fault {
	return func(ctx context.Context, c *cloud.Call, next func(context.Context) error) error {
		err := next(ctx)
		if c.Op != op {
			return err
		}
		return change(c, err)
	}
}

// TestOneDriver runs the suite: for a good driver, or for the broken one that
// the environment names.
func TestOneDriver(t *testing.T) {
	wrong := broken()[os.Getenv(brokenEnv)].do
	cloudtest.Run(t, cloudtest.Setup{
		New: func(t *testing.T) cloudtest.Account {
			clock := sim.NewClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
			hooked := clock.Moving()
			hooked.Sleep = func(ctx context.Context, d time.Duration) error {
				if end, limited := ctx.Deadline(); limited && time.Until(end) < time.Second {
					// The call is given up for sure, and while it is under way.
					ctx, cancel := context.WithCancel(ctx)
					cancel()
					return clock.Sleep(ctx, d)
				}
				return clock.Sleep(ctx, d)
			}
			var d cloud.Driver = sim.New(sim.EC2(), sim.Options{Clock: hooked, Seed: 3})
			if wrong != nil {
				d = cloud.Intercept(d, cloud.Interceptor(wrong))
			}
			return cloudtest.Account{Driver: d, Clock: clock.Moving()}
		},
		Many: 50,
	})
}

// The suite is worth what it finds.
func TestSuiteFindsBrokenDrivers(t *testing.T) {
	for name, b := range broken() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestOneDriver$", "-test.v")
			cmd.Env = append(os.Environ(), brokenEnv+"="+name)
			out, err := cmd.CombinedOutput()
			want := "--- FAIL: TestOneDriver/" + strings.ReplaceAll(b.found, " ", "_")
			if err == nil || !strings.Contains(string(out), want) {
				t.Errorf("error %v; %q is not among what failed:\n%s", err, b.found, out)
			}
		})
	}
}
