package cloud_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"spillway/scaler/cloud"
)

func limited(limits map[string]cloud.Limit, answers map[string][]error) *fake {
	return &fake{description: cloud.Description{Name: "fake", MaxBatch: 1000, Limits: limits}, answers: answers}
}

func TestRateLimitWaitsForItsTurn(t *testing.T) {
	clock := newClock()
	f := limited(map[string]cloud.Limit{"create": {Rate: 2, Burst: 5}}, nil)
	d := cloud.RateLimit(f, clock.Moving(), time.Minute)
	for range 10 {
		if _, err := d.Create(t.Context(), request(1)); err != nil {
			t.Fatal(err)
		}
	}
	if took := clock.Now().Sub(start); took != 2500*time.Millisecond {
		t.Errorf("10 calls with 5 at once and 2 a second took %v, want 2.5s", took)
	}
	for range 100 { // another kind has no limit here
		if _, err := d.List(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
	}
	if took := clock.Now().Sub(start); took != 2500*time.Millisecond {
		t.Errorf("lists without a limit waited until %v", took)
	}
}

func TestRateLimitCountsMachinesBesideCalls(t *testing.T) {
	clock := newClock()
	f := limited(map[string]cloud.Limit{
		"create":          {Rate: 2, Burst: 5},
		"create-machines": {Rate: 2, Burst: 1000, Machines: true},
	}, nil)
	d := cloud.RateLimit(f, clock.Moving(), time.Hour)
	for i, want := range []time.Duration{0, 0, 50 * time.Second} {
		from := clock.Now()
		n := 500
		if i == 2 {
			n = 100
		}
		if _, err := d.Create(t.Context(), request(n)); err != nil {
			t.Fatal(err)
		}
		if waited := clock.Now().Sub(from); waited != want {
			t.Errorf("batch %d of %d waited %v, want %v", i+1, n, waited, want)
		}
	}
}

func TestRateLimitRefusesLongWaitsAndTakesNothing(t *testing.T) {
	clock := newClock()
	f := limited(map[string]cloud.Limit{"": {Rate: 0.1, Burst: 1}}, nil)
	d := cloud.RateLimit(f, clock.Moving(), time.Second)
	_ = d.Delete(t.Context(), "i-1")
	for range 3 {
		err := d.Delete(t.Context(), "i-1")
		wantKind(t, err, cloud.RateLimited)
		var e *cloud.Error
		if errors.As(err, &e); e.After != 10*time.Second {
			t.Errorf("refused for %v, want 10s: a refused call must not take a place in the queue", e.After)
		}
	}
	if n := f.count(cloud.OpDelete); n != 1 {
		t.Errorf("%d calls reached the provider, want 1", n)
	}
}

func TestRateLimitHonoursTheProvidersWait(t *testing.T) {
	clock := newClock()
	f := limited(nil, map[string][]error{cloud.OpList: {kindAfter(cloud.RateLimited, 30*time.Second)}})
	d := cloud.RateLimit(f, clock.Moving(), time.Minute)
	_, err := d.List(t.Context(), nil)
	wantKind(t, err, cloud.RateLimited)
	if _, err := d.List(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if waited := clock.Now().Sub(start); waited != 30*time.Second {
		t.Errorf("the next call waited %v, want the 30s that were asked for", waited)
	}
}

func TestRateLimitGivesBackAfterCancel(t *testing.T) {
	clock := newClock()
	f := limited(map[string]cloud.Limit{"": {Rate: 1, Burst: 1}}, nil)
	c := clock.Moving()
	ctx, cancel := context.WithCancel(t.Context())
	c.Sleep = func(ctx context.Context, _ time.Duration) error {
		cancel()
		return ctx.Err()
	}
	d := cloud.RateLimit(f, c, time.Minute)
	_ = d.Delete(t.Context(), "i-1")
	err := d.Delete(ctx, "i-1")
	wantKind(t, err, cloud.Transient)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v hides that the context ended", err)
	}
	clock.Advance(time.Second)
	if err := d.Delete(t.Context(), "i-1"); err != nil {
		t.Errorf("a second later: %v; the cancelled call kept its token", err)
	}
}

// 1,000 machines under the limits that EC2 and Aliyun publish: nothing is
// refused by the provider, and the time is what the limits make it.
func TestThousandMachinesWithinLimits(t *testing.T) {
	for name, c := range map[string]struct {
		batch int
		most  time.Duration
	}{"ec2": {1000, 0}, "ec2 in tens": {10, 48 * time.Second}, "aliyun": {100, 0}} {
		t.Run(name, func(t *testing.T) {
			clock := newClock()
			p := presets()[name[:3]]
			account := simOf(p, clock.Still())
			d := cloud.RateLimit(account, clock.Moving(), time.Hour)
			for i := range 1000 / c.batch {
				r := order(fmt.Sprintf("web-1-%d", i), p.Offerings[0], c.batch)
				if _, err := d.Create(t.Context(), r); err != nil {
					t.Fatalf("batch %d: %v", i, err)
				}
			}
			if took := clock.Now().Sub(start); took > c.most {
				t.Errorf("ordering took %v, want at most %v", took, c.most)
			}
		})
	}
}
